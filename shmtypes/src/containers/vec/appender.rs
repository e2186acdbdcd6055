//! The right to change a vector, and what can be done with it.

use super::ShmVec;
use super::control::{Control, Parts};
use super::publication::{self, State};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, ReadWrite, ShmLayout, ShmRef, ShmValue, Writable};
use crate::sync::lock::waiting::Waiting;
use crate::sync::{Deadline, Lease};
use core::fmt;
use core::marker::PhantomData;

/// The right to append to a [`ShmVec`], to truncate it and to store its elements: nobody else has it at the same time.
///
/// Dropping it gives the right back, and wakes whoever follows. It stays in its thread, and works for the process that
/// took it only: what a forked child inherits is to be left alone, and does nothing when it is dropped.
///
/// If a hostile peer overwrites the lease, two can have it at once. A process that is not its holder finds out at the next
/// [`flush`](Self::flush) or truncation; two threads that use one handle, or clones of it, are one holder to the lease, and do not.
///
/// ```
/// use shmtypes::{ErrorKind, ShmVec};
///
/// let log = ShmVec::<u32>::create(3)?;
/// let mut appender = log.appender()?;
/// appender.push(1)?;
/// appender.extend_from_slice(&[2, 3])?;
/// assert_eq!(*appender.push(4).unwrap_err().kind(), ErrorKind::Full { capacity: 3 });
/// assert_eq!(appender.pop()?, Some(3));
/// drop(appender);
/// assert_eq!(log.snapshot()?, [1, 2]);
/// # Ok::<(), shmtypes::Error>(())
/// ```
pub struct Appender<'a, T: ShmLayout, M: Writable = ReadWrite> {
    vec: &'a ShmVec<T, M>,
    control: ShmRef<'a, Control, M>,
    /// What the shared word says: only the lease's holder stores there, so nobody needs to look.
    state: State,
    /// What it said when those who follow were told the last time.
    told: State,
    lease: Lease<'a, M>,
    /// A lease taken in one thread and let go of in another is nobody's mistake to make.
    stays: PhantomData<*const ()>,
}

/// Changing. Needs a handle that may write.
impl<T: ShmLayout, M: AccessMode> ShmVec<T, M> {
    /// Takes the right to append, waiting for whoever has it: as long as the segment says, 30 seconds unless its creator
    /// [said otherwise](super::VecOptions::lock_timeout).
    ///
    /// # Errors
    /// [`ErrorKind::WouldDeadlock`] at once if this thread has it by this handle or a clone, which includes each call of the
    /// handle's own [`push`](Self::push) and the like beside an appender. (By a handle that was opened separately, it waits.)
    /// [`ErrorKind::LockTimedOut`] if a living process, or another thread of this one, keeps it for so long;
    /// [`ErrorKind::SlotsExhausted`] in a forked child for which there is no participant slot; [`ErrorKind::Strided`] if the
    /// segment's type has further fields, which would stay as they are.
    pub fn appender(&self) -> Result<Appender<'_, T, M>>
    where
        M: Writable,
    {
        self.take(None)
    }

    /// As [`appender`](Self::appender), waiting until a deadline. One that has passed asks once.
    ///
    /// # Errors
    /// As [`appender`](Self::appender).
    pub fn appender_until(&self, deadline: impl Into<Deadline>) -> Result<Appender<'_, T, M>>
    where
        M: Writable,
    {
        self.take(Some(Waiting::Until(deadline.into())))
    }

