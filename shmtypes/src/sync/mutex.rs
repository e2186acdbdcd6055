//! A value that one participant at a time may use.
#![allow(unsafe_code, reason = "implements the unsafe layout traits, and projects to the parts of the type")]

use super::lock::error::{LockError, LockResult};
use super::lock::exclusive;
use super::lock::hold::{self, Hold};
use super::lock::waiting::Waiting;
use super::lock::word::{Found, POISONED, Wake};
use super::{Deadline, InSegment, LockGuard};
use crate::error::{Error, Result};
use crate::layout::{AccessMode, Guard, ReadWrite, Schema, ShmLayout, ShmRef, ShmValue, ShmView, ShmZero, Writable};
use crate::participants::{Identity, Participant};
use core::fmt;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};

/// A value that one process at a time may use, and one thread in it: a field of a `#[derive(ShmLayout)]` struct, or what a
/// [`ShmBox`](crate::ShmBox) holds, reached through its view.
///
/// ```
/// use shmtypes::{ShmBox, ShmLayout, ShmMutex};
///
/// #[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
/// #[repr(C)]
/// struct Account {
///     balance: i64,
///     transfers: u64,
/// }
///
/// let shared = ShmBox::create_from(ShmMutex::new(Account { balance: 100, transfers: 0 }))?;
/// // In another process:
/// let same = ShmBox::<ShmMutex<Account>>::open(shared.name())?;
/// let mut account = same.view().lock()?;
/// account.update(|account| {
///     account.balance -= 30;
///     account.transfers += 1;
/// })?;
/// assert_eq!(account.get()?, Account { balance: 70, transfers: 1 });
/// # drop(account);
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// Taking a free lock is one atomic instruction, as with [`std::sync::Mutex`]; a process that waits sleeps in the kernel.
/// The guard copies the value in and out, and lends no reference: who has the file may write to it with or without the lock.
///
/// # If a holder dies
///
/// The kernel knows (a lock on a byte of the segment's file ends with the process): who waits takes the lock over within
/// some 10 ms, and is told by [`LockError::OwnerDied`], once. It can repair the value and call
/// [`recover`](MutexGuard::recover); if it does not, the lock is [poisoned](LockError::Poisoned) until somebody does. A panic
/// poisons, too. A holder that is alive but stopped keeps the lock: those who wait get [`LockError::TimedOut`], which names it,
/// after the segment's [lock timeout](crate::BoxOptions::lock_timeout) or at their own deadline. So does a thread that ended
/// without dropping its guard, and a process whose peer scribbles on the lock.
///
/// A lock taken before a `fork` stays the parent's; the child's copy of the guard does nothing when it is dropped, and its `update`
/// fails. Its `set` and its view still write, into what the parent has locked: they have no error to return. A signal handler
/// that forks may do so at any time, but its child must not return from the handler into a call of this library: it would
/// finish that call in its parent's name.
///
/// A forked child opens the segment's file anew when it first takes a lock. After it has closed all descriptors, changed its user or its root
/// directory, or confined itself (Landlock), that may fail: it gets [`LockError::Failed`], and nobody is harmed.
///
/// Source: "Futexes Are Tricky" (Drepper, 2011), mutex 3, with the owner in the word.
#[derive(Debug, Default)]
#[repr(C)]
pub struct ShmMutex<T> {
    lock: AtomicU64,
    value: T,
}

impl<T> ShmMutex<T> {
    /// A free mutex around a value, for what is [created from a value](crate::ShmBox::create_from).
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self { lock: AtomicU64::new(0), value }
    }
}

// SAFETY: `repr(C)`, an atomic and a layout: no pointers, no drop glue, and no padding but the gaps that the schema tells of,
// which checks size and alignment. The view projects to the two fields.
#[diagnostic::do_not_recommend]
unsafe impl<T: ShmLayout> ShmLayout for ShmMutex<T> {
    const SCHEMA: Schema = Schema::guarded::<Self, T>(Guard::Mutex);
    type View<'a, M: AccessMode> = ShmRef<'a, Self, M>;
}

// SAFETY: a word of zero is a free lock, and zero is a value.
#[diagnostic::do_not_recommend]
unsafe impl<T: ShmZero> ShmZero for ShmMutex<T> {}

