//! Copies from and to `ndarray`'s arrays (feature `ndarray`).

use super::{NdArray, NdArrayOptions, Order, elements};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, ShmLayout, ShmValue, ShmZero, Writable};
use ndarray::{ArrayBase, ArrayD, ArrayViewMutD, Data, Dimension, IxDyn, ShapeBuilder, StrideShape};

fn shape_of(shape: &[usize], order: Order) -> StrideShape<IxDyn> {
    IxDyn(shape).set_f(order == Order::F).into()
}

fn mismatch(given: &[usize], expected: &[usize]) -> Error {
    Error::new(ErrorKind::ShapeMismatch { given: given.to_vec(), expected: expected.to_vec() })
}

impl<T: ShmLayout> NdArray<T> {
    /// Creates a block under a fresh name with the shape and elements of `source`, in C order.
    ///
    /// ```
    /// use ndarray::array;
    /// use shmtypes::compat::NdArray;
    ///
    /// let grid = NdArray::create_from_ndarray(&array![[1.0, 2.0], [3.0, 4.0]])?;
    /// assert_eq!(grid.to_ndarray()?, array![[1.0, 2.0], [3.0, 4.0]].into_dyn());
    /// grid.unlink()?;
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_from_ndarray<S: Data<Elem = T>, D: Dimension>(source: &ArrayBase<S, D>) -> Result<Self>
    where
        T: ShmValue,
    {
        Self::options().create_from_ndarray(source)
    }

    /// Creates a block of this shape under a fresh name and lends it, all bytes zero, as an `ndarray` view. Nobody can see
    /// it until `fill` returns.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_with_ndarray(shape: &[usize], fill: impl FnOnce(ArrayViewMutD<'_, T>)) -> Result<Self>
    where
        T: ShmZero,
    {
        Self::options().create_with_ndarray(shape, fill)
    }
}

impl<T: ShmLayout> NdArrayOptions<T> {
    /// See [`NdArray::create_from_ndarray`]. The elements are stored in the order of the options.
    ///
    /// # Errors
    /// As there.
    pub fn create_from_ndarray<S: Data<Elem = T>, D: Dimension>(&self, source: &ArrayBase<S, D>) -> Result<NdArray<T>>
    where
        T: ShmValue,
    {
        // Iteration is in C order; that of the transposed is F order.
        let view = if self.is_fortran() { source.t().into_dyn() } else { source.view().into_dyn() };
        let mut elements = view.iter().copied();
        let next = |_| elements.next().ok_or_else(|| Error::out_of_range(source.len(), source.len()));
        self.try_create_from_fn(source.shape(), next)
    }

    /// See [`NdArray::create_with_ndarray`].
    ///
    /// # Errors
    /// As there.
    pub fn create_with_ndarray(&self, shape: &[usize], fill: impl FnOnce(ArrayViewMutD<'_, T>)) -> Result<NdArray<T>>
    where
        T: ShmZero,
    {
        let order = if self.is_fortran() { Order::F } else { Order::C };
        self.try_create_with(shape, |slots| {
            let given = [slots.len()];
            let view = ArrayViewMutD::from_shape(shape_of(shape, order), slots);
            fill(view.map_err(|_| mismatch(&given, shape))?);
            Ok::<(), Error>(())
        })
    }
}

impl<T: ShmValue, M: AccessMode> NdArray<T, M> {
    /// All elements, copied out and checked, in the array's shape and order.
    ///
    /// # Errors
    /// As [`to_vec`](crate::Elements::to_vec).
    pub fn to_ndarray(&self) -> Result<ArrayD<T>> {
        ArrayD::from_shape_vec(shape_of(&self.shape, self.order), self.to_vec()?)
            .map_err(|_| mismatch(&[elements(&self.shape).unwrap_or_default()], &self.shape))
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
            return Err(mismatch(source.shape(), &self.shape));
        }
        let view = if self.order == Order::F { source.t().into_dyn() } else { source.view().into_dyn() };
        match view.as_slice() {
            Some(elements) => self.copy_from_slice(0, elements),
            None => view.iter().enumerate().try_for_each(|(position, &element)| self.set(position, element)),
        }
    }
}