    /// Takes the right to append, unless somebody has it who is alive.
    ///
    /// # Errors
    /// As [`appender`](Self::appender), but for the time.
    pub fn try_appender(&self) -> Result<Option<Appender<'_, T, M>>>
    where
        M: Writable,
    {
        match self.take(Some(Waiting::Not)) {
            Err(error) if matches!(error.kind(), ErrorKind::LockHeld { .. }) => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    fn take(&self, waiting: Option<Waiting>) -> Result<Appender<'_, T, M>>
    where
        M: Writable,
    {
        self.elements.check_dense()?;
        let control = self.elements.block();
        let lease = Lease::take(control.lease(), waiting).map_err(|error| self.named(error))?;
        let state = publication::begin(control.state(), self.capacity());
        self.elements.check_whole()?;
        Ok(Appender { vec: self, control, state, told: state, lease, stays: PhantomData })
    }

    /// Appends an element. Takes the [`Appender`] for this call and wakes whoever follows; for more than one element, take
    /// it yourself.
    ///
    /// # Errors
    /// As [`appender`](Self::appender) and [`Appender::push`].
    pub fn push(&self, value: T) -> Result<()>
    where
        T: ShmValue,
        M: Writable,
    {
        self.appender()?.push(value)
    }

    /// Appends what an iterator gives, one by one: see [`push`](Self::push). The appender is held while the iterator runs.
    ///
    /// # Errors
    /// As [`appender`](Self::appender) and [`Appender::extend`].
    pub fn extend(&self, values: impl IntoIterator<Item = T>) -> Result<()>
    where
        T: ShmValue,
        M: Writable,
    {
        self.appender()?.extend(values)
    }

    /// Appends all elements of a slice, or none: see [`push`](Self::push).
    ///
    /// # Errors
    /// As [`appender`](Self::appender) and [`Appender::extend_from_slice`].
    pub fn extend_from_slice(&self, values: &[T]) -> Result<()>
    where
        T: ShmValue,
        M: Writable,
    {
        self.appender()?.extend_from_slice(values)
    }

    /// Stores an element that is in sight: see [`push`](Self::push) and [`Appender::set`].
    ///
    /// # Errors
    /// As [`appender`](Self::appender) and [`Appender::set`].
    pub fn set(&self, index: usize, value: T) -> Result<()>
    where
        T: ShmValue,
        M: Writable,
    {
        self.appender()?.set(index, value)
    }

    /// Takes the last element away: see [`push`](Self::push).
    ///
    /// # Errors
    /// As [`appender`](Self::appender) and [`Appender::pop`].
    pub fn pop(&self) -> Result<Option<T>>
    where
        T: ShmValue,
        M: Writable,
    {
        self.appender()?.pop()
    }

    /// Takes all elements from `len` on away: see [`push`](Self::push).
    ///
    /// # Errors
    /// As [`appender`](Self::appender).
    pub fn truncate(&self, len: usize) -> Result<()>
    where
        M: Writable,
    {
        self.appender()?.truncate(len)
    }

    /// Takes all elements away: see [`push`](Self::push).
    ///
    /// # Errors
    /// As [`appender`](Self::appender).
    pub fn clear(&self) -> Result<()>
    where
        M: Writable,
    {
        self.appender()?.clear()
    }
}

impl<T: ShmLayout, M: Writable> Appender<'_, T, M> {
    /// The number of elements.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.len(self.capacity())
    }

