//! What the guard against truncation leaves alone: other memory, other handlers, locks; and who is guarded.
//!
//! Signals belong to the process and some of these end it, so each test runs in a process of its own.
#![allow(
    unsafe_code,
    reason = "touches raw mappings, forks and installs signal handlers, for which there are no safe calls"
)]

use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use shmtypes::compat::SharedMemory;
use shmtypes::{Deadline, Detached, ErrorKind, Persist, ShmArray, sigbus};
use shmtypes_tests::folder::Folder;
use shmtypes_tests::world::{inside, is_inside, rerun};
use std::fs::File;
use std::num::NonZeroUsize;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

const PAGE: usize = 4096;
/// Ten pages of elements, behind a page for the header.
const N: usize = 10 * PAGE / 8;

fn array(folder: &Folder) -> ShmArray<u64> {
    folder.options("a").create_with(N, |slots| slots.fill(7)).unwrap()
}

fn cut(path: &Path, length: usize) {
    File::options().write(true).open(path).unwrap().set_len(length as u64).unwrap();
}

fn alone(name: &str, body: impl FnOnce()) {
    inside(&["prlimit", "--core=0"], &format!("limits::sigbus::{name}"), body);
}

/// Runs `body`, which ends its process by SIGBUS, in a process of its own.
#[track_caller]
fn dies(name: &str, body: impl FnOnce()) {
    let name = format!("limits::sigbus::{name}");
    if is_inside(&name) {
        body();
        println!("still alive");
        return;
    }
    let output = rerun(&["prlimit", "--core=0"], &name);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{}\n{said}", output.status);
    assert!(said.contains("about to die") && !said.contains("still alive"), "{said}");
}

/// A page of memory that is not of this crate, behind the end of its file.
fn foreign_page(folder: &Folder) -> *const u8 {
    let path = folder.file("foreign");
    std::fs::write(&path, [7; PAGE]).unwrap();
    let file = File::open(&path).unwrap();
    let length = NonZeroUsize::new(PAGE).unwrap();
    // SAFETY: new address space, at an address that the kernel chooses.
    let mapped = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, &file, 0) }.unwrap();
    cut(&path, 0);
    mapped.as_ptr().cast::<u8>()
}

fn touch(place: *const u8) -> u8 {
    // SAFETY: mapped for reading and never unmapped; the signal that it raises is the test.
    unsafe { place.read_volatile() }
}

#[track_caller]
fn assert_guarded(array: &ShmArray<u64>) {
    let error = array.get(N - 1).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Truncated { .. }), "{error}");
}

#[test]
fn without_the_guard_a_truncation_ends_the_process() {
    dies("without_the_guard_a_truncation_ends_the_process", || {
        let folder = Folder::new();
        let array = array(&folder);
        cut(&folder.file("a"), 2 * PAGE);
        assert_eq!(array.get(0).unwrap(), 7);
        println!("about to die");
        drop(folder);
        let _ = array.get(N - 1);
    });
}

#[test]
fn with_the_guard_other_memory_still_ends_the_process() {
    dies("with_the_guard_other_memory_still_ends_the_process", || {
        sigbus::install().unwrap();
        let folder = Folder::new();
        let array = array(&folder);
        cut(&folder.file("a"), 2 * PAGE);
        assert_guarded(&array);
        let place = foreign_page(&folder);
        println!("about to die");
        drop(folder);
        touch(place);
    });
}

#[test]
fn with_the_guard_a_mapping_that_was_given_back_is_other_memory() {
    dies("with_the_guard_a_mapping_that_was_given_back_is_other_memory", || {
        sigbus::install().unwrap();
        let folder = Folder::new();
        let array = array(&folder);
        let place = array.as_ptr().cast::<u8>();
        drop(array);
        // Somebody else's file where the array was.
        let path = folder.file("foreign");
        std::fs::write(&path, [7; PAGE]).unwrap();
        let (file, length) = (File::open(&path).unwrap(), NonZeroUsize::new(PAGE).unwrap());
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED_NOREPLACE;
        // SAFETY: replaces no mapping (MAP_FIXED_NOREPLACE).
        unsafe { mmap(NonZeroUsize::new(place.addr()), length, ProtFlags::PROT_READ, flags, &file, 0) }.unwrap();
        cut(&path, 0);
        println!("about to die");
        drop(folder);
        touch(place);
    });
}

