//! Elements that come one after the other, up to a fixed number.
//!
//! ```text
//! header | schema | mutable block: lease, state and event, slots | room for `capacity` elements
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `publication` | how elements come into sight, and go out of it |
//! | `control` | the mutable block |
//! | `appender` | the right to change the vector, and what can be done with it |
//! | `read` | reading what is in sight |
//! | `follower` | reading what comes, once and in order |
//! | `options` | creating and opening |
//!
//! Rules:
//!
//! 1. `0 <= len <= capacity`. The capacity is copied to private memory at attach; the length is fetched once per access
//!    and clamped to it.
//! 2. One participant at a time may append, truncate and store. Its right, a lease, ends with it, however it ends.
//! 3. What a reader gets is of one time: it was in sight together, with no truncation in between.
//! 4. No reference to an element exists: reads copy out, writes copy in.

mod appender;
mod control;
mod follower;
mod options;
mod publication;
#[cfg(test)]
mod publication_tests;
mod read;
#[cfg(test)]
mod tests;

pub use appender::Appender;
pub use follower::{FollowUntil, Followed, Follower};
pub use options::VecOptions;
pub use read::VecIter;

use crate::error::{Error, Result};
use crate::layout::{AccessMode, ReadOnly, ReadWrite, ShmLayout, ShmValue, ShmZero};
use crate::segment::attachment::Attachment;
use crate::segment::block::WithBlock;
use crate::segment::{Detached, Persist};
use control::Control;
use core::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};

/// A vector of fixed capacity in shared memory: one process at a time appends, any number read and follow.
///
/// ```
/// use shmtypes::{Followed, ShmVec};
/// use std::time::Duration;
///
/// let ticks = ShmVec::<f64>::create(1_000_000)?;
///
/// // In another process, which needs no more than read access:
/// let same = ShmVec::<f64>::open_read_only(ticks.name())?;
/// let mut follower = same.follow();
///
/// let mut appender = ticks.appender()?;
/// appender.push(9.75)?;
/// appender.push(9.80)?;
/// appender.flush()?;
///
/// assert_eq!(follower.next(Duration::from_secs(10))?, Followed::Item(9.75));
/// assert_eq!(same.snapshot()?, [9.75, 9.80]);
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// Who wants to append takes the [`Appender`]: `push` is then as fast as that of a `Vec` with room, because nobody else
/// appends meanwhile. The methods of the same names on the handle take it for one call. Readers copy what is in sight at
/// one instant: elements do not move, so it stays good while the vector grows; a [truncation](Appender::truncate) in the
/// middle is noticed, and the copy is made again.
///
/// A [`Follower`] gets every element once and in order, and [`Followed::Reset`] after a truncation.
///
/// A handle is cheap to clone; all clones share one attachment, and the segment ends as that of a
/// [`ShmArray`](crate::ShmArray) does. `M` says whether the handle may write.
///
/// # If a peer dies or misbehaves
///
/// What an appender pushed before it was killed is there; the element it was about to push is not, nor any of those it was
/// about to append at once. The next appender gets the lease as soon as the kernel confirms the death, some 10 ms later,
/// and [is told](Appender::took_over). An element that was being [set](Appender::set) may be half old and half new. An
/// appender that is stopped keeps the lease: others get [`ErrorKind::LockTimedOut`](crate::ErrorKind::LockTimedOut) at
/// their deadline, and readers are not concerned.
///
/// A peer that writes nonsense causes wrong values, an `Err` where the type does not allow the bytes, or
/// [`ErrorKind::Busy`](crate::ErrorKind::Busy), and nothing worse: lengths are clamped, waits end at their deadline. A peer that
/// truncates the file ends the processes that touch it with SIGBUS, unless they [guard](crate::sigbus) against it.
///
/// # Threads
///
/// `Send` and `Sync`, as other handles; an [`Appender`] stays in its thread. Threads wait for each other's appenders as
/// processes do.
pub struct ShmVec<T, M = ReadWrite> {
    elements: WithBlock<T, Control, M>,
}

impl<T, M> Clone for ShmVec<T, M> {
    fn clone(&self) -> Self {
        Self { elements: self.elements.clone() }
    }
}

impl<T: ShmLayout> ShmVec<T> {
    /// Everything that can be said about a vector before it is created or opened.
    #[must_use]
    pub fn options() -> VecOptions<T> {
        VecOptions::new()
    }

    /// Creates an empty vector with room for `capacity` elements, under a fresh name.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace) if the file system is too full,
    /// [`ErrorKind::SizeOverflow`](crate::ErrorKind::SizeOverflow) if no program can address so much,
    /// [`ErrorKind::InvalidOptions`](crate::ErrorKind::InvalidOptions) from 2^40 elements on, and the limits of the process:
    /// see [`ErrorKind`](crate::ErrorKind).
    pub fn create(capacity: usize) -> Result<Self>
    where
        T: ShmValue,
    {
        Self::options().create(capacity)
    }

