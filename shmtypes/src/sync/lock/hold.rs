//! Who has taken a lock, and in what state it leaves it.

use super::error::{LockError, LockResult};
use super::word::{Found, POISONED};
use crate::error::{Error, ErrorKind};
use crate::participants::{Identity, Participant};
use core::marker::PhantomData;
use std::sync::MutexGuard;

/// The part that a guard has in a lock. The thread that took it lets go of it; others may look through a reference.
pub(crate) struct Hold {
    me: Identity,
    is_poisoned: bool,
    was_panicking: bool,
    thread: PhantomData<MutexGuard<'static, ()>>,
}

impl Hold {
    #[inline(always)]
    pub(crate) fn new(me: Identity, found: Found) -> Self {
        Self { me, is_poisoned: found != Found::Whole, was_panicking: std::thread::panicking(), thread: PhantomData }
    }

    /// The participant that took the lock, unless this is the copy of a guard in a forked child: the lock is its parent's.
    #[inline(always)]
    pub(crate) fn holder<'a>(&self, participant: Option<&'a Participant>) -> Option<(&'a Participant, Identity)> {
        let (participant, me) = (participant?, self.me);
        participant.is(me).then_some((participant, me))
    }

    /// What the next holder must know.
    #[inline(always)]
    pub(crate) fn left(&self) -> u64 {
        if self.is_poisoned || !self.was_panicking && std::thread::panicking() { POISONED } else { 0 }
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.is_poisoned
    }

    pub(crate) fn recover(&mut self) {
        self.is_poisoned = false;
    }
}

/// A guard, or a guard in an error that says what the holder must know; but none if a peer had truncated the file (`sigbus`):
/// zeros in the place of the lock's word are free for everybody.
#[inline(always)]
pub(crate) fn found<G>(found: Found, participant: &Participant, guard: G) -> LockResult<G> {
    participant.check_whole()?;
    match found {
        Found::Whole => Ok(guard),
        Found::OwnerDied => Err(LockError::OwnerDied(guard)),
        Found::Poisoned => Err(LockError::Poisoned(guard)),
    }
}

/// Refuses what was read or written under a lock if a peer had truncated the file (`sigbus`).
#[inline(always)]
pub(crate) fn check_whole(participant: Option<&Participant>) -> Result<(), Error> {
    participant.map_or(Ok(()), Participant::check_whole)
}

/// Names the segment, where the view of a lock knows it.
#[cold]
pub(crate) fn named(participant: Option<&Participant>, error: Error) -> Error {
    match participant {
        Some(participant) => error.in_segment(participant.segment()),
        None => error,
    }
}

/// This process's part in the locks of the segment that a view belongs to.
#[inline(always)]
pub(crate) fn participant(participant: Option<&Participant>) -> Result<(&Participant, Identity), Error> {
    let Some(participant) = participant else { return Err(no_slots()) };
    Ok((participant, participant.registered()?))
}

#[cold]
fn no_slots() -> Error {
    Error::new(ErrorKind::Unsupported { what: "locks in memory that has no participant slots" })
}
