//! What a review found, each as the sentence that holds now.

use crate::PEER;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use shmtypes::{Detached, ErrorKind, Persist, SegmentDirectory, ShmArray, Trust};
use shmtypes_tests::folder::Folder;
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;
use shmtypes_tests::world::inside;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

#[test]
fn a_fifo_under_the_name_of_an_unfinished_segment_does_not_hold_up_a_reaper() {
    // In a process of its own, because the first call probes the file system.
    inside::<&str>(
        &[],
        "regressions::a_fifo_under_the_name_of_an_unfinished_segment_does_not_hold_up_a_reaper",
        || {
            let scratch = Scratch::new();
            let directory = scratch.path("dir");
            std::fs::create_dir(&directory).unwrap();
            let fifo = directory.join(".shmtypes-0123456789abcdef0123456789abcdef.tmp");
            mkfifo(&fifo, Mode::S_IRWXU).unwrap();
            let reaped = SegmentDirectory::new(&directory).reap().unwrap();
            assert!(reaped.removed.is_empty() && fifo.exists());
            std::fs::remove_file(fifo).unwrap();
            std::fs::remove_dir(directory).unwrap();
        },
    );
}

/// A place where something is mounted until the drop, also of a test that fails: its folder could not be removed before.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily, because handles of the test may still be there. If it fails, the mount namespace ends it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// On a file system where only a descriptor keeps a lock, another user holds one that looks as if the mapping kept it.
#[test]
fn another_user_s_locks_teach_nothing_about_the_file_system() {
    let wrapper = ["unshare", "--mount", "--propagation", "private"];
    inside(&wrapper, "regressions::another_user_s_locks_teach_nothing_about_the_file_system", || {
        let folder = Folder::new();
        let mount = |kind: &[&str], place: &Path| {
            assert!(Command::new("mount").args(kind).arg(place).status().unwrap().success());
            Mounted(place.to_owned())
        };
        let _lower = mount(&["-t", "tmpfs", "tmpfs"], folder.path());
        for name in ["l", "u", "w", "place"] {
            std::fs::create_dir(folder.file(name)).unwrap();
            std::fs::set_permissions(folder.file(name), std::fs::Permissions::from_mode(0o1777)).unwrap();
        }
        let (place, root) = (folder.file("place"), folder.path().to_str().unwrap());
        let options = format!("lowerdir={root}/l,upperdir={root}/u,workdir={root}/w");
        let _overlay = mount(&["-t", "overlay", "-o", &options, "overlay"], &place);
        let arguments = ["--reuid=1234", "--regid=1234", "--clear-groups", PEER, "plant", place.to_str().unwrap()];
        let mut planter = Peer::start("setpriv", &arguments);
        planter.expect_line("ready");

        let segments = SegmentDirectory::new(&place);
        let refused = ShmArray::<u64>::options().dir(&place).name("planted").open().map(drop).unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::Untrusted { owner: 1234, .. }), "{refused}");
        assert!(segments.inspect("planted").unwrap().attached);
        assert!(segments.reap().unwrap().removed.is_empty());
        let mine = ShmArray::<u64>::options().dir(&place).name("mine").create(1).unwrap();
        let theirs = ShmArray::<u64>::options().dir(&place).name("planted").trust(Trust::Anyone).open().unwrap();
        planter.kill();
        for name in ["mine", "planted"] {
            assert!(segments.inspect(name).unwrap().attached, "{name}");
        }
        assert!(segments.reap().unwrap().removed.is_empty());
        assert_eq!(theirs.close().unwrap(), Detached::Removed);
        assert_eq!(mine.close().unwrap(), Detached::Removed);
    });
}

