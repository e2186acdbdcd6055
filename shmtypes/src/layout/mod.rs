//! What may stand in a segment: types with a fixed, self-described layout.
//!
//! One derive, [`ShmLayout`](macro@crate::ShmLayout); what a type can do follows from its fields:
//!
//! | capability | a type has it when | it allows |
//! |---|---|---|
//! | [`ShmLayout`] | always | place it in a segment; schema, fingerprint; a view with projections to its fields |
//! | [`ShmValue`] | it is `Copy`, no atomics inside | `get` and `set`: copied out, checked on the private copy |
//! | [`ShmZero`] | all-zero bytes are a valid value | `create(n)` |
//! | [`ShmPod`] | `ShmValue`, and every bit pattern is valid | copies and blocks without a check, slices under a proof |
//!
//! Rules:
//!
//! 1. A layout has no pointers, no width that differs between two programs, no drop glue, and no padding. Only what a lock
//!    or a cell guards may have gaps around it ([`Schema::has_gaps`]), which no store copies.
//! 2. A shared value is reached through a view ([`ShmRef`], or the struct of projections that the derive makes),
//!    never through a reference.
//! 3. Bytes are judged on a private copy ([`Candidate`]), and only then become a value.
//!
//! What it does not promise: that a value makes sense. A peer may store any valid one.

mod capability;
mod fingerprint;
mod foreign;
pub(crate) mod guarded;
mod leaf;
mod optional;
mod schema;
mod text;
mod view;

pub mod describe;

pub use crate::access::Candidate;
pub use capability::{InvalidBits, ShmLayout, ShmPod, ShmValue, ShmZero};
pub(crate) use capability::{as_pods_mut, as_values, assert_no_gaps, into_pod, into_value};
pub use describe::{InvalidSchema, Layout, LayoutField, LayoutKind, LayoutVariant};
pub use fingerprint::Fingerprint;
pub use foreign::ForeignRef;
pub use guarded::Guard;
pub(crate) use guarded::READERS;
pub use schema::{Field, Kind, Scalar, Schema, Variant};
pub use text::{ShmBytes, ShmStr, TooLong};
pub use view::{AccessMode, ReadOnly, ReadWrite, ShmRef, ShmView, Writable};

pub use foreign::ForeignPod;
