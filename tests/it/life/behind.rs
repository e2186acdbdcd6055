//! Names removed behind the back of those who are attached, and segments that never had one.

use super::{PEER, alone, start};
use shmtypes::{Detached, ErrorKind, ShmArray};
use shmtypes_tests::life::{ELEMENTS, Folder, fill, is_complete};
use shmtypes_tests::trace::describe;
use std::fs;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

#[test]
fn attached_processes_go_on_when_their_name_is_taken_and_harm_no_successor() {
    alone("life::behind::attached_processes_go_on_when_their_name_is_taken_and_harm_no_successor", || {
        let by_hand = |folder: &Folder| fs::remove_file(folder.path().join("name")).unwrap();
        let by_unlink = |folder: &Folder| folder.segments().unlink("name").unwrap();
        for unlink in [&by_hand as &dyn Fn(&Folder), &by_unlink] {
            let folder = Folder::new();
            let array = folder.options::<u64>("name").create_with(ELEMENTS, fill).unwrap();
            let mut peer = start(&["attach", folder.arg(), "name"]);
            peer.expect_line("attached true");
            unlink(&folder);
            assert_eq!(*folder.options::<u64>("name").open().unwrap_err().kind(), ErrorKind::NotFound);
            assert!(is_complete(&array));

            // Nobody is attached to the successor at the instant when the old ones leave.
            let mut successor = start(&["create", "plain", folder.arg(), "name"]);
            successor.expect_line("attached true");
            successor.kill();
            assert!(!folder.segments().inspect("name").unwrap().attached);
            peer.close_input();
            peer.expect_line("NameGone");
            assert!(peer.wait().success());
            assert_eq!(array.close().unwrap(), Detached::NameGone);
            assert_eq!(folder.left(), ["name"]);
            assert!(is_complete(&folder.options::<u64>("name").open().unwrap()));
            assert_eq!(folder.left(), [""; 0], "the last one out of the successor has removed it");
        }
    });
}

#[test]
fn a_segment_whose_name_is_taken_and_stays_free_ends_with_its_processes() {
    alone("life::behind::a_segment_whose_name_is_taken_and_stays_free_ends_with_its_processes", || {
        let folder = Folder::new();
        let array = folder.options::<u64>("name").create_with(ELEMENTS, fill).unwrap();
        folder.segments().unlink("name").unwrap();
        assert_eq!(*folder.segments().unlink("name").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(array.close().unwrap(), Detached::NameGone);
        assert_eq!(folder.left(), [""; 0]);
    });
}

#[test]
fn an_unnamed_segment_is_shared_by_its_descriptor_and_cannot_be_truncated() {
    alone("life::behind::an_unnamed_segment_is_shared_by_its_descriptor_and_cannot_be_truncated", || {
        let array = ShmArray::<u64>::options().unnamed().create_with(ELEMENTS, fill).unwrap();
        assert_eq!(array.name(), "");
        let descriptor: OwnedFd = array.as_fd().unwrap().try_clone_to_owned().unwrap();
        let output = Command::new(PEER).arg("from-input").stdin(Stdio::from(descriptor)).output().unwrap();
        assert!(output.status.success(), "{}", describe(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text, "complete true\nErr(PermissionDenied)\nErr(PermissionDenied)\nUnnamed\n");
        assert_eq!(array.get(0).unwrap(), 4711, "the peer wrote into the same memory");
        assert_eq!(array.close().unwrap(), Detached::Unnamed);
    });
}
