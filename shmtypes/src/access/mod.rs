//! The one module that touches bytes which another process may change at any time.
//!
//! A published segment is memory *outside the Rust abstract machine*: no Rust allocation, and never a reference into
//! it. This module owns every instruction that moves its bytes; all other modules are safe code on top.
//!
//! 1. **Out of it and into it, never a look at it.** Every function moves bytes between shared and private memory.
//!    What comes out is a [`Candidate`]: private, initialised, and not yet known to be a valid value.
//! 2. **Volatile words or one `memcpy` in assembly.** Both have a story in terms of volatile byte accesses to memory
//!    outside every Rust allocation, which `core::ptr::read_volatile` (1.90 and later) defines. Plain copies and
//!    slices have none: there a race is undefined behaviour.
//! 3. **An atomic's reference lives inside one inlined call** ([`atomic`]). LLVM marks `&AtomicU64` neither `noalias`
//!    nor `dereferenceable`, so such a reference promises nothing that a peer could break.
//!
//! What it does not promise: that an element is read as a whole. Copies may tear between words as wide as the
//! element's alignment; an element of 1, 2, 4 or 8 bytes whose alignment is its size is one instruction on x86-64 and
//! AArch64, which Rust itself does not promise.
//!
//! Background: rust-lang/unsafe-code-guidelines issues 152 and 607; rust-lang/rust pull request 141260.
#![allow(unsafe_code, reason = "this is the module that the rest of the crate keeps its unsafe accesses in")]

pub(crate) mod atomic;
mod candidate;
mod lanes;
mod registers;

pub use candidate::Candidate;
pub(crate) use lanes::{BlockBuffer, loaded, loaded_mut};
pub use lanes::{BlockLane, Bounce};
pub(crate) use lanes::{FloatLane32, FloatLane64, IntLane};
pub(crate) use registers::load_whole;

use core::mem::{MaybeUninit, align_of, size_of};

/// Elements up to this size move as volatile words; larger ones as one `memcpy`.
const WORD_COPY_LIMIT: usize = 64;

/// From this length on `memcpy` may use streaming stores, which do not wait for stores before them, also not behind a release
/// fence, that is no instruction on x86-64 (Intel's manual, volume 3, "Memory Ordering in P6 and More Recent Processor
/// Families"). The C library's own threshold is far above; its fence at the end covers what comes after.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const STREAMED: usize = 16 << 10;

/// Copies one `T` out of shared memory.
///
/// # Safety
/// `source` is aligned for `T`, and the `size_of::<T>()` bytes there stay mapped for the call.
#[inline(always)]
pub(crate) unsafe fn load<T>(source: *const T) -> Candidate<T> {
    let mut private = MaybeUninit::<T>::uninit();
    if size_of::<T>() <= WORD_COPY_LIMIT && !cfg!(miri) {
        // SAFETY: the source is the caller's word; `private` is a fresh `T`, so as large and as aligned.
        unsafe { copy_words::<T, Out>(private.as_mut_ptr().cast(), source.cast()) };
    } else {
        // SAFETY: as above.
        unsafe { copy_out(source.cast(), private.as_mut_ptr().cast(), size_of::<T>()) };
    }
    // SAFETY: both branches wrote all `size_of::<T>()` bytes.
    unsafe { Candidate::from_initialized(private) }
}

/// Copies one `T` into shared memory.
///
/// # Safety
/// `target` is aligned for `T`, and the `size_of::<T>()` bytes there stay mapped and writable for the call.
/// Every byte of `value` is initialised: `T` has no padding.
#[inline(always)]
pub(crate) unsafe fn store<T>(target: *mut T, value: &T) {
    if size_of::<T>() <= WORD_COPY_LIMIT && !cfg!(miri) {
        // SAFETY: the target is the caller's word; the source is a live `T` without padding.
        unsafe { copy_words::<T, In>(target.cast(), core::ptr::from_ref(value).cast()) };
    } else {
        // SAFETY: as above.
        unsafe { copy_in(core::ptr::from_ref(value).cast(), target.cast(), size_of::<T>()) };
    }
}

