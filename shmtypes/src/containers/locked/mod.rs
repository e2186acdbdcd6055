//! An array whose every access takes its own reader-writer lock.
//!
//! ```text
//! header | schema | mutable block (640 bytes: an event, the lock's words; then the slots) | elements, row-major
//! ```
//!
//! 1. The elements are reached through a guard only: every accessor here takes one. So no check stands in those of
//!    [`Elements`](crate::Elements), and no safe call of this crate races a slice that a guard has lent.
//! 2. That the *file* is written by nobody else is what `assume_cooperative` takes the caller's word for, and only behind it
//!    there are slices.

mod block;
mod cooperative;
mod guards;
#[cfg(feature = "ndarray")]
mod nd_array;
mod options;

pub use cooperative::{Cooperative, SliceReadGuard, SliceWriteGuard};
pub use guards::{LockedReadGuard, LockedWriteGuard};
pub use options::LockedOptions;

use super::array::{position, strides};
use crate::error::{Error, Result};
use crate::layout::{ReadWrite, ShmLayout, ShmValue, ShmZero};
use crate::participants::{Identity, Participant};
use crate::segment::attachment::Attachment;
use crate::segment::block::WithBlock;
use crate::segment::elements::Lent;
use crate::segment::{Detached, Persist};
use crate::sync::lock::waiting::Waiting;
use crate::sync::{Deadline, LockResult, Seen};
use block::{Block, Parts};
use core::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};

/// A fixed number of elements of one type in shared memory, behind one lock that many may hold for reading, or one for writing.
///
/// ```
/// use shmtypes::LockedArray;
///
/// let prices = LockedArray::<f64>::create(1000)?;
/// let guard = prices.write()?;
/// guard.copy_from_slice(0, &[9.5, 9.75])?;
/// guard.map_in_place(|price| price * 2.0)?;
/// drop(guard);
///
/// // In another process:
/// let same = LockedArray::<f64>::open(prices.name())?;
/// let guard = same.read()?;
/// // Nobody writes as long as the guard is there, so that these two belong together.
/// assert_eq!((guard.get(1)?, guard.sum()?), (19.5, 38.5));
/// # drop(guard);
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// [`read`](Self::read) and [`write`](Self::write) give guards that lend [`Elements`](crate::Elements): copies, blocks, views. What takes no
/// guard takes the lock for the call: [`get`](Self::get), [`set`](Self::set), [`to_vec`](Self::to_vec),
/// [`copy_from_slice`](Self::copy_from_slice). There is no other way to the elements; in particular
/// a [`ShmArray`](crate::ShmArray) does not open such a segment ([`ErrorKind::NeedsLock`](crate::ErrorKind::NeedsLock)).
///
/// Because all go through the lock, one `unsafe` promise about the program's other parts is enough to have the elements as plain
/// slices, `&[T]` and `&mut [T]`, for rayon, `ndarray` or a library that knows nothing of shared memory: see
/// [`assume_cooperative`](Self::assume_cooperative).
///
/// Reading counts the reader in shared memory, so that handles are always for reading and writing. At most 64 attachments
/// can use the array at once; clones of a handle share one. A thread that holds the lock must not take it
/// again: a writer that waits goes before readers that come later.
///
/// Views cannot outlive the guard that they came from:
///
/// ```compile_fail,E0505
/// # let prices = shmtypes::LockedArray::<f64>::create(10)?;
/// let guard = prices.read()?;
/// let view = guard.at(3);
/// drop(guard);
/// view.get();
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// # If a peer dies or misbehaves
///
/// As with a [`ShmRwLock`](crate::sync::ShmRwLock). A dead reader harms nobody, nor does a writer that dies while it waits. If one
/// is killed while it writes, the elements are as it left them, and the next *writer* is told by
/// [`LockError::OwnerDied`](crate::sync::LockError::OwnerDied), once, with the guard inside: it looks, repairs, and calls
/// [`recover`](LockedWriteGuard::recover). Until somebody has, all others find the lock
/// [poisoned](crate::sync::LockError::Poisoned), and calls that take no guard fail with
/// [`ErrorKind::OwnerDied`](crate::ErrorKind::OwnerDied) or [`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned). A writer that is
/// stopped keeps the lock: who waits gets [`LockError::TimedOut`](crate::sync::LockError::TimedOut) at the deadline.
///
/// A lock taken before a `fork` stays the parent's. In the child, the copy of a [`read`](Self::read) or [`write`](Self::write) guard
/// lets go of nothing, and its calls on many elements (copies, blocks, `fill`, sums) fail with
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported). Those on one element (`get`, `set`, views, iterators) do not ask, which would
/// cost a store half as much again: `set` writes into what the parent has locked. The child takes the lock anew.
///
/// A hostile peer can write without the lock. Whoever has not called `assume_cooperative` then sees wrong values, and nothing
/// worse.
pub struct LockedArray<T> {
    elements: WithBlock<T, Block>,
    /// Elsewhere, as in `ShmArray`.
    seen: Box<Seen>,
}

