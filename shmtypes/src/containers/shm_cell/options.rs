//! How a cell is created or opened.

use super::super::options::{open_or_create, segment_options, slots_for};
use super::ShmCell;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, ReadOnly, ReadWrite, ShmValue, ShmZero};
use crate::segment::attach::{attach, attach_descriptor};
use crate::segment::create::{Draft, Plan};
use crate::segment::header::{Container, Header};
use crate::segment::matching;
use crate::segment::options::SegmentOptions;
use crate::sync::SeqCell;
use crate::sys::Access;
use core::fmt;
use core::marker::PhantomData;
use std::os::fd::OwnedFd;

/// Reserved, as in an array.
const MUTABLE_BYTES: u32 = 128;

/// Everything that can be said about a cell before it is created or opened.
///
/// ```
/// use shmtypes::ShmCell;
///
/// # let name = format!("doc-cell-options-{}", std::process::id());
/// # let name = name.as_str();
/// let limits = ShmCell::<[u64; 4]>::options().name(name).mode(0o644).slots(8).open_or_create()?;
/// limits.store([1, 2, 3, 4])?;
/// # Ok::<(), shmtypes::Error>(())
/// ```
pub struct CellOptions<T> {
    segment: SegmentOptions,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for CellOptions<T> {
    fn clone(&self) -> Self {
        Self { segment: self.segment.clone(), value: PhantomData }
    }
}

impl<T> fmt::Debug for CellOptions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CellOptions").field("segment", &self.segment).finish()
    }
}

segment_options!(CellOptions);

/// Creating and opening.
impl<T: ShmValue> CellOptions<T> {
    pub(super) fn new() -> Self {
        Self { segment: SegmentOptions::default(), value: PhantomData }
    }

    /// See [`ShmCell::create`].
    ///
    /// # Errors
    /// As there; [`ErrorKind::AlreadyExists`] if the name is taken, unless by an `UntilLastDetach` segment whose
    /// processes were all killed, which makes room; [`ErrorKind::InvalidName`].
    pub fn create(&self) -> Result<ShmCell<T>>
    where
        T: ShmZero,
    {
        ShmCell::adopt(self.draft(false)?.publish()?)
    }

    /// See [`ShmCell::create_from`].
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_from(&self, value: T) -> Result<ShmCell<T>> {
        let mut draft = self.draft(true)?;
        draft.elements::<SeqCell<T>>().write_each(|_| Ok::<_, Error>(SeqCell::new(value)))?;
        ShmCell::adopt(draft.publish()?)
    }

    /// See [`ShmCell::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(&self) -> Result<ShmCell<T>> {
        self.attach::<ReadWrite>(Access::ReadWrite)
    }

    /// See [`ShmCell::open_read_only`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_read_only(&self) -> Result<ShmCell<T, ReadOnly>> {
        self.attach::<ReadOnly>(Access::ReadOnly)
    }

    /// See [`ShmCell::open_or_create`].
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(&self) -> Result<ShmCell<T>>
    where
        T: ShmZero,
    {
        open_or_create(|| self.open(), || self.create())
    }

    /// See [`ShmCell::from_fd`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_fd(&self, descriptor: OwnedFd) -> Result<ShmCell<T>> {
        ShmCell::adopt(attach_descriptor(&self.segment, descriptor, &|header, schema| self.check(header, schema))?)
    }

    fn attach<M: AccessMode>(&self, access: Access) -> Result<ShmCell<T, M>> {
        ShmCell::adopt(attach(&self.segment, access, &|header, schema| self.check(header, schema))?)
    }

    fn check(&self, header: &Header, schema: &[u8]) -> Result<()> {
        matching::check::<SeqCell<T>>(Container::Cell, self.segment.evolve, header, schema)?;
        if header.capacity != 1 {
            return Err(Error::new(ErrorKind::Corrupt { field: "capacity", value: header.capacity }));
        }
        Ok(())
    }

    fn draft(&self, filled: bool) -> Result<Draft<'_>> {
        let slots = slots_for::<SeqCell<T>>(&self.segment)?;
        let plan = Plan { container: Container::Cell, shape: &[1], mutable_bytes: MUTABLE_BYTES, slots, filled };
        Draft::new::<SeqCell<T>>(&self.segment, &plan)
    }
}
