//! The word that says who holds a lock, and what the algorithms need of the world around it.
//!
//! ```text
//! bit  63            32 31      30     29         28        10..28   0..10
//!      generation       WAITERS DIED   POISONED   ENTERING  0        slot + 1, or 0: nobody
//! ```
//!
//! The algorithms in [`exclusive`](super::exclusive) and [`shared`](super::shared) are written against the three traits
//! below, so that the models of `model_tests` run the very same code over loom's atomics.

use crate::error::Result;
use crate::participants::Identity;
use core::sync::atomic::Ordering;
use core::time::Duration;

/// Nobody holds it, and nothing is wrong with it.
pub(crate) const FREE: u64 = 0;
/// Somebody may sleep on this word: who lets go of it wakes.
pub(crate) const WAITERS: u64 = 1 << 31;
/// The last holder died, and nobody who could repair has been told yet.
pub(crate) const DIED: u64 = 1 << 30;
/// A holder died or panicked, and nobody has said since that what the lock protects is whole.
pub(crate) const POISONED: u64 = 1 << 29;
/// The holder has taken the word and waits for readers: it has changed nothing yet. What it knows of its predecessors
/// stands beside it, as in a word that nobody holds.
pub(crate) const ENTERING: u64 = 1 << 28;

/// How often an exchange is tried of which nobody but this thread's own process should be in the way: a peer that scribbles
/// must not keep it here for ever.
pub(crate) const ATTEMPTS: u32 = 10_000;

/// The attempts of a call whose time is up. What it tries and loses then, it loses to others that got on: it tries again
/// until it has the lock or knows who holds it, but not for ever.
pub(crate) struct LastAttempts(u32);

impl LastAttempts {
    pub(crate) fn new() -> Self {
        Self(ATTEMPTS)
    }

    pub(crate) fn one_more(&mut self) -> Result<(), Refusal> {
        self.0 = self.0.checked_sub(1).ok_or(Refusal::Contended)?;
        Ok(())
    }
}

/// How many threads to wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    One,
    All,
}

/// 64 bits that participants change and sleep on.
pub(crate) trait Word: Copy {
    fn load(self, order: Ordering) -> u64;

    fn compare_exchange(self, current: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64>;

    /// Orders an exchange with `SeqCst` before a later load with `SeqCst` of another word, for tools that know no total
    /// order of such accesses. Where the accesses themselves do that, there is nothing to do.
    fn after_exchange();

    /// Sleeps while the lower half is that of `expected`, for `slice` at most. May return for no reason.
    fn sleep(self, expected: u64, slice: Duration) -> Result<()>;

    fn wake(self, how_many: Wake);
}

/// Those who take part.
pub(crate) trait Peers {
    /// Whether a holder is gone for good.
    fn is_dead(&self, holder: Identity) -> Result<bool>;
}

/// How long a call may wait.
pub(crate) trait Patience {
    /// How long to sleep at most before looking again; `None` when the time is up.
    fn slice(&mut self) -> Option<Duration>;

    /// How often to look before sleeping for the first time.
    fn looks(&self) -> u32;
}

/// Looks at a word before the first sleep, with twice the pause after each: who holds the lock is not disturbed, and can take
/// it several times before the processors exchange its cache line.
pub(crate) struct Spin {
    done: u32,
    looks: u32,
}

impl Spin {
    pub(crate) fn new(patience: &impl Patience) -> Self {
        Self { done: 0, looks: patience.looks() }
    }

    /// Pauses, and says whether to look once more before sleeping.
    pub(crate) fn pause(&mut self) -> bool {
        if self.done == self.looks {
            return false;
        }
        for _ in 0..1_u32 << self.done {
            core::hint::spin_loop();
        }
        self.done += 1;
        true
    }

    /// Counts a look that needed no pause; whether it was the last one.
    pub(crate) fn count(&mut self) -> bool {
        self.done = self.looks.min(self.done + 1);
        self.done == self.looks
    }
}

/// What the new holder must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// All is well.
    Whole,
    /// The holder died in the middle of something. Told once.
    OwnerDied,
    /// Somebody died or panicked before, and nobody has repaired.
    Poisoned,
}

impl Found {
    /// What a word says that nobody holds.
    #[inline(always)]
    pub(super) fn in_free(word: u64) -> Self {
        match word {
            word if word & DIED != 0 => Self::OwnerDied,
            word if word & POISONED != 0 => Self::Poisoned,
            _ => Self::Whole,
        }
    }

    /// What a word says whose holder is dead.
    pub(super) fn after_death(word: u64) -> Self {
        if word & ENTERING != 0 { Self::in_free(word) } else { Self::OwnerDied }
    }

    /// How a word is left to the next holder by one that has changed nothing.
    pub(super) fn left(self) -> u64 {
        match self {
            Self::Whole => 0,
            Self::OwnerDied => POISONED | DIED,
            Self::Poisoned => POISONED,
        }
    }
}

/// Why a lock was not taken.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// This one, who is alive, holds it.
    Held(Identity),
    /// Others change the word faster than this thread can, over and over: somebody scribbles.
    Contended,
    /// The operating system failed.
    Failed(crate::error::Error),
}

impl From<crate::error::Error> for Refusal {
    fn from(error: crate::error::Error) -> Self {
        Self::Failed(error)
    }
}
