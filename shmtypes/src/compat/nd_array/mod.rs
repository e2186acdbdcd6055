//! A block as an array of NumPy's.
#![allow(unsafe_code, reason = "places elements in a block after checking that they fit")]

#[cfg(feature = "ndarray")]
mod ndarray;
mod options;

pub use options::NdArrayOptions;

use super::SharedMemory;
use crate::containers::Iter;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::describe::Layout;
use crate::layout::{AccessMode, ReadOnly, ReadWrite, ShmLayout, ShmPod, ShmValue, ShmZero, Writable};
use crate::segment::elements::{Elements, Kept};
use crate::segment::options::invalid;
use core::fmt;
use core::ops::Deref;
use options::{check_offset, elements, end};
use std::sync::Arc;

/// Which dimension's neighbours lie side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The last: rows after each other. NumPy's `order='C'`.
    #[default]
    C,
    /// The first: columns after each other. NumPy's `order='F'`.
    F,
}

/// An array that stands in a block without any header, as in the example of Python's documentation:
///
/// ```
/// use shmtypes::compat::NdArray;
///
/// let a = NdArray::<i64>::create(&[2, 3])?;
/// a.set_nd(&[1, 2], 888)?;
/// // In Python:
/// //     shm = shared_memory.SharedMemory(name='psm_…')
/// //     c = np.ndarray((2, 3), dtype=np.int64, buffer=shm.buf)
/// //     c[1, 2] == 888
/// let same = NdArray::<i64>::open(a.name(), &[2, 3])?;
/// assert_eq!(same.sum()?, 888);
/// a.unlink()?;
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// Nothing in the block says what is in it: type, shape and order are the caller's word, and only the size is checked.
/// A wrong type gives wrong values or [`ErrorKind::InvalidValue`], never undefined behaviour. Where both sides are
/// Rust, [`ShmArray`](crate::ShmArray) checks all that.
///
/// Elements may be of any type of fixed layout, also derived structs, which NumPy opens with the
/// [dtype](NdArray::numpy_dtype) of the same offsets. What can be done with them is in [`Elements`]: `get`, `set`, `at`,
/// `iter`, copies, blocks, sums. Positions there go by memory, in the order of the array; `*_nd` take an index per
/// dimension.
///
/// Types with locks or cells inside do not compile: a lock names its holder by a participant slot, and a block has none. They
/// belong into a [`ShmArray`](crate::ShmArray) or a [`ShmBox`](crate::ShmBox).
///
/// ```compile_fail,E0080
/// use shmtypes::compat::NdArray;
/// use shmtypes::sync::ShmMutex;
///
/// let locks = NdArray::<ShmMutex<u64>>::create(&[3])?;
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// A handle is cheap to clone; all clones share one mapping. The name stays until somebody calls
/// [`unlink`](Self::unlink). `M` says whether the handle may write: [`open_read_only`](Self::open_read_only) gives an
/// `NdArray<T, ReadOnly>`, on which writes do not compile, and which needs only read access to the block.
pub struct NdArray<T, M = ReadWrite> {
    elements: Kept<T, M, SharedMemory>,
    shape: Vec<usize>,
    strides: Vec<usize>,
    order: Order,
    offset: usize,
}

impl<T, M> Clone for NdArray<T, M> {
    fn clone(&self) -> Self {
        Self {
            elements: self.elements.clone(),
            shape: self.shape.clone(),
            strides: self.strides.clone(),
            order: self.order,
            offset: self.offset,
        }
    }
}

/// The distances between neighbours, in elements.
fn strides(shape: &[usize], order: Order) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    match order {
        Order::C => {
            for dimension in (1..shape.len()).rev() {
                strides[dimension - 1] = strides[dimension] * shape[dimension];
            }
        }
        Order::F => {
            for dimension in 1..shape.len() {
                strides[dimension] = strides[dimension - 1] * shape[dimension - 1];
            }
        }
    }
    strides
}

impl<T: ShmLayout> NdArray<T> {
    /// Everything that can be said about an array before it is created or opened.
    #[must_use]
    pub fn options() -> NdArrayOptions<T> {
        NdArrayOptions::default()
    }