/// Which side of a word copy is the shared one.
trait Direction {
    /// # Safety
    /// Both pointers are aligned for `W` and valid for one `W`.
    unsafe fn word<W: Copy>(target: *mut W, source: *const W);

    /// One byte, for copies without assembly. Under Miri the shared side is an allocation, on which a volatile access
    /// is an ordinary one; there it is a relaxed atomic.
    ///
    /// # Safety
    /// Both pointers are valid for one byte.
    #[cfg(any(not(any(target_arch = "x86_64", target_arch = "aarch64")), miri))]
    unsafe fn byte(target: *mut u8, source: *const u8);
}

struct Out;
struct In;

impl Direction for Out {
    #[inline(always)]
    unsafe fn word<W: Copy>(target: *mut W, source: *const W) {
        // SAFETY: the caller's word; the shared side is read volatile.
        let word = unsafe { source.read_volatile() };
        // SAFETY: the caller's word; the target is private.
        unsafe { target.write(word) };
    }

    #[cfg(any(not(any(target_arch = "x86_64", target_arch = "aarch64")), miri))]
    unsafe fn byte(target: *mut u8, source: *const u8) {
        #[cfg(not(miri))]
        // SAFETY: the caller's word; a byte is always aligned.
        unsafe {
            Self::word(target, source);
        }
        #[cfg(miri)]
        {
            // SAFETY: the caller's word.
            let byte = unsafe { atomic::load_byte(source) };
            // SAFETY: the caller's word; the target is private.
            unsafe { target.write(byte) };
        }
    }
}

impl Direction for In {
    #[inline(always)]
    unsafe fn word<W: Copy>(target: *mut W, source: *const W) {
        // SAFETY: the caller's word; the source is private and initialised.
        let word = unsafe { source.read() };
        // SAFETY: the caller's word; the shared side is written volatile.
        unsafe { target.write_volatile(word) };
    }

    #[cfg(any(not(any(target_arch = "x86_64", target_arch = "aarch64")), miri))]
    unsafe fn byte(target: *mut u8, source: *const u8) {
        #[cfg(not(miri))]
        // SAFETY: the caller's word; a byte is always aligned.
        unsafe {
            Self::word(target, source);
        }
        #[cfg(miri)]
        {
            // SAFETY: the caller's word; the source is private and initialised.
            let byte = unsafe { source.read() };
            // SAFETY: the caller's word.
            unsafe { atomic::store_byte(target, byte) };
        }
    }
}

/// Copies the bytes of one `T` in words as wide as its alignment allows: a `T` as large as its alignment, of up to
/// eight bytes, in one. The words are integers and never a `T`: a volatile access of a large aggregate, even in a branch
/// that is never taken, is more than the compiler can bear.
///
/// # Safety
/// Both pointers are aligned for `T` and valid for `size_of::<T>()` bytes, all initialised at the source.
#[inline(always)]
unsafe fn copy_words<T, D: Direction>(target: *mut u8, source: *const u8) {
    let mut done = 0;
    macro_rules! words {
        ($word:ty) => {
            while align_of::<T>() >= align_of::<$word>() && done + size_of::<$word>() <= size_of::<T>() {
                // SAFETY: `done + size_of::<$word>() <= size_of::<T>()` keeps the offset in bounds.
                let word_target = unsafe { target.add(done) };
                // SAFETY: the same offset at the source.
                let word_source = unsafe { source.add(done) };
                // SAFETY: `done` is a multiple of the word's size, which is its alignment, and the base is aligned
                // for at least that.
                unsafe { D::word(word_target.cast::<$word>(), word_source.cast::<$word>()) };
                done += size_of::<$word>();
            }
        };
    }
    words!(u64);
    words!(u32);
    words!(u16);
    words!(u8);
}

