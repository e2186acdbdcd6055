//! The one door to the atomics.
//!
//! `core::sync::atomic` is used nowhere else on shared memory. When `load_volatile` and `store_volatile` of
//! `feature(atomic_volatile)` (rust-lang/rust#158947) are stable, they belong here.
#![allow(unsafe_code, reason = "makes the one short-lived reference that an atomic operation needs")]

use core::sync::atomic;

/// A `core` atomic without invalid bit patterns.
///
/// # Safety
/// Implemented for the fixed-width integer atomics only: for each, any bytes are a valid value.
pub(crate) unsafe trait Atomic: sealed::Sealed {}

mod sealed {
    pub(crate) trait Sealed {}
}

macro_rules! atomics {
    ($($name:ident)*) => { $(
        impl sealed::Sealed for atomic::$name {}
        // SAFETY: an integer atomic of fixed width.
        unsafe impl Atomic for atomic::$name {}
    )* };
}
atomics!(AtomicU8 AtomicI8 AtomicU16 AtomicI16 AtomicU32 AtomicI32 AtomicU64 AtomicI64);

/// Runs one atomic operation on the word at `place`.
///
/// # Safety
/// `place` is aligned and mapped for the call, and writable if `operation` writes.
#[inline(always)]
pub(crate) unsafe fn with<A: Atomic, R>(place: *mut A, operation: impl FnOnce(&A) -> R) -> R {
    // SAFETY: aligned and mapped by the caller's word; every bit pattern is a valid `A`, and an atomic may be changed
    // by others while a reference to it exists. The reference ends with this inlined call.
    operation(unsafe { &*place })
}

/// Loads `place` in a way that also works on a page mapped read-only, where only relaxed loads are guaranteed not to
/// fault (`core::sync::atomic`, "Atomic accesses to read-only memory").
///
/// # Safety
/// `place` is aligned and mapped for the call.
#[inline(always)]
pub(crate) unsafe fn load_read_only<A: Atomic, R>(
    place: *mut A,
    order: atomic::Ordering,
    load_relaxed: impl FnOnce(&A) -> R,
) -> R {
    use atomic::Ordering;
    match order {
        Ordering::Relaxed | Ordering::Acquire => {}
        // Before the load too: this fence keeps it behind the sequentially consistent stores that come earlier.
        Ordering::SeqCst => atomic::fence(Ordering::SeqCst),
        _ => panic!("there is no such thing as a release load"),
    }
    // SAFETY: the caller's word.
    let value = unsafe { with(place, load_relaxed) };
    if order != Ordering::Relaxed {
        // With the relaxed load above, an acquire load: pairs with whatever release store the peer used.
        atomic::fence(order);
    }
    value
}

/// # Safety
/// `place` is readable for the call.
#[cfg(miri)]
pub(crate) unsafe fn load_byte(place: *const u8) -> u8 {
    // SAFETY: the caller's word; one byte is always aligned.
    unsafe { with(place.cast_mut().cast::<atomic::AtomicU8>(), |a| a.load(atomic::Ordering::Relaxed)) }
}

/// # Safety
/// `place` is writable for the call.
#[cfg(miri)]
pub(crate) unsafe fn store_byte(place: *mut u8, byte: u8) {
    // SAFETY: the caller's word; one byte is always aligned.
    unsafe { with(place.cast::<atomic::AtomicU8>(), |a| a.store(byte, atomic::Ordering::Relaxed)) }
}
