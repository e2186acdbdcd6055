//! Waiting for a word to change, across processes: futex(2).
#![allow(unsafe_code, reason = "nix has no futex: the kernel is handed an address")]

use super::super::{Failure, guard};
use nix::errno::Errno;
use nix::libc;
use std::time::Duration;

// Without FUTEX_PRIVATE_FLAG: the kernel tells words apart by file and offset, so that two processes, or a mapping for
// writing and one for reading, mean the same word.

/// Sleeps as long as the word at `word` is `expected` and nobody wakes it, for `timeout` at most. May return for no
/// reason at all, so that callers look at the word again.
///
/// # Safety
/// `word` is aligned and mapped for the call; for reading is enough.
pub(crate) unsafe fn wait(word: *const u32, expected: u32, timeout: Duration) -> Result<(), Failure> {
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos() as libc::c_long,
    };
    // SAFETY: the kernel reads four bytes at `word`, mapped by the caller's word, and the private `timeout`.
    let result = unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT, expected, &raw const timeout) };
    match Errno::result(result) {
        Ok(_) | Err(Errno::EAGAIN | Errno::EINTR | Errno::ETIMEDOUT) => Ok(()),
        Err(errno) => {
            if errno == Errno::EFAULT {
                guard::note_unreachable(word);
            }
            Err(Failure { operation: "wait for a change", errno })
        }
    }
}

/// Wakes up to `most` of those who wait at `word`, and says how many there were.
///
/// # Safety
/// `word` is aligned and mapped for the call.
pub(crate) unsafe fn wake(word: *const u32, most: i32) -> usize {
    // SAFETY: the kernel takes the word only as a key, and it is mapped by the caller's word. It fails for addresses that
    // cannot be a key; then nobody waits there either.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, most) };
    usize::try_from(woken).unwrap_or(0)
}
