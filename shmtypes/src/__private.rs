//! What the derive's expansion calls. Not part of the public interface: it changes with every version.

pub use crate::access::Bounce;
pub use crate::layout::{Candidate, Field, ForeignPod, InvalidBits, Kind, Scalar, Schema, Variant};
pub use bytemuck;
pub use core;

use crate::layout::{ShmLayout, ShmPod, ShmValue, ShmZero};

/// `T: ShmValue`, quantified over a lifetime: a bound `for<'t> bool: PodIn<'t>` on a concrete type that does not hold
/// makes the impl not apply, where `bool: ShmPod` would make it an error.
pub trait ValueIn<'t>: ShmValue {}
impl<T: ShmValue> ValueIn<'_> for T {}

/// See [`ValueIn`].
pub trait PodIn<'t>: ShmPod {}
impl<T: ShmPod> PodIn<'_> for T {}

/// See [`ValueIn`].
pub trait ZeroIn<'t>: ShmZero {}
impl<T: ShmZero> ZeroIn<'_> for T {}

/// See [`ValueIn`].
pub trait CopyIn<'t>: Copy {}
impl<T: Copy> CopyIn<'_> for T {}

/// A constant condition as a type.
#[derive(Debug)]
pub struct Condition<const HOLDS: bool>;

/// Implemented for the condition that holds, quantified as [`ValueIn`] is.
pub trait HoldsIn<'t> {}
impl HoldsIn<'_> for Condition<true> {}

/// Fails to compile, on the caller's span, if `T` has no layout.
pub const fn assert_layout<T: ShmLayout>() {}
