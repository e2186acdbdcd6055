//! Full, read-only, missing and foreign file systems.

use super::{constructors, kind};
use shmtypes::{Detached, ErrorKind, Fault, Persist, SegmentDirectory, ShmArray};
use shmtypes_tests::folder::Folder;
use shmtypes_tests::tour::{tour, unnamed_tour};
use shmtypes_tests::world::{inside, mounts, private_shm};
use std::fs;
use std::path::Path;

const SHM: &str = "/dev/shm";

fn free_bytes() -> u64 {
    let stat = nix::sys::statvfs::statvfs(SHM).unwrap();
    stat.blocks_available() * stat.fragment_size()
}

fn left() -> usize {
    fs::read_dir(SHM).unwrap().count()
}

/// Every constructor asks for more than there is.
fn nothing_fits(n: usize) {
    let (before, names) = (free_bytes(), left());
    for (constructor, result) in constructors(Path::new(SHM), n) {
        let error = result.map(drop).expect_err(constructor);
        let ErrorKind::NoSpace { needed, available } = *error.kind() else { panic!("{constructor}: {error}") };
        assert!(needed >= 8 * n as u64 && available == before, "{constructor}: {error}");
        assert_eq!(error.fault(), Fault::System);
        let text = error.to_string();
        let numbers = format!("no space: {needed} bytes are needed and {available} are free (remove unused segments");
        assert!(text.contains(&numbers) && text.contains("docker run --shm-size="), "{text}");
        assert_eq!((free_bytes(), left()), (before, names), "{constructor} left something");
    }
    unnamed_tour().expect("memory without a name is not in /dev/shm");
}

#[test]
fn a_shm_of_64_kib_is_no_space_for_every_constructor() {
    inside(&private_shm("size=64k"), "limits::file_system::a_shm_of_64_kib_is_no_space_for_every_constructor", || {
        nothing_fits(20_000);
        assert_eq!(ShmArray::<f64>::create(1000).unwrap().len(), 1000, "what fits is made");
        assert_eq!((free_bytes(), left()), (64 << 10, 0));
    });
}

#[test]
fn a_shm_of_4_mib_is_no_space_for_every_constructor() {
    inside(&private_shm("size=4m"), "limits::file_system::a_shm_of_4_mib_is_no_space_for_every_constructor", || {
        nothing_fits(1 << 20);
        nothing_fits(1 << 24);
    });
}

#[test]
fn the_last_page_is_used_and_the_next_one_is_no_space() {
    inside(&private_shm("size=64k"), "limits::file_system::the_last_page_is_used_and_the_next_one_is_no_space", || {
        let filler = fs::File::create("/dev/shm/filler").unwrap();
        nix::fcntl::posix_fallocate(&filler, 0, (free_bytes() - 4096) as i64).unwrap();
        let last = ShmArray::<u64>::options().name("last").create_with(400, |slots| slots.fill(7)).unwrap();
        assert_eq!((last.sum().unwrap(), free_bytes()), (2800, 0));
        last.map_in_place(|x| x + 1).unwrap();
        assert_eq!(kind(ShmArray::<u64>::create(1)), ErrorKind::NoSpace { needed: 4096, available: 0 });
        nothing_fits(1);
        assert_eq!(ShmArray::<u64>::open("last").unwrap().get(399).unwrap(), 8, "attaching needs no space");
        assert_eq!(shmtypes::list().unwrap().segments.len(), 1);
        assert_eq!(last.close().unwrap(), Detached::Removed);
        nothing_fits(513);
        // A file of two pages is written whole, of which one fits.
        nothing_fits(512);
        assert_eq!((free_bytes(), left()), (4096, 1));
    });
}

