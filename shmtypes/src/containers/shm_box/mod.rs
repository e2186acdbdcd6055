//! One value, reached field by field through its view.
//!
//! ```text
//! header | schema | mutable block (128 bytes, reserved) | the value
//! ```
//!
//! 1. A segment like that of an array of one element, but for the number of its container.
//! 2. No reference to the value exists: [`view`](ShmBox::view) gives places to copy from and to, and atomics.

mod options;

pub use options::BoxOptions;

use crate::error::Result;
use crate::layout::{AccessMode, ReadOnly, ReadWrite, ShmLayout, ShmValue, ShmZero, Writable};
use crate::segment::attachment::Attachment;
use crate::segment::elements::Kept;
use crate::segment::{Detached, Persist};
use core::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};

/// One value in shared memory: most often a struct of atomics and [events](crate::ShmEvent), used through its view.
///
/// ```
/// use shmtypes::{ShmBox, ShmLayout};
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
///
/// #[derive(ShmLayout)]
/// #[repr(C)]
/// struct Traffic {
///     requests: AtomicU64,
///     bytes: AtomicU64,
/// }
///
/// let traffic = ShmBox::<Traffic>::create()?;
/// traffic.view().requests().fetch_add(1, Relaxed);
///
/// // In another process:
/// let same = ShmBox::<Traffic>::open_read_only(traffic.name())?;
/// assert_eq!(same.view().requests().load(Relaxed), 1);
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// A handle is cheap to clone; all clones share one attachment, and the segment ends as that of a
/// [`ShmArray`](crate::ShmArray) does. `M` says whether the handle may write.
///
/// # If a peer dies or misbehaves
///
/// Each field is on its own: an atomic of a process that was killed has its old value or its new one, a larger plain field
/// may be half written, and what belongs together in several fields may be half done. Nonsense written by a peer gives
/// wrong values, or an `Err` where the type does not allow the bytes.
pub struct ShmBox<T, M = ReadWrite> {
    value: Kept<T, M>,
}

impl<T, M> Clone for ShmBox<T, M> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone() }
    }
}

impl<T: ShmLayout> ShmBox<T> {
    /// Everything that can be said about a box before it is created or opened.
    #[must_use]
    pub fn options() -> BoxOptions<T> {
        BoxOptions::new()
    }

    /// Creates a box whose bytes are all zero, under a fresh name.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace) if the file system is too full, and the limits of the process.
    pub fn create() -> Result<Self>
    where
        T: ShmZero,
    {
        Self::options().create()
    }

    /// Creates a box that holds `value`, under a fresh name. Takes any type, also one for which zero is no valid value.
    ///
    /// ```
    /// use shmtypes::{ShmBox, ShmLayout};
    /// use std::num::NonZeroU32;
    ///
    /// #[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
    /// #[repr(C)]
    /// struct Limits {
    ///     connections: NonZeroU32,
    ///     timeout_ms: u32,
    /// }
    ///
    /// let limits = Limits { connections: NonZeroU32::MIN, timeout_ms: 250 };
    /// let shared = ShmBox::create_from(limits)?;
    /// assert_eq!(shared.get()?, limits);
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_from(value: T) -> Result<Self> {
        Self::options().create_from(value)
    }

    /// Attaches to the box of this name.
    ///
    /// # Errors
    /// As [`ShmArray::open`](crate::ShmArray::open).
    pub fn open(name: &str) -> Result<Self> {
        Self::options().name(name).open()
    }

    /// Attaches to the box of this name for reading. Needs only read access to the file.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_read_only(name: &str) -> Result<ShmBox<T, ReadOnly>> {
        Self::options().name(name).open_read_only()
    }

    /// Attaches to the box of this name, or creates it with all bytes zero.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(name: &str) -> Result<Self>
    where
        T: ShmZero,
    {
        Self::options().name(name).open_or_create()
    }

    /// Attaches to the box behind a descriptor, such as one of an [unnamed](BoxOptions::unnamed) box that another process
    /// sent over a socket.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_fd(descriptor: OwnedFd) -> Result<Self> {
        Self::options().from_fd(descriptor)
    }
}

impl<T: ShmLayout, M: AccessMode> ShmBox<T, M> {
    /// `attachment` holds one value like `T`: its creator or the check when attaching saw to that.
    fn adopt(attachment: Attachment) -> Result<Self> {
        const { assert!(size_of::<T>() != 0, "a type of size zero has no place in a segment") };
        Ok(Self { value: Kept::new(attachment)? })
    }

    /// The view of the value, from which its fields are reached.
    #[inline(always)]
    #[must_use]
    pub fn view(&self) -> T::View<'_, M> {
        self.value.at(0)
    }

    /// Copies the whole value out. It may be half old and half new if a peer writes meanwhile.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`](crate::ErrorKind::InvalidValue) if a peer left bytes there that are no `T`.
    pub fn get(&self) -> Result<T>
    where
        T: ShmValue,
    {
        self.value.get(0)
    }

    /// Copies a whole value in. Readers may see it half done, and a process that is killed meanwhile leaves it so.
    ///
    /// # Errors
    /// None today; locked segments will have some.
    pub fn set(&self, value: T) -> Result<()>
    where
        T: ShmValue,
        M: Writable,
    {
        self.value.set(0, value)
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

    /// The descriptor of an unnamed box, to be sent to another process. Named boxes keep none.
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

impl<T: ShmLayout, M: AccessMode> fmt::Debug for ShmBox<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShmBox")
            .field("name", &self.name())
            .field("type", &T::SCHEMA.type_name())
            .field("mode", &M::default())
            .finish()
    }
}

#[cfg(test)]
mod tests;