#[test]
fn with_the_guard_a_signal_that_was_sent_ends_the_process() {
    dies("with_the_guard_a_signal_that_was_sent_ends_the_process", || {
        // Of the runtime's own, there is none before it.
        // SAFETY: the default action runs no code.
        unsafe { sigaction(Signal::SIGBUS, &SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty())) }
            .unwrap();
        sigbus::install().unwrap();
        println!("about to die");
        raise(Signal::SIGBUS).unwrap();
    });
}

#[test]
fn with_the_guard_an_ignored_signal_stays_ignored_but_for_faults() {
    dies("with_the_guard_an_ignored_signal_stays_ignored_but_for_faults", || {
        // SAFETY: ignoring runs no code.
        unsafe { sigaction(Signal::SIGBUS, &SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty())) }
            .unwrap();
        sigbus::install().unwrap();
        raise(Signal::SIGBUS).unwrap();
        let folder = Folder::new();
        let array = array(&folder);
        cut(&folder.file("a"), 2 * PAGE);
        assert_guarded(&array);
        raise(Signal::SIGBUS).unwrap();
        let place = foreign_page(&folder);
        println!("about to die");
        drop(folder);
        touch(place);
    });
}

static CALLS: AtomicUsize = AtomicUsize::new(0);
static ADDRESS: AtomicUsize = AtomicUsize::new(0);

/// Notes the address, and mends the page as a program may.
fn mend(address: usize) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    let page = std::ptr::without_provenance_mut(address & !(PAGE - 1));
    // SAFETY: replaces the one page of `foreign_page`, which nobody refers to.
    unsafe { libc::mmap(page, PAGE, libc::PROT_READ, flags, -1, 0) };
    // A fault that is not mended comes again; this ends the process, where a panic may not unwind.
    assert!(CALLS.fetch_add(1, Relaxed) < 10, "the same fault again and again");
}

extern "C" fn with_info(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    assert!(signal == libc::SIGBUS && !context.is_null());
    // SAFETY: filled by the kernel.
    let info = unsafe { &*info };
    // SAFETY: a SIGBUS by a fault has an address.
    let address = unsafe { info.si_addr() }.addr();
    ADDRESS.store(address, Relaxed);
    mend(address);
}

extern "C" fn without_info(signal: libc::c_int) {
    assert_eq!(signal, libc::SIGBUS);
    mend(ADDRESS.load(Relaxed));
}

/// Unknown addresses go to `handler`, known ones do not.
fn goes_on_to(handler: SigHandler, flags: SaFlags) {
    // SAFETY: the handlers do what a handler may: atomics and mmap(2).
    unsafe { sigaction(Signal::SIGBUS, &SigAction::new(handler, flags, SigSet::empty())) }.unwrap();
    sigbus::install().unwrap();
    sigbus::install().unwrap();
    let folder = Folder::new();
    let array = array(&folder);
    for call in 0..3 {
        let place = foreign_page(&folder).wrapping_add(100);
        if !flags.contains(SaFlags::SA_SIGINFO) {
            ADDRESS.store(place.addr(), Relaxed);
        }
        assert_eq!(touch(place), 0);
        assert_eq!((CALLS.load(Relaxed), ADDRESS.load(Relaxed)), (call + 1, place.addr()));
    }
    cut(&folder.file("a"), 2 * PAGE);
    // Before what might end the process.
    drop(folder);
    assert_guarded(&array);
    assert_eq!(CALLS.load(Relaxed), 3, "a known address went to the earlier handler");
}

#[test]
fn an_earlier_handler_with_information_gets_what_is_unknown() {
    alone("an_earlier_handler_with_information_gets_what_is_unknown", || {
        goes_on_to(SigHandler::SigAction(with_info), SaFlags::SA_SIGINFO);
    });
}

#[test]
fn an_earlier_handler_without_information_gets_what_is_unknown() {
    alone("an_earlier_handler_without_information_gets_what_is_unknown", || {
        goes_on_to(SigHandler::Handler(without_info), SaFlags::empty());
    });
}

#[test]
fn an_earlier_handler_for_one_signal_gets_one() {
    dies("an_earlier_handler_for_one_signal_gets_one", || {
        let flags = SaFlags::SA_SIGINFO | SaFlags::SA_RESETHAND;
        let action = SigAction::new(SigHandler::SigAction(with_info), flags, SigSet::empty());
        // SAFETY: the handler does what a handler may.
        unsafe { sigaction(Signal::SIGBUS, &action) }.unwrap();
        sigbus::install().unwrap();
        let folder = Folder::new();
        assert_eq!(touch(foreign_page(&folder)), 0);
        let array = array(&folder);
        cut(&folder.file("a"), 2 * PAGE);
        assert_guarded(&array);
        let place = foreign_page(&folder);
        println!("about to die");
        drop(folder);
        touch(place);
    });
}

