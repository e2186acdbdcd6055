//! What else can stand under a name: other programs' files, damaged ones, and what is no regular file.

use super::kind;
use nix::sys::stat::Mode;
use shmtypes::{Error, ErrorKind, Fault, Persist};
use shmtypes_tests::folder::Folder;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// The error of every way to get at the name, all of which must refuse it alike; and nothing changes.
#[track_caller]
fn refused_alike(folder: &Folder, name: &str) -> Error {
    let before = fs::symlink_metadata(folder.file(name)).unwrap();
    let names = folder.left();
    let options = folder.options::<u64>(name);
    let error = options.open().map(drop).unwrap_err();
    let others = [
        options.open_read_only().map(drop).unwrap_err(),
        options.open_or_create(3).map(drop).unwrap_err(),
        folder.segments().inspect(name).map(drop).unwrap_err(),
        folder.segments().reap_named(name).unwrap_err(),
        folder.segments().unlink(name).unwrap_err(),
    ];
    for other in others {
        assert_eq!(other.to_string(), error.to_string());
    }
    assert_eq!(error.segment(), Some(name));
    assert!(folder.segments().list().unwrap().segments.is_empty());
    assert!(folder.segments().reap().unwrap().removed.is_empty());
    let taken = options.create(3).map(drop).unwrap_err();
    assert_eq!(*taken.kind(), ErrorKind::AlreadyExists { owner: Some(before.uid()) });
    let after = fs::symlink_metadata(folder.file(name)).unwrap();
    let facts = |of: &fs::Metadata| (of.ino(), of.mode(), of.len(), of.mtime(), of.mtime_nsec(), of.nlink());
    assert_eq!(facts(&before), facts(&after));
    assert_eq!(folder.left(), names);
    error
}

#[track_caller]
fn not_a_segment(folder: &Folder, name: &str, found: &'static str) {
    let error = refused_alike(folder, name);
    assert_eq!(*error.kind(), ErrorKind::NotASegment { found });
    assert_eq!(error.fault(), Fault::Peer);
    assert_eq!(
        error.to_string(),
        format!("{name:?}: not a shmtypes segment but {found} (another program uses this name; choose another one)")
    );
    let listing = folder.segments().list().unwrap();
    assert!(listing.rejected.is_empty(), "files of other programs are passed over: {:?}", listing.rejected);
}

#[test]
fn files_of_other_programs_are_no_segments() {
    for contents in [&b"a"[..], b"SHMTYPE", b"SHMTYPEs and more", b"# just text\n", &[0; 4096], &[0xff; 100_000]] {
        let folder = Folder::new();
        fs::write(folder.file("text"), contents).unwrap();
        not_a_segment(&folder, "text", "a file without its magic");
        assert_eq!(fs::read(folder.file("text")).unwrap(), contents);
    }
}

#[test]
fn an_empty_file_is_no_segment() {
    let folder = Folder::new();
    fs::write(folder.file("empty"), "").unwrap();
    not_a_segment(&folder, "empty", "an empty file");
}

#[test]
fn what_is_no_regular_file_is_no_segment_and_is_not_opened() {
    let folder = Folder::new();
    nix::unistd::mkfifo(&folder.file("fifo"), Mode::S_IRWXU).unwrap();
    not_a_segment(&folder, "fifo", "a FIFO");
    let folder = Folder::new();
    fs::create_dir(folder.file("directory")).unwrap();
    not_a_segment(&folder, "directory", "a directory");
    let folder = Folder::new();
    let _socket = std::os::unix::net::UnixListener::bind(folder.file("socket")).unwrap();
    not_a_segment(&folder, "socket", "a socket");
}

#[test]
fn a_device_is_no_segment() {
    use nix::sys::stat::{SFlag, makedev, mknod};
    let folder = Folder::new();
    // The memory device: reading it would succeed.
    mknod(&folder.file("device"), SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, 5)).expect("mknod; it needs root");
    assert!(fs::symlink_metadata(folder.file("device")).unwrap().file_type().is_char_device());
    not_a_segment(&folder, "device", "a device");
}

