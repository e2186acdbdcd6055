//! The capabilities of a type, and the one place where checked bytes become a value.
#![allow(unsafe_code, reason = "declares the unsafe traits, and builds values on their contracts")]

use super::{AccessMode, Candidate, Fingerprint, Schema, ShmView};
use crate::access::BlockLane;
use crate::error::{Error, ErrorKind};

/// A type with a fixed, self-described layout that may be placed in a segment.
///
/// Derive it: `#[derive(ShmLayout)]` on a `#[repr(C)]` struct or a fieldless `#[repr(u8)]` enum. It says nothing
/// about the validity of bytes or about aliasing: see [`ShmValue`] and [`ShmPod`].
///
/// ```
/// use shmtypes::{ShmLayout, ShmStr};
///
/// #[derive(ShmLayout, Clone, Copy)]
/// #[repr(C)]
/// struct Quote {
///     symbol: ShmStr<12>,
///     price: f64,
/// }
/// assert_eq!(Quote::SCHEMA.size(), 24);
/// ```
///
/// # Safety
///
/// * `SCHEMA` describes the type: the same size, alignment, and for every field its offset and type.
/// * Every byte belongs to a field, recursively: no padding but the gaps that `SCHEMA` tells of
///   ([`Schema::has_gaps`]), which only locks and cells have.
/// * The type holds no pointer, reference, descriptor or `usize`, and has no drop glue.
/// * The size is not zero.
/// * `View` projects to nothing but the type's own fields.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be placed in shared memory",
    label = "this type has no fixed, pointer-free layout",
    note = "derive it: `#[derive(ShmLayout)]` with `#[repr(C)]` on your own struct, `#[repr(u8)]` on your own enum",
    note = "or use a type that has one: `String` -> `ShmStr<N>`, `Vec<u8>` -> `ShmBytes<N>`, `usize` -> `u64`, `Vec<T>` -> `[T; N]` or a container of its own; a foreign `bytemuck::Pod` type takes `#[shm(bytemuck = \"Name\")]` on the field"
)]
pub unsafe trait ShmLayout: Sized + 'static {
    /// The type's fields, offsets and types, for the segment's header.
    const SCHEMA: Schema;

    /// A 128-bit digest of [`SCHEMA`](Self::SCHEMA), computed at compile time. Names of types are not in it; names of
    /// fields are.
    const FINGERPRINT: Fingerprint = Fingerprint::of(&Self::SCHEMA);

    /// What stands for a `&Self` or `&mut Self` in shared memory: for a leaf type [`ShmRef`](super::ShmRef), for a derived struct
    /// the struct of its field projections.
    type View<'a, M: AccessMode>: ShmView<'a, M, Target = Self>;
}

/// A value that may be copied out of shared memory once its bytes have been checked in private memory.
///
/// # Safety
///
/// `find_invalid` returns `None` only if the bytes are a valid `Self`. If `ANY_BITS` is true, every bit pattern is
/// valid. The type has no interior mutability and no gaps, so all its bytes are initialised. The hidden `Lane` is the one of a number with this size and alignment, or
/// `Bounce`, which takes every type: `Lane::Buffer` has room and alignment for `Lane::capacity::<Self>()` elements.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be copied out of shared memory as a value",
    label = "holds atomics, or is not `Copy`, or has no shared-memory layout",
    note = "reach its fields through the view, such as `array.at(i).field()`; a type without atomics needs `#[derive(ShmLayout, Clone, Copy)]`"
)]
pub unsafe trait ShmValue: ShmLayout + Copy {
    /// How blocks of this type move between shared and private memory.
    #[doc(hidden)]
    type Lane: BlockLane;

    /// Whether every bit pattern is a valid `Self`. May be `false` for a type of which that is true.
    #[doc(hidden)]
    const ANY_BITS: bool = false;

    /// The first part of the candidate that is no valid value, if there is one.
    fn find_invalid(candidate: &Candidate<Self>) -> Option<InvalidBits>;
}