/// Whether anybody holds the life lock, as a remover asks.
fn life_lock_is_held(path: &Path) -> bool {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut range = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 1 << 62,
        l_len: 1,
        l_pid: 0,
    };
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_OFD_GETLK(&mut range)).unwrap();
    range.l_type != libc::F_UNLCK as libc::c_short
}

#[test]
fn the_life_lock_survives_as_long_as_a_page_does() {
    alone("the_life_lock_survives_as_long_as_a_page_does", || {
        sigbus::install().unwrap();
        let folder = Folder::new();
        let (array, path) = (array(&folder), folder.file("a"));
        assert!(life_lock_is_held(&path));
        for length in [8 * PAGE, 4 * PAGE, PAGE, 1, 0] {
            cut(&path, length);
            assert_guarded(&array);
            assert!(array.to_vec().is_err());
            assert!(life_lock_is_held(&path), "lost at {length}");
        }
        // The header's page, which no access needs, goes last.
        assert_eq!(touch(array.as_ptr().cast::<u8>().wrapping_sub(1)), 0);
        assert!(!life_lock_is_held(&path), "nothing is left that could hold it");
        drop(array);
    });
}

/// Zeros are what an event holds that was never notified, so the wait must look at more than the count.
#[test]
fn a_wait_ends_when_its_event_is_cut_off() {
    alone("a_wait_ends_when_its_event_is_cut_off", || {
        sigbus::install().unwrap();
        let folder = Folder::new();
        let (array, path) = (array(&folder), folder.file("a"));
        let (told, tell) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _ = told.send(array.wait_changed(Deadline::NEVER));
        });
        cut(&path, 0);
        let answer = tell.recv_timeout(Duration::from_secs(60)).expect("it waits for ever");
        assert!(matches!(answer.unwrap_err().kind(), ErrorKind::Truncated { .. }));
    });
}

#[test]
fn a_truncated_segment_is_left_like_any_other() {
    alone("a_truncated_segment_is_left_like_any_other", || {
        sigbus::install().unwrap();
        let folder = Folder::new();
        let array = array(&folder);
        let maps = || std::fs::read_to_string("/proc/self/maps").unwrap();
        cut(&folder.file("a"), 2 * PAGE);
        assert_guarded(&array);
        let start = format!("{:x}-", array.as_ptr().addr() - PAGE);
        assert!(maps().contains(&start));
        assert!(!matches!(array.close(), Ok(Detached::LeftForOwner)));
        assert!(!maps().contains(&start), "the mapping is still there");
    });
}

#[test]
fn mappings_older_than_the_guard_are_covered_on_every_thread_and_in_a_child() {
    alone("mappings_older_than_the_guard_are_covered_on_every_thread_and_in_a_child", || {
        let folder = Folder::new();
        let old = array(&folder);
        let read_only = ShmArray::<u64>::options().dir(folder.path()).name("a").open_read_only().unwrap();
        let many: Vec<_> = (0..200).map(|_| folder.options::<u64>("a").open().unwrap()).collect();
        let block = SharedMemory::options().dir(folder.path()).name("b").create(N * 8).unwrap();
        let installers: Vec<_> = (0..8).map(|_| std::thread::spawn(sigbus::install)).collect();
        installers.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
        sigbus::install().unwrap();

        cut(&folder.file("a"), 2 * PAGE);
        cut(&folder.file("b"), 2 * PAGE);
        // SAFETY: the child touches memory and exits.
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Child => {
                let guarded = old.get(N - 1).is_err() && read_only.sum().is_err() && block.get(N * 8 - 1).is_err();
                // SAFETY: ends the child without running the parent's destructors.
                unsafe { libc::_exit(if guarded { 17 } else { 1 }) };
            }
            nix::unistd::ForkResult::Parent { child } => {
                let status = nix::sys::wait::waitpid(child, None).unwrap();
                assert_eq!(status, nix::sys::wait::WaitStatus::Exited(child, 17));
            }
        }
        assert_eq!(old.get(0).unwrap(), 7, "what the child met is not the parent's");
        std::thread::scope(|scope| {
            scope.spawn(|| assert_guarded(&old));
        });
        assert_guarded(&old);
        assert!(read_only.sum().is_err() && block.to_vec().is_err());
        assert!(many.iter().all(|array| array.get(0).unwrap() == 7), "each mapping for itself");
        many.iter().for_each(assert_guarded);
    });
}

