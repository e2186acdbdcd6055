//! Registrations: forks in the middle of them, by other threads and by handlers of signals and faults, and several at once.
#![allow(unsafe_code, reason = "forks, and handles signals")]

use super::process_tests::{Child, alone_under, is_kept, own_page_at, participant};
use super::record::{Claim, Record};
use super::tests::{Name, is_dead, me};
use super::*;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};
use std::cell::Cell;
use std::io::pipe;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::Barrier;

fn alone(name: &str, body: impl FnOnce()) {
    alone_under(&[], &format!("participants::registration_tests::{name}"), body);
}

/// Why forks wait for registrations, step by step: a child that was forked while a slot's description had a descriptor holds
/// the slot until it ends.
#[test]
fn a_fork_in_the_middle_of_a_registration_keeps_the_slot_until_the_child_ends() {
    alone("a_fork_in_the_middle_of_a_registration_keeps_the_slot_until_the_child_ends", || {
        let name = Name::new(2);
        let first = name.create().unwrap();
        let own = participant(&first).file().reopen(Access::ReadWrite).unwrap();
        assert!(own.lock(LockBytes::slot(1), Lock::Exclusive).unwrap());
        let mut child = Child::new(|line| {
            line.say("forked");
            line.wait_for_the_end();
        });
        assert_eq!(child.line.hear(), "forked");
        let anchor = Anchor::new(own).unwrap();
        assert_eq!(name.taken(), [0, 1]);
        drop(anchor);
        assert_eq!(name.taken(), [0, 1], "the child has a descriptor");
        child.ends_well();
        assert_eq!(name.taken(), [0]);
    });
}

#[test]
fn children_that_live_on_keep_no_slot_that_was_being_taken_when_they_were_forked() {
    alone("children_that_live_on_keep_no_slot_that_was_being_taken_when_they_were_forked", || {
        let name = Name::new(MAX_SLOTS);
        let first = name.create().unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        let (end_of_children, keep_children) = pipe().unwrap();
        let (end_of_children, keep_children) = (end_of_children.as_raw_fd(), keep_children.into_raw_fd());
        let opened = std::thread::scope(|scope| {
            let opener = scope.spawn(|| {
                let mut opened = 0;
                while !done.load(Ordering::Relaxed) {
                    let attachment = name.open().unwrap();
                    assert!(!is_dead(&first, me(&attachment)));
                    opened += 1;
                }
                opened
            });
            for _ in 0..400 {
                // SAFETY: the child makes system calls, and nothing else.
                if let ForkResult::Child = unsafe { fork() }.unwrap() {
                    // SAFETY: this process's copy, which nobody else uses.
                    unsafe { nix::libc::close(keep_children) };
                    // Until its parent is gone, or has closed the other end.
                    // SAFETY: the kernel writes one byte at most.
                    unsafe { nix::libc::read(end_of_children, [0_u8].as_mut_ptr().cast(), 1) };
                    // SAFETY: ends the process.
                    unsafe { nix::libc::_exit(0) }
                }
            }
            done.store(true, Ordering::Relaxed);
            opener.join().unwrap()
        });
        let taken = name.taken();
        // SAFETY: this process's own, which nobody else uses.
        unsafe { nix::libc::close(keep_children) };
        while waitpid(None, None).is_ok() {}
        assert!(opened > 0);
        assert_eq!(taken, [0]);
    });
}

/// A handler that forks once, without libc's knowledge, and what became of that.
mod forking_handler {
    use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

    pub(super) static ARMED: AtomicBool = AtomicBool::new(false);
    pub(super) static IS_CHILD: AtomicBool = AtomicBool::new(false);
    pub(super) static CHILD: AtomicI32 = AtomicI32::new(0);
    /// Who is to be interrupted: a timer's signal may come to any thread.
    pub(super) static THREAD: AtomicI32 = AtomicI32::new(0);

