//! One value that is replaced as a whole, and always read whole.
//!
//! ```text
//! header | schema | mutable block (128 bytes, reserved; slots) | one SeqCell
//! ```
//!
//! A segment like that of a box, but for the number of its container.

mod options;

pub use options::CellOptions;

use crate::error::{Error, Result};
use crate::layout::{AccessMode, ReadOnly, ReadWrite, ShmRef, ShmValue, ShmZero, Writable};
use crate::segment::attachment::Attachment;
use crate::segment::elements::Kept;
use crate::segment::{Detached, Persist};
use crate::sync::{Deadline, Seen, SeqCell};
use core::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};

/// One value in shared memory that is always read whole: a configuration, a position, the last quote.
///
/// ```
/// use shmtypes::{ShmCell, ShmLayout};
/// use std::time::Duration;
///
/// #[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
/// #[repr(C)]
/// struct Quote {
///     bid: f64,
///     ask: f64,
///     sequence: u64,
/// }
///
/// let quote = ShmCell::<Quote>::create()?;
/// quote.store(Quote { bid: 9.75, ask: 9.80, sequence: 1 })?;
///
/// // In another process:
/// let reader = ShmCell::<Quote>::open(quote.name())?;
/// reader.wait_changed(Duration::from_secs(10))?;
/// assert_eq!(reader.load()?.sequence, 1);
///
/// // What was there before is part of what is stored:
/// quote.update(|quote| quote.sequence += 1)?;
/// assert_eq!(reader.load()?, Quote { bid: 9.75, ask: 9.80, sequence: 2 });
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// A read costs little more than copying the bytes, writes nothing and waits for nobody: there are four buffers, and a store
/// goes into the one that was used the longest time ago. Writers, in any process, take turns. A struct with several such
/// values, or another number of buffers, is made of [`SeqCell`]s in a [`ShmBox`](crate::ShmBox).
///
/// A handle is cheap to clone; all clones share one attachment, and the segment ends as that of a
/// [`ShmArray`](crate::ShmArray) does. `M` says whether the handle may write.
///
/// # If a peer dies or misbehaves
///
/// A writer that is killed at any instruction leaves the old value or the new one, and the next writer goes on within some 10 ms. A
/// writer that is stopped keeps other writers waiting, until their deadline, and no reader. Nonsense written by a peer
/// gives wrong values or an `Err`, until somebody stores again. A peer that truncates the file ends the processes that touch it
/// with SIGBUS, unless they [guard](crate::sigbus) against it.
pub struct ShmCell<T: ShmValue, M = ReadWrite> {
    value: Kept<SeqCell<T>, M>,
    /// Elsewhere, as in an array.
    seen: Box<Seen>,
}

impl<T: ShmValue, M> Clone for ShmCell<T, M> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), seen: self.seen.clone() }
    }
}

impl<T: ShmValue> ShmCell<T> {
    /// Everything that can be said about a cell before it is created or opened.
    #[must_use]
    pub fn options() -> CellOptions<T> {
        CellOptions::new()
    }

    /// Creates a cell that holds the value whose bytes are all zero, under a fresh name.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace) if the file system is too full, and the limits of the process.
    pub fn create() -> Result<Self>
    where
        T: ShmZero,
    {
        Self::options().create()
    }

    /// Creates a cell that holds `value`, under a fresh name. Takes any value, also of a type for which zero is none.
    ///
    /// ```
    /// use shmtypes::ShmCell;
    /// use std::num::NonZeroU32;
    ///
    /// let connections = ShmCell::create_from(NonZeroU32::MIN)?;
    /// assert_eq!(connections.load()?.get(), 1);
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_from(value: T) -> Result<Self> {
        Self::options().create_from(value)
    }

    /// Attaches to the cell of this name.
    ///
    /// # Errors
    /// As [`ShmArray::open`](crate::ShmArray::open), and [`ErrorKind::SlotsExhausted`](crate::ErrorKind::SlotsExhausted) if as many
    /// handles that may write are open as the cell has [slots](CellOptions::slots).
    pub fn open(name: &str) -> Result<Self> {
        Self::options().name(name).open()
    }

    /// Attaches to the cell of this name for reading. Needs only read access to the file, and no slot.
    ///
    /// # Errors
    /// As [`ShmArray::open`](crate::ShmArray::open).
    pub fn open_read_only(name: &str) -> Result<ShmCell<T, ReadOnly>> {
        Self::options().name(name).open_read_only()
    }

    /// Attaches to the cell of this name, or creates it with all bytes zero.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(name: &str) -> Result<Self>
    where
        T: ShmZero,
    {
        Self::options().name(name).open_or_create()
    }

    /// Attaches to the cell behind a descriptor, such as one of an [unnamed](CellOptions::unnamed) cell that another process
    /// sent over a socket.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_fd(descriptor: OwnedFd) -> Result<Self> {
        Self::options().from_fd(descriptor)
    }
}

impl<T: ShmValue, M: AccessMode> ShmCell<T, M> {
    /// `attachment` holds one cell like ours: its creator or the check when attaching saw to that.
    fn adopt(attachment: Attachment) -> Result<Self> {
        Ok(Self { value: Kept::new(attachment)?, seen: Box::default() })
    }

