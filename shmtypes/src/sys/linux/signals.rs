//! A while without signals, and a process without one of them.
#![allow(unsafe_code, reason = "sets a signal's disposition")]

use super::super::Failure;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal};

/// What a thread raises by itself. Blocked, it would end the process, whatever handler there is.
const FAULTS: [Signal; 6] =
    [Signal::SIGBUS, Signal::SIGSEGV, Signal::SIGILL, Signal::SIGFPE, Signal::SIGTRAP, Signal::SIGSYS];

/// Calls `body`, and no signal handler interrupts this thread meanwhile, but those of its own faults.
pub(crate) fn without_signals<R>(body: impl FnOnce() -> R) -> R {
    struct Restore(SigSet);
    impl Drop for Restore {
        fn drop(&mut self) {
            // Fails for an unknown `how` only.
            let _ = self.0.thread_set_mask();
        }
    }
    let mut blocked = SigSet::all();
    for fault in FAULTS {
        blocked.remove(fault);
    }
    let _restore = blocked.thread_swap_mask(SigmaskHow::SIG_BLOCK).map(Restore);
    body()
}

/// Lets an interruption from the terminal, which goes to every process of its group, pass by this one.
pub(crate) fn ignore_interrupts() -> Result<(), Failure> {
    // SAFETY: ignoring a signal runs no code.
    let before = unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) };
    before.map(drop).map_err(|errno| Failure { operation: "ignore SIGINT", errno })
}