/// A layout for which all-zero bytes are a valid state, so that fresh memory needs no writing.
///
/// # Safety
///
/// All-zero bytes are a valid `Self`.
#[diagnostic::on_unimplemented(
    message = "all-zero bytes are no valid `{Self}`, so `create(n)` has nothing to fill the segment with",
    label = "has no value whose bytes are all zero",
    note = "use `create_from_fn(n, |i| value)`, which takes any type, or give the enum a variant with the value 0"
)]
pub unsafe trait ShmZero: ShmLayout {}

/// A value for which every bit pattern is valid: copies and blocks need no check, and slices may be lent under a
/// proof that nobody writes.
///
/// # Safety
///
/// Every bit pattern is a valid `Self`.
#[diagnostic::on_unimplemented(
    message = "not every bit pattern is a valid `{Self}`",
    label = "a peer may store bytes that are no `{Self}`",
    note = "`bool`, `char`, `NonZero*`, `ShmStr` and enums have invalid bit patterns: use the checked twin (`try_get`, `to_vec`, `fold_blocks`), or store a `u8` or `u32`"
)]
pub unsafe trait ShmPod: ShmValue + ShmZero {}

/// Bytes in shared memory that are no valid value of the type that should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidBits {
    /// Where the offending leaf starts, in bytes from the start of the value.
    pub offset: usize,
    /// The first bytes of the leaf as a number (at most eight), in native byte order.
    pub found: u64,
    /// What should stand there, such as "a `bool`, which is 0 or 1".
    pub expected: &'static str,
}

impl InvalidBits {
    /// The same finding, seen from a value that holds this one at `offset`.
    #[doc(hidden)]
    #[must_use]
    pub const fn inside(mut self, offset: usize) -> Self {
        self.offset += offset;
        self
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn into_error(self, schema: &Schema, element: Option<usize>) -> Error {
        Error::new(ErrorKind::InvalidValue {
            element,
            path: schema.path_at(self.offset),
            found: self.found,
            expected: self.expected,
        })
    }
}

/// Does not compile, where it is called, if `T` has gaps. Whoever copies a whole value into shared memory calls it.
#[inline(always)]
pub(crate) const fn assert_no_gaps<T: ShmValue>() {
    const { assert!(!T::SCHEMA.has_gaps(), "a value has no padding") };
}

/// Checks a private copy and makes it a value.
#[inline(always)]
pub(crate) fn into_value<T: ShmValue>(candidate: Candidate<T>) -> Result<T, InvalidBits> {
    match T::find_invalid(&candidate) {
        // SAFETY: `find_invalid` says that the bytes are a valid `T` (contract of `ShmValue`).
        None => Ok(unsafe { candidate.assume_valid() }),
        Some(invalid) => Err(invalid),
    }
}

/// Makes a private copy a value without a check, which the type does not need.
#[inline(always)]
pub(crate) fn into_pod<T: ShmPod>(candidate: Candidate<T>) -> T {
    // SAFETY: every bit pattern is a valid `T` (contract of `ShmPod`).
    unsafe { candidate.assume_valid() }
}

/// Checks a run of private copies. On failure also says which element it is.
#[inline(always)]
pub(crate) fn as_values<T: ShmValue>(candidates: &[Candidate<T>]) -> Result<&[T], (usize, InvalidBits)> {
    for (index, candidate) in candidates.iter().enumerate() {
        if let Some(invalid) = T::find_invalid(candidate) {
            return Err((index, invalid));
        }
    }
    let first: *const T = candidates.as_ptr().cast();
    // SAFETY: `Candidate<T>` is transparent over the bytes of a `T`; each was just found valid; they are private and
    // borrowed for the lifetime of the slice.
    Ok(unsafe { core::slice::from_raw_parts(first, candidates.len()) })
}

/// A run of private copies as values to be changed.
#[inline(always)]
pub(crate) fn as_pods_mut<T: ShmPod>(candidates: &mut [Candidate<T>]) -> &mut [T] {
    assert_no_gaps::<T>();
    let first: *mut T = candidates.as_mut_ptr().cast();
    // SAFETY: `Candidate<T>` is transparent over the bytes of a `T`, all initialised, any of which are valid; whatever
    // valid `T` is written back is an initialised candidate, because a value has no padding. Private, and borrowed
    // exclusively for the lifetime of the slice.
    unsafe { core::slice::from_raw_parts_mut(first, candidates.len()) }
}