#[test]
fn a_device_number_that_is_used_again_is_another_file_system() {
    let wrapper = ["unshare", "--mount", "--propagation", "private"];
    inside(&wrapper, "regressions::a_device_number_that_is_used_again_is_another_file_system", || {
        let root = std::env::temp_dir().join(format!("shmtypes-{}", std::process::id()));
        let place = root.join("place");
        for name in ["place", "lower"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        let mount = |arguments: &[&str]| assert!(Command::new("mount").args(arguments).status().unwrap().success());
        // Everything of the overlay stands on a tmpfs of its own, which is mounted first and stays.
        mount(&["-t", "tmpfs", "tmpfs", root.join("lower").to_str().unwrap()]);
        for name in ["l", "u", "w"] {
            std::fs::create_dir(root.join("lower").join(name)).unwrap();
        }
        mount(&["-t", "tmpfs", "tmpfs", place.to_str().unwrap()]);
        let device = |path: &std::path::Path| nix::sys::stat::stat(path).unwrap().st_dev;
        let first = device(&place);
        drop(ShmArray::<u64>::options().dir(&place).create(1).unwrap());
        assert!(Command::new("umount").arg(&place).status().unwrap().success());
        let lower = root.join("lower");
        let options = format!("lowerdir={0}/l,upperdir={0}/u,workdir={0}/w", lower.to_str().unwrap());
        mount(&["-t", "overlay", "-o", &options, "overlay", place.to_str().unwrap()]);
        assert_eq!(device(&place), first, "the number is used again, or the test proves nothing");

        let array = ShmArray::<u64>::options().dir(&place).name("live").create(1).unwrap();
        let info = SegmentDirectory::new(&place).inspect("live").unwrap();
        assert!(info.attached, "on this file system a descriptor keeps the lock");
        assert!(SegmentDirectory::new(&place).reap().unwrap().removed.is_empty());
        assert_eq!(array.close().unwrap(), Detached::Removed);
        assert!(Command::new("umount").arg(&place).status().unwrap().success());
        assert!(Command::new("umount").arg(&lower).status().unwrap().success());
        std::fs::remove_dir_all(root).unwrap();
    });
}

#[test]
fn a_removal_that_is_tried_again_spares_a_successor_with_the_same_inode_number() {
    // On a file system that gives inode numbers again at once; tmpfs does not.
    let directory = tempfile_directory();
    let options = |name: &str| ShmArray::<u64>::options().dir(&directory).name(name);
    let mut met = 0;
    for round in 0..20 {
        let name = format!("a{round}");
        let first = options(&name).create(1).unwrap();
        let inode = |name: &str| nix::sys::stat::stat(&directory.join(name)).unwrap().st_ino;
        let before = inode(&name);
        let mut peer = Peer::start(PEER, &["hold-in", directory.to_str().unwrap(), &name]);
        peer.expect_line("attached 1");
        // Remembered, to be tried again.
        assert_eq!(first.close().unwrap(), Detached::StillInUse);
        peer.close_input();
        peer.expect_line("Removed");
        assert!(peer.wait().success());
        let kept = options(&name).persist(Persist::Keep).create(1).unwrap();
        met += u32::from(inode(&name) == before);
        assert_eq!(kept.close().unwrap(), Detached::Kept);
        // Tries again, now or at one of the next creations.
        for _ in 0..3 {
            std::thread::sleep(std::time::Duration::from_millis(2));
            drop(options("other").create(1).unwrap());
        }
        assert!(directory.join(&name).exists(), "the successor's data");
        std::fs::remove_file(directory.join(&name)).unwrap();
    }
    println!("the inode number was the same in {met} of 20 rounds");
    std::fs::remove_dir_all(&directory).unwrap();
}

/// A directory that is no tmpfs, if the machine has one.
fn tempfile_directory() -> std::path::PathBuf {
    let directory = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("it-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

#[test]
fn a_sequentially_consistent_load_is_one_through_a_read_only_handle_too() {
    // Store buffering: one of the two threads must see the other's store.
    let scratch = Scratch::new();
    let array = ShmArray::<AtomicU64>::options().name(scratch.name("sb")).create(16).unwrap();
    let read_only = ShmArray::<AtomicU64>::open_read_only(array.name()).unwrap();
    let barrier = Barrier::new(2);
    for round in 1..=300_u64 {
        let run = |own: usize, other: usize| {
            barrier.wait();
            array.at(own).store(round, Ordering::SeqCst);
            read_only.at(other).load(Ordering::SeqCst)
        };
        let (left, right) = std::thread::scope(|scope| {
            let left = scope.spawn(|| run(0, 8));
            let right = run(8, 0);
            (left.join().unwrap(), right)
        });
        assert!(left == round || right == round, "round {round}: {left}, {right}");
    }
}

#[test]
#[should_panic(expected = "there is no such thing as a release load")]
fn a_release_load_through_a_read_only_handle_panics_as_in_core() {
    let scratch = Scratch::new();
    let array = ShmArray::<AtomicU64>::options().name(scratch.name("a")).create(1).unwrap();
    let read_only = ShmArray::<AtomicU64>::open_read_only(array.name()).unwrap();
    let _ = read_only.at(0).load(Ordering::Release);
}

#[test]
fn a_shape_whose_strides_overflow_is_refused_also_without_elements() {
    let scratch = Scratch::new();
    let huge = 1_usize << 62;
    let options = ShmArray::<u64>::options().name(scratch.name("a"));
    for shape in [[0, huge, huge], [huge, 0, huge], [huge, huge, 0]] {
        let error = options.clone().shape(&shape).create(0).unwrap_err();
        let refused = matches!(error.kind(), ErrorKind::SizeOverflow { .. } | ErrorKind::ShapeMismatch { .. });
        assert!(refused, "{error}");
    }
    // What a peer writes into a header is judged in the same way.
    let empty = options.shape(&[0, 1, 1]).persist(Persist::Keep).create(0).unwrap();
    let path = scratch.path("a");
    let mut bytes = std::fs::read(&path).unwrap();
    for dimension in [1, 2] {
        let at = 104 + 8 * dimension;
        bytes[at..at + 8].copy_from_slice(&(1_u64 << 62).to_ne_bytes());
    }
    drop(empty);
    std::fs::write(&path, bytes).unwrap();
    let error = ShmArray::<u64>::open(&scratch.name("a")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Corrupt { field: "shape", .. }), "{error}");
}

#[test]
fn of_threads_that_close_their_handles_at_once_one_is_told_what_became_of_the_segment() {
    let name = "regressions::of_threads_that_close_their_handles_at_once_one_is_told_what_became_of_the_segment";
    inside::<&str>(&[], name, close_at_once);
}

fn close_at_once() {
    let scratch = Scratch::new();
    for round in 0..500 {
        let name = scratch.name(&round.to_string());
        let array = ShmArray::<u64>::options().name(&name).create(1).unwrap();
        let barrier = Arc::new(Barrier::new(2));
        let closers: Vec<_> = [array.clone(), array]
            .into_iter()
            .map(|handle| {
                let barrier = Arc::clone(&barrier);
                std::thread::spawn(move || {
                    barrier.wait();
                    handle.close().unwrap()
                })
            })
            .collect();
        let mut outcomes: Vec<_> = closers.into_iter().map(|closer| closer.join().unwrap()).collect();
        outcomes.sort_by_key(|outcome| *outcome != Detached::Removed);
        assert_eq!(outcomes, [Detached::Removed, Detached::StillInUse]);
    }
}

#[test]
fn a_relative_directory_is_the_one_of_the_time_when_it_was_given() {
    inside::<&str>(&[], "regressions::a_relative_directory_is_the_one_of_the_time_when_it_was_given", || {
        let scratch = Scratch::new();
        std::fs::create_dir(scratch.path("dir")).unwrap();
        std::env::set_current_dir("/dev/shm").unwrap();
        let array = ShmArray::<u64>::options().dir(scratch.name("dir")).name("a").create(1).unwrap();
        std::env::set_current_dir("/").unwrap();
        assert_eq!(array.close().unwrap(), Detached::Removed);
        std::fs::remove_dir(scratch.path("dir")).unwrap();
    });
}

#[test]
fn a_user_without_a_number_of_its_own_must_say_whom_it_trusts() {
    let scratch = Scratch::new();
    let array = ShmArray::<u64>::options().name(scratch.name("a")).mode(0o666).create(1).unwrap();
    // Its own user, and everybody else, look like 65534 inside.
    let mut peer = Peer::start(
        "setpriv",
        &["--reuid=1234", "--regid=1234", "--clear-groups", "unshare", "--user", PEER, "try-open", array.name()],
    );
    let line = peer.line().unwrap();
    assert!(line.contains("trust by owner where user ids are not mapped"), "{line}");
    peer.wait();
    let trusting = ShmArray::<u64>::options().name(array.name()).trust(Trust::Anyone).open();
    assert_eq!(trusting.unwrap().len(), 1);
}

#[test]
fn a_process_that_refuses_a_segment_is_never_seen_as_attached() {
    // In a process that starts no other one meanwhile, whose copies of mappings would be seen.
    inside::<&str>(&[], "regressions::a_process_that_refuses_a_segment_is_never_seen_as_attached", || {
        for refusal in ["open-wrongly", "open-small", "open-distrusting"] {
            let scratch = Scratch::new();
            let name = scratch.name("a");
            let mut peer = Peer::start(PEER, &[refusal, &name]);
            peer.expect_line("ready");
            for _ in 0..2000 {
                let array = ShmArray::<u64>::options().name(&name).create(1).unwrap();
                assert_eq!(array.close().unwrap(), Detached::Removed, "{refusal}");
            }
            peer.kill();
        }
    });
}

#[test]
fn the_descriptor_of_a_file_that_is_not_in_memory_is_refused() {
    let directory = tempfile_directory();
    let array = ShmArray::<u64>::options().dir(&directory).name("fd").create(1).unwrap();
    let path = directory.join("fd");
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let on_tmpfs = nix::sys::statfs::statfs(&directory).unwrap().filesystem_type() == nix::sys::statfs::TMPFS_MAGIC;
    match ShmArray::<u64>::from_fd(file.into()) {
        Ok(array) => assert!(on_tmpfs && array.len() == 1),
        Err(error) => assert!(!on_tmpfs && matches!(error.kind(), ErrorKind::Unsupported { .. }), "{error}"),
    }
    drop(array);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn an_element_may_be_an_array_of_any_length() {
    // A volatile access of an aggregate of 65,536 members ends the compiler itself, in builds without optimisation.
    let scratch = Scratch::new();
    let array = ShmArray::<[u8; 65536]>::options().name(scratch.name("a")).create(2).unwrap();
    array.at(1).at(65535).set(7);
    assert_eq!(array.get(1).unwrap()[65535], 7);
    array.set(0, [9; 65536]).unwrap();
    assert_eq!(array.fold_blocks(0_u64, |sum, block| sum + u64::from(block[0][65535])).unwrap(), 16);
}

#[test]
fn a_mode_that_locks_the_owner_out_is_refused() {
    let scratch = Scratch::new();
    for mode in [0o000, 0o200, 0o400, 0o444, 0o077] {
        let error = ShmArray::<u64>::options().name(scratch.name("a")).mode(mode).create(1).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidOptions { .. }), "{error}");
    }
    assert!(scratch.left().is_empty());
}

#[test]
fn an_unnamed_array_has_the_mode_that_was_asked_for_and_nothing_to_keep() {
    for mode in [0o600, 0o640] {
        let array = ShmArray::<u64>::options().unnamed().mode(mode).create(1).unwrap();
        let found = nix::sys::stat::fstat(array.as_fd().unwrap()).unwrap().st_mode & 0o7777;
        assert_eq!(found, mode);
    }
    let error = ShmArray::<u64>::options().unnamed().persist(Persist::Keep).create(1).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidOptions { .. }), "{error}");
}

