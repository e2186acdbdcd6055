//! A value that many may read, or one may write.
#![allow(unsafe_code, reason = "implements the unsafe layout traits, and projects to the parts of the type")]

use super::lock::error::{LockError, LockResult};
use super::lock::hold::{self, Hold};
use super::lock::shared::{self, Words};
use super::lock::waiting::Waiting;
use super::lock::word::{DIED, Found, POISONED};
use super::{Deadline, InSegment, LockGuard};
use crate::error::{Error, Result};
use crate::layout::{
    AccessMode, Guard, READERS, ReadOnly, ReadWrite, Schema, ShmLayout, ShmRef, ShmValue, ShmView, ShmZero, Writable,
};
use crate::participants::{Identity, Participant};
use core::fmt;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};

/// How many slots have a count of readers: the format has room for so many.
const COUNTS: usize = READERS;

/// A value that many threads and processes may read at once, or one may write: a field of a `#[derive(ShmLayout)]` struct,
/// or what a [`ShmBox`](crate::ShmBox) holds, reached through its view.
///
/// ```
/// use shmtypes::{ShmBox, ShmRwLock};
///
/// let limits = ShmBox::create_from(ShmRwLock::new([10_u32, 20, 30]))?;
/// limits.view().write()?.update(|limits| limits.reverse())?;
///
/// // In another process:
/// let same = ShmBox::<ShmRwLock<[u32; 3]>>::open(limits.name())?;
/// let one = same.view().read()?;
/// let two = limits.view().read()?;
/// assert_eq!((one.get()?, two.get()?), ([30, 20, 10], [30, 20, 10]));
/// # drop((one, two));
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// Readers of different attachments count themselves in different words and do not slow each other down; a writer looks at
/// all of them. A writer that waits goes before readers that come later. So a thread that holds the lock for reading must
/// not take it once more.
///
/// What is locked for reading is reached by a view that only reads: no atomic inside can be changed, no [mutex](super::ShmMutex) taken and
/// no [cell](super::SeqCell) stored into, although each of them would allow it. A reader that repairs nothing and changes nothing can be killed at
/// any instruction, and nobody needs to be told; a mutex inside would bring back deaths that somebody has to hear of, to those who only read.
/// What many change while others read stands beside the lock: another field of the struct that has the lock as a field.
///
/// Reading changes the lock, so that a handle that was opened read-only cannot: a [`SeqCell`](crate::sync::SeqCell) can be
/// read by those.
///
/// # If a holder dies
///
/// A dead reader harms nobody: who waits to write finds out and goes on (with pthread's lock, which is the same for readers
/// that are alive, it waits for ever). Nor does a writer that dies while it waits. If one dies after it has got the lock, the
/// next *writer* is told by [`LockError::OwnerDied`], once; readers, and other writers until one of them has called
/// [`recover`](RwLockWriteGuard::recover), find the lock [poisoned](LockError::Poisoned). A writer's panic poisons, a
/// reader's does not. All else is as with a [mutex](crate::sync::ShmMutex).
///
/// At most 64 attachments can use the lock: a segment that has one has no more participant slots.
#[derive(Debug)]
#[repr(C)]
pub struct ShmRwLock<T> {
    lock: AtomicU64,
    readers: [AtomicU64; COUNTS],
    value: T,
}

impl<T> ShmRwLock<T> {
    /// A free lock around a value, for what is [created from a value](crate::ShmBox::create_from).
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self { lock: AtomicU64::new(0), readers: [const { AtomicU64::new(0) }; COUNTS], value }
    }
}

impl<T: Default> Default for ShmRwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

// SAFETY: `repr(C)`, atomics and a layout: no pointers, no drop glue, and no padding but the gaps that the schema tells of,
// which checks size and alignment. The view projects to the three fields.
#[diagnostic::do_not_recommend]
unsafe impl<T: ShmLayout> ShmLayout for ShmRwLock<T> {
    const SCHEMA: Schema = Schema::guarded::<Self, T>(Guard::RwLock);
    type View<'a, M: AccessMode> = ShmRef<'a, Self, M>;
}

