//! Parent and child of a fork: the last one out removes the name, in either order.

use super::start;
use shmtypes_tests::life::Folder;

/// Ways for the child to leave: those that run its destructors, and those that leave a name to reap.
const ORDERLY: [&str; 2] = ["drop", "panic"];
const ABRUPT: [&str; 4] = ["exit", "_exit", "SIGKILL", "abort"];

#[track_caller]
fn says(order: &str, how: &str, lines: &[&str]) {
    let folder = Folder::new();
    let mut peer = start(&["fork", order, how, folder.arg(), "name"]);
    // The child of "exec" becomes `cat`, which ends with its input.
    peer.close_input();
    for line in lines {
        assert_eq!(peer.line().as_deref(), Some(*line), "{order} first, child ends by {how}");
    }
    assert!(peer.wait().success(), "{order} first, child ends by {how}");
    folder.assert_reaped(how);
}

#[test]
fn a_child_that_leaves_first_leaves_the_name_to_its_parent() {
    says(
        "child",
        "drop",
        &["parent reads true", "child StillInUse", "name true", "parent Removed", "name false", "name false"],
    );
    for how in ABRUPT.iter().chain(&["panic", "exec"]) {
        says("child", how, &["parent reads true", "name true", "parent Removed", "name false", "name false"]);
    }
}

#[test]
fn a_child_that_leaves_last_takes_the_name_with_it() {
    let last = |line| ["parent reads true", "parent StillInUse", "name true", line, "name false", "name false"];
    says("parent", "drop", &last("child Removed"));
    says("parent", "panic", &["parent reads true", "parent StillInUse", "name true", "name false", "name false"]);
}

#[test]
fn a_child_that_ends_abruptly_after_its_parent_has_left_leaves_the_name_to_reap() {
    for how in ABRUPT.iter().chain(&["exec"]) {
        says("parent", how, &["parent reads true", "parent StillInUse", "name true", "name true", "name false"]);
    }
}

#[test]
fn a_child_that_outlives_its_parent_process_goes_on_and_takes_the_name_with_it() {
    for how in ORDERLY {
        let folder = Folder::new();
        let mut peer = start(&["fork", "parent-process", how, folder.arg(), "name"]);
        peer.expect_line("parent reads true");
        // Its output ends with the child.
        if how == "drop" {
            peer.expect_line("child Removed");
        }
        assert!(peer.wait().success());
        assert_eq!(folder.left(), [""; 0], "{how}");
    }
}