    /// Creates a block of zeros under a fresh name, as large as an array of this shape.
    ///
    /// # Errors
    /// [`ErrorKind::SizeOverflow`], and as [`SharedMemory::create`].
    pub fn create(shape: &[usize]) -> Result<Self>
    where
        T: ShmZero,
    {
        Self::options().create(shape)
    }

    /// Creates a block under a fresh name and lends its elements, all bytes zero and in C order, as a plain slice. Nobody
    /// can see the block until `fill` returns; if it panics, nothing is left.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_with(shape: &[usize], fill: impl FnOnce(&mut [T])) -> Result<Self>
    where
        T: ShmZero,
    {
        Self::options().create_with(shape, fill)
    }

    /// Creates a block under a fresh name with an element from `value(position)` each, in C order. Takes any type, also
    /// one for which zero is no valid value.
    ///
    /// ```
    /// use shmtypes::compat::NdArray;
    ///
    /// let a = NdArray::create_from_fn(&[2, 3], |position| position as i32 * 10)?;
    /// assert_eq!(a.get_nd(&[1, 0])?, 30);
    /// assert_eq!(a.iter().collect::<Result<Vec<_>, _>>()?, [0, 10, 20, 30, 40, 50]);
    /// a.unlink()?;
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_from_fn(shape: &[usize], value: impl FnMut(usize) -> T) -> Result<Self> {
        Self::options().create_from_fn(shape, value)
    }

    /// Creates a block under a fresh name with a copy of `values`, in C order.
    ///
    /// # Errors
    /// [`ErrorKind::ShapeMismatch`] if the shape has another number of elements; else as [`create`](Self::create).
    pub fn create_from_slice(shape: &[usize], values: &[T]) -> Result<Self>
    where
        T: ShmValue,
    {
        Self::options().create_from_slice(shape, values)
    }

    /// Attaches to the block of this name, which holds an array of this shape in C order, for reading.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_read_only(name: &str, shape: &[usize]) -> Result<NdArray<T, ReadOnly>> {
        Self::options().name(name).open_read_only(shape)
    }

    /// Attaches to the block of this name, or creates it with zeros.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create). A block that is larger than the array is no error: nothing
    /// says what it is for.
    pub fn open_or_create(name: &str, shape: &[usize]) -> Result<Self>
    where
        T: ShmZero,
    {
        Self::options().name(name).open_or_create(shape)
    }

    /// Attaches to the block of this name, which holds an array of this shape in C order.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOptions`] if the block is too small, and as [`SharedMemory::open`].
    pub fn open(name: &str, shape: &[usize]) -> Result<Self> {
        Self::options().name(name).open(shape)
    }

    /// The array of this shape and order that starts `offset` bytes into a block.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOptions`] if the block is too small, or for an offset that the type is not aligned at.
    pub fn place(block: SharedMemory, shape: &[usize], order: Order, offset: usize) -> Result<Self> {
        // SAFETY: only `NdArray<_, ReadOnly>` has blocks that are mapped for reading, and it lends them to nobody.
        unsafe { Self::place_in(block, shape, order, offset) }
    }

    /// The block.
    #[must_use]
    pub fn shared_memory(&self) -> &SharedMemory {
        self.elements.keeper()
    }

    /// The elements as an exclusive slice.
    ///
    /// # Safety
    /// As long as the slice is used, nobody else reads or writes the elements, in this process (through any clone of
    /// this handle, or another handle of the block) or any other, and nobody truncates the file.
    #[must_use]
    pub unsafe fn as_mut_slice(&mut self) -> &mut [T]
    where
        T: ShmPod,
    {
        // SAFETY: the caller's word; the elements of a block lie side by side.
        unsafe { self.elements.as_mut_slice() }
    }

    /// Python source that binds `name` to the `numpy.dtype` of the elements.
    #[must_use]
    pub fn numpy_dtype(name: &str) -> String {
        Layout::from(&T::SCHEMA).to_numpy(name)
    }
}