// SAFETY: words of zero are a free lock without readers, and zero is a value.
#[diagnostic::do_not_recommend]
unsafe impl<T: ShmZero> ShmZero for ShmRwLock<T> {}

/// The words of a lock, and how many of the counts belong to slots of its segment.
struct LockWords<'a, T, M> {
    lock: ShmRef<'a, ShmRwLock<T>, M>,
    slots: u32,
}

impl<'a, T: ShmLayout, M: Writable> LockWords<'a, T, M> {
    #[inline(always)]
    fn new(lock: ShmRef<'a, ShmRwLock<T>, M>, participant: &Participant) -> Self {
        Self { lock, slots: participant.slots().min(COUNTS as u32) }
    }
}

impl<'a, T: ShmLayout, M: Writable> Words for LockWords<'a, T, M> {
    type Word = ShmRef<'a, AtomicU64, M>;

    #[inline(always)]
    fn writer(&self) -> Self::Word {
        self.lock.word()
    }

    #[inline(always)]
    fn count(&self, slot: u32) -> Option<Self::Word> {
        // SAFETY: atomics stand there, and everybody accesses them as such.
        let counts = unsafe { self.lock.part::<[AtomicU64; COUNTS]>(offset_of!(ShmRwLock<T>, readers)) };
        counts.try_at(slot as usize)
    }

    #[inline(always)]
    fn slots(&self) -> u32 {
        self.slots
    }
}

