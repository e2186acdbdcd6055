//! Single elements: copied out, copied in, and as views.

use crate::error::Result;
use crate::layout::{AccessMode, ShmLayout, ShmValue, ShmView, Writable, into_value};
use crate::segment::elements::Elements;
use core::fmt;

/// Single elements, by their position in memory.
impl<T: ShmLayout, M: AccessMode> Elements<T, M> {
    /// The number of elements.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> usize {
        self.count()
    }

    /// Whether there are no elements.
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies element `index` out.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange);
    /// [`ErrorKind::InvalidValue`](crate::ErrorKind::InvalidValue) if a peer left bytes there that are no `T`.
    #[inline(always)]
    pub fn get(&self, index: usize) -> Result<T>
    where
        T: ShmValue,
    {
        match self.load(index) {
            Some(candidate) => {
                self.check_whole()?;
                into_value(candidate).map_err(|invalid| self.invalid_element(index, invalid))
            }
            None => Err(self.out_of_range(index)),
        }
    }

    /// Copies a value into element `index`.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange).
    #[inline(always)]
    pub fn set(&self, index: usize, value: T) -> Result<()>
    where
        T: ShmValue,
        M: Writable,
    {
        if self.store(index, &value) { self.check_stored() } else { Err(self.out_of_range(index)) }
    }

    /// The view of element `index`: for a derived struct its field projections.
    ///
    /// ```
    /// use shmtypes::{ShmArray, ShmLayout};
    /// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    ///
    /// #[derive(ShmLayout)]
    /// #[repr(C)]
    /// struct Body {
    ///     mass: f64,
    ///     hits: AtomicU64,
    /// }
    /// let bodies = ShmArray::<Body>::create(10)?;
    /// bodies.at(3).mass().set(2.0);
    /// bodies.at(3).hits().fetch_add(1, Relaxed);
    /// assert_eq!(bodies.at(3).mass().get(), 2.0);
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Panics
    /// If `index` is out of range, as indexing a slice does; [`try_at`](Self::try_at) does not.
    #[inline(always)]
    #[must_use]
    #[track_caller]
    pub fn at(&self, index: usize) -> T::View<'_, M> {
        match self.place_at(index) {
            Some(place) => T::View::from_place(place),
            None => panic_out_of_range(index, self.len()),
        }
    }

    /// The view of element `index`.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange).
    #[inline(always)]
    pub fn try_at(&self, index: usize) -> Result<T::View<'_, M>> {
        match self.place_at(index) {
            Some(place) => {
                self.check_whole()?;
                Ok(T::View::from_place(place))
            }
            None => Err(self.out_of_range(index)),
        }
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn panic_out_of_range(index: usize, len: usize) -> ! {
    panic!("index {index} is out of range for an array of {len} elements")
}

impl<T: ShmLayout, M: AccessMode> fmt::Debug for Elements<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elements")
            .field("type", &T::SCHEMA.type_name())
            .field("len", &self.len())
            .field("mode", &M::default())
            .finish()
    }
}
