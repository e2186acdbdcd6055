//! A fixed number of elements of one type.
//!
//! ```text
//! header | schema | mutable block (128 bytes: an event, the rest reserved) | elements, row-major
//! ```
//!
//! 1. The length and shape are fixed at creation and copied to private memory at attach.
//! 2. Any process may read and write any element at any time. An element of 1, 2, 4 or 8 bytes whose alignment is
//!    its size, as a number's is, is read and written in one instruction; another one, and a range, may be seen half
//!    old and half new.
//! 3. No reference to an element exists: reads copy out, writes copy in, [`at`](Elements::at) gives a view.

mod blocks;
mod element;
mod escape;
mod iter;
#[cfg(feature = "ndarray")]
mod nd_array;
mod notify;
mod numeric;
mod options;

pub use iter::Iter;
pub use numeric::Number;
pub use options::ArrayOptions;
pub(super) use options::{check_shape, dimensions};

use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, ReadOnly, ReadWrite, ShmLayout, ShmValue, ShmZero, Writable};
use crate::segment::elements::{Elements, Kept};
use crate::segment::{Detached, Persist};
use crate::sync::Seen;
use core::fmt;
use core::ops::Deref;
use std::os::fd::{BorrowedFd, OwnedFd};

/// A fixed number of elements of one type in shared memory.
///
/// ```
/// use shmtypes::ShmArray;
///
/// let prices = ShmArray::<f64>::create(1000)?;
/// prices.set(3, 9.75)?;
///
/// // In another process, with the name from the command line or a configuration:
/// let same = ShmArray::<f64>::open(prices.name())?;
/// assert_eq!(same.len(), 1000);
/// assert_eq!(same.get(3)?, 9.75);
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// What can be done with the elements is in [`Elements`], which [`NdArray`](crate::compat::NdArray) lends as well: `get`,
/// `set`, `at`, `iter`, copies, blocks, sums.
///
/// A handle is cheap to clone; all clones share one attachment, which ends with the last of them. Unless the segment
/// was created with [`Persist::Keep`], its name goes away when the last process detaches, and after a `kill -9` with
/// the next [`reap`](crate::reap).
///
/// `M` says whether the handle may write: [`open_read_only`](Self::open_read_only) gives a
/// `ShmArray<T, ReadOnly>`, on which writes do not compile.
///
/// # If a peer dies or misbehaves
///
/// A process that is killed leaves the elements as they were at that instant; at most the element or range that it was
/// copying is half written. A peer that writes nonsense causes wrong values, or an `Err` where the type does not allow
/// the bytes, and nothing worse. A peer that truncates the file ends the processes that touch it with SIGBUS, unless they
/// [guard](crate::sigbus) against it.
///
/// # Threads
///
/// `Send` and `Sync`: the mapping belongs to the process, and threads race on it exactly as processes do, by volatile
/// and atomic accesses.
pub struct ShmArray<T, M = ReadWrite> {
    elements: Kept<T, M>,
    /// Elsewhere, because an atomic in here would keep the compiler from holding the address of the elements in a register.
    seen: Box<Seen>,
}

impl<T, M> Clone for ShmArray<T, M> {
    fn clone(&self) -> Self {
        Self { elements: self.elements.clone(), seen: self.seen.clone() }
    }
}

/// The distances between neighbours of a row-major array of this shape, in elements.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for dimension in (1..shape.len()).rev() {
        strides[dimension - 1] = strides[dimension] * shape[dimension];
    }
    strides
}

/// Where the element at `indices` stands in a row-major array of this shape.
pub(super) fn position(shape: &[usize], indices: &[usize]) -> Result<usize> {
    if indices.len() != shape.len() {
        let given = indices.to_vec();
        return Err(Error::new(ErrorKind::ShapeMismatch { given, expected: shape.to_vec() }));
    }
    let mut position = 0;
    for (&index, &length) in indices.iter().zip(shape) {
        if index >= length {
            return Err(Error::out_of_range(index, length));
        }
        position = position * length + index;
    }
    Ok(position)
}

impl<T: ShmLayout> ShmArray<T> {
    /// Everything that can be said about an array before it is created or opened.
    #[must_use]
    pub fn options() -> ArrayOptions<T> {
        ArrayOptions::new()
    }

    /// Creates an array of `n` elements whose bytes are all zero, under a fresh name.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`] if the file system is too full, [`ErrorKind::SizeOverflow`] if no program can address so
    /// much, and the limits of the process: see [`ErrorKind`].
    pub fn create(n: usize) -> Result<Self>
    where
        T: ShmZero,
    {
        Self::options().create(n)
    }

