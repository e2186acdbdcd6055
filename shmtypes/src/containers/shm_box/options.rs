//! How a box is created or opened.

use super::super::options::{open_or_create, segment_options, slots_for};
use super::ShmBox;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, ReadOnly, ReadWrite, ShmLayout, ShmZero};
use crate::segment::attach::{attach, attach_descriptor};
use crate::segment::create::{Draft, Plan};
use crate::segment::header::{Container, Header};
use crate::segment::matching;
use crate::segment::options::SegmentOptions;
use crate::sys::Access;
use core::fmt;
use core::marker::PhantomData;
use std::os::fd::OwnedFd;

/// Reserved, as in an array.
const MUTABLE_BYTES: u32 = 128;

/// Everything that can be said about a box before it is created or opened.
///
/// ```
/// use shmtypes::ShmBox;
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
///
/// # let name = format!("doc-box-options-{}", std::process::id());
/// # let name = name.as_str();
/// let counter = ShmBox::<AtomicU64>::options().name(name).mode(0o640).open_or_create()?;
/// assert_eq!(counter.view().fetch_add(1, Relaxed), 0);
/// # Ok::<(), shmtypes::Error>(())
/// ```
pub struct BoxOptions<T> {
    segment: SegmentOptions,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for BoxOptions<T> {
    fn clone(&self) -> Self {
        Self { segment: self.segment.clone(), value: PhantomData }
    }
}

impl<T> fmt::Debug for BoxOptions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxOptions").field("segment", &self.segment).finish()
    }
}

segment_options!(BoxOptions);

/// Creating and opening.
impl<T: ShmLayout> BoxOptions<T> {
    pub(super) fn new() -> Self {
        Self { segment: SegmentOptions::default(), value: PhantomData }
    }

    /// See [`ShmBox::create`].
    ///
    /// # Errors
    /// As there; [`ErrorKind::AlreadyExists`] if the name is taken, unless by an `UntilLastDetach` segment whose
    /// processes were all killed, which makes room; [`ErrorKind::InvalidName`].
    pub fn create(&self) -> Result<ShmBox<T>>
    where
        T: ShmZero,
    {
        ShmBox::adopt(self.draft(false)?.publish()?)
    }

    /// See [`ShmBox::create_from`].
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_from(&self, value: T) -> Result<ShmBox<T>> {
        let mut draft = self.draft(true)?;
        let mut value = Some(value);
        // A box has one element, so that the value is taken once.
        let missing = || Error::new(ErrorKind::OutOfRange { index: 1, len: 1 });
        draft.elements().write_each(|_| value.take().ok_or_else(missing))?;
        ShmBox::adopt(draft.publish()?)
    }

    /// See [`ShmBox::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(&self) -> Result<ShmBox<T>> {
        self.attach::<ReadWrite>(Access::ReadWrite)
    }

    /// See [`ShmBox::open_read_only`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_read_only(&self) -> Result<ShmBox<T, ReadOnly>> {
        self.attach::<ReadOnly>(Access::ReadOnly)
    }

    /// See [`ShmBox::open_or_create`].
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(&self) -> Result<ShmBox<T>>
    where
        T: ShmZero,
    {
        open_or_create(|| self.open(), || self.create())
    }

    /// See [`ShmBox::from_fd`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_fd(&self, descriptor: OwnedFd) -> Result<ShmBox<T>> {
        ShmBox::adopt(attach_descriptor(&self.segment, descriptor, &|header, schema| self.check(header, schema))?)
    }

    fn attach<M: AccessMode>(&self, access: Access) -> Result<ShmBox<T, M>> {
        ShmBox::adopt(attach(&self.segment, access, &|header, schema| self.check(header, schema))?)
    }

    fn check(&self, header: &Header, schema: &[u8]) -> Result<()> {
        matching::check::<T>(Container::Box, self.segment.evolve, header, schema)?;
        if header.capacity != 1 {
            return Err(Error::new(ErrorKind::Corrupt { field: "capacity", value: header.capacity }));
        }
        Ok(())
    }

    fn draft(&self, filled: bool) -> Result<Draft<'_>> {
        let slots = slots_for::<T>(&self.segment)?;
        let plan = Plan { container: Container::Box, shape: &[1], mutable_bytes: MUTABLE_BYTES, slots, filled };
        Draft::new::<T>(&self.segment, &plan)
    }
}
