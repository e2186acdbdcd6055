//! How a locked array is created or opened.

use super::super::array::{check_shape, dimensions};
use super::super::options::{open_or_create, segment_options};
use super::LockedArray;
use super::block::Block;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{READERS, ShmLayout, ShmValue, ShmZero};
use crate::participants::DEFAULT_SLOTS;
use crate::segment::attach::{attach, attach_descriptor};
use crate::segment::create::{Draft, Plan};
use crate::segment::header::{Container, Header};
use crate::segment::matching;
use crate::segment::options::{SegmentOptions, invalid};
use crate::sys::Access;
use core::fmt;
use core::marker::PhantomData;
use std::os::fd::OwnedFd;

/// Everything that can be said about a locked array before it is created or opened: made by
/// [`ArrayOptions::locked`](crate::ArrayOptions::locked).
///
/// ```
/// use shmtypes::ShmArray;
/// use std::time::Duration;
///
/// let grid = ShmArray::<f64>::options()
///     .shape(&[20, 30])
///     .locked()
///     .slots(8)
///     .lock_timeout(Some(Duration::from_secs(2)))
///     .create(600)?;
/// assert_eq!(grid.shape(), [20, 30]);
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// The lock has room for 64 participant [slots](Self::slots), which is what there are unless fewer are asked for: as many attachments can
/// use the array at once. Reading counts the reader, so that there is no opening for reading only.
pub struct LockedOptions<T> {
    segment: SegmentOptions,
    shape: Option<Vec<usize>>,
    element: PhantomData<fn() -> T>,
}

impl<T> Clone for LockedOptions<T> {
    fn clone(&self) -> Self {
        Self { segment: self.segment.clone(), shape: self.shape.clone(), element: PhantomData }
    }
}

impl<T> fmt::Debug for LockedOptions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockedOptions").field("segment", &self.segment).field("shape", &self.shape).finish()
    }
}

segment_options!(LockedOptions);

/// What can be said about the array.
impl<T: ShmLayout> LockedOptions<T> {
    pub(in super::super) fn new(segment: SegmentOptions, shape: Option<Vec<usize>>) -> Self {
        Self { segment, shape, element: PhantomData }
    }

    /// As [`ArrayOptions::shape`](crate::ArrayOptions::shape).
    #[must_use]
    pub fn shape(mut self, shape: &[usize]) -> Self {
        self.shape = Some(shape.to_vec());
        self
    }
}

/// Creating and opening.
impl<T: ShmLayout> LockedOptions<T> {
    /// See [`LockedArray::create`].
    ///
    /// # Errors
    /// As [`ArrayOptions::create`](crate::ArrayOptions::create); [`ErrorKind::InvalidOptions`] for more than 64 slots.
    pub fn create(&self, n: usize) -> Result<LockedArray<T>>
    where
        T: ShmZero,
    {
        LockedArray::adopt(self.draft(n, false)?.publish()?)
    }

    /// See [`LockedArray::create_with`].
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_with(&self, n: usize, fill: impl FnOnce(&mut [T])) -> Result<LockedArray<T>>
    where
        T: ShmZero,
    {
        let mut draft = self.draft(n, true)?;
        draft.elements().lend(fill)?;
        LockedArray::adopt(draft.publish()?)
    }

    /// See [`LockedArray::try_create_with`].
    ///
    /// # Errors
    /// As [`create`](Self::create), and whatever `fill` returns.
    pub fn try_create_with<E: From<Error>>(
        &self,
        n: usize,
        fill: impl FnOnce(&mut [T]) -> Result<(), E>,
    ) -> Result<LockedArray<T>, E>
    where
        T: ShmZero,
    {
        let mut draft = self.draft(n, true)?;
        draft.elements().lend(fill)??;
        Ok(LockedArray::adopt(draft.publish()?)?)
    }

    /// See [`LockedArray::create_from_fn`].
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_from_fn(&self, n: usize, mut value: impl FnMut(usize) -> T) -> Result<LockedArray<T>> {
        self.try_create_from_fn(n, |index| Ok(value(index)))
    }

    /// See [`LockedArray::try_create_from_fn`].
    ///
    /// # Errors
    /// As [`create`](Self::create), and whatever `value` returns.
    pub fn try_create_from_fn<E: From<Error>>(
        &self,
        n: usize,
        value: impl FnMut(usize) -> Result<T, E>,
    ) -> Result<LockedArray<T>, E> {
        let mut draft = self.draft(n, true)?;
        draft.elements().write_each(value)?;
        Ok(LockedArray::adopt(draft.publish()?)?)
    }

    /// See [`LockedArray::create_from_slice`].
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_from_slice(&self, values: &[T]) -> Result<LockedArray<T>>
    where
        T: ShmValue,
    {
        let mut draft = self.draft(values.len(), true)?;
        draft.elements().copy_from_slice(values);
        LockedArray::adopt(draft.publish()?)
    }

    /// See [`LockedArray::open`].
    ///
    /// # Errors
    /// As there; [`ErrorKind::ShapeMismatch`] if a shape was given and the array has another one.
    pub fn open(&self) -> Result<LockedArray<T>> {
        LockedArray::adopt(attach(&self.segment, Access::ReadWrite, &|header, schema| self.check(header, schema))?)
    }

    /// See [`LockedArray::open_or_create`].
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create); [`ErrorKind::ShapeMismatch`] if it exists with another
    /// number of elements.
    pub fn open_or_create(&self, n: usize) -> Result<LockedArray<T>>
    where
        T: ShmZero,
    {
        let expected = Self { shape: Some(dimensions(self.shape.as_deref(), n)?), ..self.clone() };
        open_or_create(|| expected.open(), || expected.create(n))
    }

    /// See [`LockedArray::from_fd`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_fd(&self, descriptor: OwnedFd) -> Result<LockedArray<T>> {
        let check = |header: &Header, schema: &[u8]| self.check(header, schema);
        LockedArray::adopt(attach_descriptor(&self.segment, descriptor, &check)?)
    }

    fn check(&self, header: &Header, schema: &[u8]) -> Result<()> {
        matching::check::<T>(Container::Array, self.segment.evolve, header, schema)?;
        if !header.is_locked() {
            return Err(Error::new(ErrorKind::NotLocked));
        }
        if header.own_mutable_bytes() < Block::BYTES.into() {
            let value = header.mutable_bytes.into();
            return Err(Error::new(ErrorKind::Corrupt { field: "mutable length", value }));
        }
        check_shape(self.shape.as_deref(), header)
    }

    fn draft(&self, n: usize, filled: bool) -> Result<Draft<'_>> {
        let shape = dimensions(self.shape.as_deref(), n)?;
        let slots = self.segment.slots.unwrap_or(DEFAULT_SLOTS);
        if slots > READERS as u32 {
            return Err(invalid(&format!("{slots} participant slots: a locked array takes up to {READERS}")));
        }
        let plan = Plan { container: Container::Array, shape: &shape, mutable_bytes: Block::BYTES, slots, filled };
        let mut draft = Draft::new::<T>(&self.segment, &plan)?;
        draft.set_locked();
        Ok(draft)
    }
}