impl<T> Clone for LockedArray<T> {
    fn clone(&self) -> Self {
        Self { elements: self.elements.clone(), seen: self.seen.clone() }
    }
}

/// Creating and opening.
impl<T: ShmLayout> LockedArray<T> {
    /// Everything that can be said about a locked array before it is created or opened.
    #[must_use]
    pub fn options() -> LockedOptions<T> {
        LockedOptions::new(Default::default(), None)
    }

    /// Creates an array of `n` elements whose bytes are all zero, under a fresh name.
    ///
    /// # Errors
    /// As [`ShmArray::create`](crate::ShmArray::create); [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) where the
    /// kernel does not tell the living from the dead: file systems other than tmpfs, most of them, and where /proc is not mounted.
    pub fn create(n: usize) -> Result<Self>
    where
        T: ShmZero,
    {
        Self::options().create(n)
    }

    /// Creates an array under a fresh name and lends its elements, all bytes zero, as a plain slice. Nobody can see the
    /// array until `fill` returns; if it panics, nothing is left.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_with(n: usize, fill: impl FnOnce(&mut [T])) -> Result<Self>
    where
        T: ShmZero,
    {
        Self::options().create_with(n, fill)
    }

    /// As [`create_with`](Self::create_with), with a closure that may fail; then nothing is left.
    ///
    /// # Errors
    /// As [`create`](Self::create), and whatever `fill` returns.
    pub fn try_create_with<E: From<Error>>(n: usize, fill: impl FnOnce(&mut [T]) -> Result<(), E>) -> Result<Self, E>
    where
        T: ShmZero,
    {
        Self::options().try_create_with(n, fill)
    }

    /// Creates an array under a fresh name with an element from `value(index)` each. Takes any type, also one for which
    /// zero is no valid value.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_from_fn(n: usize, value: impl FnMut(usize) -> T) -> Result<Self> {
        Self::options().create_from_fn(n, value)
    }

    /// As [`create_from_fn`](Self::create_from_fn), with a closure that may fail; then nothing is left.
    ///
    /// # Errors
    /// As [`create`](Self::create), and whatever `value` returns.
    pub fn try_create_from_fn<E: From<Error>>(n: usize, value: impl FnMut(usize) -> Result<T, E>) -> Result<Self, E> {
        Self::options().try_create_from_fn(n, value)
    }

    /// Creates an array under a fresh name with a copy of `values`.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_from_slice(values: &[T]) -> Result<Self>
    where
        T: ShmValue,
    {
        Self::options().create_from_slice(values)
    }

    /// Attaches to the locked array of this name.
    ///
    /// # Errors
    /// [`ErrorKind::NotLocked`](crate::ErrorKind::NotLocked) if it is an array without a lock,
    /// [`ErrorKind::SlotsExhausted`](crate::ErrorKind::SlotsExhausted) if too many are attached; and as
    /// [`ShmArray::open`](crate::ShmArray::open).
    pub fn open(name: &str) -> Result<Self> {
        Self::options().name(name).open()
    }

    /// Attaches to the locked array of this name, or creates it with `n` elements whose bytes are all zero.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create);
    /// [`ErrorKind::ShapeMismatch`](crate::ErrorKind::ShapeMismatch) if it exists with another number of elements.
    pub fn open_or_create(name: &str, n: usize) -> Result<Self>
    where
        T: ShmZero,
    {
        Self::options().name(name).open_or_create(n)
    }

    /// Attaches to the locked array behind a descriptor, such as one of an [unnamed](LockedOptions::unnamed) array that another
    /// process sent over a socket.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_fd(descriptor: OwnedFd) -> Result<Self> {
        Self::options().from_fd(descriptor)
    }

    fn adopt(attachment: Attachment) -> Result<Self> {
        const { assert!(size_of::<T>() != 0, "a type of size zero has no place in a segment") };
        Ok(Self { elements: WithBlock::new(attachment)?, seen: Box::default() })
    }
}