    /// The view of the cell, with more ways of storing: without waiting for other writers, and until a deadline.
    #[inline(always)]
    #[must_use]
    pub fn view(&self) -> ShmRef<'_, SeqCell<T>, M> {
        self.value.at(0)
    }

    /// Copies the current value out, whole. Needs only read access, and waits for nobody.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`](crate::ErrorKind::Busy) if writers were faster than this reader 1,000 times in a row, or, with a large
    /// value, for as long as the [lock timeout](CellOptions::lock_timeout) (30 seconds through a handle that may only read), or a peer
    /// scribbled on the cell; [`ErrorKind::InvalidValue`](crate::ErrorKind::InvalidValue) if a peer left bytes there that are no `T`.
    #[inline]
    pub fn load(&self) -> Result<T> {
        self.view().load_while(&mut 0, || self.value.check_whole(), |error| self.named(error))
    }

    /// The same, with the [version](Self::version) of this very value. Who waits from there on, by
    /// `cell.view().`[`wait_changed`](ShmRef::wait_changed)`(version, deadline)`, misses no store and hears of none twice.
    ///
    /// ```
    /// use shmtypes::ShmCell;
    ///
    /// let level = ShmCell::<u32>::create()?;
    /// let (_, before) = level.load_versioned()?;
    /// level.store(7)?;
    /// level.view().wait_changed(before, std::time::Duration::from_secs(10))?;
    /// assert_eq!(level.load_versioned()?, (7, before + 1));
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`load`](Self::load).
    #[inline]
    pub fn load_versioned(&self) -> Result<(T, u64)> {
        let mut number = 0;
        let value = self.view().load_while(&mut number, || self.value.check_whole(), |error| self.named(error))?;
        Ok((value, number))
    }

    #[cold]
    fn named(&self, error: Error) -> Error {
        error.in_segment(self.name())
    }

    /// The same into a place that is there already, which saves a copy of a large value where all bytes are a `T`.
    ///
    /// # Errors
    /// As [`load`](Self::load). The place may have another value then, also a mixture of several.
    #[inline]
    pub fn load_into(&self, target: &mut T) -> Result<()> {
        self.view().load_into_while(target, || self.value.check_whole(), |error| self.named(error))
    }

    /// Replaces the value. Waits for other writers as long as the [lock timeout](CellOptions::lock_timeout) says, and never for
    /// readers. If somebody [waits](Self::wait_changed) for it through a handle that may write, it wakes them, which costs a
    /// system call.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimedOut`](crate::ErrorKind::LockTimedOut), which names the writer that is in the way.
    #[inline]
    pub fn store(&self, value: T) -> Result<()>
    where
        M: Writable,
    {
        self.value.whole(self.view().store(value))
    }

    /// Lets `change` work on a copy of the value, and replaces the value by it. No other writer comes between. If `change` panics,
    /// nothing is changed. A store to the same cell inside `change` waits for itself, and fails at its deadline.
    ///
    /// # Errors
    /// As [`store`](Self::store) and [`load`](Self::load).
    #[inline]
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R>
    where
        M: Writable,
    {
        self.value.whole(self.view().update_while(change, || self.value.check_whole()))
    }

    /// How many stores there have been.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.view().version()
    }

    /// Waits for a store of any process that this handle has not waited for yet, and marks all that there were as seen.
    ///
    /// Returns at once if there was one since this handle waited the last time; the first time, if there was ever one. A
    /// clone goes on from what its original has seen. Threads that wait on one handle share what it has seen, and may be told
    /// of a store twice: give each a clone.
    ///
    /// Needs only read access. But a handle that may only read cannot ask to be woken: unless the writer calls
    /// [`notify`](Self::notify), it looks every 5 ms.
    ///
    /// # If a peer dies or misbehaves
    ///
    /// A writer that is killed between its store and the waking delays the others by up to 50 ms. A hostile one may wake
    /// them for nothing, delay them by 50 ms, or set the count back, so that they wait until their deadline.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut) at the deadline. A deadline that has passed asks once.
    pub fn wait_changed(&self, deadline: impl Into<Deadline>) -> Result<()> {
        // At every look: the zeros in the place of a count that was cut off never change.
        let wait = |seen| self.view().wait_changed_while(seen, deadline.into(), || self.value.check_whole());
        self.seen.wait(wait).map_err(|error| self.named(error))
    }

    /// Wakes all who [wait](Self::wait_changed), also those who may only read, and so could not ask for it. To be called after
    /// [`store`](Self::store); costs a system call, about half a microsecond and more for each one who sleeps.
    ///
    /// Returns how many threads, of all processes, were asleep and have been woken: a hint, because others may be just about
    /// to look.
    pub fn notify(&self) -> usize
    where
        M: Writable,
    {
        self.view().notify()
    }

    /// The segment's name; empty for an unnamed one.
    #[must_use]
    pub fn name(&self) -> &str {
        self.value.keeper().name()
    }

    /// When the segment's name goes away.
    #[must_use]
    pub fn persist(&self) -> Persist {
        self.value.keeper().header().persist()
    }

    /// The descriptor of an unnamed cell, to be sent to another process. Named cells lend none.
    #[must_use]
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.value.keeper().descriptor()
    }

    /// Ends this handle. If it is the last one of this process, detaches and says what became of the segment; dropping
    /// does the same silently.
    ///
    /// # Errors
    /// As [`ShmArray::close`](crate::ShmArray::close).
    pub fn close(self) -> Result<Detached> {
        Attachment::close(self.value.into_keeper())
    }
}

impl<T: ShmValue, M: AccessMode> fmt::Debug for ShmCell<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShmCell")
            .field("name", &self.name())
            .field("type", &T::SCHEMA.type_name())
            .field("mode", &M::default())
            .finish()
    }
}

#[cfg(test)]
mod tests;
