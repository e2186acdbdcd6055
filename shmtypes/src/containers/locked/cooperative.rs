//! Slices under the lock, by the caller's word that everybody goes through it.
#![allow(unsafe_code, reason = "begins loans of the elements under the lock and the caller's promise")]

use super::LockedArray;
use super::guards::{Reading, Writing};
use crate::error::Result;
use crate::layout::{ReadOnly, ReadWrite, ShmLayout, ShmPod};
use crate::segment::elements::Loan;
use crate::sync::lock::waiting::Waiting;
use crate::sync::{Deadline, InSegment, LockGuard, LockResult};
use core::fmt;
use core::ops::{Deref, DerefMut};

/// A locked array of which somebody has promised that all who write to it take its lock: its guards lend plain slices.
///
/// Made by [`LockedArray::assume_cooperative`], which has an example. It is a handle like that one: cheap to clone, `Send` and
/// `Sync`; and it lends the [`LockedArray`] for all else, whose own `read` and `write` go on to work beside it.
///
/// The guards stay in the thread that took them, and what they lend goes anywhere: to rayon's threads, to scoped ones. Take a guard
/// outside of rayon's tasks and lend its slice to them: a task that waits for its parts may be given another one meanwhile, and
/// if that one takes the same lock, both wait for each other until the deadline.
pub struct Cooperative<T> {
    // Invariant: the promise of `assume_cooperative`.
    array: LockedArray<T>,
}

impl<T> Clone for Cooperative<T> {
    fn clone(&self) -> Self {
        Self { array: self.array.clone() }
    }
}

impl<T: ShmPod> LockedArray<T> {
    /// Makes guards lend plain slices, `&[T]` and `&mut [T]`: the speed and the reach of ordinary memory.
    ///
    /// Owns the handle, so that it can go into threads and structs; clone it before to keep a plain one.
    ///
    /// ```
    /// use shmtypes::LockedArray;
    ///
    /// let grid = LockedArray::<f64>::create(1000)?;
    /// // SAFETY: the name is fresh, and all who are told it open it as a `LockedArray`.
    /// let grid = unsafe { grid.assume_cooperative() };
    /// let mut slots = grid.write()?;
    /// slots[3] = 2.5;
    /// slots.sort_by(|one, two| two.total_cmp(one));
    /// drop(slots);
    /// assert_eq!(grid.read()?.iter().sum::<f64>(), 2.5);
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Safety
    /// As long as the result, a clone of it, or one of their guards lives:
    ///
    /// * Everybody who writes to the file, in any process, does it by this crate's `LockedArray`s and `Cooperative`s. Who may write
    ///   in another way does not: as another program, through [`std::fs::File`], or by an address from
    ///   [`as_ptr`](crate::Elements::as_ptr). No other safe call of this crate does, as all others refuse the file of a locked
    ///   array. They cannot refuse what is no such file yet: who wrote a copy of its header into a block by hand may still have the block.
    /// * Nobody truncates the file: see [`LockedOptions::unnamed`](super::LockedOptions::unnamed) for one whose size is sealed.
    /// * Nobody interferes with the kernel's locks by which this crate knows who is alive.
    /// * If a process forks while a guard of the array lives, of a `Cooperative` or of a `LockedArray`, the child does not use its copy
    ///   of the guard, of its views or of what it lent. (It may drop them, which does nothing, and take the lock anew.)
    ///
    /// What a peer does is not in this process's hand: the program's design must guarantee it. A peer that is killed or stopped
    /// breaks no promise.
    #[must_use]
    pub unsafe fn assume_cooperative(self) -> Cooperative<T> {
        Cooperative { array: self }
    }
}