impl<'a, T: ShmLayout, M: AccessMode> ShmRef<'a, ShmRwLock<T>, M> {
    #[inline(always)]
    fn word(self) -> ShmRef<'a, AtomicU64, M> {
        // SAFETY: an atomic stands there, and everybody accesses it as one.
        unsafe { self.part(offset_of!(ShmRwLock<T>, lock)) }
    }

    #[inline(always)]
    fn value(self) -> ShmRef<'a, T, M> {
        // SAFETY: a `T` stands there.
        unsafe { self.part(offset_of!(ShmRwLock<T>, value)) }
    }

    /// Whether a writer died or panicked, and nobody has repaired since. Others may change that at any time.
    #[must_use]
    pub fn is_poisoned(self) -> bool {
        // Relaxed: nothing is read on the strength of it.
        self.word().load(Ordering::Relaxed) & (POISONED | DIED) != 0
    }

    /// Takes the lock for reading, and waits for it as long as the segment's
    /// [lock timeout](crate::BoxOptions::lock_timeout), 30 seconds unless its creator said otherwise.
    ///
    /// A thread that holds the lock for writing waits for itself until then, as at [`write`](Self::write).
    ///
    /// # Errors
    /// [`LockError`], with the guard inside if the lock is poisoned.
    #[inline]
    pub fn read(self) -> LockResult<RwLockReadGuard<'a, T, M>>
    where
        M: Writable,
    {
        self.take_to_read(Waiting::as_the_segment_says)
    }

    /// Takes the lock for reading if nobody writes.
    ///
    /// # Errors
    /// [`LockError::Held`], and as [`read`](Self::read).
    #[inline]
    pub fn try_read(self) -> LockResult<RwLockReadGuard<'a, T, M>>
    where
        M: Writable,
    {
        self.take_to_read(|_| Waiting::Not)
    }

    /// Takes the lock for reading, and waits for it until a deadline.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    pub fn read_until(self, deadline: impl Into<Deadline>) -> LockResult<RwLockReadGuard<'a, T, M>>
    where
        M: Writable,
    {
        self.take_to_read(|_| Waiting::Until(deadline.into()))
    }

    /// Takes the lock for writing, and waits for it as long as the segment's
    /// [lock timeout](crate::BoxOptions::lock_timeout).
    ///
    /// A thread that holds the lock already, by any guard, waits for itself until then: nobody looks for that. A guard
    /// without a name lives to the end of its statement, so `(a.read()?.get()?, a.write()?.get()?)` is such a case.
    /// [`write_until`](Self::write_until) waits for less.
    ///
    /// # Errors
    /// [`LockError`], with the guard inside if a writer died or the lock is poisoned. [`LockError::TimedOut`] names the
    /// writer, or one of the readers.
    #[inline]
    pub fn write(self) -> LockResult<RwLockWriteGuard<'a, T, M>>
    where
        M: Writable,
    {
        self.take_to_write(Waiting::as_the_segment_says)
    }

    /// Takes the lock for writing if nobody holds it.
    ///
    /// # Errors
    /// [`LockError::Held`], and as [`write`](Self::write).
    #[inline]
    pub fn try_write(self) -> LockResult<RwLockWriteGuard<'a, T, M>>
    where
        M: Writable,
    {
        self.take_to_write(|_| Waiting::Not)
    }

    /// Takes the lock for writing, and waits for it until a deadline.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    #[inline]
    pub fn write_until(self, deadline: impl Into<Deadline>) -> LockResult<RwLockWriteGuard<'a, T, M>>
    where
        M: Writable,
    {
        self.take_to_write(|_| Waiting::Until(deadline.into()))
    }

    /// In two parts as the mutex's.
    #[inline(always)]
    fn take_to_read(self, waiting: impl FnOnce(&Participant) -> Waiting) -> LockResult<RwLockReadGuard<'a, T, M>>
    where
        M: Writable,
    {
        let (participant, me) = hold::participant(self.participant())?;
        if shared::try_read(&LockWords::new(self, participant), me) {
            let guard = RwLockReadGuard { lock: self, hold: Hold::new(me, Found::Whole) };
            participant.check_whole()?;
            return Ok(guard);
        }
        self.take_to_read_slowly(participant, me, waiting(participant))
    }

    #[cold]
    fn take_to_read_slowly(
        self,
        participant: &Participant,
        me: Identity,
        waiting: Waiting,
    ) -> LockResult<RwLockReadGuard<'a, T, M>>
    where
        M: Writable,
    {
        let mut patience = waiting;
        let found = shared::read(&LockWords::new(self, participant), me, participant, &mut patience)
            .map_err(|refusal| LockError::refused(refusal, participant, waiting))?;
        hold::found(found, participant, RwLockReadGuard { lock: self, hold: Hold::new(me, found) })
    }

    #[inline(always)]
    fn take_to_write(self, waiting: impl FnOnce(&Participant) -> Waiting) -> LockResult<RwLockWriteGuard<'a, T, M>>
    where
        M: Writable,
    {
        let (participant, me) = hold::participant(self.participant())?;
        let mut waiting = waiting(participant);
        let found = shared::write(&LockWords::new(self, participant), me, participant, &mut waiting)
            .map_err(|refusal| LockError::refused(refusal, participant, waiting))?;
        hold::found(found, participant, RwLockWriteGuard { lock: self, hold: Hold::new(me, found) })
    }
}

/// A lock that has been taken for reading. Dropping it lets go.
#[must_use = "the lock is let go of at once"]
pub struct RwLockReadGuard<'a, T: ShmLayout, M: Writable = ReadWrite> {
    lock: ShmRef<'a, ShmRwLock<T>, M>,
    hold: Hold,
}

impl<T: ShmLayout, M: Writable> RwLockReadGuard<'_, T, M> {
    /// Copies the value out.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`](crate::ErrorKind::InvalidValue) if there are bytes that are no `T`: a peer wrote nonsense,
    /// or was killed while it wrote.
    #[inline]
    pub fn get(&self) -> Result<T>
    where
        T: ShmValue,
    {
        let participant = self.lock.participant();
        self.lock
            .value()
            .try_get_while(|| hold::check_whole(participant))
            .map_err(|error| hold::named(participant, error))
    }

    /// The view of the value, from which its fields are reached: for reading, also what is an atomic or a lock, see
    /// [`ShmRwLock`].
    #[inline]
    pub fn view(&self) -> T::View<'_, ReadOnly> {
        T::View::from_place(self.lock.value().read_only())
    }

    /// Whether the value may be half changed: the guard came inside of an error.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.hold.is_poisoned()
    }
}

