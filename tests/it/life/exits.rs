//! How processes end, and what becomes of the name: a table, and what is observed.

use super::{alone, start};
use shmtypes::Detached;
use shmtypes_tests::life::{Folder, is_complete};

/// How a process ends, and whether that detaches in good order, so that the last one out removes the name by itself.
const ENDS: [(&str, bool); 9] = [
    ("return", true),
    ("panic", true),
    ("abort", false),
    ("exit", false),
    ("_exit", false),
    ("SIGTERM", false),
    ("SIGKILL", false),
    ("SIGSEGV", false),
    ("exec", false),
];

#[test]
fn every_way_to_end_is_as_the_table_says() {
    alone("life::exits::every_way_to_end_is_as_the_table_says", || {
        for (how, orderly) in ENDS {
            for role in ["creator", "attacher"] {
                for accompanied in [false, true] {
                    let case = format!("{role} ends by {how}, accompanied: {accompanied}");
                    let folder = Folder::new();
                    let mut maker = (role == "attacher").then(|| {
                        let mut maker = start(&["create", "plain", folder.arg(), "name"]);
                        maker.expect_line("attached true");
                        maker
                    });
                    let mut peer = start(&["exit", role, how, folder.arg(), "name"]);
                    peer.expect_line("attached");
                    let other = accompanied.then(|| folder.options::<u64>("name").open().unwrap());
                    if let Some(maker) = &mut maker {
                        // Gone without a trace of order: the peer is on its own.
                        maker.kill();
                    }
                    if how == "exec" {
                        // The program that it became runs on, and holds nothing: it answers once it runs.
                        peer.tell("are you there?");
                        peer.expect_line("are you there?");
                        let attached = folder.segments().inspect("name").unwrap().attached;
                        assert_eq!(attached, accompanied, "{case}, while the new program runs");
                    } else {
                        peer.wait();
                    }

                    let stays = accompanied || !orderly;
                    assert_eq!(!folder.left().is_empty(), stays, "{case}, before reap");
                    let reaped = folder.segments().reap().unwrap().removed.len();
                    assert_eq!(reaped, usize::from(stays && !accompanied), "{case}, by reap");
                    if let Some(other) = other {
                        assert!(is_complete(&other), "{case}");
                        assert_eq!(other.close().unwrap(), Detached::Removed, "{case}");
                    }
                    assert_eq!(folder.left(), [""; 0], "{case}, at the end");
                }
            }
        }
    });
}
