//! Typed, zero-copy containers in named shared memory.
//!
//! ```
//! use shmtypes::{ShmArray, ShmLayout, ShmStr};
//!
//! #[derive(ShmLayout, Clone, Copy)]
//! #[repr(C)]
//! struct Quote {
//!     symbol: ShmStr<12>,
//!     price: f64,
//! }
//!
//! # fn main() -> shmtypes::Result<()> {
//! let quotes = ShmArray::<Quote>::create(1000)?;
//! quotes.set(0, Quote { symbol: ShmStr::truncated("ACME"), price: 9.75 })?;
//!
//! // In another process, which knows the name:
//! let same = ShmArray::<Quote>::open(quotes.name())?;
//! assert_eq!(same.at(0).price().get(), 9.75);
//! # Ok(())
//! # }
//! ```
//!
//! * **Typed.** [`derive(ShmLayout)`](macro@ShmLayout) gives a `#[repr(C)]` struct a fixed, self-described layout. The
//!   segment carries the schema; attaching with another type is an error that names the fields that differ.
//! * **Zero-copy.** Loops over [blocks](Elements::fold_blocks) run at the speed of loops over a slice; attaching costs
//!   what its system calls cost, whatever the size.
//! * **Survives.** A `kill -9` at any instruction leaves no half-made segment under a name and no orphan that [`reap`]
//!   does not find. A full /dev/shm is an error, never SIGBUS.
//! * **Safe.** Safe code in every process that uses this crate cannot cause undefined behaviour, whatever peers write:
//!   their bytes give an `Err` or a wrong value, never a panic, a hang or an access out of bounds. (The one thing believed
//!   without proof is the path in `#[shm(crate = "…")]`, which must lead here.)
//!
//! # The access model
//!
//! A published segment is memory *outside the Rust abstract machine*: other processes change it at any time. This crate
//! never makes a reference into it. It moves bytes between shared and private memory with volatile accesses, one `memcpy`
//! in assembly, and atomics whose reference lives inside one inlined call; bytes are judged on the private copy, and
//! only then become a value. It becomes ordinary Rust memory only where aliasing XOR mutation really holds:
//!
//! | state | how it is reached | what it lends | sound with a hostile peer |
//! |---|---|---|---|
//! | unpublished | inside [`create_with`](ShmArray::create_with) | `&mut [T]` | yes: it has no name yet |
//! | shared | `create`, `open` | copies in and out, blocks, views, atomics | yes: wrong values, nothing worse |
//! | locked | [`ShmArray::options().locked()`](ArrayOptions::locked), `unsafe` [`assume_cooperative`](LockedArray::assume_cooperative), then [`read`](Cooperative::read) or [`write`](Cooperative::write) | `&[T]`, `&mut [T]` | no, and the `unsafe` says so |
//! | escape | [`as_ptr`](Elements::as_ptr), `unsafe` [`as_slice`](Elements::as_slice) | a pointer, `&[T]` | the caller's word |
//!
//! Since Rust 1.90 the documentation of [`core::ptr::read_volatile`] allows volatile accesses to memory outside every
//! Rust allocation; unsafe-code-guidelines issues 152 and 607 are the discussion. No text is normative yet for memory
//! shared with another process (as of November 2026).
//!
//! # What happens when
//!
//! | event | what the others see |
//! |---|---|
//! | a process ends, in whatever way | its attachments end with it; the last one out removes an `UntilLastDetach` segment, or after a kill [`reap`] does |
//! | a creator is killed | no segment, or a complete one |
//! | a writer is killed | the element or range that it was copying may be half written; a [`ShmCell`] has its old value or its new one |
//! | the writer of a [`LockedArray`] is killed | the elements are as it left them; the next one to write is told, once, and may repair |
//! | an appender of a [`ShmVec`] is killed | what it pushed is there, what it was about to push is not; the next one goes on |
//! | the holder of a [lock](sync::ShmMutex) is killed | the next one to take it is told, once, and may repair ([`sync::LockError::OwnerDied`]); a stopped holder keeps it, and who waits is told who it is at the deadline |
//! | a process is killed before it notifies | who [waits](ShmArray::wait_changed) gets [`ErrorKind::TimedOut`] at the deadline; if it was killed in the middle of it, the others wake within 50 ms |
//! | a peer writes nonsense | wrong values, or [`ErrorKind::InvalidValue`] |
//! | somebody removes the file | attached processes go on; nobody can join |
//! | the owner truncates the file | SIGBUS for who touches the missing part, or [`ErrorKind::Truncated`] under the guard of the feature [`sigbus`]; [unnamed](ArrayOptions::unnamed) segments cannot be truncated |
//! | /dev/shm is full | [`ErrorKind::NoSpace`] at creation; nothing later |
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `half` | `half::f16` and `half::bf16` as leaf types |
//! | `num-complex` | `Complex<f32>` and `Complex<f64>` |
//! | `uuid` | `Uuid` |
//! | `ndarray` | copies from and to `ndarray` arrays |
//! | `serde` | handles of [`compat`] as their names, attached again when deserialised |
//! | `sigbus` | [`sigbus`], a guard that makes an error of a peer's truncation of a file, for a program that asks for it; two cycles per `get` and `set`, whether it asks or not, and nothing that shows for blocks and bulk copies |
//!
//! Linux only. There is no async interface: calls block for microseconds at most but for creating and prefaulting large
//! segments, and for those that wait ([`ShmArray::wait_changed`], [`ShmCell::wait_changed`], [`ShmEvent`], locks, and what
//! takes one: stores into cells and lists, [`ShmVec::appender`]), which belong on a blocking thread (`spawn_blocking`).
#![warn(missing_docs, unreachable_pub)]
#![cfg_attr(not(feature = "sigbus"), allow(rustdoc::broken_intra_doc_links, reason = "those that lead to its module"))]

