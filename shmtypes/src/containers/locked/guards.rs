//! The lock of a locked array, taken.

use super::LockedArray;
use crate::layout::{ReadOnly, ReadWrite, ShmLayout};
use crate::segment::elements::{Elements, Lent};
use crate::sync::lock::hold::{self, Hold};
use crate::sync::lock::shared;
use crate::sync::lock::waiting::Waiting;
use crate::sync::lock::word::Found;
use crate::sync::{InSegment, LockError, LockGuard, LockResult};
use core::fmt;
use core::ops::Deref;

/// The lock held for reading, until dropped.
pub(super) struct Reading<'a, T: ShmLayout> {
    array: &'a LockedArray<T>,
    elements: Lent<'a, T, ReadWrite>,
    hold: Hold,
}

impl<'a, T: ShmLayout> Reading<'a, T> {
    /// Takes the lock and makes a guard of it. Without a time to wait, it waits as long as the segment says.
    #[inline(always)]
    pub(super) fn take<G>(
        array: &'a LockedArray<T>,
        waiting: Option<Waiting>,
        guard: impl FnOnce(Self) -> G,
    ) -> LockResult<G> {
        let (participant, me) = hold::participant(array.participant())?;
        let words = array.parts().lock(participant);
        let found = if shared::try_read(&words, me) {
            Found::Whole
        } else {
            let mut waiting = waiting.unwrap_or(Waiting::as_the_segment_says(participant));
            shared::read(&words, me, participant, &mut waiting)
                .map_err(|refusal| LockError::refused(refusal, participant, waiting))?
        };
        hold::found(found, participant, guard(Self { array, elements: array.lend(me), hold: Hold::new(me, found) }))
    }

    #[inline(always)]
    pub(super) fn elements(&self) -> &Elements<T, ReadOnly> {
        self.elements.read_only()
    }

    #[cfg(feature = "ndarray")]
    pub(super) fn shape(&self) -> &'a [usize] {
        self.array.shape()
    }

    pub(super) fn segment(&self) -> &'a str {
        self.array.name()
    }

    pub(super) fn hold(&self) -> &Hold {
        &self.hold
    }
}

impl<T: ShmLayout> Drop for Reading<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if let Some((participant, me)) = self.hold.holder(self.array.participant()) {
            shared::release_read(&self.array.parts().lock(participant), me);
        }
    }
}

/// The lock held for writing, until dropped.
pub(super) struct Writing<'a, T: ShmLayout> {
    array: &'a LockedArray<T>,
    elements: Lent<'a, T, ReadWrite>,
    hold: Hold,
}

impl<'a, T: ShmLayout> Writing<'a, T> {
    /// As [`Reading::take`].
    #[inline(always)]
    pub(super) fn take<G>(
        array: &'a LockedArray<T>,
        waiting: Option<Waiting>,
        guard: impl FnOnce(Self) -> G,
    ) -> LockResult<G> {
        let (participant, me) = hold::participant(array.participant())?;
        let mut waiting = waiting.unwrap_or(Waiting::as_the_segment_says(participant));
        let found = shared::write(&array.parts().lock(participant), me, participant, &mut waiting)
            .map_err(|refusal| LockError::refused(refusal, participant, waiting))?;
        hold::found(found, participant, guard(Self { array, elements: array.lend(me), hold: Hold::new(me, found) }))
    }

    #[inline(always)]
    pub(super) fn elements(&self) -> &Elements<T> {
        &self.elements
    }

    #[cfg(feature = "ndarray")]
    pub(super) fn shape(&self) -> &'a [usize] {
        self.array.shape()
    }

    pub(super) fn segment(&self) -> &'a str {
        self.array.name()
    }

    pub(super) fn hold(&self) -> &Hold {
        &self.hold
    }

    pub(super) fn recover(&mut self) {
        self.hold.recover();
    }
}

impl<T: ShmLayout> Drop for Writing<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if let Some((participant, me)) = self.hold.holder(self.array.participant()) {
            shared::release_write(&self.array.parts().lock(participant), me, self.hold.left());
        }
    }
}

/// A locked array's lock, taken for reading: lends the [`Elements`]. Dropping it lets go.
///
/// Nobody who goes through the lock writes meanwhile. What is stored by a hostile peer, which does not, is seen as wrong values or
/// an `Err`.
#[must_use = "the lock is let go of at once"]
pub struct LockedReadGuard<'a, T: ShmLayout> {
    reading: Reading<'a, T>,
}

impl<'a, T: ShmLayout> LockedReadGuard<'a, T> {
    #[inline(always)]
    pub(super) fn take(array: &'a LockedArray<T>, waiting: Option<Waiting>) -> LockResult<Self> {
        Reading::take(array, waiting, |reading| Self { reading })
    }

    /// Whether the elements may be half changed: the guard came inside of an error.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.reading.hold().is_poisoned()
    }
}

impl<T: ShmLayout> Deref for LockedReadGuard<'_, T> {
    type Target = Elements<T, ReadOnly>;

    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        self.reading.elements()
    }
}

/// A locked array's lock, taken for writing: lends the [`Elements`]. Dropping it lets go; a panic poisons.
///
/// Nobody who goes through the lock reads or writes meanwhile.
#[must_use = "the lock is let go of at once"]
pub struct LockedWriteGuard<'a, T: ShmLayout> {
    writing: Writing<'a, T>,
}

impl<'a, T: ShmLayout> LockedWriteGuard<'a, T> {
    #[inline(always)]
    pub(super) fn take(array: &'a LockedArray<T>, waiting: Option<Waiting>) -> LockResult<Self> {
        Writing::take(array, waiting, |writing| Self { writing })
    }

    /// Whether the elements may be half changed: the guard came inside of an error.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.writing.hold().is_poisoned()
    }

    /// Says that the elements are whole again: those who come next find nothing wrong.
    pub fn recover(mut self) -> Self {
        self.writing.recover();
        self
    }
}

impl<T: ShmLayout> Deref for LockedWriteGuard<'_, T> {
    type Target = Elements<T>;

    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        self.writing.elements()
    }
}

impl<T: ShmLayout> InSegment for LockedReadGuard<'_, T> {
    fn segment(&self) -> Option<&str> {
        Some(self.reading.segment())
    }
}
impl<T: ShmLayout> LockGuard for LockedReadGuard<'_, T> {}

impl<T: ShmLayout> fmt::Debug for LockedReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LockedReadGuard<{}>", core::any::type_name::<T>())
    }
}

impl<T: ShmLayout> InSegment for LockedWriteGuard<'_, T> {
    fn segment(&self) -> Option<&str> {
        Some(self.writing.segment())
    }
}
impl<T: ShmLayout> LockGuard for LockedWriteGuard<'_, T> {}

impl<T: ShmLayout> fmt::Debug for LockedWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LockedWriteGuard<{}>", core::any::type_name::<T>())
    }
}
