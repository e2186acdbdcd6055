//! What can be said about an array before it is created or opened.
#![allow(unsafe_code, reason = "tells an array for which access its block is mapped")]

use super::{NdArray, Order};
use crate::compat::SharedMemoryOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{ReadOnly, ShmLayout, ShmValue, ShmZero};
use crate::segment::Trust;
use crate::segment::header::{PAGE, extent};
use crate::segment::lend::Unpublished;
use crate::segment::options::invalid;
use crate::sys::Access;
use core::fmt;
use core::marker::PhantomData;
use std::path::PathBuf;

/// How often `open_or_create` meets a name that others make and take away, before it gives up.
const OPEN_OR_CREATE_ATTEMPTS: usize = 100;

/// What can be said about an array before it is created or opened.
pub struct NdArrayOptions<T> {
    block: SharedMemoryOptions,
    order: Order,
    offset: usize,
    element: PhantomData<fn() -> T>,
}

impl<T> Default for NdArrayOptions<T> {
    fn default() -> Self {
        Self { block: SharedMemoryOptions::default(), order: Order::default(), offset: 0, element: PhantomData }
    }
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

    #[cfg(feature = "ndarray")]
    pub(super) fn is_fortran(&self) -> bool {
        self.order == Order::F
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
        self.fill::<Error>(shape, |_| Ok(()))
    }

    /// See [`NdArray::create_with`].
    ///
    /// # Errors
    /// As there.
    pub fn create_with(&self, shape: &[usize], fill: impl FnOnce(&mut [T])) -> Result<NdArray<T>>
    where
        T: ShmZero,
    {
        self.fill(shape, |mut elements| elements.lend(fill))
    }

    /// As [`create_with`](Self::create_with), with a closure that may fail; then nothing is left.
    ///
    /// # Errors
    /// As there, and whatever `fill` returns.
    pub fn try_create_with<E: From<Error>>(
        &self,
        shape: &[usize],
        fill: impl FnOnce(&mut [T]) -> Result<(), E>,
    ) -> Result<NdArray<T>, E>
    where
        T: ShmZero,
    {
        self.fill(shape, |mut elements| elements.lend(fill)?)
    }

    /// See [`NdArray::create_from_fn`]. The positions go by memory, in the array's order.
    ///
    /// # Errors
    /// As there.
    pub fn create_from_fn(&self, shape: &[usize], mut value: impl FnMut(usize) -> T) -> Result<NdArray<T>> {
        self.try_create_from_fn(shape, |position| Ok(value(position)))
    }

    /// As [`create_from_fn`](Self::create_from_fn), with a closure that may fail; then nothing is left.
    ///
    /// # Errors
    /// As there, and whatever `value` returns.
    pub fn try_create_from_fn<E: From<Error>>(
        &self,
        shape: &[usize],
        value: impl FnMut(usize) -> Result<T, E>,
    ) -> Result<NdArray<T>, E> {
        self.fill(shape, |mut elements| elements.write_each(value))
    }

    /// See [`NdArray::create_from_slice`]. The values are in the array's order.
    ///
    /// # Errors
    /// As there.
    pub fn create_from_slice(&self, shape: &[usize], values: &[T]) -> Result<NdArray<T>>
    where
        T: ShmValue,
    {
        if elements(shape) != Some(values.len()) {
            let (given, expected) = (vec![values.len()], shape.to_vec());
            return Err(Error::new(ErrorKind::ShapeMismatch { given, expected }));
        }
        self.fill::<Error>(shape, |mut elements| {
            elements.copy_from_slice(values);
            Ok(())
        })
    }

    fn fill<E: From<Error>>(
        &self,
        shape: &[usize],
        fill: impl FnOnce(Unpublished<'_, T>) -> Result<(), E>,
    ) -> Result<NdArray<T>, E> {
        let end = end::<T>(shape, self.offset)?;
        check_offset::<T>(self.offset)?;
        let len = elements(shape).unwrap_or_default();
        // NumPy has arrays without elements, Python has no blocks without bytes.
        let block = self.block.create_elements(end.max(1), self.offset, len, fill)?;
        Ok(NdArray::place(block, shape, self.order, self.offset)?)
    }

    /// See [`NdArray::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(&self, shape: &[usize]) -> Result<NdArray<T>> {
        NdArray::place(self.block.open()?, shape, self.order, self.offset)
    }

    /// See [`NdArray::open_read_only`].
    ///
    /// # Errors
    /// As there.
    pub fn open_read_only(&self, shape: &[usize]) -> Result<NdArray<T, ReadOnly>> {
        // SAFETY: for reading only.
        unsafe { NdArray::place_in(self.block.open_for(Access::ReadOnly)?, shape, self.order, self.offset) }
    }

    /// See [`NdArray::open_or_create`].
    ///
    /// # Errors
    /// As there.
    pub fn open_or_create(&self, shape: &[usize]) -> Result<NdArray<T>>
    where
        T: ShmZero,
    {
        let mut lost = Error::new(ErrorKind::Busy);
        for _ in 0..OPEN_OR_CREATE_ATTEMPTS {
            match self.open(shape) {
                Err(error) if *error.kind() == ErrorKind::NotFound => {}
                outcome => return outcome,
            }
            match self.create(shape) {
                Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists { .. }) => lost = error,
                outcome => return outcome,
            }
        }
        Err(lost)
    }
}

/// Where an array that starts `offset` bytes into a block ends.
pub(super) fn end<T>(shape: &[usize], offset: usize) -> Result<usize> {
    let overflow = || {
        let elements = elements(shape).unwrap_or(usize::MAX);
        Error::new(ErrorKind::SizeOverflow { elements, element_size: size_of::<T>() })
    };
    // Also of an array without elements: strides are products of lengths.
    extent(shape.iter().map(|&length| length as u64), size_of::<T>() as u64).ok_or_else(overflow)?;
    let len = elements(shape).ok_or_else(overflow)?;
    len.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_add(offset)).ok_or_else(overflow)
}

pub(super) fn check_offset<T>(offset: usize) -> Result<()> {
    if align_of::<T>() > PAGE as usize || !offset.is_multiple_of(align_of::<T>()) {
        return Err(invalid(&format!("a type aligned to {} cannot start at byte {offset}", align_of::<T>())));
    }
    Ok(())
}

/// The number of elements.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, &length| product.checked_mul(length))
}