/// Copies `len` bytes out of shared memory.
///
/// # Safety
/// `source` is mapped for `len` bytes for the call; `target` is private memory, valid for writes of `len` bytes.
#[inline(always)]
pub(crate) unsafe fn copy_out(source: *const u8, target: *mut u8, len: usize) {
    // SAFETY: the caller's word.
    unsafe { external_copy::<Out>(target, source, len) }
}

/// Copies `len` bytes into shared memory.
///
/// # Safety
/// `source` is private memory, `len` initialised bytes; `target` is mapped and writable for `len` bytes for the call.
#[inline(always)]
pub(crate) unsafe fn copy_in(source: *const u8, target: *mut u8, len: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if len >= STREAMED {
        // SAFETY: touches no register and no memory. As an assembly block that may, it stays where it is.
        unsafe { core::arch::asm!("sfence", options(nostack, preserves_flags)) };
    }
    // SAFETY: the caller's word.
    unsafe { external_copy::<In>(target, source, len) }
}

/// libc's `memcpy`, called where the compiler cannot see it: the speed of a plain copy, and for the abstract machine
/// an opaque series of volatile byte accesses on the shared side.
///
/// # Safety
/// `target` is valid for writes and `source` for reads of `len` bytes, and they do not overlap.
#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
#[inline(always)]
unsafe fn external_copy<D: Direction>(target: *mut u8, source: *const u8, len: usize) {
    // SAFETY: `memcpy` of the System V ABI: arguments in rdi, rsi, rdx; `clobber_abi` names all that a C call may
    // change; without `nostack` the compiler keeps the stack aligned and the red zone free. It reads `source` and
    // writes `target` inside the bounds of the caller's word.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(
            "call {memcpy}",
            memcpy = sym nix::libc::memcpy,
            inout("rdi") target => _,
            inout("rsi") source => _,
            inout("rdx") len => _,
            clobber_abi("C"),
        );
    }
    // SAFETY: as above, with the AArch64 procedure call standard: arguments in x0, x1, x2, return address in x30.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!(
            "bl {memcpy}",
            memcpy = sym nix::libc::memcpy,
            inout("x0") target => _,
            inout("x1") source => _,
            inout("x2") len => _,
            clobber_abi("C"),
        );
    }
}

/// Without assembly: byte by byte.
///
/// # Safety
/// As the version in assembly.
#[cfg(any(not(any(target_arch = "x86_64", target_arch = "aarch64")), miri))]
unsafe fn external_copy<D: Direction>(target: *mut u8, source: *const u8, len: usize) {
    for offset in 0..len {
        // SAFETY: `offset < len`, in bounds by the caller's word.
        let to = unsafe { target.add(offset) };
        // SAFETY: as above.
        let from = unsafe { source.add(offset) };
        // SAFETY: both are valid for one byte by the caller's word.
        unsafe { D::byte(to, from) };
    }
}

/// Hands elements over between shared memory and the abstract machine: where a lock keeps everybody else away, they may be
/// lent as a slice from one such event to the next. Emits no instruction.
///
/// What the assembly *might* do, as far as the compiler can know, is the story: at the start of a loan it allocates ordinary
/// memory at this very address, fills it with the shared bytes, and returns a pointer that may access it; at its end it copies
/// the bytes back and frees it. (Of several readers at once, the first and the last do that; those in between get the same
/// memory.) So no access to the slice can move across either event, and outside a loan no Rust memory is there. Nobody
/// may access the bytes in another way meanwhile, but for reads beside readers.
#[inline(always)]
pub(crate) fn hand_over<T>(first: *mut T) -> *mut T {
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
    {
        let mut first = first;
        // SAFETY: no instruction, and the register keeps its value. Without `nomem` the compiler takes all memory that is
        // reachable for read and written.
        unsafe { core::arch::asm!("/* {0} */", inout(reg) first, options(nostack, preserves_flags)) };
        first
    }
    // Elsewhere the next best: opaque in practice, and under Miri the allocation is the same before and after.
    #[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
    {
        core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
        core::hint::black_box(first)
    }
}

#[cfg(test)]
mod tests;
