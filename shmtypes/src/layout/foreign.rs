//! Foreign `bytemuck::Pod` types as fields: `#[shm(bytemuck = "name")]`.
//!
//! `Pod` promises all that a leaf needs: any bit pattern valid, no padding, no pointers, no interior mutability. What
//! it lacks is a description, so the user gives a name, and the schema records name, size and alignment.
#![allow(unsafe_code, reason = "implements the unsafe layout traits under the contract of bytemuck::Pod")]

use super::{
    AccessMode, Candidate, InvalidBits, Kind, Schema, ShmLayout, ShmPod, ShmRef, ShmValue, ShmView, ShmZero, Writable,
};
use crate::access::Bounce;
use bytemuck::{Pod, Zeroable};

/// A foreign type, made a layout. Never seen by users: fields show as [`ForeignRef`].
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct ForeignPod<T>(pub T);

// SAFETY: transparent over a `Pod`: no padding, no pointers, `Copy` and so no drop glue.
unsafe impl<T: Pod> ShmLayout for ForeignPod<T> {
    // The derive records the user's name in the field's schema; this one is not seen.
    const SCHEMA: Schema = Schema::of::<T>(Kind::Opaque { name: "" });
    type View<'a, M: AccessMode> = ForeignRef<'a, T, M>;
}
// SAFETY: `Pod: AnyBitPattern`: every bit pattern is valid.
unsafe impl<T: Pod> ShmValue for ForeignPod<T> {
    type Lane = Bounce;
    const ANY_BITS: bool = true;
    #[inline(always)]
    fn find_invalid(_: &Candidate<Self>) -> Option<InvalidBits> {
        None
    }
}
// SAFETY: `Pod: Zeroable`.
unsafe impl<T: Pod + Zeroable> ShmZero for ForeignPod<T> {}
// SAFETY: `Pod: AnyBitPattern`.
unsafe impl<T: Pod> ShmPod for ForeignPod<T> {}

/// The place of a field of a foreign `Pod` type.
#[derive(Debug)]
pub struct ForeignRef<'a, T: Pod, M: AccessMode>(ShmRef<'a, ForeignPod<T>, M>);

impl<T: Pod, M: AccessMode> Clone for ForeignRef<'_, T, M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: Pod, M: AccessMode> Copy for ForeignRef<'_, T, M> {}

impl<T: Pod, M: AccessMode> ForeignRef<'_, T, M> {
    /// Copies the value out.
    #[inline(always)]
    #[must_use]
    pub fn get(self) -> T {
        self.0.get().0
    }

    /// Copies a value in.
    #[inline(always)]
    pub fn set(self, value: T)
    where
        M: Writable,
    {
        self.0.set(ForeignPod(value));
    }
}

impl<'a, T: Pod, M: AccessMode> ShmView<'a, M> for ForeignRef<'a, T, M> {
    type Target = ForeignPod<T>;

    fn from_place(place: ShmRef<'a, ForeignPod<T>, M>) -> Self {
        Self(place)
    }

    fn place(self) -> ShmRef<'a, ForeignPod<T>, M> {
        self.0
    }
}
