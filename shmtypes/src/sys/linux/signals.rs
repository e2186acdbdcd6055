//! A while without signals.

use nix::sys::signal::{SigSet, SigmaskHow, Signal};

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
