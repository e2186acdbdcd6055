//! A word that one participant holds at a time: the mutex, and the writer's half of the reader-writer lock.
//!
//! After "Futexes Are Tricky" (Drepper, 2011), mutex 3, with the owner in the word: a waiter whose sleep ends without
//! being woken asks the kernel whether the holder is alive, and takes the lock over from a dead one. The first attempt of
//! [`try_take`] makes no system call, and neither does letting go of a lock that nobody waits for.
//!
//! 1. Only a holder whose death the kernel confirms loses the lock. One that is stopped keeps it.
//! 2. Who takes over from a dead holder that was inside gets [`Found::OwnerDied`], and from that exchange on the word is
//!    poisoned: should the new holder die too, the next one is told again.
//! 3. A holder that has not begun says so by [`ENTERING`]: its death is told to nobody, and what it knew is not lost.
//! 4. A word that somebody scribbled on means something, whatever it is: nobody, a dead holder, or a live one whom
//!    waiters wait for until their time is up. Only the holder that the word names can let go of it.

use super::word::{
    ATTEMPTS, ENTERING, FREE, Found, LastAttempts, POISONED, Patience, Peers, Refusal, Spin, WAITERS, Wake, Word,
};
use crate::participants::Identity;
use core::sync::atomic::Ordering::{Relaxed, Release, SeqCst};

/// Takes a word that is free and whole.
#[inline(always)]
pub(crate) fn try_take(word: impl Word, me: Identity) -> bool {
    // Acquire: pairs with the release in `release`, so that what the last holder wrote is there to be read. SeqCst for the
    // writer's half of a reader-writer lock, see `shared`; the same instruction on x86-64.
    word.compare_exchange(FREE, me.to_bits(), SeqCst, Relaxed).is_ok()
}

/// Takes the word, waiting for whoever holds it.
#[cold]
pub(crate) fn take<W: Word>(
    word: W,
    me: Identity,
    peers: &impl Peers,
    patience: &mut impl Patience,
) -> Result<Found, Refusal> {
    let mut mine = me.to_bits();
    let mut spin = Spin::new(patience);
    let mut last = LastAttempts::new();
    loop {
        let seen = word.load(Relaxed);
        let Some(holder) = Identity::from_bits(seen) else {
            let found = Found::in_free(seen);
            // Acquire: as in `try_take`.
            if word.compare_exchange(seen, mine | found.left() & POISONED, SeqCst, Relaxed).is_ok() {
                return Ok(found);
            }
            if patience.slice().is_none() {
                last.one_more()?;
            }
            continue;
        };
        if spin.pause() {
            continue;
        }
        if let Held::ByTheDead(left) = wait_for(word, seen, holder, peers, patience, &mut last)? {
            let found = Found::after_death(left);
            let next = me.to_bits() | found.left() & POISONED | WAITERS;
            // Acquire: what the dead holder wrote came before its end, which the kernel has confirmed.
            if word.compare_exchange(left, next, SeqCst, Relaxed).is_ok() {
                return Ok(found);
            }
        }
        // Others may sleep too, and nobody counts them: who has slept wakes the next one.
        mine |= WAITERS;
    }
}

/// What is known of a holder after waiting for it.
pub(super) enum Held {
    Perhaps,
    /// The word, as long as nobody else has taken it over.
    ByTheDead(u64),
}

/// Sleeps until something happens to the word, which held `seen`, or the time is up. Who does not wait leaves no trace.
///
/// Whatever ended the sleep, the kernel is asked about a holder that is still there: a timer of this process's, or a peer
/// that wakes for no reason, must not keep a waiter from finding out.
pub(super) fn wait_for<W: Word>(
    word: W,
    mut seen: u64,
    holder: Identity,
    peers: &impl Peers,
    patience: &mut impl Patience,
    last: &mut LastAttempts,
) -> Result<Held, Refusal> {
    let slice = patience.slice();
    if let Some(slice) = slice {
        let announced = seen | WAITERS;
        // Relaxed: only that somebody waits.
        if seen != announced && word.compare_exchange(seen, announced, Relaxed, Relaxed).is_err() {
            return Ok(Held::Perhaps);
        }
        seen = announced;
        word.sleep(announced, slice)?;
        // Relaxed: decides only whether to ask.
        if word.load(Relaxed) != announced {
            return Ok(Held::Perhaps);
        }
    } else {
        last.one_more()?;
    }
    if peers.is_dead(holder)? {
        return Ok(Held::ByTheDead(seen));
    }
    match slice {
        Some(_) => Ok(Held::Perhaps),
        None => Err(Refusal::Held(holder)),
    }
}

/// Lets go of a word that `me` holds. `left` says what the next holder must know: nothing, [`POISONED`], or
/// [`DIED`](super::word::DIED) with it.
#[inline(always)]
pub(crate) fn release(word: impl Word, me: Identity, left: u64, how_many: Wake) {
    let usual = me.to_bits() | left & POISONED;
    // Release: pairs with the acquire in `try_take` and `take`.
    if let Err(seen) = word.compare_exchange(usual, left, Release, Relaxed) {
        release_awaited(word, me, left, how_many, seen);
    }
}

#[cold]
fn release_awaited(word: impl Word, me: Identity, left: u64, how_many: Wake, mut seen: u64) {
    for _ in 0..ATTEMPTS {
        if Identity::from_bits(seen) != Some(me) {
            // This one was taken for dead, or somebody scribbled. There is nothing of ours to let go of.
            return;
        }
        // Release: as in `release`.
        match word.compare_exchange(seen, left, Release, Relaxed) {
            Ok(_) => {
                if seen & WAITERS != 0 {
                    word.wake(how_many);
                }
                return;
            }
            Err(other) => seen = other,
        }
    }
}

/// Says of a word that `me` holds whether the holder is still entering; `found` as it was when it took the word.
#[cold]
pub(super) fn set_entering(word: impl Word, me: Identity, found: Found, is_entering: bool) {
    let inside = me.to_bits() | found.left() & POISONED;
    let entering = me.to_bits() | found.left() | ENTERING;
    let (mut seen, next) = if is_entering { (inside, entering) } else { (entering, inside) };
    for _ in 0..ATTEMPTS {
        // Relaxed: counts only if this process dies, and then the kernel orders what came before.
        match word.compare_exchange(seen, next | seen & WAITERS, Relaxed, Relaxed) {
            Err(other) if Identity::from_bits(other) == Some(me) => seen = other,
            // Otherwise as in `release_awaited`.
            _ => return,
        }
    }
}
