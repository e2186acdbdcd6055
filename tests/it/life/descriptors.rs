//! No descriptor of a segment is inherited by a program that is executed.

use super::{PEER, start};
use shmtypes_tests::life::Folder;
use shmtypes_tests::trace::calls;

#[test]
fn an_executed_program_inherits_no_descriptor() {
    let folder = Folder::new();
    let mut peer = start(&["descriptors", folder.arg()]);
    peer.expect_line("2 segments, descriptor for the unnamed one: true");
    peer.expect_line("holding: [\"/memfd:shmtypes (deleted)\"]");
    peer.expect_line("after exec: []");
    assert!(peer.wait().success());
    folder.assert_reaped("after the exec");
}

#[test]
fn every_descriptor_is_close_on_exec_from_its_first_moment() {
    let folder = Folder::new();
    let log = Folder::new();
    for (kind, force) in [("plain", None), ("plain", Some("linkat:error=EPERM")), ("huge", None)] {
        let arguments = ["life", kind, folder.arg(), "name"];
        let (window, _) = calls(force.as_slice(), &log.path().join("log"), PEER, &arguments);
        let opened: Vec<_> = window.iter().filter(|call| call.name == "openat").collect();
        assert!(opened.len() >= 5, "only {} files opened", opened.len());
        for call in opened {
            assert!(call.line.contains("O_CLOEXEC"), "{}", call.line);
        }
        folder.assert_reaped(kind);
    }
}

#[test]
fn attaching_never_creates_follows_or_waits() {
    let folder = Folder::new();
    let log = Folder::new();
    let arguments = ["life", "plain", folder.arg(), "name"];
    let (window, _) = calls(&[], &log.path().join("log"), PEER, &arguments);
    let path = format!("{}/name\"", folder.arg());
    let by_name = window.iter().filter(|call| call.name == "openat" && call.line.contains(&path));
    let mut seen = 0;
    for call in by_name {
        for flag in ["O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"] {
            assert!(call.line.contains(flag), "{flag}: {}", call.line);
        }
        assert!(!call.line.contains("O_CREAT") && !call.line.contains("O_TRUNC"), "{}", call.line);
        seen += 1;
    }
    assert!(seen >= 3, "{seen} opens of the name");
}