    /// Creates an array under a fresh name and lends its elements, all bytes zero, as a plain slice. Nobody can see the
    /// array until `fill` returns; if it panics, nothing is left.
    ///
    /// ```
    /// let squares = shmtypes::ShmArray::<u64>::create_with(100, |slots| {
    ///     for (i, slot) in slots.iter_mut().enumerate() {
    ///         *slot = (i * i) as u64;
    ///     }
    /// })?;
    /// assert_eq!(squares.get(9)?, 81);
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
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

    /// Attaches to the array of this name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::LayoutMismatch`], field by field, if it holds another type;
    /// [`ErrorKind::Untrusted`] if it belongs to another user; and all that can be wrong with a file:
    /// see [`ErrorKind`].
    pub fn open(name: &str) -> Result<Self> {
        Self::options().name(name).open()
    }

    /// Attaches to the array of this name for reading. Needs only read access to the file.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_read_only(name: &str) -> Result<ShmArray<T, ReadOnly>> {
        Self::options().name(name).open_read_only()
    }

    /// Attaches to the array of this name, or creates it with `n` elements whose bytes are all zero.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create); [`ErrorKind::ShapeMismatch`] if it exists with another
    /// number of elements.
    pub fn open_or_create(name: &str, n: usize) -> Result<Self>
    where
        T: ShmZero,
    {
        Self::options().name(name).open_or_create(n)
    }

    /// Attaches to the array behind a descriptor, such as one of an [unnamed](ArrayOptions::unnamed) array that another
    /// process sent over a socket.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_fd(descriptor: OwnedFd) -> Result<Self> {
        Self::options().from_fd(descriptor)
    }
}

impl<T: ShmLayout, M: AccessMode> ShmArray<T, M> {
    pub(super) fn from_elements(elements: Kept<T, M>) -> Self {
        const { assert!(size_of::<T>() != 0, "a type of size zero has no place in a segment") };
        Self { elements, seen: Box::default() }
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

    /// The descriptor of an unnamed array, to be sent to another process. Named arrays keep none.
    #[must_use]
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.elements.keeper().descriptor()
    }

    /// The number of elements in each dimension.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        self.elements.keeper().shape()
    }

    /// The distance between neighbours in each dimension, in elements: row-major, the last one is 1.
    #[must_use]
    pub fn strides(&self) -> Vec<usize> {
        strides(self.shape())
    }

    /// The position of the element at `indices`, one per dimension.
    ///
    /// # Errors
    /// [`ErrorKind::ShapeMismatch`] for another number of dimensions, [`ErrorKind::OutOfRange`].
    pub fn position(&self, indices: &[usize]) -> Result<usize> {
        position(self.shape(), indices)
    }

    /// Copies the element at `indices` out, one index per dimension.
    ///
    /// # Errors
    /// As [`position`](Self::position) and [`get`](Elements::get).
    pub fn get_nd(&self, indices: &[usize]) -> Result<T>
    where
        T: ShmValue,
    {
        self.get(self.position(indices)?)
    }

    /// Copies a value into the element at `indices`, one index per dimension.
    ///
    /// # Errors
    /// As [`position`](Self::position).
    pub fn set_nd(&self, indices: &[usize], value: T) -> Result<()>
    where
        T: ShmValue,
        M: Writable,
    {
        self.set(self.position(indices)?, value)
    }

    /// The view of the element at `indices`, one index per dimension.
    ///
    /// # Errors
    /// As [`position`](Self::position).
    pub fn at_nd(&self, indices: &[usize]) -> Result<T::View<'_, M>> {
        self.try_at(self.position(indices)?)
    }

    /// Ends this handle. If it is the last one of this process, detaches and says what became of the segment; dropping
    /// does the same silently.
    ///
    /// # Errors
    /// If the name should be removed and the operating system refuses; the next create, detach or
    /// [`reap`](crate::reap) of this process tries again.
    pub fn close(self) -> Result<Detached> {
        crate::segment::attachment::Attachment::close(self.elements.into_keeper())
    }
}

impl<T, M> Deref for ShmArray<T, M> {
    type Target = Elements<T, M>;

    #[inline(always)]
    fn deref(&self) -> &Elements<T, M> {
        &self.elements
    }
}

impl<T: ShmLayout, M: AccessMode> fmt::Debug for ShmArray<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShmArray")
            .field("name", &self.name())
            .field("type", &T::SCHEMA.type_name())
            .field("shape", &self.shape())
            .field("mode", &M::default())
            .finish()
    }
}

#[cfg(test)]
mod tests;
