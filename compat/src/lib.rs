//! CPython's shared-memory formats as pure codecs.
//!
//! Nothing here yet but the contract that everything here will keep: bytes in, values out; values in, bytes out; no
//! I/O, no clock, no `unsafe`, and any bytes give a value or an error, never a panic.
#![warn(missing_docs, unreachable_pub)]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod name;
pub mod pickle;
pub mod repr;
pub mod tracker;