#[test]
fn symbolic_links_are_never_followed() {
    let outside = Folder::new();
    outside.options("victim").persist(Persist::Keep).create_from_slice(&[7_u64; 3]).unwrap();
    let untouched = fs::read(outside.file("victim")).unwrap();
    let targets =
        [outside.file("victim"), outside.path().to_owned(), outside.file("missing"), Path::new("link").into()];
    for target in targets {
        let folder = Folder::new();
        std::os::unix::fs::symlink(&target, folder.file("link")).unwrap();
        not_a_segment(&folder, "link", "a symbolic link");
        assert_eq!(fs::read_link(folder.file("link")).unwrap(), target);
    }
    assert_eq!(fs::read(outside.file("victim")).unwrap(), untouched);
    assert_eq!(outside.left(), ["victim"], "nothing was created through the dangling link");
}

#[test]
fn a_file_with_two_names_is_no_segment() {
    let folder = Folder::new();
    let array = folder.options("a").create_from_slice(&[1_u64, 2, 3]).unwrap();
    fs::hard_link(folder.file("a"), folder.file("b")).unwrap();
    for name in ["a", "b"] {
        let error = folder.options::<u64>(name).open().map(drop).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::HardLinked { links: 2 });
        assert_eq!(
            error.to_string(),
            format!("{name:?}: the file has 2 names, a segment has one (remove the second name of the file)")
        );
        assert_eq!(kind(folder.options::<u64>(name).open_read_only()), ErrorKind::HardLinked { links: 2 });
        assert_eq!(kind(folder.segments().inspect(name)), ErrorKind::HardLinked { links: 2 });
        assert_eq!(kind(folder.segments().unlink(name)), ErrorKind::HardLinked { links: 2 });
    }
    let listing = folder.segments().list().unwrap();
    assert_eq!((listing.segments.len(), listing.rejected.len()), (0, 2));
    assert!(folder.segments().reap().unwrap().removed.is_empty());
    assert_eq!(array.to_vec().unwrap(), [1, 2, 3], "who was attached before goes on");
    fs::remove_file(folder.file("b")).unwrap();
    assert_eq!(folder.options::<u64>("a").open().unwrap().len(), 3);
    folder.close_last(array);
}

#[test]
fn a_truncated_file_says_how_long_it_should_be() {
    let folder = Folder::new();
    let bytes = folder.bytes_of(1000, Persist::Keep, |i| i as u64);
    let total = bytes.len() as u64;
    let lengths = [1, 7, 8, 9, 100, 383, 384, 385, 420, 500, 511, 512, 1023, 1024, 4095, 4096, 4097, 8192, 12287];
    for length in lengths {
        fs::write(folder.file("a"), &bytes[..length]).unwrap();
        let found = length as u64;
        let expected = match length {
            // Not even the magic is whole.
            ..8 => ErrorKind::NotASegment { found: "a file without its magic" },
            8..384 => ErrorKind::Truncated { expected: 384, found },
            _ => ErrorKind::Truncated { expected: total, found },
        };
        let options = folder.options::<u64>("a");
        let error = options.open().map(drop).unwrap_err();
        assert_eq!(*error.kind(), expected, "at {length}");
        assert_eq!(kind(options.open_read_only()), expected);
        assert_eq!(kind(options.open_or_create(1000)), expected);
        assert_eq!(kind(folder.segments().inspect("a")), expected);
        let listing = folder.segments().list().unwrap();
        assert!(listing.segments.is_empty() && listing.rejected.len() == usize::from(length >= 8));
        assert!(folder.segments().reap().unwrap().removed.is_empty(), "a damaged file is not reaped unasked");
        if length >= 384 {
            assert_eq!(
                error.to_string(),
                format!(
                    r#""a": only {length} of its {total} bytes are there (a process damaged the file; remove it with `unlink` and create it anew)"#
                )
            );
        }
        assert_eq!(fs::read(folder.file("a")).unwrap(), bytes[..length]);
    }
    folder.segments().unlink("a").expect("the hint works");
    assert!(folder.left().is_empty());
}

#[test]
fn a_file_longer_than_its_segment_is_refused() {
    let folder = Folder::new();
    let mut bytes = folder.bytes_of(10, Persist::Keep, |i| i as u64);
    let total = bytes.len() as u64;
    bytes.push(0);
    fs::write(folder.file("a"), &bytes).unwrap();
    let expected = ErrorKind::Corrupt { field: "total length", value: total };
    assert_eq!(kind(folder.options::<u64>("a").open()), expected);
    assert_eq!(kind(folder.segments().inspect("a")), expected);
    assert_eq!(folder.segments().list().unwrap().rejected.len(), 1);
    folder.segments().reap_named("a").expect("a damaged segment can be removed by name");
}

