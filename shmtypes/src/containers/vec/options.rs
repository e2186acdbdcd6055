//! How a vector is created or opened.

use super::super::options::{open_or_create, segment_options};
use super::ShmVec;
use super::control::Control;
use super::publication::{MAX_CAPACITY, State};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, ReadOnly, ReadWrite, ShmLayout, ShmValue, ShmZero};
use crate::participants::DEFAULT_SLOTS;
use crate::segment::attach::{attach, attach_descriptor};
use crate::segment::create::{Draft, Plan};
use crate::segment::header::{Container, Header};
use crate::segment::lend::Unpublished;
use crate::segment::matching;
use crate::segment::options::{SegmentOptions, invalid};
use crate::sys::Access;
use core::fmt;
use core::marker::PhantomData;
use std::os::fd::OwnedFd;

/// Everything that can be said about a vector before it is created or opened.
///
/// ```
/// use shmtypes::{Persist, ShmVec};
/// # let name = format!("doc-vec-options-{}", std::process::id());
/// # let name = name.as_str();
///
/// let log = ShmVec::<u64>::options().name(name).mode(0o640).persist(Persist::Keep).create_from_slice(100, &[1, 2])?;
/// assert_eq!((log.len(), log.capacity()), (2, 100));
/// shmtypes::unlink(name)?;
/// # Ok::<(), shmtypes::Error>(())
/// ```
pub struct VecOptions<T> {
    segment: SegmentOptions,
    element: PhantomData<fn() -> T>,
}

impl<T> Clone for VecOptions<T> {
    fn clone(&self) -> Self {
        Self { segment: self.segment.clone(), element: PhantomData }
    }
}

impl<T> fmt::Debug for VecOptions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VecOptions").field("segment", &self.segment).finish()
    }
}

segment_options!(VecOptions);

/// Creating and opening.
impl<T: ShmLayout> VecOptions<T> {
    pub(super) fn new() -> Self {
        Self { segment: SegmentOptions::default(), element: PhantomData }
    }

    /// See [`ShmVec::create`].
    ///
    /// # Errors
    /// As there; [`ErrorKind::AlreadyExists`] if the name is taken, unless by an `UntilLastDetach` segment whose
    /// processes were all killed, which makes room; [`ErrorKind::InvalidName`].
    pub fn create(&self, capacity: usize) -> Result<ShmVec<T>>
    where
        T: ShmValue,
    {
        ShmVec::adopt(self.draft(capacity, false)?.publish()?)
    }

    /// See [`ShmVec::create_with`].
    ///
    /// # Errors
    /// As there and as [`create`](Self::create).
    pub fn create_with(&self, capacity: usize, len: usize, fill: impl FnOnce(&mut [T])) -> Result<ShmVec<T>>
    where
        T: ShmValue + ShmZero,
    {
        self.starting_with(capacity, len, |mut elements| elements.lend(fill))
    }

    /// See [`ShmVec::try_create_with`].
    ///
    /// # Errors
    /// As there and as [`create`](Self::create).
    pub fn try_create_with<E: From<Error>>(
        &self,
        capacity: usize,
        len: usize,
        fill: impl FnOnce(&mut [T]) -> Result<(), E>,
    ) -> Result<ShmVec<T>, E>
    where
        T: ShmValue + ShmZero,
    {
        self.starting_with(capacity, len, |mut elements| elements.lend(fill)?)
    }

    /// See [`ShmVec::create_from_fn`].
    ///
    /// # Errors
    /// As there and as [`create`](Self::create).
    pub fn create_from_fn(&self, capacity: usize, len: usize, mut value: impl FnMut(usize) -> T) -> Result<ShmVec<T>>
    where
        T: ShmValue,
    {
        self.try_create_from_fn(capacity, len, |index| Ok(value(index)))
    }

    /// See [`ShmVec::try_create_from_fn`].
    ///
    /// # Errors
    /// As there and as [`create`](Self::create).
    pub fn try_create_from_fn<E: From<Error>>(
        &self,
        capacity: usize,
        len: usize,
        value: impl FnMut(usize) -> Result<T, E>,
    ) -> Result<ShmVec<T>, E>
    where
        T: ShmValue,
    {
        self.starting_with(capacity, len, |mut elements| elements.write_each(value))
    }