impl<'a, T: ShmLayout, M: AccessMode> ShmRef<'a, ShmMutex<T>, M> {
    #[inline(always)]
    fn word(self) -> ShmRef<'a, AtomicU64, M> {
        // SAFETY: an atomic stands there, and everybody accesses it as one.
        unsafe { self.part(offset_of!(ShmMutex<T>, lock)) }
    }

    #[inline(always)]
    fn value(self) -> ShmRef<'a, T, M> {
        // SAFETY: a `T` stands there.
        unsafe { self.part(offset_of!(ShmMutex<T>, value)) }
    }

    /// Whether somebody died or panicked while holding the lock, and nobody has repaired since. Others may change that at
    /// any time.
    #[must_use]
    pub fn is_poisoned(self) -> bool {
        // Relaxed: nothing is read on the strength of it.
        self.word().load(Ordering::Relaxed) & POISONED != 0
    }

    /// Takes the lock, and waits for it as long as the segment's [lock timeout](crate::BoxOptions::lock_timeout), 30 seconds
    /// unless its creator said otherwise.
    ///
    /// A thread that holds the lock already, by any guard, waits for itself until then: nobody looks for that. A guard
    /// without a name lives to the end of its statement, so `(a.lock()?.get()?, a.lock()?.get()?)` is such a case.
    /// [`lock_until`](Self::lock_until) waits for less.
    ///
    /// # Errors
    /// [`LockError`], with the guard inside if the last holder died or the lock is poisoned.
    #[inline]
    pub fn lock(self) -> LockResult<MutexGuard<'a, T, M>>
    where
        M: Writable,
    {
        self.take(Waiting::as_the_segment_says)
    }

    /// Takes the lock if nobody holds it, or if its holder is dead.
    ///
    /// # Errors
    /// [`LockError::Held`], and as [`lock`](Self::lock).
    #[inline]
    pub fn try_lock(self) -> LockResult<MutexGuard<'a, T, M>>
    where
        M: Writable,
    {
        self.take(|_| Waiting::Not)
    }

    /// Takes the lock, and waits for it until a deadline.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    #[inline]
    pub fn lock_until(self, deadline: impl Into<Deadline>) -> LockResult<MutexGuard<'a, T, M>>
    where
        M: Writable,
    {
        self.take(|_| Waiting::Until(deadline.into()))
    }

    /// The way to a free lock is one of its own, so that the compiler can keep the guard out of memory.
    #[inline(always)]
    fn take(self, waiting: impl FnOnce(&Participant) -> Waiting) -> LockResult<MutexGuard<'a, T, M>>
    where
        M: Writable,
    {
        let (participant, me) = hold::participant(self.participant())?;
        if exclusive::try_take(self.word(), me) {
            // First, because it lets go where the check fails.
            let guard = MutexGuard { mutex: self, hold: Hold::new(me, Found::Whole) };
            participant.check_whole()?;
            return Ok(guard);
        }
        self.take_slowly(participant, me, waiting(participant))
    }

    #[cold]
    fn take_slowly(self, participant: &Participant, me: Identity, waiting: Waiting) -> LockResult<MutexGuard<'a, T, M>>
    where
        M: Writable,
    {
        let mut patience = waiting;
        let found = exclusive::take(self.word(), me, participant, &mut patience)
            .map_err(|refusal| LockError::refused(refusal, participant, waiting))?;
        hold::found(found, participant, MutexGuard { mutex: self, hold: Hold::new(me, found) })
    }
}

/// A mutex that has been taken. Dropping it lets go.
#[must_use = "the lock is let go of at once"]
pub struct MutexGuard<'a, T: ShmLayout, M: Writable = ReadWrite> {
    mutex: ShmRef<'a, ShmMutex<T>, M>,
    hold: Hold,
}

impl<T: ShmLayout, M: Writable> MutexGuard<'_, T, M> {
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
        let participant = self.mutex.participant();
        self.mutex
            .value()
            .try_get_while(|| hold::check_whole(participant))
            .map_err(|error| hold::named(participant, error))
    }

    /// Copies a value in. It has no error to return: under the [guard](crate::sigbus) against truncation the value may go into private
    /// memory, which [`get`](Self::get) and [`update`](Self::update) tell, and the end of this guard does not.
    #[inline]
    pub fn set(&mut self, value: T)
    where
        T: ShmValue,
    {
        self.mutex.value().set(value);
    }

    /// Copies the value out, lets `change` work on the copy, and copies it back. If `change` panics, nothing is changed.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for the copy of the guard in a forked
    /// child, which does not hold the lock.
    #[inline]
    pub fn update<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> Result<R>
    where
        T: ShmValue,
    {
        let mut value = self.get()?;
        let result = change(&mut value);
        let participant = self.mutex.participant();
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
        T::View::from_place(self.mutex.value())
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

impl<T: ShmLayout, M: Writable> Drop for MutexGuard<'_, T, M> {
    #[inline]
    fn drop(&mut self) {
        let (word, left) = (self.mutex.word(), self.hold.left());
        if let Some((_, me)) = self.hold.holder(self.mutex.participant()) {
            exclusive::release(word, me, left, Wake::One);
        }
    }
}

impl<T: ShmLayout, M: Writable> InSegment for MutexGuard<'_, T, M> {
    fn segment(&self) -> Option<&str> {
        self.mutex.participant().map(Participant::segment)
    }
}
impl<T: ShmLayout, M: Writable> LockGuard for MutexGuard<'_, T, M> {}

impl<T: ShmLayout, M: Writable> fmt::Debug for MutexGuard<'_, T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MutexGuard<{}>", core::any::type_name::<T>())
    }
}

#[cfg(test)]
mod tests;
