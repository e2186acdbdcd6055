//! How an array is created or opened.

use super::super::locked::LockedOptions;
use super::super::options::{open_or_create, segment_options, slots_for};
use super::ShmArray;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, ReadOnly, ReadWrite, ShmLayout, ShmValue, ShmZero};
use crate::segment::attach::{attach, attach_descriptor};
use crate::segment::attachment::Attachment;
use crate::segment::create::{Draft, Plan};
use crate::segment::elements::Kept;
use crate::segment::header::{Container, Header};
use crate::segment::matching;
use crate::segment::options::SegmentOptions;
use crate::sync::ShmEvent;
use crate::sys::Access;
use core::fmt;
use core::marker::PhantomData;
use std::os::fd::OwnedFd;

/// Room for an event at the start; the rest is reserved.
const MUTABLE_BYTES: u32 = 128;

/// Everything that can be said about an array before it is created or opened.
///
/// ```
/// use shmtypes::{Persist, ShmArray};
/// # let name = format!("doc-options-{}", std::process::id());
/// # let name = name.as_str();
///
/// let grid = ShmArray::<f64>::options()
///     .name(name)
///     .mode(0o640)
///     .persist(Persist::Keep)
///     .shape(&[20, 30])
///     .create(600)?;
/// assert_eq!(grid.strides(), [30, 1]);
/// shmtypes::unlink(name)?;
/// # Ok::<(), shmtypes::Error>(())
/// ```
pub struct ArrayOptions<T> {
    segment: SegmentOptions,
    shape: Option<Vec<usize>>,
    element: PhantomData<fn() -> T>,
}

impl<T> Clone for ArrayOptions<T> {
    fn clone(&self) -> Self {
        Self { segment: self.segment.clone(), shape: self.shape.clone(), element: PhantomData }
    }
}

impl<T> fmt::Debug for ArrayOptions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrayOptions").field("segment", &self.segment).field("shape", &self.shape).finish()
    }
}

segment_options!(ArrayOptions);

/// What can be said about the array.
impl<T: ShmLayout> ArrayOptions<T> {
    pub(super) fn new() -> Self {
        Self { segment: SegmentOptions::default(), shape: None, element: PhantomData }
    }

    /// Makes every access to the array take the segment's own reader-writer lock, under which it can be lent as slices: the
    /// options of a [`LockedArray`](crate::LockedArray). All that was said before holds for it.
    #[must_use]
    pub fn locked(self) -> LockedOptions<T> {
        LockedOptions::new(self.segment, self.shape)
    }

    /// The number of elements in each of 1 to 8 dimensions. When opening, what the array must have.
    #[must_use]
    pub fn shape(mut self, shape: &[usize]) -> Self {
        self.shape = Some(shape.to_vec());
        self
    }
}

/// Creating and opening.
impl<T: ShmLayout> ArrayOptions<T> {
    /// See [`ShmArray::create`].
    ///
    /// # Errors
    /// As there; [`ErrorKind::AlreadyExists`] if the name is taken, unless by an `UntilLastDetach` segment whose
    /// processes were all killed, which makes room; [`ErrorKind::ShapeMismatch`] if the shape does not have `n`
    /// elements; [`ErrorKind::InvalidName`].
    pub fn create(&self, n: usize) -> Result<ShmArray<T>>
    where
        T: ShmZero,
    {
        publish(self.draft(n, false)?)
    }

    /// See [`ShmArray::create_with`].
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_with(&self, n: usize, fill: impl FnOnce(&mut [T])) -> Result<ShmArray<T>>
    where
        T: ShmZero,
    {
        let mut draft = self.draft(n, true)?;
        draft.elements().lend(fill)?;
        publish(draft)
    }

    /// See [`ShmArray::try_create_with`].
    ///
    /// # Errors
    /// As [`create`](Self::create), and whatever `fill` returns.
    pub fn try_create_with<E: From<Error>>(
        &self,
        n: usize,
        fill: impl FnOnce(&mut [T]) -> Result<(), E>,
    ) -> Result<ShmArray<T>, E>
    where
        T: ShmZero,
    {
        let mut draft = self.draft(n, true)?;
        draft.elements().lend(fill)??;
        Ok(publish(draft)?)
    }

    /// See [`ShmArray::create_from_fn`].
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_from_fn(&self, n: usize, mut value: impl FnMut(usize) -> T) -> Result<ShmArray<T>> {
        self.try_create_from_fn(n, |index| Ok(value(index)))
    }

