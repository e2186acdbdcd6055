//! A word that one participant holds at a time: the mutex, and the writer's half of the reader-writer lock.
//!
//! After "Futexes Are Tricky" (Drepper, 2011), mutex 3, with the owner in the word: a waiter whose sleep ends without
//! being woken asks the kernel whether the holder is alive, and takes the lock over from a dead one. The first attempt of
//! [`try_take`] makes no system call and needs no kernel to release.
//!
//! 1. Only a holder whose death the kernel confirms loses the lock. One that is stopped keeps it.
//! 2. Who takes over from a dead holder gets [`Found::OwnerDied`], and from that exchange on the word is poisoned: should
//!    the new holder die too, the next one is told again.
//! 3. A word that somebody scribbled on means something, whatever it is: nobody, a dead holder, or a live one whom
//!    waiters wait for until their time is up. Only the holder that the word names can let go of it.

use super::word::{ATTEMPTS, DIED, FREE, Found, LastAttempts, POISONED, Patience, Peers, Refusal, WAITERS, Wake, Word};
use crate::participants::Identity;
use core::hint;
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
    let mut spins = patience.spins();
    let mut last = LastAttempts::new();
    loop {
        let seen = word.load(Relaxed);
        let Some(holder) = Identity::from_bits(seen) else {
            let found = match seen {
                seen if seen & DIED != 0 => Found::OwnerDied,
                seen if seen & POISONED != 0 => Found::Poisoned,
                _ => Found::Whole,
            };
            let poisoned = if found == Found::Whole { 0 } else { POISONED };
            // Acquire: as in `try_take`.
            if word.compare_exchange(seen, mine | poisoned, SeqCst, Relaxed).is_ok() {
                return Ok(found);
            }
            if patience.slice().is_none() {
                last.one_more()?;
            }
            continue;
        };
        if spins > 0 {
            spins -= 1;
            hint::spin_loop();
            continue;
        }
        match wait_for(word, seen, holder, peers, patience, &mut last)? {
            Held::Perhaps => {}
            Held::ByTheDead => {
                // Acquire: what the dead holder wrote came before its end, which the kernel has confirmed.
                if word.compare_exchange(seen | WAITERS, me.to_bits() | POISONED | WAITERS, SeqCst, Relaxed).is_ok() {
                    return Ok(Found::OwnerDied);
                }
            }
        }
        // Others may sleep too, and nobody counts them: who has slept wakes the next one.
        mine |= WAITERS;
    }
}

/// What is known of a holder after waiting for it.
pub(super) enum Held {
    Perhaps,
    ByTheDead,
}

/// Announces a waiter and sleeps until something happens to the word, which held `seen`, or the time is up. If the holder
/// is dead, the word is `seen | WAITERS` unless somebody has changed it since.
pub(super) fn wait_for<W: Word>(
    word: W,
    seen: u64,
    holder: Identity,
    peers: &impl Peers,
    patience: &mut impl Patience,
    last: &mut LastAttempts,
) -> Result<Held, Refusal> {
    let announced = seen | WAITERS;
    let slice = patience.slice();
    if slice.is_none() {
        last.one_more()?;
    }
    // Relaxed: only that somebody waits.
    if seen != announced && word.compare_exchange(seen, announced, Relaxed, Relaxed).is_err() {
        return Ok(Held::Perhaps);
    }
    if let Some(slice) = slice {
        let passed = word.sleep(announced, slice)?;
        // Relaxed: decides only whether to ask.
        if !passed || word.load(Relaxed) != announced {
            return Ok(Held::Perhaps);
        }
    }
    if peers.is_dead(holder)? {
        return Ok(Held::ByTheDead);
    }
    match slice {
        Some(_) => Ok(Held::Perhaps),
        None => Err(Refusal::Held(holder)),
    }
}

/// Lets go of a word that `me` holds. `left` says what the next holder must know: nothing, [`POISONED`], or [`DIED`] with it.
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