/// The lock.
impl<T: ShmLayout> LockedArray<T> {
    /// Takes the lock for reading, and waits for it as long as the segment's [lock timeout](LockedOptions::lock_timeout).
    ///
    /// A thread that holds the lock for writing waits for itself until then, as at [`write`](Self::write).
    ///
    /// # Errors
    /// [`LockError`](crate::sync::LockError), with the guard inside if the lock is poisoned.
    #[inline]
    pub fn read(&self) -> LockResult<LockedReadGuard<'_, T>> {
        LockedReadGuard::take(self, None)
    }

    /// Takes the lock for reading if nobody writes.
    ///
    /// # Errors
    /// [`LockError::Held`](crate::sync::LockError::Held), and as [`read`](Self::read).
    #[inline]
    pub fn try_read(&self) -> LockResult<LockedReadGuard<'_, T>> {
        LockedReadGuard::take(self, Some(Waiting::Not))
    }

    /// Takes the lock for reading, and waits for it until a deadline.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    pub fn read_until(&self, deadline: impl Into<Deadline>) -> LockResult<LockedReadGuard<'_, T>> {
        LockedReadGuard::take(self, Some(Waiting::Until(deadline.into())))
    }

    /// Takes the lock for writing, and waits for it as long as the segment's [lock timeout](LockedOptions::lock_timeout).
    ///
    /// A thread that holds the lock already, by any guard, waits for itself until then: nobody looks for that. A guard
    /// without a name lives to the end of its statement, so `(a.read()?.len(), a.write()?.len())` is such a case.
    /// [`write_until`](Self::write_until) waits for less.
    ///
    /// # Errors
    /// [`LockError`](crate::sync::LockError), with the guard inside if a writer died or the lock is poisoned.
    #[inline]
    pub fn write(&self) -> LockResult<LockedWriteGuard<'_, T>> {
        LockedWriteGuard::take(self, None)
    }

    /// Takes the lock for writing if nobody holds it.
    ///
    /// # Errors
    /// [`LockError::Held`](crate::sync::LockError::Held), and as [`write`](Self::write).
    #[inline]
    pub fn try_write(&self) -> LockResult<LockedWriteGuard<'_, T>> {
        LockedWriteGuard::take(self, Some(Waiting::Not))
    }

    /// Takes the lock for writing, and waits for it until a deadline.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    #[inline]
    pub fn write_until(&self, deadline: impl Into<Deadline>) -> LockResult<LockedWriteGuard<'_, T>> {
        LockedWriteGuard::take(self, Some(Waiting::Until(deadline.into())))
    }

    /// Whether a writer died or panicked, and nobody has repaired since. Others may change that at any time. A death counts once
    /// somebody who wanted the lock has found it out.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.parts().is_poisoned()
    }

    fn participant(&self) -> Option<&Participant> {
        self.elements.participant()
    }

    #[inline(always)]
    fn parts(&self) -> Parts<'_> {
        Parts(self.elements.block())
    }

    /// For guards only.
    #[inline(always)]
    fn lend(&self, holder: Identity) -> Lent<'_, T, ReadWrite> {
        self.elements.lend(holder)
    }
}