/// The space of a mapping is given to the next one, whose place in the table may have been another's.
#[test]
fn a_new_attachment_is_whole_where_a_truncated_one_was() {
    alone("a_new_attachment_is_whole_where_a_truncated_one_was", || {
        sigbus::install().unwrap();
        let folder = Folder::new();
        for _ in 0..100 {
            let array = array(&folder);
            assert_eq!(array.sum().unwrap(), 7 * N as u128);
            cut(&folder.file("a"), 3 * PAGE);
            assert_guarded(&array);
            assert!(array.get(0).is_err());
            // Grown again, it stays truncated for who has met that, and attaching anew sees what is there.
            cut(&folder.file("a"), 11 * PAGE);
            assert!(array.get(0).is_err());
            drop(array);
            let _ = std::fs::remove_file(folder.file("a"));
        }
        let kept = folder.options("kept").persist(Persist::Keep).create_from_slice(&[1_u64; N]).unwrap();
        assert_eq!(kept.sum().unwrap(), N as u128);
    });
}

/// Huge pages are split where the file ends.
#[test]
fn huge_pages_are_guarded() {
    alone("huge_pages_are_guarded", || {
        sigbus::install().unwrap();
        let folder = Folder::new();
        let array = folder.options::<u64>("a").huge_pages(true).create_with(1 << 19, |slots| slots.fill(7)).unwrap();
        cut(&folder.file("a"), 3 * PAGE);
        assert_eq!(array.get(0).unwrap(), 7);
        assert!(array.sum().is_err());
        assert!(life_lock_is_held(&folder.file("a")));
    });
}

/// The action in place for SIGBUS.
fn action() -> libc::sigaction {
    let mut action = std::mem::MaybeUninit::uninit();
    // SAFETY: asks only.
    assert_eq!(unsafe { libc::sigaction(libc::SIGBUS, std::ptr::null(), action.as_mut_ptr()) }, 0);
    // SAFETY: filled by the call.
    unsafe { action.assume_init() }
}

fn set(handler: SigHandler, flags: SaFlags, mask: SigSet) {
    // SAFETY: the handlers do what a handler may.
    unsafe { sigaction(Signal::SIGBUS, &SigAction::new(handler, flags, mask)) }.unwrap();
}

/// The handler of Rust's runtime gives way to the default action at the first signal that is not its own.
#[test]
fn a_signal_that_was_sent_leaves_the_guard_in_place() {
    dies("a_signal_that_was_sent_leaves_the_guard_in_place", || {
        assert_ne!(action().sa_sigaction, libc::SIG_DFL, "no handler of the runtime's");
        sigbus::install().unwrap();
        let guarded = action();
        raise(Signal::SIGBUS).unwrap();
        assert_eq!((action().sa_sigaction, action().sa_flags), (guarded.sa_sigaction, guarded.sa_flags));
        let folder = Folder::new();
        let array = array(&folder);
        cut(&folder.file("a"), 2 * PAGE);
        assert_guarded(&array);
        println!("about to die");
        drop(folder);
        raise(Signal::SIGBUS).unwrap();
    });
}

#[test]
fn installing_again_puts_the_guard_back() {
    alone("installing_again_puts_the_guard_back", || {
        let folder = Folder::new();
        let array = array(&folder);
        for handler in [SigHandler::SigDfl, SigHandler::SigIgn, SigHandler::Handler(without_info)] {
            sigbus::install().unwrap();
            set(handler, SaFlags::empty(), SigSet::empty());
        }
        sigbus::install().unwrap();
        cut(&folder.file("a"), 2 * PAGE);
        // Before what might end the process.
        drop(folder);
        assert_guarded(&array);
    });
}

