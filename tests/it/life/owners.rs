//! Processes of several users: who may not remove a name leaves it to its owner, and says so.

use super::{alone, start};
use shmtypes::{Detached, ErrorKind, Trust};
use shmtypes_tests::life::{ELEMENTS, Folder, fill, is_complete};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// The user that owns nothing; the peer becomes that one at `as-nobody`, which needs root.
const NOBODY: u32 = 65534;

/// A folder like /dev/shm: all may write, and only owners may remove.
fn sticky() -> Folder {
    let folder = Folder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    folder
}

/// The owner has left; the last one out, of another user, attached with these words. Then the owner reaps.
#[track_caller]
fn left_for_owner(kind: &str, attach: &str) {
    let folder = sticky();
    // A process of its own, because this one would try again to remove what it left.
    let mut owner = start(&["create", kind, folder.arg(), "name"]);
    owner.expect_line("attached true");
    let mut peer = start(&["as-nobody", attach, folder.arg(), "name"]);
    peer.expect_line("attached true");
    owner.close_input();
    owner.expect_line("StillInUse");
    assert!(owner.wait().success());
    peer.close_input();
    peer.expect_line("LeftForOwner");
    assert!(peer.wait().success());
    assert_eq!(folder.left(), ["name"]);
    // What others cannot remove, they are told of.
    let mut stranger = start(&["as-nobody", "reap", folder.arg()]);
    stranger.expect_line("removed [], left for owner [\"name\"]");
    assert!(stranger.wait().success());
    assert_eq!(folder.segments().reap().unwrap().removed, ["name"]);
    assert_eq!(folder.left(), [""; 0]);
}

#[test]
fn a_last_one_out_that_may_write_but_not_remove_leaves_the_name_for_its_owner() {
    alone("life::owners::a_last_one_out_that_may_write_but_not_remove_leaves_the_name_for_its_owner", || {
        left_for_owner("mode-666", "attach");
    });
}

#[test]
fn a_last_one_out_that_may_only_read_leaves_the_name_for_its_owner() {
    alone("life::owners::a_last_one_out_that_may_only_read_leaves_the_name_for_its_owner", || {
        left_for_owner("mode-644", "read");
    });
}

#[test]
fn a_reader_of_another_user_that_leaves_before_the_owner_says_that_the_segment_is_in_use() {
    alone(
        "life::owners::a_reader_of_another_user_that_leaves_before_the_owner_says_that_the_segment_is_in_use",
        || {
            for (mode, attach) in [(0o666, "attach"), (0o644, "read")] {
                let folder = sticky();
                let array = folder.options::<u64>("name").mode(mode).create_with(ELEMENTS, fill).unwrap();
                let mut peer = start(&["as-nobody", attach, folder.arg(), "name"]);
                peer.expect_line("attached true");
                peer.close_input();
                peer.expect_line("StillInUse");
                assert!(peer.wait().success());
                assert_eq!(array.close().unwrap(), Detached::Removed, "{attach}");
            }
        },
    );
}

#[test]
fn a_segment_of_another_user_is_attached_on_request_only_and_removed_by_its_owner() {
    alone("life::owners::a_segment_of_another_user_is_attached_on_request_only_and_removed_by_its_owner", || {
        let folder = sticky();
        let mut owner = start(&["as-nobody", "create", "mode-666", folder.arg(), "name"]);
        owner.expect_line("attached true");
        let refused = shmtypes::ShmArray::<u64>::options().dir(folder.path()).name("name").open().unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::Untrusted { owner: NOBODY, .. }), "{refused}");
        for trust in [Trust::Uid(NOBODY), Trust::Anyone] {
            let array = folder.options::<u64>("name").trust(trust).open().unwrap();
            assert!(is_complete(&array));
        }
        let refused = folder.options::<u64>("name").trust(Trust::Uid(NOBODY - 1)).open().unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::Untrusted { trusted, .. } if *trusted == NOBODY - 1), "{refused}");
        owner.close_input();
        owner.expect_line("Removed");
        assert!(owner.wait().success());
        assert_eq!(folder.left(), [""; 0]);
    });
}
