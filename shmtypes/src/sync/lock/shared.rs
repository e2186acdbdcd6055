//! A lock that many participants hold for reading, or one for writing.
//!
//! Every slot has a count of its own ("distributed" readers): the generation of the slot's owner in the upper half, the
//! number of its threads that read in the lower one, and whether a writer sleeps until they have finished. So readers of different processes write to different words, and what
//! a killed reader leaves behind can be told from what live ones hold, and be taken away.
//!
//! * A reader counts itself in, then looks for a writer; if there is one, it counts itself out again and waits.
//! * A writer takes the writer's word, then waits for every count to become 0.
//!
//! Both write one word and then read another (store buffering, as in Dekker's algorithm): these accesses are `SeqCst`, so
//! that not both can miss each other. All else is on one word at a time.
//!
//! 1. Writers go first: a reader that comes after a writer has taken its word waits for it. So a thread that reads and
//!    reads once more while a writer waits blocks itself, as with `std::sync::RwLock`.
//! 2. A reader that finds the writer dead frees the word and leaves word of it ([`DIED`]): readers then find the lock
//!    poisoned, and the next writer gets [`Found::OwnerDied`].
//! 3. The death of a reader harms nothing and is told to nobody, and neither is that of a writer which still waited for
//!    readers.

use super::exclusive::{self, Held};
use super::word::{ATTEMPTS, DIED, FREE, Found, LastAttempts, POISONED, Patience, Peers, Refusal, Spin, Wake, Word};
use crate::error::{Error, ErrorKind};
use crate::participants::Identity;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

/// The number of readers in a count.
const READERS: u64 = i32::MAX as u64;
/// A writer may sleep on this count: whoever counts down wakes it.
const AWAITED: u64 = 1 << 31;
/// The generation of the readers.
const GENERATION: u64 = !(READERS | AWAITED);

/// The two halves of the lock.
pub(crate) trait Words {
    type Word: Word;

    fn writer(&self) -> Self::Word;

    /// The count of a slot.
    fn count(&self, slot: u32) -> Option<Self::Word>;

    /// How many slots have counts.
    fn slots(&self) -> u32;
}

fn generation_bits(me: Identity) -> u64 {
    u64::from(me.generation()) << 32
}

/// Whose count this is; nobody's if nobody reads.
fn reader(slot: u32, count: u64) -> Option<Identity> {
    if count & READERS == 0 { None } else { Identity::from_bits(count & GENERATION | u64::from(slot + 1)) }
}

/// Takes a lock that nobody writes under, has poisoned, or reads under by another thread of `me`.
#[inline(always)]
pub(crate) fn try_read<W: Words>(words: &W, me: Identity) -> bool {
    let Some(count) = words.count(me.slot()) else { return false };
    let nobody = generation_bits(me);
    // SeqCst: before the look at the writer that follows, for all.
    if count.compare_exchange(nobody, nobody + 1, SeqCst, Relaxed).is_err() {
        return false;
    }
    W::Word::after_exchange();
    // SeqCst: not both this load and those in `write` and `drain` can come too early. Acquire in it: pairs with the release
    // of the last writer.
    if words.writer().load(SeqCst) == FREE {
        return true;
    }
    count_out(count, me);
    false
}

#[cold]
fn no_count(slots: u32) -> Refusal {
    Error::new(ErrorKind::SlotsExhausted { slots }).into()
}

/// Takes the lock for reading, waiting for whoever writes.
#[cold]
pub(crate) fn read<W: Words>(
    words: &W,
    me: Identity,
    peers: &impl Peers,
    patience: &mut impl Patience,
) -> Result<Found, Refusal> {
    let Some(count) = words.count(me.slot()) else { return Err(no_count(words.slots())) };
    let writer = words.writer();
    let mut spin = Spin::new(patience);
    let mut last = LastAttempts::new();
    loop {
        loop {
            let seen = writer.load(Relaxed);
            let Some(holder) = Identity::from_bits(seen) else { break };
            if spin.pause() {
                continue;
            }
            if let Held::ByTheDead(left) = exclusive::wait_for(writer, seen, holder, peers, patience, &mut last)? {
                // Acquire: as in `exclusive::take`. (Release with it: who takes the word next must see what was before.)
                if writer.compare_exchange(left, Found::after_death(left).left(), SeqCst, Relaxed).is_ok() {
                    writer.wake(Wake::All);
                }
            }
        }
        count_in(count, me)?;
        W::Word::after_exchange();
        // SeqCst: as in `try_read`.
        let seen = writer.load(SeqCst);
        if Identity::from_bits(seen).is_none() {
            return Ok(if seen & (DIED | POISONED) == 0 { Found::Whole } else { Found::Poisoned });
        }
        count_out(count, me);
        if spin.count() && patience.slice().is_none() {
            last.one_more()?;
        }
    }
}

