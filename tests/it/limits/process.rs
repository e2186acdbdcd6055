//! Limits of one process: file size, descriptors, address space, and signals in the middle.
#![allow(unsafe_code, reason = "installs a signal handler and a timer, for which there is no safe call")]

use super::{constructors, kind};
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use shmtypes::{Detached, ErrorKind, Fault, ShmArray};
use shmtypes_tests::folder::Folder;
use shmtypes_tests::tour::tour;
use shmtypes_tests::world::inside;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

#[test]
fn a_limit_on_file_sizes_is_an_error_and_no_signal() {
    inside(&["prlimit", "--fsize=65536"], "limits::process::a_limit_on_file_sizes_is_an_error_and_no_signal", || {
        let folder = Folder::new();
        let mut made = constructors(folder.path(), 10_000);
        made.push(("unnamed", ShmArray::options().unnamed().create(10_000)));
        made.push(("unnamed on huge pages", ShmArray::options().unnamed().huge_pages(true).create(10_000)));
        for (constructor, result) in made {
            let error = result.map(drop).expect_err(constructor);
            let ErrorKind::FileSizeLimit { needed, limit: 65536 } = *error.kind() else {
                panic!("{constructor}: {error}")
            };
            assert!(needed >= 80_000);
            let text = error.to_string();
            let end = format!(
                "{needed} bytes are needed and this process may make files of up to 65536 (raise it with `ulimit -f`)"
            );
            assert!(text.ends_with(&end), "{text}");
            assert!(folder.left().is_empty());
        }
        // So is one that is written whole.
        set_file_limit(4096);
        let refused = ErrorKind::FileSizeLimit { needed: 8192, limit: 4096 };
        assert_eq!(*folder.options::<u64>("a").create(512).unwrap_err().kind(), refused);
        assert_eq!(folder.options::<u64>("a").create(400).unwrap().close().unwrap(), Detached::Removed);
        set_file_limit(65536);
        // Header, schema and elements up to the very limit.
        assert_eq!(folder.options::<u64>("a").create((65536 - 4096) / 8).unwrap().close().unwrap(), Detached::Removed);
    });
}

fn set_file_limit(bytes: u64) {
    use nix::sys::resource::{Resource, setrlimit};
    setrlimit(Resource::RLIMIT_FSIZE, bytes, 65536).expect("lower the limit, or raise it again");
}

/// Opens files until there are no descriptors left but for `spare` ones.
fn use_up_descriptors(spare: usize) -> Vec<fs::File> {
    let mut files = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        files.push(file);
    }
    files.truncate(files.len() - spare);
    files
}

#[test]
fn a_process_out_of_descriptors_is_told_so() {
    inside(&["prlimit", "--nofile=64"], "limits::process::a_process_out_of_descriptors_is_told_so", || {
        let folder = Folder::new();
        let array = folder.options("b").create_from_slice(&[1_u64, 2, 3]).unwrap();
        let files = use_up_descriptors(0);
        for (constructor, result) in constructors(folder.path(), 10) {
            let error = result.map(drop).expect_err(constructor);
            assert_eq!(*error.kind(), ErrorKind::TooManyFiles, "{constructor}");
            assert_eq!(error.fault(), Fault::System);
            let end = "too many open files (raise `ulimit -n`; attached segments without locks keep none open)";
            assert!(error.to_string().ends_with(end), "{error}");
        }
        assert_eq!(kind(ShmArray::<u64>::options().unnamed().create(1)), ErrorKind::TooManyFiles);
        assert_eq!(kind(folder.options::<u64>("b").open()), ErrorKind::TooManyFiles);
        assert_eq!(kind(folder.segments().inspect("b")), ErrorKind::TooManyFiles);
        assert_eq!(kind(folder.segments().list()), ErrorKind::TooManyFiles);
        assert_eq!(kind(folder.segments().reap()), ErrorKind::TooManyFiles);
        assert_eq!(array.to_vec().unwrap(), [1, 2, 3], "what is attached needs no descriptor");
        // Cannot open the file to remove the name, and says so; the next opportunity does it.
        assert_eq!(kind(array.close()), ErrorKind::TooManyFiles);
        drop(files);
        tour(folder.path(), folder.path()).unwrap();
        assert!(folder.left().is_empty(), "the removal that failed was tried again");
    });
}