#[test]
fn a_file_with_holes_is_refused() {
    let folder = Folder::new();
    let bytes = folder.bytes_of(100_000, Persist::Keep, |_| 0_u64);
    let file = fs::File::create(folder.file("a")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes[..4096], 0).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    let expected = ErrorKind::Sparse { bytes: bytes.len() as u64, reserved: 4096 };
    let error = folder.options::<u64>("a").open().map(drop).unwrap_err();
    assert_eq!(*error.kind(), expected);
    assert_eq!(
        error.to_string(),
        format!(
            r#""a": only 4096 of its {} bytes are reserved on the file system (a process damaged the file; remove it with `unlink` and create it anew)"#,
            bytes.len()
        )
    );
    assert_eq!(kind(folder.options::<u64>("a").open_read_only()), expected);
    assert_eq!(kind(folder.options::<u64>("a").prefault(true).open()), expected);
    assert_eq!(file.metadata().unwrap().blocks(), 8, "no hole was filled");
}

/// The peaks of this process's address space and of its resident memory, in KiB.
fn peaks() -> [u64; 2] {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    ["VmPeak:", "VmHWM:"].map(|key| {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    })
}

/// In a process of its own, whose memory no other test uses.
#[test]
fn a_file_that_claims_2_to_the_62_bytes_costs_no_memory() {
    const NONE: &[&str] = &[];
    shmtypes_tests::world::inside(
        NONE,
        "bad_input::files::a_file_that_claims_2_to_the_62_bytes_costs_no_memory",
        || {
            let folder = Folder::new();
            for shift in [62_u32, 46, 45, 40, 34] {
                let huge = 1_u64 << shift;
                let mut bytes = folder.bytes_of(512, Persist::Keep, |_| 0_u64);
                bytes.truncate(4096);
                let elements = (huge - 4096) / 8;
                bytes[32..40].copy_from_slice(&huge.to_ne_bytes());
                bytes[56..64].copy_from_slice(&(huge - 4096).to_ne_bytes());
                bytes[96..104].copy_from_slice(&elements.to_ne_bytes());
                bytes[104..112].copy_from_slice(&elements.to_ne_bytes());
                fs::write(folder.file("huge"), &bytes).unwrap();
                let file = fs::File::options().write(true).open(folder.file("huge")).unwrap();
                file.set_len(huge).unwrap();

                let before = peaks();
                let options = folder.options::<u64>("huge");
                let sparse = ErrorKind::Sparse { bytes: huge, reserved: 4096 };
                let expected =
                    if huge > 1 << 46 { ErrorKind::TooLarge { bytes: huge, limit: 1 << 46 } } else { sparse.clone() };
                assert_eq!(kind(options.open()), expected);
                assert_eq!(kind(options.open_read_only()), expected);
                assert_eq!(kind(options.clone().max_bytes(u64::MAX).prefault(true).open()), sparse);
                let limited = options.clone().max_bytes(1 << 20).open().map(drop).unwrap_err();
                assert_eq!(*limited.kind(), ErrorKind::TooLarge { bytes: huge, limit: 1 << 20 });
                assert_eq!(
                    limited.to_string(),
                    format!(
                        r#""huge": its {huge} bytes are more than the limit of 1048576 (raise the limit with `.max_bytes(n)` if this size is right)"#
                    )
                );
                assert_eq!(folder.segments().inspect("huge").unwrap().bytes, huge);
                assert_eq!(folder.segments().list().unwrap().segments[0].data_bytes, huge - 4096);
                assert!(folder.segments().reap().unwrap().removed.is_empty());
                for (before, after) in before.into_iter().zip(peaks()) {
                    assert!(after - before <= 4096, "{} KiB more at 2^{shift}", after - before);
                }
                assert_eq!(file.metadata().unwrap().blocks(), 8);
                folder.segments().unlink("huge").unwrap();
            }
        },
    );
}

