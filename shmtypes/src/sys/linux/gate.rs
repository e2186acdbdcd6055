//! Forks wait while a thread has something open that no child may have.
//!
//! A fork copies all descriptors; close-on-exec comes later. So forks run handlers here (pthread_atfork(3)): one waits until no
//! thread is inside [`while_forks_wait`], and who comes meanwhile waits for the end of the fork.
//!
//! Neither waits for long. Somebody else's handler, which runs between those here, may wait for a lock whose holder waits for
//! the fork; and where clone(2) is called directly, a child finds threads counted that it does not have. So whoever has waited for
//! [`PATIENCE`] goes on, as if there were no handlers: the child then keeps what is open.
//!
//! Forks that are not libc's `fork` run no handlers. A library that is unloaded takes its handlers along: with glibc they are
//! registered in its name, and musl unloads nothing.
#![allow(unsafe_code, reason = "registers handlers of forks")]

use nix::libc::c_int;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The threads that are inside, and [`FORK`] for each fork.
static GATE: AtomicU64 = AtomicU64::new(0);
const FORK: u64 = 1 << 32;
const THREADS: u64 = FORK - 1;

/// A thread is inside for microseconds, a fork takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);

unsafe extern "C" {
    // Not from the `libc` crate, whose older versions have it for other systems only.
    fn pthread_atfork(
        prepare: Option<unsafe extern "C" fn()>,
        parent: Option<unsafe extern "C" fn()>,
        child: Option<unsafe extern "C" fn()>,
    ) -> c_int;
}

/// Calls `body`, and no other thread forks meanwhile.
///
/// `body` makes a few system calls, during [`without_signals`](super::without_signals): a handler that forked would wait for its own
/// thread. Unless it fails, it does not use the heap, whose
/// locks another handler of forks may hold.
pub(crate) fn while_forks_wait<R>(body: impl FnOnce() -> R) -> R {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            let one_less = |gate| (gate & THREADS != 0).then(|| gate - 1);
            // Release: pairs with the acquire in `before_fork`, whose fork finds closed what `body` has closed. Nothing is
            // counted any more if a fork lost its patience.
            let _ = GATE.fetch_update(Ordering::Release, Ordering::Relaxed, one_less);
        }
    }
    register();
    enter();
    let _leave = Leave;
    body()
}

fn register() {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    // Relaxed: whether it is done, and nothing else. Who comes while another thread does it may see a fork that does not wait.
    if !REGISTERED.load(Ordering::Relaxed) && !REGISTERED.swap(true, Ordering::Relaxed) {
        // SAFETY: the handlers use an atomic and sleep. Fails for want of memory: then forks do not wait.
        unsafe { pthread_atfork(Some(before_fork), Some(after_fork), Some(in_child)) };
    }
}

fn enter() {
    let mut wait = Wait::new();
    loop {
        // Relaxed: the exchange looks again.
        let gate = GATE.load(Ordering::Relaxed);
        if gate >= FORK && !wait.is_over() {
            wait.pause();
            continue;
        }
        let one_more = (gate & THREADS) + 1;
        // Acquire: pairs with the release in `after_fork`.
        if GATE.compare_exchange(gate, one_more, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return;
        }
    }
}

extern "C" fn before_fork() {
    // At once, so that no more threads enter. Forks do not wait for each other: a handler may fork in the middle of a fork.
    // Acquire: pairs with the release of the last thread that left.
    let mut gate = GATE.fetch_add(FORK, Ordering::Acquire);
    let mut wait = Wait::new();
    while gate & THREADS != 0 {
        if wait.is_over() {
            // Relaxed: gives up.
            GATE.fetch_and(!THREADS, Ordering::Relaxed);
            return;
        }
        wait.pause();
        // Acquire: as above.
        gate = GATE.load(Ordering::Acquire);
    }
}

extern "C" fn after_fork() {
    // Release: pairs with the acquire in `enter`. Nothing is counted any more in the child of a fork by a handler in the middle of
    // this one, or if a thread lost its patience.
    let _ = GATE.fetch_update(Ordering::Release, Ordering::Relaxed, |gate| gate.checked_sub(FORK));
}

extern "C" fn in_child() {
    // Relaxed: there is one thread.
    GATE.store(0, Ordering::Relaxed);
}

/// A wait for a while.
struct Wait {
    start: Option<Instant>,
}

impl Wait {
    const fn new() -> Self {
        Self { start: None }
    }

    fn is_over(&self) -> bool {
        self.start.is_some_and(|start| start.elapsed() > PATIENCE)
    }

    fn pause(&mut self) {
        self.start.get_or_insert_with(Instant::now);
        std::thread::sleep(Duration::from_micros(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::participants::tests::starting;
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork};
    use std::sync::Barrier;

    /// Forks. The child ends at once, with the answer to a question.
    fn ask_child(question: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child looks at atomics and ends.
        match unsafe { fork() }.unwrap() {
            // SAFETY: as above.
            ForkResult::Child => unsafe { nix::libc::_exit(i32::from(question())) },
            ForkResult::Parent { child } => match waitpid(child, None) {
                Ok(WaitStatus::Exited(_, answer)) => answer != 0,
                other => panic!("{other:?}"),
            },
        }
    }

    #[test]
    fn a_fork_waits_until_nobody_is_inside() {
        let _alone = starting();
        let forks = || GATE.load(Ordering::Relaxed) >= FORK;
        let forked_inside = || {
            let (inside, over, start) = (AtomicBool::new(false), AtomicBool::new(false), Barrier::new(2));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while_forks_wait(|| {
                        inside.store(true, Ordering::Relaxed);
                        start.wait();
                        while !forks() && !over.load(Ordering::Relaxed) {
                            std::thread::yield_now();
                        }
                        // A fork that does not wait is over by then, or at least has its child.
                        let seen = Instant::now();
                        while forks() && seen.elapsed() < PATIENCE / 10 {
                            std::thread::yield_now();
                        }
                        inside.store(false, Ordering::Relaxed);
                    });
                });
                start.wait();
                let answer = ask_child(|| inside.load(Ordering::Relaxed));
                over.store(true, Ordering::Relaxed);
                answer
            })
        };
        // More than once, because a thread that gets no processor for a second is inside for too long.
        assert!((0..5).any(|_| !forked_inside()));
    }

    /// By the thread that is inside, which must never happen, and stands for whoever keeps a fork waiting for ever.
    #[test]
    fn no_fork_waits_for_ever() {
        let _alone = starting();
        assert!(!while_forks_wait(|| ask_child(|| GATE.load(Ordering::Relaxed) != 0)));
    }
}