    /// See [`ShmArray::try_create_from_fn`].
    ///
    /// # Errors
    /// As [`create`](Self::create), and whatever `value` returns.
    pub fn try_create_from_fn<E: From<Error>>(
        &self,
        n: usize,
        value: impl FnMut(usize) -> Result<T, E>,
    ) -> Result<ShmArray<T>, E> {
        let mut draft = self.draft(n, true)?;
        draft.elements().write_each(value)?;
        Ok(publish(draft)?)
    }

    /// See [`ShmArray::create_from_slice`].
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_from_slice(&self, values: &[T]) -> Result<ShmArray<T>>
    where
        T: ShmValue,
    {
        let mut draft = self.draft(values.len(), true)?;
        draft.elements().copy_from_slice(values);
        publish(draft)
    }

    /// See [`ShmArray::open`].
    ///
    /// # Errors
    /// As there; [`ErrorKind::ShapeMismatch`] if a shape was given and the array has another one.
    pub fn open(&self) -> Result<ShmArray<T>> {
        self.attach::<ReadWrite>(Access::ReadWrite)
    }

    /// See [`ShmArray::open_read_only`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_read_only(&self) -> Result<ShmArray<T, ReadOnly>> {
        self.attach::<ReadOnly>(Access::ReadOnly)
    }

    /// See [`ShmArray::open_or_create`].
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create); [`ErrorKind::ShapeMismatch`] if it exists with another
    /// number of elements.
    pub fn open_or_create(&self, n: usize) -> Result<ShmArray<T>>
    where
        T: ShmZero,
    {
        let expected = Self { shape: Some(dimensions(self.shape.as_deref(), n)?), ..self.clone() };
        open_or_create(|| expected.open(), || expected.create(n))
    }

    /// See [`ShmArray::from_fd`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_fd(&self, descriptor: OwnedFd) -> Result<ShmArray<T>> {
        adopt(attach_descriptor(&self.segment, descriptor, &|header, schema| self.check(header, schema))?)
    }

    fn attach<M: AccessMode>(&self, access: Access) -> Result<ShmArray<T, M>> {
        adopt(attach(&self.segment, access, &|header, schema| self.check(header, schema))?)
    }

    fn check(&self, header: &Header, schema: &[u8]) -> Result<()> {
        matching::check::<T>(Container::Array, self.segment.evolve, header, schema)?;
        if header.is_locked() {
            return Err(Error::new(ErrorKind::NeedsLock));
        }
        if header.own_mutable_bytes() < size_of::<ShmEvent>() as u64 {
            let value = header.mutable_bytes.into();
            return Err(Error::new(ErrorKind::Corrupt { field: "mutable length", value }));
        }
        check_shape(self.shape.as_deref(), header)
    }

    /// The shape that was asked for.
    #[cfg(feature = "ndarray")]
    pub(super) fn given_shape(&self) -> Option<&[usize]> {
        self.shape.as_deref()
    }

    fn draft(&self, n: usize, filled: bool) -> Result<Draft<'_>> {
        let shape = dimensions(self.shape.as_deref(), n)?;
        let plan = Plan {
            container: Container::Array,
            shape: &shape,
            mutable_bytes: MUTABLE_BYTES,
            slots: slots_for::<T>(&self.segment)?,
            filled,
        };
        Draft::new::<T>(&self.segment, &plan)
    }
}

/// Refuses an array of another shape than was asked for.
pub(in super::super) fn check_shape(wanted: Option<&[usize]>, header: &Header) -> Result<()> {
    let fits = |shape: &[usize]| {
        shape.len() == header.shape().len() && shape.iter().zip(header.shape()).all(|(&a, &b)| a as u64 == b)
    };
    match wanted {
        Some(shape) if !fits(shape) => Err(Error::new(ErrorKind::ShapeMismatch {
            given: shape.to_vec(),
            expected: header.shape().iter().map(|&length| length as usize).collect(),
        })),
        _ => Ok(()),
    }
}

/// The shape of an array with `n` elements.
pub(in super::super) fn dimensions(wanted: Option<&[usize]>, n: usize) -> Result<Vec<usize>> {
    let Some(shape) = wanted else { return Ok(vec![n]) };
    if shape.iter().try_fold(1_usize, |product, &length| product.checked_mul(length)) == Some(n) {
        return Ok(shape.to_vec());
    }
    Err(Error::new(ErrorKind::ShapeMismatch { given: vec![n], expected: shape.to_vec() }))
}

fn publish<T: ShmLayout>(draft: Draft<'_>) -> Result<ShmArray<T>> {
    adopt(draft.publish()?)
}

fn adopt<T: ShmLayout, M: AccessMode>(attachment: Attachment) -> Result<ShmArray<T, M>> {
    Ok(ShmArray::from_elements(Kept::new(attachment)?))
}