#[test]
fn the_action_takes_after_the_one_before() {
    alone("the_action_takes_after_the_one_before", || {
        let mask = SigSet::from(Signal::SIGUSR1);
        let (info, stack, restart) = (libc::SA_SIGINFO, libc::SA_ONSTACK, libc::SA_RESTART);
        let none = SaFlags::empty();
        for (handler, flags, expected) in [
            (SigHandler::SigDfl, none, info | stack),
            (SigHandler::SigIgn, none, info | stack | restart),
            (SigHandler::Handler(without_info), none, info),
            (SigHandler::SigAction(with_info), SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK, info | stack),
            (SigHandler::Handler(without_info), SaFlags::SA_RESTART | SaFlags::SA_RESETHAND, info | restart),
            (SigHandler::Handler(without_info), SaFlags::SA_NODEFER, info | libc::SA_NODEFER),
        ] {
            set(handler, flags, mask);
            let before = action();
            sigbus::install().unwrap();
            let after = action();
            assert_ne!(before.sa_sigaction, after.sa_sigaction);
            // The C library adds a flag of its own.
            assert_eq!(after.sa_flags & !0x0400_0000, expected, "{handler:?} {flags:?}");
            // SAFETY: a set that the kernel filled.
            let blocks = |signal| unsafe { libc::sigismember(&after.sa_mask, signal) };
            assert_eq!((blocks(libc::SIGUSR1), blocks(libc::SIGUSR2)), (1, 0));
        }
    });
}

static CHAINED: AtomicUsize = AtomicUsize::new(0);

/// A library's handler, which goes on to what was there when it was last installed.
extern "C" fn chaining(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let next = std::ptr::with_exposed_provenance::<()>(CHAINED.load(Relaxed));
    assert!(CALLS.fetch_add(1, Relaxed) < 10, "in circles");
    // SAFETY: the address of a handler with this signature, the guard's.
    let next: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
        unsafe { std::mem::transmute(next) };
    next(signal, info, context);
}

#[test]
fn two_handlers_that_go_on_to_each_other_end() {
    dies("two_handlers_that_go_on_to_each_other_end", || {
        set(SigHandler::SigAction(chaining), SaFlags::SA_SIGINFO, SigSet::empty());
        sigbus::install().unwrap();
        CHAINED.store(action().sa_sigaction, Relaxed);
        set(SigHandler::SigAction(chaining), SaFlags::SA_SIGINFO, SigSet::empty());
        let folder = Folder::new();
        let array = array(&folder);
        cut(&folder.file("a"), 2 * PAGE);
        drop(folder);
        assert_guarded(&array);
        println!("about to die");
        raise(Signal::SIGBUS).unwrap();
    });
}

/// A fault for which the file system had no page looks like a truncation, but what is behind it stands.
#[test]
fn pages_that_stand_behind_a_missing_one_stay() {
    alone("pages_that_stand_behind_a_missing_one_stay", || {
        sigbus::install().unwrap();
        let folder = Folder::new();
        let array = array(&folder);
        for page in [3, 1, 8] {
            // As the kernel fills it: number, error, code, padding, address.
            let mut info = [0_u64; 16];
            info[0] = libc::SIGBUS as u64;
            info[1] = libc::BUS_ADRERR as u64;
            info[2] = array.as_ptr().addr() as u64 + page * PAGE as u64;
            let (process, thread) = (nix::unistd::getpid().as_raw(), nix::unistd::gettid().as_raw());
            // SAFETY: a filled `siginfo_t`, sent to this thread.
            let sent = unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, process, thread, libc::SIGBUS, &info) };
            assert_eq!(sent, 0);
        }
        assert_guarded(&array);
        for page in 0..10 {
            let expected = if [3, 1, 8].contains(&page) { 0 } else { 7 };
            assert_eq!(touch(array.as_ptr().cast::<u8>().wrapping_add(page * PAGE)), expected, "page {page}");
        }
        let message = array.get(0).unwrap_err().to_string();
        assert!(message.contains("truncated, or no memory left") && !message.contains("unlink"), "{message}");
    });
}

#[test]
fn memory_right_behind_a_mapping_stays_as_it_is() {
    alone("memory_right_behind_a_mapping_stays_as_it_is", || {
        sigbus::install().unwrap();
        let folder = Folder::new();
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // The kernel puts the next mapping into the highest gap into which it fits: below four pages of ours, sooner or later.
        let (array, behind) = (0..100)
            .find_map(|_| {
                let length = NonZeroUsize::new(15 * PAGE).unwrap();
                // SAFETY: new address space, at an address that the kernel chooses.
                let start = unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_PRIVATE) }.unwrap();
                // SAFETY: part of what was mapped above, which nobody refers to.
                unsafe { munmap(start, 11 * PAGE) }.unwrap();
                // Not whole pages.
                let array = folder.options("a").create_with(N - 3, |slots| slots.fill(7_u64)).unwrap();
                let behind = start.as_ptr().cast::<u8>().wrapping_add(11 * PAGE);
                (array.as_ptr().wrapping_add(N).addr() == behind.addr()).then_some((array, behind))
            })
            .expect("no place right before other memory");
        // SAFETY: mapped above, and nobody else has it.
        unsafe { behind.write_bytes(5, 4 * PAGE) };
        cut(&folder.file("a"), 2 * PAGE);
        assert!(array.get(N - 4).is_err() && array.to_vec().is_err());
        assert!((0..4 * PAGE).all(|at| touch(behind.wrapping_add(at)) == 5), "foreign memory was replaced");
    });
}

