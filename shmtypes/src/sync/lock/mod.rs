//! What all locks have in common: the words, the algorithms, and the way from a view to its participant.
//!
//! | file | holds |
//! |---|---|
//! | `word` | the word that names the holder, and what the algorithms need |
//! | `exclusive` | one holder at a time |
//! | `shared` | many readers or one writer |
//! | `waiting` | how long a call waits |
//! | `hold` | who has taken a lock, and what it leaves behind |
//! | `error` | why a lock is not simply taken |
//!
//! The algorithms know neither segments nor the operating system; `model_tests` runs them over loom's atomics.
#![allow(unsafe_code, reason = "hands the addresses of words to the kernel")]

pub(crate) mod error;
pub(crate) mod exclusive;
pub(crate) mod hold;
pub(crate) mod shared;
pub(crate) mod waiting;
pub(crate) mod word;

#[cfg(test)]
mod model_tests;

use crate::error::Result;
use crate::layout::{AccessMode, ShmRef, Writable};
use crate::participants::{Identity, Participant};
use crate::sys::futex;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use word::{Peers, Wake, Word};

impl<M: Writable> Word for ShmRef<'_, AtomicU64, M> {
    #[inline(always)]
    fn load(self, order: Ordering) -> u64 {
        ShmRef::<'_, AtomicU64, M>::load(self, order)
    }

    #[inline(always)]
    fn compare_exchange(self, current: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        ShmRef::<'_, AtomicU64, M>::compare_exchange(self, current, new, success, failure)
    }

    #[inline(always)]
    fn after_exchange() {
        // The accesses on both sides are `SeqCst`, and so in one total order.
    }

    fn sleep(self, expected: u64, slice: Duration) -> Result<()> {
        // SAFETY: the lower half of a word that is aligned and mapped by the invariant of `ShmRef`.
        Ok(unsafe { futex::wait(lower_half(self), expected as u32, slice) }?)
    }

    fn wake(self, how_many: Wake) {
        let most = match how_many {
            Wake::One => 1,
            Wake::All => i32::MAX,
        };
        // SAFETY: as in `sleep`.
        unsafe { futex::wake(lower_half(self), most) };
    }
}

/// The half that processes sleep on, because futexes have 32 bits.
pub(super) fn lower_half<M: AccessMode>(word: ShmRef<'_, AtomicU64, M>) -> *const u32 {
    word.as_ptr().cast::<u32>().wrapping_add(usize::from(cfg!(target_endian = "big")))
}

impl Peers for Participant {
    fn is_dead(&self, holder: Identity) -> Result<bool> {
        Self::is_dead(self, holder)
    }
}
