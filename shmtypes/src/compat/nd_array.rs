//! A block as an array of NumPy's.
#![allow(unsafe_code, reason = "places elements in a block after checking that they fit")]

use super::{SharedMemory, SharedMemoryOptions};
use crate::containers::{Number, numeric};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::describe::Layout;
use crate::layout::{InvalidBits, ShmLayout, ShmPod, ShmValue, ShmView, ShmZero, into_value};
use crate::segment::Trust;
use crate::segment::elements::Elements;
use crate::segment::header::{PAGE, extent};
use crate::segment::options::invalid;
use core::fmt;
use core::marker::PhantomData;
use std::path::PathBuf;
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
/// [dtype](NdArray::numpy_dtype) of the same offsets. Peers may write at any time, with what that means for
/// [`ShmArray`](crate::ShmArray).
pub struct NdArray<T> {
    elements: Elements<T, crate::layout::ReadWrite, SharedMemory>,
    shape: Vec<usize>,
    strides: Vec<usize>,
    order: Order,
    offset: usize,
}

/// What can be said about an array before it is created or opened.
pub struct NdArrayOptions<T> {
    block: SharedMemoryOptions,
    order: Order,
    offset: usize,
    element: PhantomData<fn() -> T>,
}

impl<T> Clone for NdArrayOptions<T> {
    fn clone(&self) -> Self {
        Self { block: self.block.clone(), order: self.order, offset: self.offset, element: PhantomData }
    }
}

impl<T> fmt::Debug for NdArrayOptions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NdArrayOptions").field("order", &self.order).field("offset", &self.offset).finish()
    }
}

impl<T: ShmLayout> NdArrayOptions<T> {
    /// The name; without one, creating makes a fresh one. See [`SharedMemoryOptions::name`].
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.block = self.block.name(name);
        self
    }

    /// The permission bits of a new block, whatever the umask; 0o600 unless given.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.block = self.block.mode(mode);
        self
    }

    /// The directory, in place of /dev/shm.
    #[must_use]
    pub fn dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.block = self.block.dir(path);
        self
    }

    /// Whose blocks may be opened; [`Trust::Owner`] unless given.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.block = self.block.trust(trust);
        self
    }

    /// Which dimension's neighbours lie side by side; [`Order::C`] unless given.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Where in the block the first element stands, in bytes; 0 unless given. NumPy's `offset`.
    #[must_use]
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// See [`NdArray::create`].
    ///
    /// # Errors
    /// As there.
    pub fn create(&self, shape: &[usize]) -> Result<NdArray<T>>
    where
        T: ShmZero,
    {
        let end = self.end(shape)?;
        check_offset::<T>(self.offset)?;
        // NumPy has arrays without elements, Python has no blocks without bytes.
        NdArray::place(self.block.create(end.max(1))?, shape, self.order, self.offset)
    }

    /// See [`NdArray::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(&self, shape: &[usize]) -> Result<NdArray<T>> {
        NdArray::place(self.block.open()?, shape, self.order, self.offset)
    }

    fn end(&self, shape: &[usize]) -> Result<usize> {
        let overflow = || Error::new(ErrorKind::SizeOverflow { elements: usize::MAX, element_size: size_of::<T>() });
        // Also of an array without elements: strides are products of lengths.
        extent(shape.iter().map(|&length| length as u64), size_of::<T>() as u64).ok_or_else(overflow)?;
        let len = elements(shape).ok_or_else(overflow)?;
        len.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_add(self.offset)).ok_or_else(overflow)
    }
}

fn check_offset<T>(offset: usize) -> Result<()> {
    if align_of::<T>() > PAGE as usize || !offset.is_multiple_of(align_of::<T>()) {
        return Err(invalid(&format!("a type aligned to {} cannot start at byte {offset}", align_of::<T>())));
    }
    Ok(())
}

fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, &length| product.checked_mul(length))
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
        NdArrayOptions {
            block: SharedMemoryOptions::default(),
            order: Order::default(),
            offset: 0,
            element: PhantomData,
        }
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
        const { assert!(size_of::<T>() != 0, "a type of size zero has no place in a block") };
        let options = NdArrayOptions::<T> { offset, ..Self::options() };
        let end = options.end(shape)?;
        if end > block.size() {
            let reason = format!("an array of shape {shape:?} ends at byte {end}, and the block has {}", block.size());
            return Err(invalid(&reason).on(block.name()));
        }
        check_offset::<T>(offset)?;
        let first = block.as_ptr().wrapping_add(offset).cast::<T>();
        assert!(first.is_aligned(), "a block starts at a page");
        let len = elements(shape).unwrap_or_default();
        // SAFETY: `offset + len * size_of::<T>()` is at most the size of the block, which stays mapped for reading and
        // writing as long as it lives; `first` is aligned, and the elements lie side by side; no references exist into
        // blocks (invariant of `SharedMemory`).
        let elements = unsafe { Elements::from_raw(first, len, Arc::new(block)) };
        Ok(Self { elements, shape: shape.to_vec(), strides: strides(shape, order), order, offset })
    }

    /// The block.
    #[must_use]
    pub fn shared_memory(&self) -> &SharedMemory {
        self.elements.keeper()
    }

    /// The name of the block.
    #[must_use]
    pub fn name(&self) -> &str {
        self.shared_memory().name()
    }

    /// Takes the block's name away: see [`SharedMemory::unlink`].
    ///
    /// # Errors
    /// As there.
    pub fn unlink(&self) -> Result<()> {
        self.shared_memory().unlink()
    }

    /// Python source that binds `name` to the `numpy.dtype` of the elements.
    #[must_use]
    pub fn numpy_dtype(name: &str) -> String {
        Layout::from(&T::SCHEMA).to_numpy(name)
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

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

/// Single elements, by their position in memory or by an index per dimension.
impl<T: ShmLayout> NdArray<T> {
    /// Copies the element at a position in memory out.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`]; [`ErrorKind::InvalidValue`] if the bytes are no `T`.
    #[inline]
    pub fn get(&self, position: usize) -> Result<T>
    where
        T: ShmValue,
    {
        match self.elements.load(position) {
            Some(candidate) => into_value(candidate).map_err(|invalid| invalid_element::<T>(position, invalid)),
            None => Err(Error::out_of_range(position, self.len())),
        }
    }

    /// Copies a value into the element at a position in memory.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`].
    #[inline]
    pub fn set(&self, position: usize, value: T) -> Result<()>
    where
        T: ShmValue,
    {
        if self.elements.store(position, &value) { Ok(()) } else { Err(Error::out_of_range(position, self.len())) }
    }

    /// The view of the element at a position in memory: for a derived struct its field projections.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`].
    #[inline]
    pub fn try_at(&self, position: usize) -> Result<T::View<'_, crate::layout::ReadWrite>> {
        match self.elements.at(position) {
            Some(place) => Ok(T::View::from_place(place)),
            None => Err(Error::out_of_range(position, self.len())),
        }
    }

    /// Copies the element at `indices` out.
    ///
    /// # Errors
    /// As [`position`](Self::position) and [`get`](Self::get).
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
    {
        self.set(self.position(indices)?, value)
    }

    /// The view of the element at `indices`.
    ///
    /// # Errors
    /// As [`position`](Self::position).
    pub fn at_nd(&self, indices: &[usize]) -> Result<T::View<'_, crate::layout::ReadWrite>> {
        self.try_at(self.position(indices)?)
    }
}

/// Many elements at once, in the order of memory. See [`ShmArray`](crate::ShmArray), whose methods these are.
impl<T: ShmValue> NdArray<T> {
    /// All elements, copied out and checked.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`], [`ErrorKind::NoAddressSpace`].
    pub fn to_vec(&self) -> Result<Vec<T>> {
        self.elements.to_vec(0, self.len())
    }

    /// Copies the elements from `start` on into `target`, as many as it has.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`], [`ErrorKind::InvalidValue`]; then `target` is unchanged.
    pub fn copy_to_slice(&self, start: usize, target: &mut [T]) -> Result<()> {
        self.elements.copy_to_slice(start, target)
    }

    /// Copies `source` into the elements from `start` on.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`], and then nothing was copied.
    pub fn copy_from_slice(&self, start: usize, source: &[T]) -> Result<()> {
        self.elements.copy_in(start, source)
    }

    /// Visits private copies of all elements, a block at a time.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`].
    #[inline]
    pub fn for_each_block(&self, visit: impl FnMut(&[T])) -> Result<()> {
        self.elements.for_each_block(visit)
    }

    /// Folds over private copies of all elements, a block at a time.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`].
    #[inline]
    pub fn fold_blocks<A>(&self, initial: A, fold: impl FnMut(A, &[T]) -> A) -> Result<A> {
        self.elements.fold_blocks(initial, fold)
    }

    /// Replaces every element by `change` of it, a block at a time.
    ///
    /// # Errors
    /// None today.
    #[inline]
    pub fn map_in_place(&self, mut change: impl FnMut(T) -> T) -> Result<()>
    where
        T: ShmPod,
    {
        self.elements.update_blocks(|block| block.iter_mut().for_each(|element| *element = change(*element)))
    }

    /// Stores `value` into every element.
    ///
    /// # Errors
    /// None today.
    pub fn fill(&self, value: T) -> Result<()>
    where
        T: ShmPod,
    {
        self.elements.fill(value)
    }
}

impl<T: Number> NdArray<T> {
    /// The sum of all elements.
    ///
    /// # Errors
    /// None today.
    pub fn sum(&self) -> Result<T::Sum> {
        numeric::sum(&self.elements)
    }

    /// The least element, or `None` of an empty array. NaN is passed over.
    ///
    /// # Errors
    /// None today.
    pub fn min(&self) -> Result<Option<T>> {
        numeric::extreme(&self.elements, T::lesser)
    }

    /// The greatest element, or `None` of an empty array. NaN is passed over.
    ///
    /// # Errors
    /// None today.
    pub fn max(&self) -> Result<Option<T>> {
        numeric::extreme(&self.elements, T::greater)
    }
}

#[cold]
#[inline(never)]
fn invalid_element<T: ShmLayout>(index: usize, invalid: InvalidBits) -> Error {
    invalid.into_error(&T::SCHEMA, Some(index))
}

impl<T: ShmLayout> fmt::Debug for NdArray<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NdArray")
            .field("name", &self.name())
            .field("type", &T::SCHEMA.type_name())
            .field("shape", &self.shape)
            .field("strides", &self.strides)
            .finish()
    }
}
