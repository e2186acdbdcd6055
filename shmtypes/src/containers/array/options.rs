//! How an array is created or opened.

use super::ShmArray;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, ReadOnly, ReadWrite, ShmLayout, ShmValue, ShmZero};
use crate::segment::attach::{attach, attach_descriptor};
use crate::segment::attachment::Attachment;
use crate::segment::create::{Draft, Plan};
use crate::segment::elements::Kept;
use crate::segment::header::{Container, Header};
use crate::segment::options::SegmentOptions;
use crate::segment::{Evolve, Persist, Trust, matching};
use crate::sync::ShmEvent;
use crate::sys::Access;
use core::fmt;
use core::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Room for an event at the start; the rest is reserved.
const MUTABLE_BYTES: u32 = 128;

/// How often [`ArrayOptions::open_or_create`] may lose a race against processes that create and remove the same name.
const OPEN_OR_CREATE_ATTEMPTS: usize = 100;

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

/// What can be said about the segment.
impl<T: ShmLayout> ArrayOptions<T> {
    pub(super) fn new() -> Self {
        Self { segment: SegmentOptions::default(), shape: None, element: PhantomData }
    }

    /// The name: 1 to 200 of the characters `A-Z a-z 0-9 . _ -`, not starting with a dot. Without one, creating makes a
    /// fresh name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.segment.name = Some(name.into());
        self
    }

    /// Creates the array without a name, to be shared by its descriptor ([`ShmArray::as_fd`],
    /// [`from_fd`](Self::from_fd)). Its size is sealed: no peer can truncate it.
    #[must_use]
    pub fn unnamed(mut self) -> Self {
        self.segment.unnamed = true;
        self
    }

    /// The directory, in place of /dev/shm; best another tmpfs.
    #[must_use]
    pub fn dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.segment.set_directory(path.into());
        self
    }

    /// The permission bits of a new segment, whatever the umask; 0o600 unless given. The owner must be let read and
    /// write; peers that may only read open it [read-only](Self::open_read_only).
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.segment.mode = mode;
        self
    }

    /// When the name of a new segment goes away; [`Persist::UntilLastDetach`] unless given.
    #[must_use]
    pub fn persist(mut self, persist: Persist) -> Self {
        self.segment.persist = persist;
        self
    }

    /// Whose segments may be opened; [`Trust::Owner`] unless given.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.segment.trust = trust;
        self
    }

    /// The size in bytes of the greatest segment to be opened; 2^46 unless given.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.segment.max_bytes = bytes;
        self
    }

    /// Fills the page tables when creating or opening, in place of at the first touch of each page.
    #[must_use]
    pub fn prefault(mut self, prefault: bool) -> Self {
        self.segment.prefault = prefault;
        self
    }

    /// Asks for huge pages when creating: the size is rounded up to 2 MiB, and the kernel is asked to put the memory on
    /// huge pages, which works on a plain /dev/shm. Where it refuses, the segment stands on small pages, and
    /// [`inspect`](crate::inspect) says so.
    #[must_use]
    pub fn huge_pages(mut self, huge_pages: bool) -> Self {
        self.segment.huge_pages = huge_pages;
        self
    }

    /// Which other layouts may be opened; [`Evolve::Never`] unless given.
    #[must_use]
    pub fn evolve(mut self, evolve: Evolve) -> Self {
        self.segment.evolve = evolve;
        self
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
        let expected = Self { shape: Some(self.dimensions(n)?), ..self.clone() };
        let mut lost = Error::new(ErrorKind::Busy);
        for _ in 0..OPEN_OR_CREATE_ATTEMPTS {
            match expected.open() {
                Err(error) if *error.kind() == ErrorKind::NotFound => {}
                outcome => return outcome,
            }
            match expected.create(n) {
                Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists { .. }) => lost = error,
                outcome => return outcome,
            }
        }
        Err(lost)
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
        if (header.mutable_bytes as usize) < size_of::<ShmEvent>() {
            let value = header.mutable_bytes.into();
            return Err(Error::new(ErrorKind::Corrupt { field: "mutable length", value }));
        }
        let fits = |shape: &Vec<usize>| {
            shape.len() == header.shape().len() && shape.iter().zip(header.shape()).all(|(&a, &b)| a as u64 == b)
        };
        match &self.shape {
            Some(shape) if !fits(shape) => Err(Error::new(ErrorKind::ShapeMismatch {
                given: shape.clone(),
                expected: header.shape().iter().map(|&length| length as usize).collect(),
            })),
            _ => Ok(()),
        }
    }

    /// The shape that was asked for.
    #[cfg(feature = "ndarray")]
    pub(super) fn given_shape(&self) -> Option<&[usize]> {
        self.shape.as_deref()
    }

    /// The shape of an array with `n` elements.
    fn dimensions(&self, n: usize) -> Result<Vec<usize>> {
        match &self.shape {
            None => Ok(vec![n]),
            Some(shape)
                if shape.iter().try_fold(1_usize, |product, &length| product.checked_mul(length)) == Some(n) =>
            {
                Ok(shape.clone())
            }
            Some(shape) => Err(Error::new(ErrorKind::ShapeMismatch { given: vec![n], expected: shape.clone() })),
        }
    }

    fn draft(&self, n: usize, filled: bool) -> Result<Draft> {
        let shape = self.dimensions(n)?;
        let plan = Plan { container: Container::Array, shape: &shape, mutable_bytes: MUTABLE_BYTES, filled };
        Draft::new::<T>(&self.segment, &plan)
    }
}

fn publish<T: ShmLayout>(draft: Draft) -> Result<ShmArray<T>> {
    adopt(draft.publish()?)
}

fn adopt<T: ShmLayout, M: AccessMode>(attachment: Attachment) -> Result<ShmArray<T, M>> {
    Ok(ShmArray::from_elements(Kept::new(attachment)?))
}