    /// Whether there are no elements.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of elements that there is room for.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.vec.capacity()
    }

    /// Whether the last holder of the right died with it. What it had pushed is there; an element that it was about to
    /// [set](Self::set) may be half done.
    #[must_use]
    pub fn took_over(&self) -> bool {
        self.lease.took_over()
    }

    /// Appends an element: a store of the element and a store of the length, which readers see at once. Who
    /// [waits](super::Follower::next) is told by [`flush`](Self::flush), by the end of the appender, or by itself within 50
    /// ms.
    ///
    /// # Errors
    /// [`ErrorKind::Full`]; [`ErrorKind::LeaseLost`] in a forked child, whose copy of the appender would overwrite what its parent
    /// appends.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<()>
    where
        T: ShmValue,
    {
        let elements = &*self.vec.elements;
        // Copied here, and asked behind the length: so both stay in registers from one push to the next.
        let witness = self.lease.witness();
        // There is room, and `take` has seen that the elements stand side by side.
        let store = |index| witness.is_same_process() && elements.store_dense(index, &value);
        if publication::append(self.control.state(), &mut self.state, elements.count(), 1, store) {
            elements.check_stored()
        } else {
            Err(self.refused())
        }
    }

    /// Appends all elements of a slice, or none. Readers see all or none of them, also if this process is killed.
    ///
    /// # Errors
    /// [`ErrorKind::Full`]; [`ErrorKind::LeaseLost`] in a forked child.
    pub fn extend_from_slice(&mut self, values: &[T]) -> Result<()>
    where
        T: ShmValue,
    {
        self.check_process()?;
        let (elements, mut copied) = (&*self.vec.elements, Ok(()));
        // Never fails: there is room, and `take` has seen that the elements stand side by side.
        let store = |index| {
            copied = elements.copy_in(index, values);
            true
        };
        if publication::append(self.control.state(), &mut self.state, elements.count(), values.len(), store) {
            elements.whole(copied)
        } else {
            Err(self.refused())
        }
    }

    /// Fails in a forked child, whose copy of the appender would overwrite what its parent appends.
    #[inline(always)]
    fn check_process(&self) -> Result<()> {
        if self.lease.is_own() { Ok(()) } else { Err(self.lost()) }
    }

    /// Why nothing was appended.
    #[cold]
    #[inline(never)]
    fn refused(&self) -> Error {
        match self.check_process() {
            Ok(()) => self.vec.named(Error::new(ErrorKind::Full { capacity: self.capacity() })),
            Err(error) => error,
        }
    }

    #[cold]
    #[inline(never)]
    fn lost(&self) -> Error {
        self.vec.named(Error::new(ErrorKind::LeaseLost))
    }

    #[cold]
    fn out_of_range(&self, index: usize) -> Error {
        self.vec.named(Error::out_of_range(index, self.len()))
    }

    /// Appends what an iterator gives, one by one, as [`push`](Self::push) does. Readers see each element at once; where all or none
    /// should be seen, use [`extend_from_slice`](Self::extend_from_slice).
    ///
    /// ```
    /// use shmtypes::{ErrorKind, ShmVec};
    ///
    /// let squares = ShmVec::<u64>::create(4)?;
    /// let mut appender = squares.appender()?;
    /// appender.extend((0..3).map(|n| n * n))?;
    /// assert_eq!(*appender.extend(10..).unwrap_err().kind(), ErrorKind::Full { capacity: 4 });
    /// assert_eq!(squares.snapshot()?, [0, 1, 4, 10]);
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`push`](Self::push), for the first element that has no room; those before it stay.
    pub fn extend(&mut self, values: impl IntoIterator<Item = T>) -> Result<()>
    where
        T: ShmValue,
    {
        values.into_iter().try_for_each(|value| self.push(value))
    }

    /// Copies element `index` out. Nobody else truncates, so that what is in sight stays.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`]; [`ErrorKind::InvalidValue`] if a peer left bytes there that are no `T`.
    #[inline]
    pub fn get(&self, index: usize) -> Result<T>
    where
        T: ShmValue,
    {
        if index < self.len() {
            self.vec.elements.get(index).map_err(|error| self.vec.named(error))
        } else {
            Err(self.out_of_range(index))
        }
    }

    /// Copies the last element out; `None` if there is none.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline]
    pub fn last(&self) -> Result<Option<T>>
    where
        T: ShmValue,
    {
        self.len().checked_sub(1).map(|last| self.get(last)).transpose()
    }

    /// Stores an element that is in sight, in place. A reader may see an element of more than 8 bytes, or of another
    /// alignment than its size, half old and half new, and it stays so if this process is killed. Where half of each is no
    /// `T`, as with text, readers read again for a while before they call it invalid. Followers who have passed it are not
    /// told.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`]; [`ErrorKind::LeaseLost`] in a forked child.
    #[inline]
    pub fn set(&mut self, index: usize, value: T) -> Result<()>
    where
        T: ShmValue,
    {
        self.check_process()?;
        if index < self.len() { self.vec.elements.set(index, value) } else { Err(self.out_of_range(index)) }
    }

    /// Takes the last element away, which is a [truncation](Self::truncate).
    ///
    /// # Errors
    /// As [`truncate`](Self::truncate); [`ErrorKind::InvalidValue`] if a peer left bytes there that are no `T`; then it
    /// stays.
    pub fn pop(&mut self) -> Result<Option<T>>
    where
        T: ShmValue,
    {
        // First: who has lost the lease does not know what there is.
        self.check_lease()?;
        let Some(last) = self.last()? else { return Ok(None) };
        self.truncate(self.len() - 1)?;
        Ok(Some(last))
    }

    /// Takes all elements from `len` on away. Followers get a [`Reset`](super::Followed::Reset) and begin anew. Does
    /// nothing if there are no more than `len`.
    ///
    /// # Errors
    /// [`ErrorKind::LeaseLost`] in a forked child.
    pub fn truncate(&mut self, len: usize) -> Result<()> {
        self.check_lease()?;
        if len < self.len() {
            publication::truncate(self.control.state(), &mut self.state, len);
        }
        self.vec.elements.check_stored()
    }

    /// Takes all elements away: [`truncate(0)`](Self::truncate).
    ///
    /// # Errors
    /// As [`truncate`](Self::truncate).
    pub fn clear(&mut self) -> Result<()> {
        self.truncate(0)
    }

    /// Wakes whoever waits for what was pushed or truncated since the last time. Costs a system call, half a microsecond
    /// and more for each one who sleeps: call it once per batch.
    ///
    /// # Errors
    /// [`ErrorKind::LeaseLost`] in a forked child, or if a peer overwrote the lease: then another process may have appended
    /// in between, and what was pushed since the last call may be lost.
    pub fn flush(&mut self) -> Result<()> {
        self.check_lease()?;
        self.tell();
        self.vec.elements.check_whole()
    }

    fn check_lease(&self) -> Result<()> {
        self.lease.check().map_err(|error| self.vec.named(error))
    }

    fn tell(&mut self) {
        if self.told != self.state {
            self.told = self.state;
            self.control.changed().notify();
        }
    }
}

impl<T: ShmLayout, M: Writable> Drop for Appender<'_, T, M> {
    fn drop(&mut self) {
        if self.lease.is_own() {
            // First, so that the next one need not wait for those who are woken.
            self.lease.let_go();
            self.tell();
        }
    }
}

impl<T: ShmLayout, M: Writable> fmt::Debug for Appender<'_, T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appender")
            .field("type", &T::SCHEMA.type_name())
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("took_over", &self.took_over())
            .finish()
    }
}