    /// See [`ShmVec::create_from_slice`].
    ///
    /// # Errors
    /// As there and as [`create`](Self::create).
    pub fn create_from_slice(&self, capacity: usize, values: &[T]) -> Result<ShmVec<T>>
    where
        T: ShmValue,
    {
        self.starting_with(capacity, values.len(), |mut elements| {
            elements.copy_from_slice(values);
            Ok(())
        })
    }

    /// Nobody sees the vector before `write` is done.
    fn starting_with<E: From<Error>>(
        &self,
        capacity: usize,
        len: usize,
        write: impl FnOnce(Unpublished<'_, T>) -> Result<(), E>,
    ) -> Result<ShmVec<T>, E> {
        if len > capacity {
            return Err(Error::new(ErrorKind::Full { capacity })
                .on(self.segment.name.as_deref().unwrap_or_default())
                .into());
        }
        let mut draft = self.draft(capacity, true)?;
        write(draft.first_elements(len))?;
        let state = State::new(0, len).bits();
        draft.block().write_each(|_| Ok::<_, Error>(Control::with_state(state)))?;
        Ok(ShmVec::adopt(draft.publish()?)?)
    }

    /// See [`ShmVec::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(&self) -> Result<ShmVec<T>>
    where
        T: ShmValue,
    {
        self.attach::<ReadWrite>(Access::ReadWrite, None)
    }

    /// See [`ShmVec::open_read_only`].
    ///
    /// # Errors
    /// As there.
    pub fn open_read_only(&self) -> Result<ShmVec<T, ReadOnly>>
    where
        T: ShmValue,
    {
        self.attach::<ReadOnly>(Access::ReadOnly, None)
    }

    /// See [`ShmVec::open_or_create`].
    ///
    /// # Errors
    /// As there.
    pub fn open_or_create(&self, capacity: usize) -> Result<ShmVec<T>>
    where
        T: ShmValue,
    {
        open_or_create(|| self.attach(Access::ReadWrite, Some(capacity)), || self.create(capacity))
    }

    /// See [`ShmVec::from_fd`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_fd(&self, descriptor: OwnedFd) -> Result<ShmVec<T>>
    where
        T: ShmValue,
    {
        let check = |header: &Header, schema: &[u8]| self.check(header, schema, None);
        ShmVec::adopt(attach_descriptor(&self.segment, descriptor, &check)?)
    }

    fn attach<M: AccessMode>(&self, access: Access, capacity: Option<usize>) -> Result<ShmVec<T, M>> {
        ShmVec::adopt(attach(&self.segment, access, &|header, schema| self.check(header, schema, capacity))?)
    }

    fn check(&self, header: &Header, schema: &[u8], capacity: Option<usize>) -> Result<()> {
        matching::check::<T>(Container::Vec, self.segment.evolve, header, schema)?;
        let corrupt = |field, value| Err(Error::new(ErrorKind::Corrupt { field, value }));
        if header.own_mutable_bytes() < Control::BYTES.into() {
            return corrupt("mutable length", header.mutable_bytes.into());
        }
        if header.slot_table().is_none() {
            return corrupt("slot count", 0);
        }
        if header.capacity > MAX_CAPACITY {
            return corrupt("capacity", header.capacity);
        }
        match capacity {
            Some(given) if given as u64 != header.capacity => {
                // No truncation: at most `MAX_CAPACITY`, and mapped by whoever made it.
                Err(Error::new(ErrorKind::CapacityMismatch { given, found: header.capacity as usize }))
            }
            _ => Ok(()),
        }
    }

    fn draft(&self, capacity: usize, filled: bool) -> Result<Draft<'_>> {
        if capacity as u64 > MAX_CAPACITY {
            return Err(invalid(&format!(
                "a vector with room for {capacity} elements: there are at most {MAX_CAPACITY}"
            )));
        }
        let plan = Plan {
            container: Container::Vec,
            shape: &[capacity],
            mutable_bytes: Control::BYTES,
            slots: self.segment.slots.unwrap_or(DEFAULT_SLOTS),
            filled,
        };
        Draft::new::<T>(&self.segment, &plan)
    }
}
