//! Typed, zero-copy containers in named shared memory.
#![warn(missing_docs, unreachable_pub)]

// Lets the derive's `::shmtypes` paths work inside this crate too.
extern crate self as shmtypes;

mod access;
mod containers;
pub mod error;
pub mod layout;
pub mod segment;
mod sys;

pub use containers::{ArrayOptions, Iter, Number, ShmArray};

pub use error::{Error, ErrorKind, Fault, Result};
pub use layout::{
    AccessMode, Fingerprint, ForeignRef, InvalidBits, ReadOnly, ReadWrite, Schema, ShmBytes, ShmLayout, ShmPod, ShmRef,
    ShmStr, ShmValue, ShmView, ShmZero, TooLong, Writable,
};
pub use segment::{
    Detached, Evolve, Persist, SegmentDirectory, SegmentInfo, Trust, inspect, list, reap, reap_named, unlink,
};
pub use shmtypes_derive::ShmLayout;

/// What the derive's expansion calls. Not part of the public interface.
#[doc(hidden)]
pub mod __private;
