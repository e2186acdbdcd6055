//! CPython's shared-memory formats as pure codecs.
//!
//! Bytes in, values out; values in, bytes out. No I/O, no clock, no `unsafe`, and any bytes, even bytes that change
//! while they are read, give a value or an error: never a panic, an access out of bounds, or an allocation that the
//! size of the input does not justify.
//!
//! | module | what it knows |
//! |---|---|
//! | [`list`] | `ShareableList`, in the layout of Python 3.8 and in that of 3.9 and later |
//! | [`memory`] | the memory that a list stands in: a private slice, or a segment that others write |
//! | [`value`] | the values of a list, and Python's equality |
//! | [`repr`] | how Python prints them |
//! | [`pickle`] | pickled handles, and nothing else that a pickle can be |
//! | [`manager`] | the protocol of `SharedMemoryManager`, for both sides |
//! | [`name`] | names of blocks |
//! | [`tracker`] | messages to the resource tracker |
//!
//! The bytes are those of CPython's `Lib/multiprocessing`: `shared_memory.py`, `managers.py`, `connection.py` and
//! `resource_tracker.py`, checked against what the interpreters made.
#![warn(missing_docs, unreachable_pub)]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod list;
pub mod manager;
pub mod memory;
pub mod name;
pub mod pickle;
pub mod repr;
pub mod tracker;
pub mod value;

pub use list::{Dialect, List, ListError};
pub use pickle::Handle;
pub use value::{Value, ValueRef};
