//! One value out of shared memory through vector registers.
//!
//! For values that are judged as a whole after the copy, so that tearing between any two bytes does no harm. Words of eight
//! bytes would do, but a value that went to private memory in words and is moved on in vectors waits for the processor to
//! put it together: 64 bytes then cost 10 ns in place of 3.
#![allow(unsafe_code, reason = "loads from shared memory, in assembly where registers are wide")]

use super::{Direction, Out, copy_out};
use core::mem::{MaybeUninit, size_of};

/// Values up to this size move through registers; larger ones as one `memcpy`.
const REGISTER_LIMIT: usize = 256;

/// Copies the bytes of one `T` out of shared memory, all of them, so that they are initialised.
///
/// # Safety
/// `source` is aligned to eight bytes, and the `size_of::<T>()` bytes there stay mapped for the call.
#[inline(always)]
pub(crate) unsafe fn load_whole<T>(source: *const T, private: &mut MaybeUninit<T>) {
    let (source, target) = (source.cast::<u8>(), private.as_mut_ptr().cast::<u8>());
    if size_of::<T>() > REGISTER_LIMIT || cfg!(miri) {
        // SAFETY: the source is the caller's word; `private` has as many bytes.
        return unsafe { copy_out(source, target, size_of::<T>()) };
    }
    let mut done = 0;
    macro_rules! parts {
        ($part:ty, $load:path) => {
            while done + size_of::<$part>() <= size_of::<T>() {
                // SAFETY: mapped by the caller's word, and aligned to eight bytes or the size of the part: whatever came before
                // is a multiple of that.
                let part: $part = unsafe { $load(source.wrapping_add(done).cast()) };
                // SAFETY: inside of `private`.
                unsafe { target.wrapping_add(done).cast::<$part>().write_unaligned(part) };
                done += size_of::<$part>();
            }
        };
    }
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        parts!([Vector; 4], vectors);
        parts!(Vector, vector);
    }
    parts!(u64, word);
    parts!(u32, word);
    parts!(u16, word);
    parts!(u8, word);
}

/// # Safety
/// As for [`load_whole`], for one `W`.
#[inline(always)]
unsafe fn word<W: Copy>(source: *const W) -> W {
    let mut private = MaybeUninit::uninit();
    // SAFETY: the caller's word, and a private place.
    unsafe { Out::word(private.as_mut_ptr(), source) };
    // SAFETY: written by the line above.
    unsafe { private.assume_init() }
}

#[cfg(target_arch = "x86_64")]
type Vector = core::arch::x86_64::__m128i;
#[cfg(target_arch = "aarch64")]
type Vector = core::arch::aarch64::uint8x16_t;

/// # Safety
/// 16 bytes are mapped at `source`.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
unsafe fn vector(source: *const Vector) -> Vector {
    let vector: Vector;
    // SAFETY: reads 16 bytes, mapped by the caller's word, at any alignment, and touches nothing else.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(
            "movups {vector}, [{source}]",
            vector = out(xmm_reg) vector,
            source = in(reg) source,
            options(nostack, preserves_flags, readonly),
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!(
            "ldr {vector:q}, [{source}]",
            vector = out(vreg) vector,
            source = in(reg) source,
            options(nostack, preserves_flags, readonly),
        );
    }
    vector
}

/// Four at once, which need one address.
///
/// # Safety
/// 64 bytes are mapped at `source`.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
unsafe fn vectors(source: *const [Vector; 4]) -> [Vector; 4] {
    let (one, two, three, four): (Vector, Vector, Vector, Vector);
    // SAFETY: reads 64 bytes, mapped by the caller's word, at any alignment, and touches nothing else.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(
            "movups {one}, [{source}]",
            "movups {two}, [{source} + 16]",
            "movups {three}, [{source} + 32]",
            "movups {four}, [{source} + 48]",
            one = out(xmm_reg) one,
            two = out(xmm_reg) two,
            three = out(xmm_reg) three,
            four = out(xmm_reg) four,
            source = in(reg) source,
            options(nostack, preserves_flags, readonly),
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!(
            "ldp {one:q}, {two:q}, [{source}]",
            "ldp {three:q}, {four:q}, [{source}, #32]",
            one = out(vreg) one,
            two = out(vreg) two,
            three = out(vreg) three,
            four = out(vreg) four,
            source = in(reg) source,
            options(nostack, preserves_flags, readonly),
        );
    }
    [one, two, three, four]
}