#[test]
fn the_limit_on_attaching_is_the_greatest_size_that_attaches() {
    let folder = Folder::new();
    let array = folder.options::<u64>("a").create(1000).unwrap();
    let total = fs::metadata(folder.file("a")).unwrap().len();
    assert_eq!(folder.options::<u64>("a").max_bytes(total).open().unwrap().len(), 1000);
    let expected = ErrorKind::TooLarge { bytes: total, limit: total - 1 };
    assert_eq!(kind(folder.options::<u64>("a").max_bytes(total - 1).open()), expected);
    assert_eq!(
        kind(folder.options::<u64>("a").max_bytes(0).open_read_only()),
        ErrorKind::TooLarge { bytes: total, limit: 0 }
    );
    folder.close_last(array);
}

#[test]
fn descriptors_of_other_things_are_refused() {
    use std::os::fd::OwnedFd;
    let from = |fd: OwnedFd| shmtypes::ShmArray::<u64>::from_fd(fd);
    let folder = Folder::new();
    fs::write(folder.file("text"), "just text").unwrap();
    let open = |path: &Path, write| OwnedFd::from(fs::File::options().read(true).write(write).open(path).unwrap());
    let text = ErrorKind::NotASegment { found: "a file without its magic" };
    assert_eq!(kind(from(open(&folder.file("text"), true))), text);
    assert_eq!(kind(from(open(Path::new("/dev/null"), true))), ErrorKind::NotASegment { found: "a device" });
    assert_eq!(kind(from(open(folder.path(), false))), ErrorKind::NotASegment { found: "a directory" });
    let (reader, _writer) = std::io::pipe().unwrap();
    assert_eq!(kind(from(reader.into())), ErrorKind::NotASegment { found: "a FIFO" });
    let socket = std::os::unix::net::UnixStream::pair().unwrap().0;
    assert_eq!(kind(from(socket.into())), ErrorKind::NotASegment { found: "a socket" });

    let array = folder.options::<u64>("a").create(3).unwrap();
    let refused = ErrorKind::PermissionDenied { operation: "write through a read-only descriptor" };
    assert_eq!(kind(from(open(&folder.file("a"), false))), refused);
    folder.close_last(array);
}

#[test]
fn a_segment_opened_read_only_is_mapped_read_only() {
    let folder = Folder::new();
    let array = folder.options("a").create_from_slice(&[1_u64, 2, 3]).unwrap();
    let modes = || -> Vec<String> {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        // The writable mapping was made before the file had a name, and stays under the number that it had then.
        let of_file = maps.lines().filter(|line| line.ends_with(folder.file("a").to_str().unwrap()));
        of_file.map(|line| line.split_ascii_whitespace().nth(1).unwrap().to_owned()).collect()
    };
    let read_only = folder.options::<u64>("a").open_read_only().unwrap();
    assert_eq!(read_only.to_vec().unwrap(), [1, 2, 3]);
    assert!(modes().contains(&"r--s".to_owned()), "{:?}", modes());
    drop(array);
    assert_eq!(modes(), ["r--s"]);
}

/// A process of the same user that keeps everybody out, as a remover does for a moment.
#[test]
fn a_segment_whose_lock_is_held_for_ever_is_busy() {
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc;
    let folder = Folder::new();
    folder.options("a").persist(Persist::Keep).create_from_slice(&[1_u64, 2, 3]).unwrap();
    let file = fs::File::options().read(true).write(true).open(folder.file("a")).unwrap();
    let life = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 1 << 62,
        l_len: 1,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_OFD_SETLK(&life)).unwrap();
    let error = folder.options::<u64>("a").open().map(drop).unwrap_err();
    assert_eq!((error.kind(), error.fault()), (&ErrorKind::Busy, Fault::State));
    assert_eq!(
        error.to_string(),
        r#""a": another process is in the way and does not get on (try again; a process that is stopped inside a removal, holds its lock on purpose, or never stops changing what is read, is in the way)"#
    );
    assert_eq!(kind(folder.options::<u64>("a").open_read_only()), ErrorKind::Busy);
    assert_eq!(folder.segments().inspect("a").unwrap().shape, [3], "inspecting takes no lock");
    assert_eq!(kind(folder.segments().reap_named("a")), ErrorKind::InUse);
    drop(file);
    assert_eq!(folder.options::<u64>("a").open().unwrap().to_vec().unwrap(), [1, 2, 3]);
}