    /// Creates a vector with room for `capacity` elements that starts with `len` of them, and lends these, all bytes zero, as a
    /// plain slice. Nobody can see the vector until `fill` returns; if it panics, nothing is left.
    ///
    /// ```
    /// let powers = shmtypes::ShmVec::<u64>::create_with(1_000, 10, |slots| {
    ///     for (i, slot) in slots.iter_mut().enumerate() {
    ///         *slot = 1 << i;
    ///     }
    /// })?;
    /// assert_eq!((powers.len(), powers.get(9)?), (10, 512));
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`create`](Self::create); [`ErrorKind::Full`](crate::ErrorKind::Full) if `len` is more than `capacity`.
    pub fn create_with(capacity: usize, len: usize, fill: impl FnOnce(&mut [T])) -> Result<Self>
    where
        T: ShmValue + ShmZero,
    {
        Self::options().create_with(capacity, len, fill)
    }

    /// As [`create_with`](Self::create_with), with a closure that may fail; then nothing is left.
    ///
    /// # Errors
    /// As [`create_with`](Self::create_with), and whatever `fill` returns.
    pub fn try_create_with<E: From<Error>>(
        capacity: usize,
        len: usize,
        fill: impl FnOnce(&mut [T]) -> Result<(), E>,
    ) -> Result<Self, E>
    where
        T: ShmValue + ShmZero,
    {
        Self::options().try_create_with(capacity, len, fill)
    }

    /// Creates a vector with room for `capacity` elements that starts with `len` of them, one from `value(index)` each. Takes
    /// any type, also one for which zero is no valid value.
    ///
    /// # Errors
    /// As [`create_with`](Self::create_with).
    pub fn create_from_fn(capacity: usize, len: usize, value: impl FnMut(usize) -> T) -> Result<Self>
    where
        T: ShmValue,
    {
        Self::options().create_from_fn(capacity, len, value)
    }

    /// As [`create_from_fn`](Self::create_from_fn), with a closure that may fail; then nothing is left.
    ///
    /// # Errors
    /// As [`create_with`](Self::create_with), and whatever `value` returns.
    pub fn try_create_from_fn<E: From<Error>>(
        capacity: usize,
        len: usize,
        value: impl FnMut(usize) -> Result<T, E>,
    ) -> Result<Self, E>
    where
        T: ShmValue,
    {
        Self::options().try_create_from_fn(capacity, len, value)
    }

    /// Creates a vector with room for `capacity` elements that starts with a copy of `values`, under a fresh name.
    ///
    /// # Errors
    /// As [`create`](Self::create); [`ErrorKind::Full`](crate::ErrorKind::Full) if there are more values than room.
    pub fn create_from_slice(capacity: usize, values: &[T]) -> Result<Self>
    where
        T: ShmValue,
    {
        Self::options().create_from_slice(capacity, values)
    }

    /// Attaches to the vector of this name.
    ///
    /// # Errors
    /// As [`ShmArray::open`](crate::ShmArray::open); [`ErrorKind::SlotsExhausted`](crate::ErrorKind::SlotsExhausted) if too
    /// many have attached for writing.
    pub fn open(name: &str) -> Result<Self>
    where
        T: ShmValue,
    {
        Self::options().name(name).open()
    }

    /// Attaches to the vector of this name for reading and following. Needs only read access to the file.
    ///
    /// # Errors
    /// As [`ShmArray::open`](crate::ShmArray::open).
    pub fn open_read_only(name: &str) -> Result<ShmVec<T, ReadOnly>>
    where
        T: ShmValue,
    {
        Self::options().name(name).open_read_only()
    }

    /// Attaches to the vector of this name, or creates it empty with room for `capacity` elements.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create); [`ErrorKind::CapacityMismatch`](crate::ErrorKind::CapacityMismatch)
    /// if it exists with another capacity.
    pub fn open_or_create(name: &str, capacity: usize) -> Result<Self>
    where
        T: ShmValue,
    {
        Self::options().name(name).open_or_create(capacity)
    }

    /// Attaches to the vector behind a descriptor, such as one of an [unnamed](VecOptions::unnamed) vector that another
    /// process sent over a socket.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_fd(descriptor: OwnedFd) -> Result<Self>
    where
        T: ShmValue,
    {
        Self::options().from_fd(descriptor)
    }
}

impl<T: ShmLayout, M: AccessMode> ShmVec<T, M> {
    /// `attachment` holds a vector of elements like `T`: its creator or the check when attaching saw to that.
    fn adopt(attachment: Attachment) -> Result<Self> {
        const { assert!(size_of::<T>() != 0, "a type of size zero has no place in a segment") };
        Ok(Self { elements: WithBlock::new(attachment)? })
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

    /// The descriptor of an unnamed vector, to be sent to another process. Named vectors lend none.
    #[must_use]
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.elements.keeper().descriptor()
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

impl<T: ShmLayout, M: AccessMode> fmt::Debug for ShmVec<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShmVec")
            .field("name", &self.name())
            .field("type", &T::SCHEMA.type_name())
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("mode", &M::default())
            .finish()
    }
}