/// Calls that take the lock for themselves. They fail if it is poisoned: then [`read`](Self::read) and [`write`](Self::write)
/// have the guard in their error.
impl<T: ShmValue> LockedArray<T> {
    /// Copies element `index` out.
    ///
    /// # Errors
    /// As [`Elements::get`](crate::Elements::get), and those of the lock.
    #[inline]
    pub fn get(&self, index: usize) -> Result<T> {
        self.read()?.get(index)
    }

    /// Copies a value into element `index`.
    ///
    /// # Errors
    /// As [`Elements::set`](crate::Elements::set), and those of the lock.
    #[inline]
    pub fn set(&self, index: usize, value: T) -> Result<()> {
        self.write()?.set(index, value)
    }

    /// All elements, copied out and checked: as they were at one instant.
    ///
    /// # Errors
    /// As [`Elements::to_vec`](crate::Elements::to_vec), and those of the lock.
    pub fn to_vec(&self) -> Result<Vec<T>> {
        self.read()?.to_vec()
    }

    /// Copies `source` into the elements from `start` on. Readers see all of it or nothing.
    ///
    /// # Errors
    /// As [`Elements::copy_from_slice`](crate::Elements::copy_from_slice), and those of the lock.
    pub fn copy_from_slice(&self, start: usize, source: &[T]) -> Result<()> {
        self.write()?.copy_from_slice(start, source)
    }
}

/// What does not change, and the end.
impl<T: ShmLayout> LockedArray<T> {
    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// The segment's name; empty for an unnamed one.
    #[must_use]
    pub fn name(&self) -> &str {
        self.elements.keeper().name()
    }

    /// When the segment's name goes away.
    #[must_use]
    pub fn persist(&self) -> Persist {
        self.elements.keeper().header().persist()
    }

    /// The descriptor of an unnamed array, to be sent to another process. That of a named one is not shown.
    #[must_use]
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.elements.keeper().descriptor()
    }

    /// The number of elements in each dimension; they lie row-major.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        self.elements.keeper().shape()
    }

    /// The distance between neighbours in each dimension, in elements: row-major, the last one is 1.
    #[must_use]
    pub fn strides(&self) -> Vec<usize> {
        strides(self.shape())
    }

    /// The position of the element at `indices`, one per dimension: what the guards' `get`, `set` and `at` take, and where it
    /// stands in a slice.
    ///
    /// ```
    /// let grid = shmtypes::ShmArray::<f64>::options().shape(&[2, 3]).locked().create(6)?;
    /// grid.set(grid.position(&[1, 2])?, 7.5)?;
    /// assert_eq!(grid.get(5)?, 7.5);
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::ShapeMismatch`](crate::ErrorKind::ShapeMismatch) for another number of dimensions,
    /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange).
    pub fn position(&self, indices: &[usize]) -> Result<usize> {
        position(self.shape(), indices)
    }

    /// As [`ShmArray::wait_changed`](crate::ShmArray::wait_changed). Takes no lock, so do not hold it either.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut) at the deadline. A deadline that has passed asks once.
    pub fn wait_changed(&self, deadline: impl Into<Deadline>) -> Result<()> {
        self.seen.wait_changed(self.parts().changed(), deadline, || self.elements.check_whole())
    }

    /// As [`ShmArray::notify`](crate::ShmArray::notify). Takes no lock.
    pub fn notify(&self) -> usize {
        self.parts().changed().notify()
    }

    /// Ends this handle. If it is the last one of this process, detaches and says what became of the segment; dropping
    /// does the same silently.
    ///
    /// # Errors
    /// As [`ShmArray::close`](crate::ShmArray::close).
    pub fn close(self) -> Result<Detached> {
        Attachment::close(self.elements.into_kept().into_keeper())
    }
}

impl<T: ShmLayout> fmt::Debug for LockedArray<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockedArray")
            .field("name", &self.name())
            .field("type", &T::SCHEMA.type_name())
            .field("shape", &self.shape())
            .finish()
    }
}

#[cfg(test)]
mod tests;
