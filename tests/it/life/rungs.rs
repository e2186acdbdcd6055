//! File systems differ in what keeps a lock; wherever there are locks, the life cycle is the same.

use super::{PEER, alone, start};
use shmtypes::{Detached, ErrorKind, SegmentDirectory};
use shmtypes_tests::life::{ELEMENTS, Folder, fill, is_complete, options};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::trace::{describe, injected, run};
use shmtypes_tests::world;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The descriptors of this process that refer to files in `folder`.
fn descriptors_into(folder: &Path) -> usize {
    let entries = fs::read_dir("/proc/self/fd").unwrap().flatten();
    entries.filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(folder))).count()
}

/// Create, attach from another process, last detach, kill and reap.
fn live_and_die(folder: &Path, kept_descriptors: usize) {
    let argument = folder.to_str().unwrap();
    let directory = SegmentDirectory::new(folder);
    let names = || fs::read_dir(folder).unwrap().count();
    let before = names();

    let array = options::<u64>(folder, "name").create_with(ELEMENTS, fill).unwrap();
    assert_eq!(descriptors_into(folder), kept_descriptors);
    let mut peer = start(&["attach", argument, "name"]);
    peer.expect_line("attached true");
    let second = options::<u64>(folder, "name").open_read_only().unwrap();
    assert_eq!(descriptors_into(folder), 2 * kept_descriptors);
    assert_eq!(second.close().unwrap(), Detached::StillInUse);
    assert_eq!(array.close().unwrap(), Detached::StillInUse);
    assert_eq!(descriptors_into(folder), 0);
    assert!(directory.inspect("name").unwrap().attached);
    assert_eq!(directory.reap().unwrap().removed, [""; 0]);
    peer.close_input();
    peer.expect_line("Removed");
    assert!(peer.wait().success());
    assert_eq!(names(), before);

    let mut peer = start(&["create", "plain", argument, "name"]);
    peer.expect_line("attached true");
    let array = options::<u64>(folder, "name").open().unwrap();
    peer.kill();
    assert_eq!(directory.reap().unwrap().removed, [""; 0]);
    assert!(is_complete(&array));
    drop(array);
    assert_eq!(names(), before);

    let mut peer = start(&["create", "plain", argument, "name"]);
    peer.expect_line("attached true");
    peer.kill();
    assert!(!directory.inspect("name").unwrap().attached);
    assert_eq!(directory.reap().unwrap().removed, ["name"]);
    assert_eq!(names(), before);
}

#[test]
fn on_tmpfs_the_mapping_keeps_the_lock_and_no_descriptor_stays_open() {
    alone("life::rungs::on_tmpfs_the_mapping_keeps_the_lock_and_no_descriptor_stays_open", || {
        let folder = Folder::new();
        live_and_die(folder.path(), 0);
    });
}

#[test]
fn on_overlayfs_a_descriptor_is_kept_and_all_is_the_same() {
    let script = "mount -t tmpfs tmpfs /dev/shm && cd /dev/shm && mkdir lower upper work merged && \
                  mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged && exec \"$0\" \"$@\"";
    let wrapper = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script];
    world::inside(&wrapper, "life::rungs::on_overlayfs_a_descriptor_is_kept_and_all_is_the_same", || {
        live_and_die(Path::new("/dev/shm/merged"), 1);
    });
}

/// A folder on a file system of disks, which uses inode numbers again.
struct OnDisk(std::path::PathBuf);

impl OnDisk {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        // Fails if it was never made.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_remembered_removal_never_takes_a_successor_that_got_the_same_inode_number() {
    alone("life::rungs::a_remembered_removal_never_takes_a_successor_that_got_the_same_inode_number", || {
        let folder = OnDisk::new("inodes");
        let argument = folder.0.to_str().unwrap();
        let inode = || fs::metadata(folder.0.join("name")).unwrap().ino();
        let mut same = 0;
        for _ in 0..10 {
            let array = options::<u64>(&folder.0, "name").create(ELEMENTS).unwrap();
            let before = inode();
            let mut peer = start(&["attach", argument, "name"]);
            peer.expect_line("attached false");
            assert_eq!(array.close().unwrap(), Detached::StillInUse, "and remembers to try again");
            peer.kill();
            fs::remove_file(folder.0.join("name")).unwrap();
            let mut successor = start(&["create", "keep", argument, "name"]);
            successor.expect_line("attached true");
            same += u64::from(inode() == before);
            successor.close_input();
            successor.expect_line("Kept");
            assert!(successor.wait().success());
            // Remembered removals are tried again here.
            SegmentDirectory::new(&folder.0).reap().unwrap();
            SegmentDirectory::new(&folder.0).unlink("name").expect("the successor is still there");
        }
        println!("{same} of 10 successors had the inode number of what was to be removed");
    });
}

#[test]
fn without_byte_locks_whole_file_locks_do() {
    let folder = Folder::new();
    let traced = |role: &[&str]| Peer::spawn(injected(&["fcntl:error=EINVAL"], PEER, role));
    let mut creator = traced(&["create", "plain", folder.arg(), "name"]);
    creator.expect_line("attached true");
    let mut attacher = traced(&["attach", folder.arg(), "name"]);
    attacher.expect_line("attached true");
    creator.close_input();
    creator.expect_line("StillInUse");
    assert!(creator.wait().success());
    assert_eq!(folder.left(), ["name"]);
    attacher.close_input();
    attacher.expect_line("Removed");
    assert!(attacher.wait().success());
    assert_eq!(folder.left(), [""; 0]);
}

#[test]
fn without_any_locks_segments_are_unsupported() {
    alone("life::rungs::without_any_locks_segments_are_unsupported", || {
        let folder = Folder::new();
        let injections = ["fcntl:error=EINVAL", "flock:error=EOPNOTSUPP"];
        let output = run(&mut injected(&injections, PEER, &["life", "plain", folder.arg(), "name"]));
        assert!(describe(&output).contains("end Unsupported"), "{}", describe(&output));
        assert_eq!(folder.left(), [""; 0]);
        let there = folder.options::<u64>("name").create(1).unwrap();
        let output = run(&mut injected(&injections, PEER, &["attach", folder.arg(), "name"]));
        assert!(describe(&output).contains("not supported here"), "{}", describe(&output));
        assert_eq!(there.close().unwrap(), Detached::Removed);
        assert_eq!(*folder.segments().inspect("name").unwrap_err().kind(), ErrorKind::NotFound);
    });
}
