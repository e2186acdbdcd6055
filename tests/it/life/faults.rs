//! A system call that fails, whichever it is, ends in a typed error or in success by another way, and in nothing left.

use super::PEER;
use shmtypes_tests::life::Folder;
use shmtypes_tests::trace::{Call, calls, describe, injected, run};

/// What creating, attaching and detaching ask of the kernel, without what the language's runtime asks.
const RELEVANT: [&str; 20] = [
    "openat",
    "linkat",
    "unlink",
    "renameat2",
    "rename",
    "fallocate",
    "ftruncate",
    "fchmod",
    "fcntl",
    "flock",
    "fstat",
    "newfstatat",
    "statx",
    "lstat",
    "mmap",
    "madvise",
    "pread64",
    "pwrite64",
    "getrandom",
    "statfs",
];

const ERRORS: [&str; 8] = ["ENOSPC", "ENOMEM", "EMFILE", "EACCES", "EIO", "EINTR", "EPERM", "ENOSYS"];

/// Lets every relevant call of a life fail with every error, one at a time.
#[track_caller]
fn failing_everywhere(kind: &str, force: Option<&str>, errors: &[&str]) {
    let folder = Folder::new();
    let log = Folder::new();
    let arguments = ["life", kind, folder.arg(), "victim"];
    let (window, _) = calls(force.as_slice(), &log.path().join("log"), PEER, &arguments);
    let forced = force.and_then(|injection| injection.split(':').next());
    let relevant = |call: &&Call| RELEVANT.contains(&call.name.as_str()) && forced != Some(call.name.as_str());
    let (mut succeeded, mut failed) = (0, 0);
    for call in window.iter().filter(relevant) {
        for error in errors {
            let fault = format!("{}:error={error}:when={}", call.name, call.nth);
            let injections: Vec<&str> = force.into_iter().chain([fault.as_str()]).collect();
            let output = run(&mut injected(&injections, PEER, &arguments));
            let said = describe(&output);
            assert!(output.status.success(), "{error} at {}: {said}", call.line);
            let outcome = said.lines().find_map(|line| line.strip_prefix("end ")).unwrap_or_default();
            match outcome {
                "Removed" => succeeded += 1,
                // A detach that could not remove the name; reap does, below.
                "StillInUse" | "LeftForOwner" => failed += 1,
                _ => {
                    assert!(outcome.starts_with(char::is_uppercase), "{error} at {}: {said}", call.line);
                    failed += 1;
                }
            }
            folder.assert_reaped(&format!("{error} at {}", call.line));
        }
    }
    println!("{kind}, forced {force:?}: {succeeded} went another way, {failed} typed errors");
    assert!(failed > 20 && succeeded > 0, "{succeeded} successes, {failed} errors");
}

#[test]
fn any_failing_call_gives_a_typed_error_and_leaves_nothing() {
    failing_everywhere("plain", None, &ERRORS);
}

#[test]
fn any_failing_call_around_a_file_that_is_written_whole_gives_a_typed_error_and_leaves_nothing() {
    failing_everywhere("small", None, &["ENOSPC", "ENOMEM", "EIO"]);
}

#[test]
fn any_failing_call_of_the_hidden_name_path_gives_a_typed_error_and_leaves_nothing() {
    failing_everywhere("plain", Some("linkat:error=EPERM"), &["ENOSPC", "EACCES", "EINTR"]);
}

#[test]
fn any_failing_call_on_the_way_to_huge_pages_gives_a_typed_error_and_leaves_nothing() {
    failing_everywhere("huge", None, &["ENOMEM", "EIO"]);
}

/// The first call that matches, failing with an error, against what the peer then says.
const EXPECTED: [(&str, &str, &str, &str); 9] = [
    ("pwrite64", "", "EINTR", "Removed"),
    ("openat", "O_TMPFILE", "EMFILE", "TooManyFiles"),
    ("openat", "O_TMPFILE", "EACCES", "PermissionDenied"),
    ("openat", "O_TMPFILE", "ENOSPC", "NoSpace"),
    ("openat", "O_TMPFILE", "EOPNOTSUPP", "Removed"),
    ("linkat", "AT_EMPTY_PATH", "ENOENT", "Removed"),
    ("linkat", "victim", "EIO", "Os { operation: \"give the segment its name\", errno: 5 }"),
    ("mmap", "MAP_SHARED, 3, 0", "ENOMEM", "NoAddressSpace"),
    ("pread64", "", "EINTR", "Removed"),
];

/// The same of the call that takes the space: of a file that is filled before it has its name, and of a small one.
const NO_SPACE: [(&str, &str); 4] = [
    ("ENOSPC", "NoSpace"),
    ("EDQUOT", "NoSpace"),
    ("EINTR", "Removed"),
    ("EIO", "Os { operation: \"reserve space\", errno: 5 }"),
];

#[test]
fn a_failure_is_told_by_its_cause() {
    told_by_its_cause("plain", &EXPECTED);
    for (kind, call) in [("plain", "fallocate"), ("small", "pwrite64")] {
        told_by_its_cause(kind, &NO_SPACE.map(|(error, expected)| (call, "", error, expected)));
    }
}

#[track_caller]
fn told_by_its_cause(kind: &str, expected: &[(&str, &str, &str, &str)]) {
    let folder = Folder::new();
    let log = Folder::new();
    let arguments = ["life", kind, folder.arg(), "victim"];
    let (window, _) = calls(&[], &log.path().join("log"), PEER, &arguments);
    for &(name, part, error, expected) in expected {
        let call = window.iter().find(|call| call.name == name && call.line.contains(part));
        let call = call.unwrap_or_else(|| panic!("no {name} with {part:?} any more"));
        let fault = format!("{name}:error={error}:when={}", call.nth);
        let said = describe(&run(&mut injected(&[&fault], PEER, &arguments)));
        assert!(said.contains(&format!("end {expected}")), "{error} at {}: {said}", call.line);
        folder.assert_reaped(&call.line);
    }
}
