//! What stays and what goes when nobody is attached.

use super::{alone, start};
use shmtypes::{Detached, ErrorKind, Persist};
use shmtypes_tests::life::{ELEMENTS, Folder, fill, is_complete};
use shmtypes_tests::scratch::Scratch;

#[test]
fn an_idle_kept_segment_survives_reap_and_ends_by_reap_named() {
    alone("life::persist::an_idle_kept_segment_survives_reap_and_ends_by_reap_named", || {
        let folder = Folder::new();
        let mut creator = start(&["create", "keep", folder.arg(), "kept"]);
        creator.expect_line("attached true");
        creator.close_input();
        creator.expect_line("Kept");
        assert!(creator.wait().success());
        for _ in 0..3 {
            assert_eq!(folder.segments().reap().unwrap().removed, [""; 0]);
        }
        let array = folder.options::<u64>("kept").open().unwrap();
        assert!(is_complete(&array));
        assert_eq!(*folder.segments().reap_named("kept").unwrap_err().kind(), ErrorKind::InUse);
        assert_eq!(array.close().unwrap(), Detached::Kept);
        folder.segments().reap_named("kept").unwrap();
        assert_eq!(folder.left(), [""; 0]);
    });
}

#[test]
fn a_kept_segment_of_a_killed_creator_ends_by_unlink_only() {
    alone("life::persist::a_kept_segment_of_a_killed_creator_ends_by_unlink_only", || {
        let folder = Folder::new();
        let mut creator = start(&["create", "keep", folder.arg(), "kept"]);
        creator.expect_line("attached true");
        creator.kill();
        assert_eq!(folder.segments().reap().unwrap().removed, [""; 0]);
        let taken = folder.options::<u64>("kept").create(1).unwrap_err();
        assert!(matches!(taken.kind(), ErrorKind::AlreadyExists { .. }), "{taken}");
        assert_eq!(folder.left(), ["kept"]);
        folder.segments().unlink("kept").unwrap();
        assert_eq!(folder.left(), [""; 0]);
    });
}

#[test]
fn an_orphan_is_found_by_reap_and_makes_room_for_a_creator() {
    alone("life::persist::an_orphan_is_found_by_reap_and_makes_room_for_a_creator", || {
        let folder = Folder::new();
        for successor in [false, true] {
            let mut owner = start(&["create", "plain", folder.arg(), "orphan"]);
            owner.expect_line("attached true");
            assert_eq!(folder.segments().reap().unwrap().removed, [""; 0], "it is in use");
            assert!(folder.segments().inspect("orphan").unwrap().attached);
            owner.kill();
            assert!(!folder.segments().inspect("orphan").unwrap().attached);
            if successor {
                let array = folder.options::<u64>("orphan").create_with(ELEMENTS, fill).unwrap();
                assert!(is_complete(&array));
                assert_eq!(array.close().unwrap(), Detached::Removed);
            } else {
                let reaped = folder.segments().reap().unwrap();
                assert_eq!(reaped.removed, ["orphan"]);
                assert!(reaped.bytes >= 8 * ELEMENTS as u64);
            }
            assert_eq!(folder.left(), [""; 0]);
        }
    });
}

#[test]
fn an_orphan_with_an_attacher_is_none_until_that_one_leaves() {
    alone("life::persist::an_orphan_with_an_attacher_is_none_until_that_one_leaves", || {
        let folder = Folder::new();
        let mut owner = start(&["create", "plain", folder.arg(), "shared"]);
        owner.expect_line("attached true");
        let array = folder.options::<u64>("shared").open().unwrap();
        owner.kill();
        assert_eq!(folder.segments().reap().unwrap().removed, [""; 0]);
        let taken = folder.options::<u64>("shared").create(1).unwrap_err();
        assert!(matches!(taken.kind(), ErrorKind::AlreadyExists { .. }), "{taken}");
        assert!(is_complete(&array));
        assert_eq!(array.close().unwrap(), Detached::Removed);
        assert_eq!(folder.left(), [""; 0]);
    });
}

#[test]
fn reap_of_dev_shm_itself_takes_an_orphan_and_leaves_a_kept_segment() {
    alone("life::persist::reap_of_dev_shm_itself_takes_an_orphan_and_leaves_a_kept_segment", || {
        let scratch = Scratch::new();
        let kept = shmtypes::ShmArray::<u64>::options().name(scratch.name("kept")).persist(Persist::Keep);
        drop(kept.create(10).unwrap());
        let orphan = scratch.name("orphan");
        let mut owner = start(&["create", "plain", "/dev/shm", &orphan]);
        owner.expect_line("attached true");
        owner.kill();
        // Other tests may reap at the same time.
        shmtypes::reap().unwrap();
        assert_eq!(scratch.left(), [scratch.name("kept")]);
        shmtypes::reap_named(&scratch.name("kept")).unwrap();
        assert_eq!(scratch.left(), [""; 0]);
    });
}
