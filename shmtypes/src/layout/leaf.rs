//! The leaf types: numbers, `bool`, `char`, `NonZero`, atomics and arrays.
#![allow(unsafe_code, reason = "implements the unsafe layout traits for types of core")]

use super::schema::{Kind, Scalar, Schema};
use super::{AccessMode, Candidate, InvalidBits, ShmLayout, ShmPod, ShmRef, ShmValue, ShmZero};
use crate::access::{Bounce, FloatLane32, FloatLane64, IntLane};
use core::mem::size_of;
use core::num::NonZero;
use core::sync::atomic;

/// A leaf whose view is [`ShmRef`].
macro_rules! leaf {
    ($type:ty, $kind:expr) => {
        // SAFETY: a primitive, or transparent over one: fixed width, no padding, no pointers, no drop glue, and
        // `Schema::of` records its size and alignment.
        #[diagnostic::do_not_recommend]
        unsafe impl $crate::layout::ShmLayout for $type {
            const SCHEMA: $crate::layout::Schema = $crate::layout::Schema::of::<$type>($kind);
            type View<'a, M: $crate::layout::AccessMode> = $crate::layout::ShmRef<'a, $type, M>;
        }
    };
}
pub(super) use leaf;

/// A leaf for which every bit pattern is valid.
macro_rules! pod {
    ($type:ty, $scalar:expr, $lane:ty) => {
        $crate::layout::leaf::leaf!($type, $crate::layout::Kind::Scalar($scalar));
        // SAFETY: every bit pattern is a valid value, so none is to be found invalid; no interior mutability.
        #[diagnostic::do_not_recommend]
        unsafe impl $crate::layout::ShmValue for $type {
            type Lane = $lane;
            const ANY_BITS: bool = true;
            #[inline(always)]
            fn find_invalid(_: &$crate::layout::Candidate<Self>) -> Option<$crate::layout::InvalidBits> {
                None
            }
        }
        // SAFETY: every bit pattern is valid, so all-zero is.
        #[diagnostic::do_not_recommend]
        unsafe impl $crate::layout::ShmZero for $type {}
        // SAFETY: every bit pattern is valid.
        #[diagnostic::do_not_recommend]
        unsafe impl $crate::layout::ShmPod for $type {}
    };
}
pub(super) use pod;

pod!(u8, Scalar::U8, IntLane);
pod!(i8, Scalar::I8, IntLane);
pod!(u16, Scalar::U16, IntLane);
pod!(i16, Scalar::I16, IntLane);
pod!(u32, Scalar::U32, IntLane);
pod!(i32, Scalar::I32, IntLane);
pod!(u64, Scalar::U64, IntLane);
pod!(i64, Scalar::I64, IntLane);
pod!(u128, Scalar::U128, IntLane);
pod!(i128, Scalar::I128, IntLane);
pod!(f32, Scalar::F32, FloatLane32);
pod!(f64, Scalar::F64, FloatLane64);

leaf!(bool, Kind::Scalar(Scalar::Bool));
// SAFETY: 0 is `false`.
#[diagnostic::do_not_recommend]
unsafe impl ShmZero for bool {}
// SAFETY: finds every byte but 0 and 1, the two values that a `bool` has.
#[diagnostic::do_not_recommend]
unsafe impl ShmValue for bool {
    type Lane = IntLane;
    #[inline(always)]
    fn find_invalid(candidate: &Candidate<Self>) -> Option<InvalidBits> {
        let byte: u8 = candidate.word();
        (byte > 1).then_some(InvalidBits { offset: 0, found: byte.into(), expected: "a `bool`, which is 0 or 1" })
    }
}

leaf!(char, Kind::Scalar(Scalar::Char));
// SAFETY: 0 is the character NUL.
#[diagnostic::do_not_recommend]
unsafe impl ShmZero for char {}
// SAFETY: `char::from_u32` knows which numbers are characters.
#[diagnostic::do_not_recommend]
unsafe impl ShmValue for char {
    type Lane = IntLane;
    #[inline(always)]
    fn find_invalid(candidate: &Candidate<Self>) -> Option<InvalidBits> {
        let code: u32 = candidate.word();
        char::from_u32(code).is_none().then_some(InvalidBits {
            offset: 0,
            found: code.into(),
            expected: "a `char`, which is a Unicode scalar value",
        })
    }
}