/// The first question how the file system treats locks needs a second descriptor.
#[test]
fn a_shortage_of_descriptors_at_the_first_segment_has_no_lasting_effect() {
    let name = "limits::process::a_shortage_of_descriptors_at_the_first_segment_has_no_lasting_effect";
    inside(&["prlimit", "--nofile=64"], name, || {
        let folder = Folder::new();
        for spare in 0..4 {
            let files = use_up_descriptors(spare);
            match folder.options::<u64>("a").create(3) {
                Ok(array) => drop(array),
                Err(error) => assert_eq!(*error.kind(), ErrorKind::TooManyFiles, "with {spare} spare ones"),
            }
            drop(files);
            assert!(folder.segments().reap().is_ok() && folder.left().is_empty());
        }
        let before = descriptors();
        let array = folder.options::<u64>("a").create(3).unwrap();
        assert_eq!(descriptors(), before, "attached segments keep no descriptor");
        drop(array);
    });
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn five_thousand_attached_segments_need_no_descriptors() {
    inside(&["prlimit", "--nofile=64"], "limits::process::five_thousand_attached_segments_need_no_descriptors", || {
        let folder = Folder::new();
        let first = folder.options::<u32>("first").create(1).unwrap();
        let before = descriptors();
        let arrays: Vec<ShmArray<u32>> = (0..5000)
            .map(|index| folder.options::<u32>(&format!("s{index}")).create_from_slice(&[index]).unwrap())
            .collect();
        assert_eq!((descriptors(), folder.left().len()), (before, 5001));
        let again: Vec<ShmArray<u32>> =
            arrays.iter().map(|array| folder.options::<u32>(array.name()).open().unwrap()).collect();
        assert_eq!(descriptors(), before);
        assert!(again.iter().zip(0..).all(|(array, index)| array.get(0).unwrap() == index));
        drop(again);
        drop((arrays, first));
        assert!(folder.left().is_empty());
    });
}

#[test]
fn an_address_space_limit_is_an_error_and_leaves_nothing() {
    inside(
        &["prlimit", "--as=400000000"],
        "limits::process::an_address_space_limit_is_an_error_and_leaves_nothing",
        || {
            let folder = Folder::new();
            let elements = 50_000_000;
            for huge_pages in [false, true] {
                let error = folder.options::<u64>("a").huge_pages(huge_pages).create(elements).map(drop).unwrap_err();
                let ErrorKind::NoAddressSpace { needed } = *error.kind() else { panic!("{error}") };
                assert!(needed >= 400_000_000);
                assert_eq!(
                    error.to_string(),
                    format!(r#""a": no address space to map {needed} bytes (raise `ulimit -v` or vm.max_map_count)"#)
                );
                assert!(folder.left().is_empty());
            }
            assert!(matches!(
                kind(ShmArray::<u64>::options().unnamed().create(elements)),
                ErrorKind::NoAddressSpace { .. }
            ));

            // A segment that others can map, and this process cannot.
            let bytes = folder.bytes_of(1, shmtypes::Persist::Keep, |_| 0_u64);
            let total = 400_003_072_u64;
            let count = (total - 4096) / 8;
            let mut header = bytes[..4096].to_vec();
            for (at, value) in [(32, total), (48, 4096), (56, count * 8), (96, count), (104, count)] {
                header[at..at + 8].copy_from_slice(&value.to_ne_bytes());
            }
            fs::write(folder.file("b"), header).unwrap();
            let file = fs::File::options().write(true).open(folder.file("b")).unwrap();
            nix::fcntl::posix_fallocate(&file, 0, total as i64).unwrap();
            assert_eq!(kind(folder.options::<u64>("b").open()), ErrorKind::NoAddressSpace { needed: total });
            assert_eq!(kind(folder.options::<u64>("b").open_read_only()), ErrorKind::NoAddressSpace { needed: total });
            assert_eq!(folder.left(), ["b"]);
            assert_eq!(folder.segments().inspect("b").unwrap().bytes, total, "inspecting maps nothing");
        },
    );
}

static TICKS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn tick(_: libc::c_int) {
    // Relaxed: a counter.
    TICKS.fetch_add(1, Relaxed);
}

/// Without SA_RESTART, so that every system call that can be interrupted is.
#[test]
fn a_storm_of_signals_disturbs_no_creation() {
    const NONE: &[&str] = &[];
    inside(NONE, "limits::process::a_storm_of_signals_disturbs_no_creation", || {
        let action = SigAction::new(SigHandler::Handler(tick), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler touches a static atomic only.
        unsafe { sigaction(Signal::SIGALRM, &action) }.unwrap();
        let period = libc::timeval { tv_sec: 0, tv_usec: 500 };
        let timer = libc::itimerval { it_interval: period, it_value: period };
        // SAFETY: the timer is valid for the call, and no old one is asked for.
        let set = unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
        assert_eq!(set, 0);
        let folder = Folder::new();
        for _ in 0..3 {
            for n in [1000, 120_000, 4 << 20] {
                let array = folder.options::<u64>("a").create(n).unwrap();
                assert_eq!(folder.options::<u64>("a").open().unwrap().len(), n);
                assert_eq!(array.close().unwrap(), Detached::Removed);
            }
            tour(folder.path(), folder.path()).unwrap();
        }
        while TICKS.load(Relaxed) < 10 {
            folder.options::<u64>("a").create(120_000).unwrap();
        }
        assert!(folder.left().is_empty());
    });
}
