//! The guard against truncation, in two bodies: `present` with the feature `sigbus`, and `absent`, which is nothing at all,
//! without it and on the heap, which nobody truncates.

#[cfg(all(feature = "sigbus", not(any(miri, shmtypes_heap))))]
mod present;
#[cfg(all(feature = "sigbus", not(any(miri, shmtypes_heap))))]
pub(crate) use present::*;

#[cfg(not(all(feature = "sigbus", not(any(miri, shmtypes_heap)))))]
mod absent;
#[cfg(not(all(feature = "sigbus", not(any(miri, shmtypes_heap)))))]
pub(crate) use absent::*;
