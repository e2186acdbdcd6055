//! Copies from and to `ndarray`'s arrays (feature `ndarray`).

use super::{ArrayOptions, ShmArray};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, ShmLayout, ShmValue, ShmZero, Writable};
use ndarray::{ArrayBase, ArrayD, ArrayViewMutD, Data, Dimension, IxDyn};

impl<T: ShmLayout> ShmArray<T> {
    /// Creates an array of this shape under a fresh name and lends it, all bytes zero, as an `ndarray` view. Nobody can
    /// see it until `fill` returns.
    ///
    /// ```
    /// let grid = shmtypes::ShmArray::<f64>::create_with_ndarray(&[3, 4], |mut view| view[[1, 2]] = 5.0)?;
    /// assert_eq!(grid.get_nd(&[1, 2])?, 5.0);
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_with_ndarray(shape: &[usize], fill: impl FnOnce(ArrayViewMutD<'_, T>)) -> Result<Self>
    where
        T: ShmZero,
    {
        Self::options().shape(shape).create_with_ndarray(fill)
    }

    /// Creates an array under a fresh name with the shape and elements of `source`, in row-major order.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_from_ndarray<S: Data<Elem = T>, D: Dimension>(source: &ArrayBase<S, D>) -> Result<Self>
    where
        T: ShmValue,
    {
        let mut elements = source.iter().copied();
        // `iter` yields as many elements as `len` says (`ExactSizeIterator`).
        let next = |_| elements.next().ok_or_else(|| Error::out_of_range(source.len(), source.len()));
        Self::options().shape(source.shape()).try_create_from_fn(source.len(), next)
    }
}

impl<T: ShmLayout> ArrayOptions<T> {
    /// See [`ShmArray::create_with_ndarray`]. The shape is the one given with [`shape`](Self::shape).
    ///
    /// # Errors
    /// As [`create`](Self::create); [`ErrorKind::InvalidOptions`] without a shape.
    pub fn create_with_ndarray(&self, fill: impl FnOnce(ArrayViewMutD<'_, T>)) -> Result<ShmArray<T>>
    where
        T: ShmZero,
    {
        let Some(shape) = self.given_shape() else {
            let reason = "`create_with_ndarray` needs a shape".to_owned();
            return Err(Error::new(ErrorKind::InvalidOptions { reason }));
        };
        let elements = shape.iter().try_fold(1_usize, |product, &length| product.checked_mul(length));
        let overflow = Error::new(ErrorKind::SizeOverflow { elements: usize::MAX, element_size: size_of::<T>() });
        self.try_create_with(elements.ok_or(overflow)?, |slots| {
            let view = ArrayViewMutD::from_shape(IxDyn(shape), slots);
            fill(view.map_err(|_| Error::new(ErrorKind::ShapeMismatch { given: vec![], expected: shape.to_vec() }))?);
            Ok::<(), Error>(())
        })
    }
}

impl<T: ShmValue, M: AccessMode> ShmArray<T, M> {
    /// All elements, copied out and checked, in the array's shape.
    ///
    /// # Errors
    /// As [`to_vec`](crate::Elements::to_vec).
    pub fn to_ndarray(&self) -> Result<ArrayD<T>> {
        ArrayD::from_shape_vec(IxDyn(self.shape()), self.to_vec()?).map_err(|_| {
            Error::new(ErrorKind::ShapeMismatch { given: vec![self.len()], expected: self.shape().to_vec() })
        })
    }

    /// Copies all elements of `source`, which has this array's shape, in.
    ///
    /// # Errors
    /// [`ErrorKind::ShapeMismatch`], and then nothing was copied.
    pub fn copy_from_ndarray<S: Data<Elem = T>, D: Dimension>(&self, source: &ArrayBase<S, D>) -> Result<()>
    where
        M: Writable,
    {
        if source.shape() != self.shape() {
            let expected = self.shape().to_vec();
            return Err(Error::new(ErrorKind::ShapeMismatch { given: source.shape().to_vec(), expected }));
        }
        match source.as_slice() {
            Some(elements) => self.copy_from_slice(0, elements),
            None => source.iter().enumerate().try_for_each(|(index, &element)| self.set(index, element)),
        }
    }
}