/// A small segment looks for its name last, when it takes it; a large one, or one with contents, first.
#[test]
fn what_a_killed_creator_left_makes_room_for_its_successor() {
    let name = "limits::file_system::what_a_killed_creator_left_makes_room_for_its_successor";
    inside(&private_shm("size=128k"), name, || {
        let folder = Folder::new();
        let orphan = |n: usize| {
            let bytes = folder.bytes_of(n, Persist::UntilLastDetach, |i| i as u64);
            fs::write(folder.file("a"), bytes).unwrap();
        };
        for n in [1, 5_000, 6_000, 14_000] {
            for left in [1, n, 14_000] {
                orphan(left);
                folder.close_last(folder.options::<u64>("a").create(n).unwrap());
            }
            orphan(n);
            folder.close_last(folder.options::<u64>("a").create_with(n, |slots| slots.fill(1)).unwrap());
        }
        // What is no orphan keeps its name, and a full file system is said to be full.
        let bytes = folder.bytes_of(5_000, Persist::Keep, |i| i as u64);
        fs::write(folder.file("a"), &bytes).unwrap();
        for n in [1, 6_000, 10_000] {
            assert_eq!(kind(folder.options::<u64>("a").create(n)), ErrorKind::AlreadyExists { owner: Some(0) });
        }
        let full = kind(folder.options::<u64>("b").create(12_000));
        assert!(matches!(full, ErrorKind::NoSpace { .. }), "{full}");
        assert_eq!(fs::read(folder.file("a")).unwrap(), bytes);
        assert_eq!(folder.left(), ["a"]);
    });
}

#[test]
fn a_file_system_without_inodes_says_so() {
    inside(&private_shm("nr_inodes=8"), "limits::file_system::a_file_system_without_inodes_says_so", || {
        let mut files = 0;
        while fs::File::create(format!("/dev/shm/filler{files}")).is_ok() {
            files += 1;
        }
        for (constructor, result) in constructors(Path::new(SHM), 10) {
            let error = result.map(drop).expect_err(constructor);
            assert_eq!(*error.kind(), ErrorKind::NoInodes, "{constructor}");
            assert!(
                error.to_string().ends_with(
                    "no space for a further file: the file system is out of inodes (remove unused files, or mount the file system with a larger nr_inodes)"
                ),
                "{error}"
            );
            assert_eq!(left(), files);
        }
        fs::remove_file("/dev/shm/filler0").unwrap();
        assert_eq!(ShmArray::<u64>::create(10).unwrap().close().unwrap(), Detached::Removed);
    });
}

#[test]
fn a_file_system_without_limits_works() {
    inside(&private_shm("size=0,nr_inodes=0"), "limits::file_system::a_file_system_without_limits_works", || {
        tour(Path::new(SHM), Path::new(SHM)).unwrap();
        let error = kind(ShmArray::<u64>::options().huge_pages(true).create(1 << 43));
        assert!(matches!(error, ErrorKind::NoSpace { needed, available } if needed > available), "{error}");
        assert_eq!(left(), 0);
    });
}