macro_rules! non_zero {
    ($($integer:ty, $scalar:expr;)*) => { $(
        leaf!(NonZero<$integer>, Kind::NonZero($scalar));
        // SAFETY: finds 0, the one bit pattern that is no `NonZero`.
        #[diagnostic::do_not_recommend]
        unsafe impl ShmValue for NonZero<$integer> {
            type Lane = IntLane;
            #[inline(always)]
            fn find_invalid(candidate: &Candidate<Self>) -> Option<InvalidBits> {
                let value: $integer = candidate.word();
                (value == 0).then_some(InvalidBits {
                    offset: 0,
                    found: 0,
                    expected: "a `NonZero` integer, which is never 0",
                })
            }
        }

        // `Option<NonZero<T>>` has the layout of `T`, with 0 for `None` (documentation of `core::num::NonZero`).
        leaf!(Option<NonZero<$integer>>, Kind::OptionNonZero($scalar));
        // SAFETY: every bit pattern is valid: 0 is `None`, all others are `Some`.
        #[diagnostic::do_not_recommend]
        unsafe impl ShmValue for Option<NonZero<$integer>> {
            type Lane = IntLane;
            const ANY_BITS: bool = true;
            #[inline(always)]
            fn find_invalid(_: &Candidate<Self>) -> Option<InvalidBits> {
                None
            }
        }
        // SAFETY: as above.
        #[diagnostic::do_not_recommend]
        unsafe impl ShmZero for Option<NonZero<$integer>> {}
        // SAFETY: as above.
        #[diagnostic::do_not_recommend]
        unsafe impl ShmPod for Option<NonZero<$integer>> {}
    )* };
}
non_zero! {
    u8, Scalar::U8;
    i8, Scalar::I8;
    u16, Scalar::U16;
    i16, Scalar::I16;
    u32, Scalar::U32;
    i32, Scalar::I32;
    u64, Scalar::U64;
    i64, Scalar::I64;
    u128, Scalar::U128;
    i128, Scalar::I128;
}

macro_rules! atomic {
    ($($atomic:ident, $scalar:expr;)*) => { $(
        leaf!(atomic::$atomic, Kind::Atomic($scalar));
        // SAFETY: an atomic has the representation of its integer, for which 0 is valid.
        #[diagnostic::do_not_recommend]
        unsafe impl ShmZero for atomic::$atomic {}
    )* };
}
atomic! {
    AtomicU8, Scalar::U8;
    AtomicI8, Scalar::I8;
    AtomicU16, Scalar::U16;
    AtomicI16, Scalar::I16;
    AtomicU32, Scalar::U32;
    AtomicI32, Scalar::I32;
    AtomicU64, Scalar::U64;
    AtomicI64, Scalar::I64;
    AtomicBool, Scalar::Bool;
}

// SAFETY: an array is its elements one after the other, without gaps.
unsafe impl<T: ShmLayout, const N: usize> ShmLayout for [T; N] {
    const SCHEMA: Schema = {
        assert!(N > 0, "an array of length zero has no place in a segment");
        Schema::of::<Self>(Kind::Array { element: &T::SCHEMA, length: N })
    };
    type View<'a, M: AccessMode> = ShmRef<'a, Self, M>;
}

// SAFETY: valid if every element is.
unsafe impl<T: ShmValue, const N: usize> ShmValue for [T; N] {
    type Lane = Bounce;
    const ANY_BITS: bool = T::ANY_BITS;
    #[inline(always)]
    fn find_invalid(candidate: &Candidate<Self>) -> Option<InvalidBits> {
        for (index, element) in candidate.elements().iter().enumerate() {
            if let Some(invalid) = T::find_invalid(element) {
                return Some(invalid.inside(index * size_of::<T>()));
            }
        }
        None
    }
}

// SAFETY: zero bytes are valid for every element.
unsafe impl<T: ShmZero, const N: usize> ShmZero for [T; N] {}

// SAFETY: any bytes are valid for every element.
unsafe impl<T: ShmPod, const N: usize> ShmPod for [T; N] {}