#[test]
fn a_descriptor_that_its_sender_can_still_truncate_is_refused() {
    let sealed = ShmArray::<u64>::options().unnamed().create(1000).unwrap();
    let copy = nix::sys::memfd::memfd_create("copy", nix::sys::memfd::MFdFlags::MFD_ALLOW_SEALING).unwrap();
    let mut bytes = vec![0; 12288];
    let length = nix::sys::uio::pread(sealed.as_fd().unwrap(), &mut bytes, 0).unwrap();
    nix::unistd::write(&copy, &bytes[..length]).unwrap();
    let error = ShmArray::<u64>::from_fd(copy.try_clone().unwrap()).unwrap_err();
    assert!(error.to_string().contains("truncate"), "{error}");
    let seals = nix::fcntl::SealFlag::F_SEAL_SHRINK | nix::fcntl::SealFlag::F_SEAL_GROW;
    nix::fcntl::fcntl(&copy, nix::fcntl::FcntlArg::F_ADD_SEALS(seals)).unwrap();
    assert_eq!(ShmArray::<u64>::from_fd(copy).unwrap().len(), 1000);
}

#[test]
fn opening_in_a_directory_that_is_missing_says_so() {
    let error = ShmArray::<u64>::options().dir("/dev/shm/missing").name("a").open().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoDirectory { .. }), "{error}");
}