#[test]
fn what_replaces_a_mapping_for_reading_is_for_reading() {
    alone("what_replaces_a_mapping_for_reading_is_for_reading", || {
        sigbus::install().unwrap();
        let folder = Folder::new();
        let (array, path) = (array(&folder), folder.file("a"));
        let read_only = ShmArray::<u64>::options().dir(folder.path()).name("a").open_read_only().unwrap();
        cut(&path, 2 * PAGE);
        assert!(array.sum().is_err() && read_only.sum().is_err());
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        for (start, expected) in [(read_only.as_ptr().addr(), "r--p"), (array.as_ptr().addr(), "rw-p")] {
            // Two pages stand, the header's and the first of the elements.
            let rest = start + PAGE;
            let line = maps.lines().find(|line| {
                let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
                let number = |text| usize::from_str_radix(text, 16).unwrap();
                (number(from)..number(to)).contains(&rest)
            });
            assert_eq!(line.unwrap().split(' ').nth(1), Some(expected), "{maps}");
        }
    });
}

#[test]
fn a_fault_leaves_the_number_of_the_last_error() {
    alone("a_fault_leaves_the_number_of_the_last_error", || {
        sigbus::install().unwrap();
        let folder = Folder::new();
        let array = array(&folder);
        cut(&folder.file("a"), 2 * PAGE);
        let place = array.as_ptr().cast::<u8>().wrapping_add(9 * PAGE);
        nix::errno::Errno::set_raw(12345);
        let byte = touch(place);
        assert_eq!((nix::errno::Errno::last_raw(), byte), (12345, 0));
        assert_guarded(&array);
    });
}

/// Addresses go from segments that are cut to others and back.
#[test]
fn memory_of_others_survives_a_churn_of_truncations() {
    alone("memory_of_others_survives_a_churn_of_truncations", || {
        sigbus::install().unwrap();
        let end = Instant::now() + Duration::from_secs(5);
        let (cuts, verified) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let cuts = &cuts;
                scope.spawn(move || {
                    let folder = Folder::new();
                    let mut pages = thread;
                    while Instant::now() < end {
                        pages = (pages * 7 + 3) % 19;
                        let len = (pages + 2) * PAGE / 8;
                        let array = folder.options("a").create_with(len, |slots| slots.fill(7_u64)).unwrap();
                        cut(&folder.file("a"), pages * PAGE);
                        let found = array.to_vec();
                        assert!(found.is_err() && array.set(len - 1, 9).is_err());
                        std::fs::remove_file(folder.file("a")).unwrap();
                        cuts.fetch_add(1, Relaxed);
                    }
                });
            }
            for _ in 0..2 {
                let verified = &verified;
                scope.spawn(move || {
                    let length = NonZeroUsize::new(9 * PAGE).unwrap();
                    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
                    while Instant::now() < end {
                        // SAFETY: new address space, at an address that the kernel chooses.
                        let memory =
                            unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_PRIVATE) }.unwrap();
                        let start = memory.as_ptr().cast::<u8>();
                        // SAFETY: mapped above, and nobody else has it.
                        unsafe { start.write_bytes(5, 9 * PAGE) };
                        for _ in 0..4 {
                            assert!(
                                (0..9 * PAGE).step_by(64).all(|at| touch(start.wrapping_add(at)) == 5),
                                "overwritten"
                            );
                        }
                        // SAFETY: mapped above, used no more.
                        unsafe { munmap(memory, 9 * PAGE) }.unwrap();
                        verified.fetch_add(1, Relaxed);
                    }
                });
            }
        });
        let (cuts, verified) = (cuts.into_inner(), verified.into_inner());
        println!("{cuts} cuts, {verified} mappings verified");
        assert!(cuts > 100 && verified > 100, "{cuts} cuts, {verified} mappings verified");
    });
}