    pub(super) extern "C" fn fork(signal: i32) {
        let thread = THREAD.load(Ordering::Relaxed);
        // SAFETY: asks for a number.
        if unsafe { nix::libc::gettid() } != thread {
            // SAFETY: a signal for a thread of this process.
            unsafe { nix::libc::syscall(nix::libc::SYS_tgkill, std::process::id(), thread, signal) };
        } else if ARMED.swap(false, Ordering::Relaxed) {
            let (flags, none) = (nix::libc::SIGCHLD, 0);
            // SAFETY: without CLONE_VM, which makes it a fork: no memory is shared, and there is no stack to be given.
            let pid = unsafe { nix::libc::syscall(nix::libc::SYS_clone, flags, none, none, none, none) };
            IS_CHILD.store(pid == 0, Ordering::Relaxed);
            CHILD.store(pid as i32, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_handler_that_forks_during_a_registration_makes_nobody_look_dead() {
    use forking_handler::{ARMED, CHILD, IS_CHILD, THREAD};
    alone("a_handler_that_forks_during_a_registration_makes_nobody_look_dead", || {
        let name = Name::new(64);
        let first = name.create().unwrap();
        THREAD.store(nix::unistd::gettid().as_raw(), Ordering::Relaxed);
        let action = SigAction::new(SigHandler::Handler(forking_handler::fork), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: the handler makes one system call and uses atomics.
        unsafe { sigaction(Signal::SIGALRM, &action) }.unwrap();
        let (once, mut forks) = (nix::libc::timeval { tv_sec: 0, tv_usec: 0 }, 0);
        for round in 0..400 {
            CHILD.store(0, Ordering::Relaxed);
            ARMED.store(true, Ordering::Relaxed);
            // At another moment of the attachment each time.
            let timer = nix::libc::itimerval {
                it_interval: once,
                it_value: nix::libc::timeval { tv_sec: 0, tv_usec: 10 + 5 * (round % 40) },
            };
            // SAFETY: reads the timer.
            unsafe { nix::libc::setitimer(nix::libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
            let second = name.open();
            ARMED.store(false, Ordering::Relaxed);
            if IS_CHILD.load(Ordering::Relaxed) {
                // SAFETY: ends the process, whose destructors belong to its parent.
                unsafe { nix::libc::_exit(0) }
            }
            let second = second.unwrap();
            let child = CHILD.load(Ordering::Relaxed);
            if child > 0 {
                waitpid(Pid::from_raw(child), None).unwrap();
                forks += 1;
            }
            assert!(!is_dead(&first, me(&second)), "in round {round}");
        }
        assert!(forks > 0);
    });
}

/// Faults cannot be blocked, and their handlers may fork: the child goes on in the middle of it, with what its parent has.
#[test]
fn a_fork_in_the_middle_of_a_registration_does_not_make_the_child_its_parent() {
    alone("a_fork_in_the_middle_of_a_registration_does_not_make_the_child_its_parent", || {
        let record = Record::new().unwrap();
        let Claim::Here(claim) = record.claim() else { panic!("nobody has registered") };
        let anchor = Anchor::new(File::in_memory().unwrap()).unwrap().into_raw();
        let (claim, identity) = (Cell::new(Some(claim)), Identity::new(3, 4));
        let complete = || {
            // SAFETY: made above, and used once in each process: the child is to believe that it has it.
            let anchor = unsafe { Anchor::from_raw(anchor) }.unwrap();
            claim.take().unwrap().complete(identity, anchor)
        };
        let child = Child::new(|_| {
            let page = own_page_at(NonZeroUsize::new(anchor.addr()).unwrap());
            assert!(!complete());
            assert_eq!(record.identity(), None);
            assert!(matches!(record.claim(), Claim::Here(_)), "it may register");
            // SAFETY: `record` is not used again in the child, which ends without destructors.
            drop(unsafe { std::ptr::read(&raw const record) });
            assert!(is_kept(page));
        });
        child.ends_well();
        assert!(complete());
        assert_eq!(record.identity(), Some(identity));
    });
}

#[test]
fn threads_of_a_child_that_register_at_once_are_one_participant() {
    alone("threads_of_a_child_that_register_at_once_are_one_participant", || {
        let name = Name::new(8);
        let parent = name.create().unwrap();
        for _ in 0..50 {
            let child = Child::new(|_| {
                let start = Barrier::new(6);
                let identities: Vec<Identity> = std::thread::scope(|scope| {
                    let threads: Vec<_> = (0..6)
                        .map(|_| {
                            scope.spawn(|| {
                                start.wait();
                                participant(&parent).registered().unwrap()
                            })
                        })
                        .collect();
                    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
                });
                assert!(identities.iter().all(|&identity| identity == identities[0]));
                assert_eq!(name.taken(), [0, 1]);
            });
            child.ends_well();
            assert_eq!(name.taken(), [0]);
        }
    });
}
