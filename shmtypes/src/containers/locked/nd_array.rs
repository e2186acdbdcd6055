//! The slices of a locked array as `ndarray`'s views (feature `ndarray`).

use super::{SliceReadGuard, SliceWriteGuard};
use crate::layout::ShmPod;
use ndarray::{ArrayViewD, ArrayViewMutD, IxDyn};

const FITS: &str = "the product of the shape is the number of elements: checked when attaching";

impl<T: ShmPod> SliceReadGuard<'_, T> {
    /// The elements in the array's shape.
    ///
    /// ```
    /// let grid = shmtypes::ShmArray::<f64>::options().shape(&[2, 3]).locked().create_from_slice(&[1.0; 6])?;
    /// // SAFETY: nobody else is told the name.
    /// let grid = unsafe { grid.assume_cooperative() };
    /// grid.write()?.view_mut()[[1, 2]] = 5.0;
    /// assert_eq!(grid.read()?.view().sum(), 10.0);
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    #[must_use]
    pub fn view(&self) -> ArrayViewD<'_, T> {
        ArrayViewD::from_shape(IxDyn(self.shape()), self).expect(FITS)
    }
}

impl<T: ShmPod> SliceWriteGuard<'_, T> {
    /// The elements in the array's shape.
    #[must_use]
    pub fn view(&self) -> ArrayViewD<'_, T> {
        ArrayViewD::from_shape(IxDyn(self.shape()), self).expect(FITS)
    }

    /// The elements in the array's shape, for writing.
    #[must_use]
    pub fn view_mut(&mut self) -> ArrayViewMutD<'_, T> {
        let shape = IxDyn(self.shape());
        ArrayViewMutD::from_shape(shape, self).expect(FITS)
    }
}