// Lets the derive's `::shmtypes` paths work inside this crate too.
extern crate self as shmtypes;

mod access;
pub mod compat;
mod containers;
pub mod error;
pub mod layout;
#[cfg(not(any(miri, shmtypes_heap)))]
pub mod manager;
mod participants;
pub mod segment;
#[cfg(feature = "sigbus")]
pub mod sigbus;
pub mod sync;
mod sys;

pub use containers::{
    Appender, ArrayOptions, BoxOptions, CellOptions, Cooperative, FollowUntil, Followed, Follower, Iter, ListIter,
    ListOptions, LockedArray, LockedOptions, LockedReadGuard, LockedWriteGuard, Number, ShmArray, ShmBox, ShmCell,
    ShmList, ShmVec, SliceReadGuard, SliceWriteGuard, ValueKind, VecIter, VecOptions,
};
pub use error::{Error, ErrorKind, Fault, Result};
pub use layout::{
    AccessMode, Fingerprint, ForeignRef, InvalidBits, ReadOnly, ReadWrite, Schema, ShmBytes, ShmLayout, ShmPod, ShmRef,
    ShmStr, ShmValue, ShmView, ShmZero, TooLong, Writable,
};
pub use participants::Holder;
pub use segment::{
    Container, Creator, Detached, Elements, Evolve, HugePages, Listing, Persist, Reaped, SegmentDirectory, SegmentInfo,
    Slots, Trust, inspect, list, reap, reap_named, unlink,
};
pub use shmtypes_derive::ShmLayout;
pub use sync::{
    Deadline, HeldBy, LockError, LockGuard, LockResult, MutexGuard, RwLockReadGuard, RwLockWriteGuard, SeqCell,
    ShmEvent, ShmMutex, ShmRwLock,
};

/// What the derive's expansion calls. Not part of the public interface.
#[doc(hidden)]
pub mod __private;