impl<T: ShmPod> Cooperative<T> {
    /// Takes the lock for reading: the elements as `&[T]`. Waits as [`LockedArray::read`] does.
    ///
    /// # Errors
    /// As [`LockedArray::read`]; [`ErrorKind::Strided`](crate::ErrorKind::Strided) on a segment that was opened with
    /// [`Evolve::Append`](crate::Evolve::Append) and holds a longer type.
    #[inline]
    pub fn read(&self) -> LockResult<SliceReadGuard<'_, T>> {
        self.take_to_read(None)
    }

    /// As [`LockedArray::try_read`].
    ///
    /// # Errors
    /// As there, and as [`read`](Self::read).
    #[inline]
    pub fn try_read(&self) -> LockResult<SliceReadGuard<'_, T>> {
        self.take_to_read(Some(Waiting::Not))
    }

    /// As [`LockedArray::read_until`].
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    pub fn read_until(&self, deadline: impl Into<Deadline>) -> LockResult<SliceReadGuard<'_, T>> {
        self.take_to_read(Some(Waiting::Until(deadline.into())))
    }

    /// Takes the lock for writing: the elements as `&mut [T]`. Waits as [`LockedArray::write`] does.
    ///
    /// # Errors
    /// As [`LockedArray::write`] and [`read`](Self::read).
    #[inline]
    pub fn write(&self) -> LockResult<SliceWriteGuard<'_, T>> {
        self.take_to_write(None)
    }

    /// As [`LockedArray::try_write`].
    ///
    /// # Errors
    /// As there, and as [`write`](Self::write).
    #[inline]
    pub fn try_write(&self) -> LockResult<SliceWriteGuard<'_, T>> {
        self.take_to_write(Some(Waiting::Not))
    }

    /// As [`LockedArray::write_until`].
    ///
    /// # Errors
    /// As [`write`](Self::write).
    #[inline]
    pub fn write_until(&self, deadline: impl Into<Deadline>) -> LockResult<SliceWriteGuard<'_, T>> {
        self.take_to_write(Some(Waiting::Until(deadline.into())))
    }

    #[inline(always)]
    fn check_dense(&self) -> Result<()> {
        self.array.elements.check_dense().map_err(|error| error.in_segment(self.name()))
    }

    #[inline(always)]
    fn take_to_read(&self, waiting: Option<Waiting>) -> LockResult<SliceReadGuard<'_, T>> {
        self.check_dense()?;
        Reading::take(&self.array, waiting, |reading| {
            // SAFETY: side by side by the test above. The lock is held for reading longer than the loan, which is dropped first,
            // and the array that the guard borrows keeps the mapping; all who write take the lock, and nobody truncates (invariant).
            let loan = unsafe { Loan::new(reading.elements()) };
            SliceReadGuard { loan, reading }
        })
    }

    #[inline(always)]
    fn take_to_write(&self, waiting: Option<Waiting>) -> LockResult<SliceWriteGuard<'_, T>> {
        self.check_dense()?;
        Writing::take(&self.array, waiting, |writing| {
            // SAFETY: as above; the lock is held for writing, and those who only read take it, too: this crate lends the elements
            // of a locked array to nobody else.
            let loan = unsafe { Loan::new(writing.elements()) };
            SliceWriteGuard { loan, writing }
        })
    }
}

impl<T> Deref for Cooperative<T> {
    type Target = LockedArray<T>;

    fn deref(&self) -> &LockedArray<T> {
        &self.array
    }
}

impl<T: ShmLayout> fmt::Debug for Cooperative<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cooperative").field(&self.array).finish()
    }
}

/// A locked array's lock, taken for reading by a [`Cooperative`]: the elements as `&[T]`. Dropping it lets go.
#[must_use = "the lock is let go of at once"]
pub struct SliceReadGuard<'a, T: ShmPod> {
    // Dropped in this order: the loan ends before the lock is let go of.
    loan: Loan<T, ReadOnly>,
    reading: Reading<'a, T>,
}

impl<T: ShmPod> SliceReadGuard<'_, T> {
    /// Whether the elements may be half changed: the guard came inside of an error.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.reading.hold().is_poisoned()
    }

    #[cfg(feature = "ndarray")]
    pub(super) fn shape(&self) -> &[usize] {
        self.reading.shape()
    }
}

impl<T: ShmPod> Deref for SliceReadGuard<'_, T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        self.loan.slice()
    }
}

/// A locked array's lock, taken for writing by a [`Cooperative`]: the elements as `&mut [T]`. Dropping it lets go; a panic
/// poisons.
#[must_use = "the lock is let go of at once"]
pub struct SliceWriteGuard<'a, T: ShmPod> {
    // Dropped in this order: the loan ends before the lock is let go of.
    loan: Loan<T, ReadWrite>,
    writing: Writing<'a, T>,
}

impl<T: ShmPod> SliceWriteGuard<'_, T> {
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

    #[cfg(feature = "ndarray")]
    pub(super) fn shape(&self) -> &[usize] {
        self.writing.shape()
    }
}

impl<T: ShmPod> Deref for SliceWriteGuard<'_, T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        self.loan.slice()
    }
}

impl<T: ShmPod> DerefMut for SliceWriteGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        self.loan.slice_mut()
    }
}

impl<T: ShmPod> InSegment for SliceReadGuard<'_, T> {
    fn segment(&self) -> Option<&str> {
        Some(self.reading.segment())
    }
}
impl<T: ShmPod> LockGuard for SliceReadGuard<'_, T> {}

impl<T: ShmPod> fmt::Debug for SliceReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SliceReadGuard<{}>", core::any::type_name::<T>())
    }
}

impl<T: ShmPod> InSegment for SliceWriteGuard<'_, T> {
    fn segment(&self) -> Option<&str> {
        Some(self.writing.segment())
    }
}
impl<T: ShmPod> LockGuard for SliceWriteGuard<'_, T> {}

impl<T: ShmPod> fmt::Debug for SliceWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SliceWriteGuard<{}>", core::any::type_name::<T>())
    }
}
