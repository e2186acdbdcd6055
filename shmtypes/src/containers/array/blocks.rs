//! Many elements at once: bulk copies, and blocks of private copies at the speed of a slice.

use crate::error::{Error, Result};
use crate::layout::{AccessMode, ShmLayout, ShmPod, ShmValue, Writable};
use crate::segment::elements::Elements;

/// Many elements at once. A peer may write meanwhile: a copy may be half old and half new.
///
/// All of these are refused with [`ErrorKind::Strided`](crate::ErrorKind::Strided) on a segment that was opened with
/// [`Evolve::Append`](crate::Evolve::Append) and holds a longer type.
impl<T: ShmLayout, M: AccessMode> Elements<T, M> {
    /// All elements, copied out and checked.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`](crate::ErrorKind::InvalidValue) if a peer left bytes that are no `T`;
    /// [`ErrorKind::NoAddressSpace`](crate::ErrorKind::NoAddressSpace) if the copy does not fit into memory.
    pub fn to_vec(&self) -> Result<Vec<T>>
    where
        T: ShmValue,
    {
        self.copy_range(0, self.len())
    }

    /// Copies the elements from `start` on into `target`, as many as it has.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange); or
    /// [`ErrorKind::InvalidValue`](crate::ErrorKind::InvalidValue), and then `target` is unchanged.
    pub fn copy_to_slice(&self, start: usize, target: &mut [T]) -> Result<()>
    where
        T: ShmValue,
    {
        self.copy_out_checked(start, target)
    }

    /// Copies `source` into the elements from `start` on.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange), and then nothing was copied.
    pub fn copy_from_slice(&self, start: usize, source: &[T]) -> Result<()>
    where
        T: ShmValue,
        M: Writable,
    {
        self.copy_in(start, source)
    }

    /// Folds over private copies of all elements, a block at a time; blocks have one length but for the last.
    ///
    /// ```
    /// let samples = shmtypes::ShmArray::<f64>::create_from_fn(1000, |i| i as f64)?;
    /// let squares = samples.fold_blocks(0.0, |sum, block| sum + block.iter().map(|x| x * x).sum::<f64>())?;
    /// assert_eq!(squares, 332_833_500.0);
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// For `f64`, `f32` and integers a block is 128 bytes and stays in registers: a loop over blocks runs at the speed
    /// of the same loop over a slice.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`](crate::ErrorKind::InvalidValue) if a peer left bytes that are no `T`.
    #[inline]
    pub fn fold_blocks<A>(&self, initial: A, mut fold: impl FnMut(A, &[T]) -> A) -> Result<A>
    where
        T: ShmValue,
    {
        let mut accumulator = Some(initial);
        self.visit_blocks(|block| accumulator = accumulator.take().map(|value| fold(value, block)))?;
        // Taken and put back for every block.
        accumulator.ok_or_else(|| Error::out_of_range(0, 0))
    }

    /// Visits private copies of all elements, a block at a time, in order.
    ///
    /// # Errors
    /// As [`fold_blocks`](Self::fold_blocks).
    #[inline]
    pub fn for_each_block(&self, visit: impl FnMut(&[T])) -> Result<()>
    where
        T: ShmValue,
    {
        self.visit_blocks(visit)
    }

    /// Replaces every element by `change` of it, a block at a time. What a peer stores into a block between the copy
    /// out and the copy in is overwritten.
    ///
    /// # Errors
    /// [`ErrorKind::Strided`](crate::ErrorKind::Strided) only.
    #[inline]
    pub fn map_in_place(&self, mut change: impl FnMut(T) -> T) -> Result<()>
    where
        T: ShmPod,
        M: Writable,
    {
        self.update_blocks(|block| {
            for element in block {
                *element = change(*element);
            }
        })
    }

    /// Stores `value` into every element.
    ///
    /// # Errors
    /// [`ErrorKind::Strided`](crate::ErrorKind::Strided) only.
    #[inline]
    pub fn fill(&self, value: T) -> Result<()>
    where
        T: ShmPod,
        M: Writable,
    {
        self.store_everywhere(value)
    }
}
