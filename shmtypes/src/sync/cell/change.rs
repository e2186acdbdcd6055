//! Waiting for a store, and waking those who wait.
//!
//! Sleepers sleep on the lower half of `current` itself, so that the kernel puts nobody to sleep who has missed a store. Who
//! waits asks to be woken, by a word that says after which store; who has stored wakes only if somebody has asked.
//!
//! 1. A waiter writes its question and then looks at `current` (in the kernel); a writer writes `current` and then looks for a
//!    question. Between both stands a `SeqCst` fence, so that not both miss each other (Dekker).
//! 2. A question is answered by taking away the very one that was found, and asked only over an older one. So one that came
//!    meanwhile, for a later store, stays.
//! 3. Nobody counts waiters: what a killed one leaves is one question, which costs one system call.
//! 4. Every sleep ends by itself, for the case that a writer is killed between its store and its waking. Who may only read
//!    cannot ask, and sleeps in short slices.

use crate::error::{Error, ErrorKind, Result};
use core::sync::atomic::Ordering;
use core::time::Duration;

/// How long a waiter sleeps that has asked to be woken.
const SLICE: Duration = Duration::from_millis(50);
/// How long a waiter sleeps that could not ask.
const SHORT_SLICE: Duration = Duration::from_millis(5);

/// How often to try to ask, while others ask and are answered.
const ATTEMPTS: u32 = 16;

pub(crate) trait Bell: Copy {
    fn current(self, order: Ordering) -> u64;

    /// What somebody has asked, or 0.
    fn question(self) -> u32;

    /// Replaces a question by another one, if it is still there; `false` also for who may not write.
    fn exchange(self, current: u32, new: u32) -> bool;

    /// A `SeqCst` fence.
    fn order();

    /// Sleeps while the lower half of `current` is that of `seen`, for `slice` at most. May return for no reason.
    fn sleep(self, seen: u64, slice: Duration) -> Result<()>;

    /// Wakes all, and says how many.
    fn wake(self) -> usize;
}

/// Waits until `current` is another number than `seen`, and returns it. `remaining` says how much time is left; `None` for ever.
/// Ends with the error of `whole`, which is asked whether what was found is the segment's.
pub(crate) fn wait<B: Bell>(
    bell: B,
    seen: u64,
    remaining: impl Fn() -> Option<Duration>,
    whole: impl Fn() -> Result<()>,
) -> Result<u64> {
    loop {
        // Pairs with the release in `protocol::write`.
        let number = bell.current(Ordering::Acquire);
        whole()?;
        if number != seen {
            return Ok(number);
        }
        let remaining = remaining().unwrap_or(SLICE);
        if remaining.is_zero() {
            return Err(Error::new(ErrorKind::TimedOut { waited_for: "a store" }));
        }
        let asked = ask(bell, seen);
        // Pairs with the one in `tell`: the kernel finds the store, or `tell` finds the question.
        B::order();
        if let Err(error) = bell.sleep(seen, remaining.min(if asked { SLICE } else { SHORT_SLICE })) {
            whole()?;
            return Err(error);
        }
    }
}

/// Asks to be woken after the store that follows `seen`, and says whether that worked.
fn ask<B: Bell>(bell: B, seen: u64) -> bool {
    // 0 means that nobody asks.
    let question = (seen as u32).wrapping_add(1).max(1);
    for _ in 0..ATTEMPTS {
        let other = bell.question();
        // The numbers wrap. One that is as late or later does for this one, too.
        let is_older = other == 0 || (other.wrapping_sub(question) as i32) < 0;
        if !is_older || bell.exchange(other, question) {
            return true;
        }
    }
    false
}

/// Wakes those who have asked, after a store.
#[inline(always)]
pub(crate) fn tell<B: Bell>(bell: B) {
    // Pairs with the one in `wait`.
    B::order();
    let question = bell.question();
    if question != 0 {
        answer(bell, question);
    }
}

#[cold]
fn answer<B: Bell>(bell: B, question: u32) {
    bell.exchange(question, 0);
    bell.wake();
}