impl<T: ShmLayout, M: Writable> Drop for RwLockReadGuard<'_, T, M> {
    #[inline]
    fn drop(&mut self) {
        if let Some((participant, me)) = self.hold.holder(self.lock.participant()) {
            shared::release_read(&LockWords::new(self.lock, participant), me);
        }
    }
}

/// A lock that has been taken for writing. Dropping it lets go.
#[must_use = "the lock is let go of at once"]
pub struct RwLockWriteGuard<'a, T: ShmLayout, M: Writable = ReadWrite> {
    lock: ShmRef<'a, ShmRwLock<T>, M>,
    hold: Hold,
}

impl<T: ShmLayout, M: Writable> RwLockWriteGuard<'_, T, M> {
    /// Copies the value out.
    ///
    /// # Errors
    /// As [`RwLockReadGuard::get`].
    #[inline]
    pub fn get(&self) -> Result<T>
    where
        T: ShmValue,
    {
        let participant = self.lock.participant();
        self.lock
            .value()
            .try_get_while(|| hold::check_whole(participant))
            .map_err(|error| hold::named(participant, error))
    }

    /// Copies a value in, as [`MutexGuard::set`](super::MutexGuard::set) does.
    #[inline]
    pub fn set(&mut self, value: T)
    where
        T: ShmValue,
    {
        self.lock.value().set(value);
    }

    /// Copies the value out, lets `change` work on the copy, and copies it back. If `change` panics, nothing is changed.
    ///
    /// # Errors
    /// As [`MutexGuard::update`](super::MutexGuard::update).
    #[inline]
    pub fn update<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> Result<R>
    where
        T: ShmValue,
    {
        let mut value = self.get()?;
        let result = change(&mut value);
        let participant = self.lock.participant();
        if self.hold.holder(participant).is_none() {
            return Err(hold::named(participant, Error::not_the_child_s()));
        }
        self.set(value);
        hold::check_whole(participant)?;
        Ok(result)
    }

    /// The view of the value, from which its fields are reached: for large values, and for those with atomics inside.
    #[inline]
    pub fn view(&self) -> T::View<'_, M> {
        T::View::from_place(self.lock.value())
    }

    /// Whether the value may be half changed: the guard came inside of an error.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.hold.is_poisoned()
    }

    /// Says that the value is whole again: those who come next find nothing wrong.
    pub fn recover(mut self) -> Self {
        self.hold.recover();
        self
    }
}

impl<T: ShmLayout, M: Writable> Drop for RwLockWriteGuard<'_, T, M> {
    #[inline]
    fn drop(&mut self) {
        if let Some((participant, me)) = self.hold.holder(self.lock.participant()) {
            shared::release_write(&LockWords::new(self.lock, participant), me, self.hold.left());
        }
    }
}

impl<T: ShmLayout, M: Writable> InSegment for RwLockReadGuard<'_, T, M> {
    fn segment(&self) -> Option<&str> {
        self.lock.participant().map(Participant::segment)
    }
}
impl<T: ShmLayout, M: Writable> LockGuard for RwLockReadGuard<'_, T, M> {}

impl<T: ShmLayout, M: Writable> InSegment for RwLockWriteGuard<'_, T, M> {
    fn segment(&self) -> Option<&str> {
        self.lock.participant().map(Participant::segment)
    }
}
impl<T: ShmLayout, M: Writable> LockGuard for RwLockWriteGuard<'_, T, M> {}

impl<T: ShmLayout, M: Writable> fmt::Debug for RwLockReadGuard<'_, T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RwLockReadGuard<{}>", core::any::type_name::<T>())
    }
}

impl<T: ShmLayout, M: Writable> fmt::Debug for RwLockWriteGuard<'_, T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RwLockWriteGuard<{}>", core::any::type_name::<T>())
    }
}

#[cfg(test)]
mod tests;
