//! Sums, dot products and extremes, as fast as over a slice.

use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, ShmPod, into_pod};
use crate::segment::elements::Elements;

/// Independent partial results, so that one addition need not wait for the one before.
const LANES: usize = 16;

mod sealed {
    pub trait Sealed {}
}

/// A number that [`Elements`] can sum and compare.
pub trait Number: ShmPod + PartialOrd + sealed::Sealed {
    /// The type of a sum: the type itself for floats, wide enough for 2^32 elements for integers.
    type Sum: Copy + Default + core::fmt::Debug;

    #[doc(hidden)]
    fn plus(sum: Self::Sum, value: Self) -> Self::Sum;
    #[doc(hidden)]
    fn plus_product(sum: Self::Sum, left: Self, right: Self) -> Self::Sum;
    #[doc(hidden)]
    fn join(left: Self::Sum, right: Self::Sum) -> Self::Sum;
    #[doc(hidden)]
    fn lesser(self, other: Self) -> Self;
    #[doc(hidden)]
    fn greater(self, other: Self) -> Self;
}

macro_rules! floats {
    ($($type:ty),*) => { $(
        impl sealed::Sealed for $type {}
        impl Number for $type {
            type Sum = $type;
            #[inline(always)]
            fn plus(sum: $type, value: $type) -> $type {
                sum + value
            }
            #[inline(always)]
            fn plus_product(sum: $type, left: $type, right: $type) -> $type {
                sum + left * right
            }
            #[inline(always)]
            fn join(left: $type, right: $type) -> $type {
                left + right
            }
            #[inline(always)]
            fn lesser(self, other: $type) -> $type {
                self.min(other)
            }
            #[inline(always)]
            fn greater(self, other: $type) -> $type {
                self.max(other)
            }
        }
    )* };
}
floats!(f32, f64);

macro_rules! integers {
    ($($type:ty => $sum:ty),*) => { $(
        impl sealed::Sealed for $type {}
        impl Number for $type {
            type Sum = $sum;
            #[inline(always)]
            fn plus(sum: $sum, value: $type) -> $sum {
                sum.wrapping_add(<$sum>::from(value))
            }
            #[inline(always)]
            fn plus_product(sum: $sum, left: $type, right: $type) -> $sum {
                sum.wrapping_add(<$sum>::from(left).wrapping_mul(<$sum>::from(right)))
            }
            #[inline(always)]
            fn join(left: $sum, right: $sum) -> $sum {
                left.wrapping_add(right)
            }
            #[inline(always)]
            fn lesser(self, other: $type) -> $type {
                self.min(other)
            }
            #[inline(always)]
            fn greater(self, other: $type) -> $type {
                self.max(other)
            }
        }
    )* };
}
integers!(u8 => u64, i8 => i64, u16 => u64, i16 => i64, u32 => u64, i32 => i64, u64 => u128, i64 => i128);

impl<T: Number, M: AccessMode> Elements<T, M> {
    /// The sum of all elements. Floats are added in 16 interleaved partial sums, so the last digits may differ from a
    /// loop's; integers in a wider type, wrapping there.
    ///
    /// # Errors
    /// [`ErrorKind::Strided`] only.
    #[inline]
    pub fn sum(&self) -> Result<T::Sum> {
        let mut sums = [T::Sum::default(); LANES];
        self.visit_blocks(|block| {
            for (lane, &value) in block.iter().enumerate() {
                sums[lane % LANES] = T::plus(sums[lane % LANES], value);
            }
        })?;
        Ok(sums.into_iter().fold(T::Sum::default(), T::join))
    }

    /// The sum of the products with the elements of another array of the same length.
    ///
    /// # Errors
    /// [`ErrorKind::ShapeMismatch`] if the lengths differ.
    #[inline]
    pub fn dot<N: AccessMode>(&self, other: &Elements<T, N>) -> Result<T::Sum> {
        if self.len() != other.len() {
            let (given, expected) = (vec![other.len()], vec![self.len()]);
            return Err(Error::new(ErrorKind::ShapeMismatch { given, expected }));
        }
        let mut sums = [T::Sum::default(); LANES];
        self.visit_block_pairs(other, |left, right| {
            for (lane, (&left, &right)) in left.iter().zip(right).enumerate() {
                sums[lane % LANES] = T::plus_product(sums[lane % LANES], left, right);
            }
        })?;
        Ok(sums.into_iter().fold(T::Sum::default(), T::join))
    }

    /// The least element, or `None` of an empty array. NaN is passed over.
    ///
    /// # Errors
    /// [`ErrorKind::Strided`] only.
    #[inline]
    pub fn min(&self) -> Result<Option<T>> {
        self.extreme(T::lesser)
    }

    /// The greatest element, or `None` of an empty array. NaN is passed over.
    ///
    /// # Errors
    /// [`ErrorKind::Strided`] only.
    #[inline]
    pub fn max(&self) -> Result<Option<T>> {
        self.extreme(T::greater)
    }

    /// The element that is `better` than all others.
    #[inline(always)]
    fn extreme(&self, better: impl Fn(T, T) -> T) -> Result<Option<T>> {
        let Some(first) = self.load(0).map(into_pod) else { return Ok(None) };
        let mut best = [first; LANES];
        self.visit_blocks(|block| {
            for (lane, &value) in block.iter().enumerate() {
                best[lane % LANES] = better(best[lane % LANES], value);
            }
        })?;
        Ok(best.into_iter().reduce(better))
    }
}