/// Counts one more thread of `me`.
fn count_in(count: impl Word, me: Identity) -> Result<(), Refusal> {
    // Relaxed: the exchange looks again.
    let mut seen = count.load(Relaxed);
    for _ in 0..ATTEMPTS {
        let next = match seen & READERS {
            // A dead owner of the slot may have left its generation behind, a writer that no longer sleeps its mark.
            0 => generation_bits(me) + 1,
            // A writer may still wait for that one.
            _ if seen & GENERATION != generation_bits(me) => generation_bits(me) | seen & AWAITED | 1,
            READERS => return Err(Error::new(ErrorKind::Busy).into()),
            _ => seen + 1,
        };
        // SeqCst: as in `try_read`.
        match count.compare_exchange(seen, next, SeqCst, Relaxed) {
            Ok(_) => return Ok(()),
            Err(other) => seen = other,
        }
    }
    Err(Refusal::Contended)
}

/// Counts one thread less, and wakes a writer that sleeps until then.
#[inline(always)]
fn count_out(count: impl Word, me: Identity) {
    let nobody = generation_bits(me);
    // Release: pairs with the acquire in `write` and `drain`, so that what was read is not yet overwritten.
    if let Err(seen) = count.compare_exchange(nobody + 1, nobody, Release, Relaxed) {
        count_out_among_others(count, me, seen);
    }
}

#[cold]
fn count_out_among_others(count: impl Word, me: Identity, mut seen: u64) {
    for _ in 0..ATTEMPTS {
        if seen & GENERATION != generation_bits(me) || seen & READERS == 0 {
            // Somebody has scribbled, or taken this participant for dead.
            return;
        }
        // Release: as in `count_out`.
        match count.compare_exchange(seen, seen - 1, Release, Relaxed) {
            Ok(_) => {
                if seen & AWAITED != 0 {
                    count.wake(Wake::All);
                }
                return;
            }
            Err(other) => seen = other,
        }
    }
}

/// Ends reading.
#[inline(always)]
pub(crate) fn release_read<W: Words>(words: &W, me: Identity) {
    if let Some(count) = words.count(me.slot()) {
        count_out(count, me);
    }
}

/// Takes the lock for writing.
#[inline(always)]
pub(crate) fn write<W: Words>(
    words: &W,
    me: Identity,
    peers: &impl Peers,
    patience: &mut impl Patience,
) -> Result<Found, Refusal> {
    let writer = words.writer();
    let found =
        if exclusive::try_take(writer, me) { Found::Whole } else { exclusive::take(writer, me, peers, patience)? };
    W::Word::after_exchange();
    let mut is_entering = false;
    for slot in 0..words.slots() {
        let Some(count) = words.count(slot) else { break };
        // SeqCst: not both this load and that in `try_read` or `read` can come too early. Acquire in it: pairs with the
        // release in `count_out`.
        if count.load(SeqCst) & READERS == 0 {
            continue;
        }
        if !is_entering {
            exclusive::set_entering(writer, me, found, true);
            is_entering = true;
        }
        if let Err(refusal) = drain(count, slot, peers, patience) {
            exclusive::release(writer, me, found.left(), Wake::All);
            return Err(refusal);
        }
    }
    if is_entering {
        exclusive::set_entering(writer, me, found, false);
    }
    Ok(found)
}

/// Waits until nobody reads through this slot.
#[cold]
fn drain(count: impl Word, slot: u32, peers: &impl Peers, patience: &mut impl Patience) -> Result<(), Refusal> {
    let mut spin = Spin::new(patience);
    let mut last = LastAttempts::new();
    loop {
        // SeqCst: as in `write`.
        let seen = count.load(SeqCst);
        let Some(holder) = reader(slot, seen) else { return Ok(()) };
        if spin.pause() {
            continue;
        }
        let slice = patience.slice();
        let mut expected = seen;
        if let Some(slice) = slice {
            expected |= AWAITED;
            // Relaxed: only that a writer waits. If it fails, somebody has come or gone.
            if seen != expected && count.compare_exchange(seen, expected, Relaxed, Relaxed).is_err() {
                continue;
            }
            count.sleep(expected, slice)?;
            // Relaxed: decides only whether to ask, whatever ended the sleep.
            if count.load(Relaxed) != expected {
                continue;
            }
        } else {
            last.one_more()?;
        }
        if peers.is_dead(holder)? {
            // Acquire: as in `exclusive::take`. Relaxed on failure: looked at anew.
            _ = count.compare_exchange(expected, seen & GENERATION, Acquire, Relaxed);
        } else if slice.is_none() {
            return Err(Refusal::Held(holder));
        }
    }
}

/// Ends writing; `left` as in [`exclusive::release`].
#[inline(always)]
pub(crate) fn release_write(words: &impl Words, me: Identity, left: u64) {
    exclusive::release(words.writer(), me, left, Wake::All);
}
