//! A while without signals, and a process without one of them.
#![allow(unsafe_code, reason = "sets a signal's disposition, and asks for one")]

use super::super::Failure;
use core::mem::MaybeUninit;
use core::ptr;
use nix::errno::Errno;
use nix::libc;
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

/// Lets a signal pass by this process.
pub(crate) fn ignore(ignored: Signal) -> Result<(), Failure> {
    // SAFETY: ignoring a signal runs no code.
    let before = unsafe { signal(ignored, SigHandler::SigIgn) };
    before.map(drop).map_err(|errno| Failure { operation: "ignore a signal", errno })
}

/// Whether a signal passes by this process, as whoever started it may have arranged.
pub(crate) fn is_ignored(signal: Signal) -> Result<bool, Failure> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action the call changes nothing; it writes the present one to private memory of its type.
    let result = unsafe { libc::sigaction(signal as libc::c_int, ptr::null(), action.as_mut_ptr()) };
    Errno::result(result).map_err(|errno| Failure { operation: "ask what a signal does", errno })?;
    // SAFETY: filled by the call, which succeeded.
    let action = unsafe { action.assume_init() };
    Ok(action.sa_sigaction == libc::SIG_IGN)
}