impl<T: ShmLayout, M: AccessMode> NdArray<T, M> {
    /// # Safety
    /// The block is mapped for writing, too, if `M` is `ReadWrite`.
    unsafe fn place_in(block: SharedMemory, shape: &[usize], order: Order, offset: usize) -> Result<Self> {
        const { assert!(size_of::<T>() != 0, "a type of size zero has no place in a block") };
        const {
            assert!(
                !T::SCHEMA.has_locks(),
                "a block has no participant slots for the locks in this type: take a `ShmArray` or `ShmBox`"
            );
        };
        let end = end::<T>(shape, offset)?;
        if end > block.size() {
            let reason = format!("an array of shape {shape:?} ends at byte {end}, and the block has {}", block.size());
            return Err(invalid(&reason).on(block.name()));
        }
        check_offset::<T>(offset)?;
        let first = block.as_ptr().wrapping_add(offset).cast::<T>();
        assert!(first.is_aligned(), "a block starts at a page");
        let len = elements(shape).unwrap_or_default();
        // SAFETY: `offset + len * size_of::<T>()` is at most the size of the block, which stays mapped as long as it lives,
        // for writing too by the caller's word; `first` is aligned, and the elements lie side by side; no references exist into
        // blocks (invariant of `SharedMemory`); the watch is the block's.
        let elements = unsafe { Kept::from_raw(first, len, block.watch(), Arc::new(block)) };
        Ok(Self { elements, shape: shape.to_vec(), strides: strides(shape, order), order, offset })
    }

    /// The name of the block.
    #[must_use]
    pub fn name(&self) -> &str {
        self.elements.keeper().name()
    }

    /// Takes the block's name away: see [`SharedMemory::unlink`].
    ///
    /// # Errors
    /// As there.
    pub fn unlink(&self) -> Result<()> {
        self.elements.keeper().unlink()
    }

    /// Ends this handle, as dropping it does. The last one of this process detaches; the name stays in any case.
    pub fn close(self) {}

    /// The number of elements in each dimension.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The distance between neighbours in each dimension, in elements. (NumPy's `strides` are in bytes.)
    #[must_use]
    pub fn strides(&self) -> &[usize] {
        &self.strides
    }

    /// Which dimension's neighbours lie side by side.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    /// Where in the block the first element stands, in bytes.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The position in memory of the element at `indices`, one per dimension.
    ///
    /// # Errors
    /// [`ErrorKind::ShapeMismatch`] for another number of dimensions, [`ErrorKind::OutOfRange`].
    pub fn position(&self, indices: &[usize]) -> Result<usize> {
        if indices.len() != self.shape.len() {
            let (given, expected) = (indices.to_vec(), self.shape.clone());
            return Err(Error::new(ErrorKind::ShapeMismatch { given, expected }));
        }
        let mut position = 0;
        for ((&index, &length), &stride) in indices.iter().zip(&self.shape).zip(&self.strides) {
            if index >= length {
                return Err(Error::out_of_range(index, length));
            }
            position += index * stride;
        }
        Ok(position)
    }
}

/// Single elements, by an index per dimension.
impl<T: ShmLayout, M: AccessMode> NdArray<T, M> {
    /// Copies the element at `indices` out.
    ///
    /// # Errors
    /// As [`position`](Self::position) and [`get`](Elements::get).
    pub fn get_nd(&self, indices: &[usize]) -> Result<T>
    where
        T: ShmValue,
    {
        self.get(self.position(indices)?)
    }

    /// Copies a value into the element at `indices`.
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

    /// The view of the element at `indices`.
    ///
    /// # Errors
    /// As [`position`](Self::position).
    pub fn at_nd(&self, indices: &[usize]) -> Result<T::View<'_, M>> {
        self.try_at(self.position(indices)?)
    }
}

impl<T, M> Deref for NdArray<T, M> {
    type Target = Elements<T, M>;

    #[inline(always)]
    fn deref(&self) -> &Elements<T, M> {
        &self.elements
    }
}

impl<'a, T: ShmValue, M: AccessMode> IntoIterator for &'a NdArray<T, M> {
    type Item = Result<T>;
    type IntoIter = Iter<'a, T, M>;

    fn into_iter(self) -> Iter<'a, T, M> {
        self.iter()
    }
}

impl<T: ShmLayout, M: AccessMode> fmt::Debug for NdArray<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NdArray")
            .field("name", &self.name())
            .field("type", &T::SCHEMA.type_name())
            .field("shape", &self.shape)
            .field("strides", &self.strides)
            .field("mode", &M::default())
            .finish()
    }
}