#[test]
fn a_read_only_file_system_can_be_read() {
    inside(&private_shm("size=4m"), "limits::file_system::a_read_only_file_system_can_be_read", || {
        let folder = Folder::new();
        let orphan = folder.bytes_of(3, Persist::UntilLastDetach, |i| i as u64);
        fs::write("/dev/shm/orphan", orphan).unwrap();
        ShmArray::<u64>::options().name("kept").persist(Persist::Keep).create_from_slice(&[1, 2, 3]).unwrap();
        drop(folder);
        let status = std::process::Command::new("mount").args(["-o", "remount,bind,ro", SHM]).status().expect("mount");
        assert!(status.success());

        let refused = ErrorKind::PermissionDenied { operation: "write to a read-only file system" };
        for (constructor, result) in constructors(Path::new(SHM), 10) {
            assert_eq!(kind(result), refused, "{constructor}");
        }
        let error = ShmArray::<u64>::open("kept").map(drop).unwrap_err();
        assert_eq!(*error.kind(), refused);
        assert!(
            error.to_string().starts_with(r#""kept": permission denied: write to a read-only file system"#),
            "{error}"
        );
        assert_eq!(ShmArray::<u64>::open_read_only("kept").unwrap().to_vec().unwrap(), [1, 2, 3]);
        assert_eq!(ShmArray::<u64>::open_read_only("orphan").unwrap().close().unwrap(), Detached::LeftForOwner);
        assert_eq!(shmtypes::inspect("kept").unwrap().shape, [3]);
        assert_eq!(shmtypes::list().unwrap().segments.len(), 2);
        assert_eq!(shmtypes::reap().unwrap().left_for_owner, ["orphan"]);
        assert_eq!(kind(shmtypes::unlink("kept")), refused);
        assert_eq!(kind(shmtypes::reap_named("kept")), refused);
        unnamed_tour().unwrap();
        assert_eq!(left(), 2);
    });
}

#[test]
fn a_missing_directory_is_named() {
    let folder = Folder::new();
    fs::write(folder.file("file"), "").unwrap();
    for missing in [folder.file("missing"), folder.file("file"), folder.file("missing/below")] {
        let expected = ErrorKind::NoDirectory { path: missing.clone() };
        for (constructor, result) in constructors(&missing, 10) {
            let error = result.map(drop).expect_err(constructor);
            assert_eq!(*error.kind(), expected, "{constructor}");
            let text = error.to_string();
            let end = format!(
                "there is no directory {missing:?} (mount a tmpfs there, or name another directory with `.dir(path)`)"
            );
            assert!(text.ends_with(&end), "{text}");
        }
        assert_eq!(kind(SegmentDirectory::new(&missing).list()), expected);
        assert_eq!(kind(SegmentDirectory::new(&missing).reap()), expected);
    }
    let elsewhere = ShmArray::<u64>::options().dir(folder.file("missing")).name("a").open();
    assert_eq!(kind(elsewhere), ErrorKind::NoDirectory { path: folder.file("missing") });
    assert_eq!(folder.left(), ["file"]);
}

#[test]
fn a_machine_without_dev_shm_says_so() {
    // The file system under /dev/shm is gone, and the directory with it.
    let world = mounts("mount -t tmpfs tmpfs /dev");
    inside(&world, "limits::file_system::a_machine_without_dev_shm_says_so", || {
        let expected = ErrorKind::NoDirectory { path: SHM.into() };
        for (constructor, result) in constructors(Path::new(SHM), 10) {
            assert_eq!(kind(result), expected, "{constructor}");
        }
        assert_eq!(kind(shmtypes::list()), expected);
        assert_eq!(kind(shmtypes::reap()), expected);
        assert_eq!(kind(ShmArray::<u64>::open("a")), expected);
        unnamed_tour().unwrap();
    });
}

#[test]
fn other_file_systems_work() {
    for parent in [Path::new(env!("CARGO_TARGET_TMPDIR")), &std::env::temp_dir()] {
        let folder = Folder::below(parent);
        tour(folder.path(), folder.path()).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
        assert!(folder.left().is_empty());
    }
}

#[test]
fn file_systems_that_hold_no_segments_are_refused() {
    for directory in ["/proc", "/proc/self", "/sys", "/proc/self/fd"] {
        for (constructor, result) in constructors(Path::new(directory), 10) {
            let error = result.map(drop).expect_err(constructor);
            assert_eq!(error.fault(), Fault::System, "{directory}: {error}");
        }
    }
}

#[test]
fn a_machine_without_proc_works() {
    let world = mounts("mount -t tmpfs tmpfs /proc");
    inside(&world, "limits::file_system::a_machine_without_proc_works", || {
        assert!(fs::read_dir("/proc").unwrap().next().is_none());
        let folder = Folder::new();
        tour(folder.path(), folder.path()).unwrap();
        unnamed_tour().unwrap();
        assert!(folder.left().is_empty());
        let array = folder.options::<u64>("a").create(3).unwrap();
        let creator = folder.segments().inspect("a").unwrap().creator;
        assert_eq!((creator.pid, creator.start_ticks), (std::process::id(), 0));
        assert_eq!(array.close().unwrap(), Detached::Removed);
    });
}

/// In a process of its own, because the umask belongs to the whole process.
#[test]
fn modes_are_exact_whatever_the_umask() {
    use nix::sys::stat::{Mode, umask};
    use std::os::unix::fs::MetadataExt;
    const NONE: &[&str] = &[];
    inside(NONE, "limits::file_system::modes_are_exact_whatever_the_umask", || {
        let folder = Folder::new();
        for mask in [0o000, 0o022, 0o077, 0o777] {
            umask(Mode::from_bits_truncate(mask));
            for mode in [0o600, 0o640, 0o660, 0o666, 0o777] {
                for huge_pages in [false, true] {
                    let options = folder.options::<u64>("a").mode(mode).huge_pages(huge_pages);
                    let array = options.create(3).unwrap();
                    let found = fs::metadata(folder.file("a")).unwrap().mode() & 0o7777;
                    assert_eq!(found, mode, "{found:o} under umask {mask:o}");
                    drop(array);
                }
            }
            let array = folder.options::<u64>("a").create(3).unwrap();
            assert_eq!(fs::metadata(folder.file("a")).unwrap().mode() & 0o7777, 0o600, "private unless told otherwise");
            drop(array);
        }
    });
}
