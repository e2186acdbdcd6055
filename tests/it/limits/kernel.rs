//! Kernels and sandboxes that refuse a system call: another way is taken, or the error says what is missing.

use crate::INPUT;
use shmtypes::Persist;
use shmtypes_tests::folder::Folder;
use std::fs;
use std::process::Command;

/// What the peer program says while strace makes system calls fail.
#[track_caller]
fn under_strace(options: &[&str], arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new("strace");
    command.args(["--follow-forks", "--quiet=all", "--output=/dev/null"]).args(options).arg(INPUT).args(arguments);
    let output = command.output().unwrap_or_else(|error| panic!("strace: {error}; is it installed?"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// A directory, and another path to it, which a filter of strace by path does not know.
fn two_paths(folder: &Folder) -> (String, String) {
    let path = folder.path().to_str().unwrap();
    (path.to_owned(), path.replace("/dev/shm/", "/dev/../dev/shm/"))
}

#[test]
fn without_unnamed_files_everything_works_under_hidden_names() {
    for error in ["EOPNOTSUPP", "EISDIR", "EINVAL", "ENOENT"] {
        let folder = Folder::new();
        let (path, listed) = two_paths(&folder);
        let inject = format!("--inject=openat:error={error}");
        assert_eq!(under_strace(&["-P", &path, &inject], &["tour", &path, &listed]), ["Ok(())"], "{error}");
        assert!(folder.left().is_empty(), "{error}");
    }
}

#[test]
fn without_a_way_to_link_everything_works_under_hidden_names() {
    for error in ["EPERM", "ENOENT", "ENOSYS", "EXDEV", "EACCES"] {
        let folder = Folder::new();
        let path = folder.path().to_str().unwrap();
        let inject = format!("--inject=linkat:error={error}");
        assert_eq!(under_strace(&[&inject], &["tour", path, path]), ["Ok(())"], "{error}");
        assert!(folder.left().is_empty(), "{error}");
    }
}

#[test]
fn under_hidden_names_a_taken_name_is_refused_and_nothing_is_left() {
    let folder = Folder::new();
    let path = folder.path().to_str().unwrap();
    folder.options("a").persist(Persist::Keep).create_from_slice(&[1_u64]).unwrap();
    let said = under_strace(&["--inject=linkat:error=EPERM"], &["create-once", path, "a"]);
    assert!(said[0].starts_with("AlreadyExists"), "{said:?}");
    // Taken between the first look and the publication.
    let inject = ["--inject=linkat:error=EPERM", "--inject=renameat2:error=EEXIST"];
    let said = under_strace(&inject, &["create-once", path, "b"]);
    assert_eq!(said[0], "AlreadyExists { owner: None }");
    assert_eq!(folder.left(), ["a"]);
}

#[test]
fn under_hidden_names_a_block_that_has_no_room_for_a_copy_is_an_error_and_no_abort() {
    let folder = Folder::new();
    let path = folder.path().to_str().unwrap();
    let said = under_strace(&["--inject=linkat:error=EPERM"], &["block-short-of-memory", path, "a"]);
    assert_eq!(said[0], format!("NoAddressSpace {{ needed: {} }}", 64 << 20), "{said:?}");
    // Nothing is lent, nothing is copied.
    assert_eq!(said[2..], [format!("Ok({})", 64 << 20)]);
    assert_eq!(folder.left(), ["a"]);
}

#[test]
fn interrupted_reservations_go_on() {
    let folder = Folder::new();
    let path = folder.path().to_str().unwrap();
    for (call, length) in [("pwrite64", "100"), ("fallocate", "10000")] {
        let inject = format!("--inject={call}:error=EINTR:when=1..50");
        assert_eq!(
            under_strace(&[&inject], &["create-length", path, "a", length]),
            [format!("Ok({length})")],
            "{call}"
        );
    }
    assert!(folder.left().is_empty());
}

#[test]
fn unnamed_arrays_without_memfd_say_what_is_missing() {
    let said = under_strace(&["--inject=memfd_create:error=ENOSYS"], &["unnamed"]);
    assert_eq!(said, [r#"Unsupported { what: "memfd_create" }"#, "not supported here: memfd_create"]);
    let said = under_strace(&["--inject=memfd_create:error=EPERM"], &["unnamed"]);
    assert_eq!(said[0], r#"PermissionDenied { operation: "memfd_create" }"#);
}

/// Refused altogether, as a seccomp filter does it.
#[test]
fn every_refused_system_call_is_an_error_or_has_a_substitute() {
    for call in
        ["fallocate", "pwrite64", "fcntl", "flock", "linkat", "fchmod", "madvise", "prlimit64", "statfs", "renameat2"]
    {
        for error in ["EPERM", "ENOSYS", "EOPNOTSUPP", "EINVAL", "EIO"] {
            let folder = Folder::new();
            let path = folder.path().to_str().unwrap();
            let said = under_strace(&[&format!("--inject={call}:error={error}")], &["tour", path, path]);
            assert!(said.len() == 1 && said[0] == "Ok(())" || said.len() == 2, "{call} {error}: {said:?}");
            assert!(folder.left().is_empty(), "{call} {error} left {:?}: {said:?}", folder.left());
        }
    }
}

#[test]
fn a_full_file_system_at_each_step_is_no_space() {
    const SMALL: (&str, u64) = ("100", 4096);
    const LARGE: (&str, u64) = ("10000", 86_016);
    for (inject, (length, needed)) in [
        ("pwrite64:error=ENOSPC", SMALL),
        ("pwrite64:error=EDQUOT", SMALL),
        ("linkat:error=ENOSPC:when=2", SMALL),
        ("fallocate:error=ENOSPC", LARGE),
        ("fallocate:error=EDQUOT", LARGE),
    ] {
        let folder = Folder::new();
        let path = folder.path().to_str().unwrap();
        let said = under_strace(&[&format!("--inject={inject}")], &["create-length", path, "a", length]);
        let expected = format!("NoSpace {{ needed: {needed}, available: ");
        assert!(said[0].starts_with(&expected), "{inject}: {said:?}");
        assert!(folder.left().is_empty());
    }
}

/// The lines of the system call `call` that the peer program makes.
fn traced(call: &str, arguments: &[&str]) -> Vec<String> {
    let log = Folder::below(&std::env::temp_dir());
    let file = log.file("log");
    let status = Command::new("strace")
        .args(["--quiet=all", &format!("--trace={call}"), "--output"])
        .arg(&file)
        .arg(INPUT)
        .args(arguments)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap_or_else(|error| panic!("strace: {error}; is it installed?"));
    assert!(status.success());
    let text = fs::read_to_string(&file).unwrap();
    text.lines().filter(|line| line.starts_with(&format!("{call}("))).map(str::to_owned).collect()
}

/// The numbers of the shared mappings among all mappings that the peer program makes.
fn shared_mappings(arguments: &[&str]) -> Vec<usize> {
    let calls = traced("mmap", arguments);
    let shared = calls.iter().enumerate().filter(|(_, line)| line.contains("MAP_SHARED"));
    let shared: Vec<usize> = shared.map(|(index, _)| index + 1).collect();
    assert!(!shared.is_empty(), "{calls:?}");
    shared
}

/// So that no sticky directory's rule about O_CREAT (sysctl fs.protected_regular) ever concerns it, no link is followed,
/// and no FIFO is waited for.
#[test]
fn attaching_never_creates_follows_or_waits() {
    let folder = Folder::new();
    let path = folder.path().to_str().unwrap();
    folder.options("a").persist(Persist::Keep).create_from_slice(&[1_u64, 2, 3]).unwrap();
    for arguments in [&["attach-once", path, "a"][..], &["open", path, "a", "owner"], &["leave", path, "a"]] {
        let opened: Vec<String> =
            traced("openat", arguments).into_iter().filter(|line| line.contains(&format!("{path}/a"))).collect();
        assert!(!opened.is_empty());
        for line in opened {
            assert!(!line.contains("O_CREAT") && !line.contains("O_TRUNC"), "{line}");
            let flags = ["O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY"];
            assert!(flags.iter().all(|flag| line.contains(flag)), "{line}");
        }
    }
}

#[test]
fn a_mapping_that_cannot_be_had_leaves_nothing() {
    let folder = Folder::new();
    let path = folder.path().to_str().unwrap();
    folder.options("a").persist(Persist::Keep).create_from_slice(&[1_u64, 2, 3]).unwrap();
    for arguments in [["create-once", path, "b"], ["attach-once", path, "a"]] {
        for number in shared_mappings(&arguments) {
            let inject = format!("--inject=mmap:error=ENOMEM:when={number}");
            let said = under_strace(&[&inject], &arguments);
            assert!(said[0].starts_with("NoAddressSpace { needed: "), "{arguments:?}, mapping {number}: {said:?}");
            assert!(said[1].ends_with("(raise `ulimit -v` or vm.max_map_count)"), "{said:?}");
            assert_eq!(folder.left(), ["a"]);
        }
    }
    assert_eq!(folder.options::<u64>("a").open().unwrap().to_vec().unwrap(), [1, 2, 3]);
}
