//! A right that one participant has at a time, and that needs no repair when its holder dies.
//!
//! The exclusive word of the mutex, without poison: what the holder of a lease changes is whole at every instant, so
//! whoever takes over from a dead one goes on at once, and only hears that there was one.

use super::lock::error::LockError;
use super::lock::exclusive;
use super::lock::hold::participant;
use super::lock::waiting::Waiting;
use super::lock::word::{FREE, Found, Wake, Word};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{ShmRef, Writable};
use crate::participants::{Identity, Participant, Witness};
use core::sync::atomic::{AtomicU64, Ordering};

/// The right, until it is let go of or dropped.
#[derive(Debug)]
pub(crate) struct Lease<'a, M: Writable> {
    word: ShmRef<'a, AtomicU64, M>,
    participant: &'a Participant,
    holder: Identity,
    witness: Witness<'a>,
    took_over: bool,
    /// Another thread of this process, which has the same identity, may have it by now.
    let_go: bool,
}

impl<'a, M: Writable> Lease<'a, M> {
    /// Takes the lease, waiting for whoever has it; without a time to wait, as long as the segment says.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimedOut`]; for [`Waiting::Not`] it is [`ErrorKind::LockHeld`]. [`ErrorKind::WouldDeadlock`] at once if
    /// this thread has it, through this attachment.
    pub(crate) fn take(word: ShmRef<'a, AtomicU64, M>, waiting: Option<Waiting>) -> Result<Self> {
        let (participant, holder) = participant(word.participant())?;
        let found = if exclusive::try_take(word, holder) {
            Found::Whole
        } else {
            let mut waiting = waiting.unwrap_or(Waiting::as_the_segment_says(participant));
            if !matches!(waiting, Waiting::Not) {
                refuse_to_wait_for_itself(word, participant, holder)?;
            }
            exclusive::take(word, holder, participant, &mut waiting)
                .map_err(|refusal| LockError::<()>::refused(refusal, participant, waiting))?
        };
        participant.note_lease();
        let witness = participant.witness(holder);
        Ok(Self { word, participant, holder, witness, took_over: found != Found::Whole, let_go: false })
    }

    /// Whether the last holder died without letting go.
    pub(crate) fn took_over(&self) -> bool {
        self.took_over
    }

    /// Whether this is the process that took the lease, and not a forked child of it.
    #[inline(always)]
    pub(crate) fn is_own(&self) -> bool {
        self.participant.is(self.holder)
    }

    /// The same, at the price of a load, for loops.
    #[inline(always)]
    pub(crate) fn witness(&self) -> Witness<'a> {
        self.witness
    }

    /// Fails if the lease is another's by now, which needs a fork or a peer that scribbles.
    pub(crate) fn check(&self) -> Result<()> {
        // Relaxed: nothing is read on the strength of it.
        if self.is_own() && Identity::from_bits(Word::load(self.word, Ordering::Relaxed)) == Some(self.holder) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::LeaseLost))
    }

    /// Lets go of it; nothing happens in a forked child.
    pub(crate) fn let_go(&mut self) {
        if !self.let_go && self.is_own() {
            // Before, because another thread may note its own right behind.
            self.participant.forget_lease();
            exclusive::release(self.word, self.holder, FREE, Wake::One);
        }
        self.let_go = true;
    }
}

/// Only the thread itself notes and forgets that it has the lease, so it finds no other one's news. The word is asked, too, since
/// a peer may have taken the lease away.
#[cold]
fn refuse_to_wait_for_itself<M: Writable>(
    word: ShmRef<'_, AtomicU64, M>,
    participant: &Participant,
    me: Identity,
) -> Result<()> {
    let is_mine = Identity::from_bits(Word::load(word, Ordering::Relaxed)) == Some(me);
    if is_mine && participant.has_lease() { Err(Error::new(ErrorKind::WouldDeadlock)) } else { Ok(()) }
}

impl<M: Writable> Drop for Lease<'_, M> {
    fn drop(&mut self) {
        self.let_go();
    }
}
