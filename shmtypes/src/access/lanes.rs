//! Typed wide blocks: a run of elements comes out of shared memory, or goes in, in the widest registers there are.
//!
//! A volatile load of a *vector* type is one instruction. The compiler then keeps the private block in registers, so
//! that a loop over blocks runs at the speed of a loop over a slice. The lane's type must match the elements': `f64`
//! through integer lanes costs shuffles and loses a factor of two to three.
#![allow(unsafe_code, reason = "loads and stores blocks of shared memory")]

use super::{Candidate, copy_in, copy_out};
use core::mem::{MaybeUninit, align_of, size_of};

/// The size of one block of wide lanes.
const BLOCK_BYTES: usize = 128;

/// The size of the private buffer through which elements without wide lanes travel.
const BOUNCE_BYTES: usize = 4096;

/// How a block of elements moves between shared and private memory: wide, which is a full block through registers, or
/// copied, which is any block by `memcpy`.
///
/// A buffer must go one way only. One whose address has once reached a `memcpy` in assembly stays in memory, and the
/// wide loop would store and load it for nothing: two to three times as slow.
///
/// # Safety
/// `load_wide` initialises `capacity::<T>()` elements of the block, `load` exactly the first `count`.
///
/// A type for which the lane has no room does not compile:
///
/// ```
/// use shmtypes::ShmValue;
/// use shmtypes::__private::BlockLane;
///
/// #[repr(align(64))]
/// struct Line([u8; 64]);
/// assert_eq!(<<u64 as ShmValue>::Lane as BlockLane>::capacity::<Line>(), 2);
/// ```
/// ```compile_fail,E0080
/// # use shmtypes::ShmValue;
/// # use shmtypes::__private::BlockLane;
/// #[repr(align(128))]
/// struct Line([u8; 128]);
/// assert_eq!(<<u64 as ShmValue>::Lane as BlockLane>::capacity::<Line>(), 1);
/// ```
#[doc(hidden)]
pub unsafe trait BlockLane: Copy + 'static {
    /// How many elements one block holds; at least 1. Does not compile if the buffer does not suit `T`: one block of it
    /// holds a whole number of elements, and is aligned for them.
    fn capacity<T>() -> usize;

    /// Room for one block.
    type Buffer: BlockBuffer;

    /// Whether full blocks from `first` on may go wide.
    fn is_wide<T>(first: *const T) -> bool;

    /// # Safety
    /// `source` is mapped for `Self::capacity::<T>()` elements and whole blocks away from an address that is wide.
    unsafe fn load_wide<T>(buffer: &mut Self::Buffer, source: *const T);

    /// # Safety
    /// As for `load_wide`; `target` is writable, and the whole block is initialised.
    unsafe fn store_wide<T>(buffer: &Self::Buffer, target: *mut T);

    /// # Safety
    /// `source` is mapped for `count` elements; `count <= Self::capacity::<T>()`.
    #[inline(always)]
    unsafe fn load<T>(buffer: &mut Self::Buffer, source: *const T, count: usize) {
        // SAFETY: the caller's word; a block has room for `capacity` elements.
        unsafe { copy_out(source.cast(), buffer.start_mut(), count * size_of::<T>()) };
    }

    /// # Safety
    /// `target` is mapped and writable for `count` elements, and the first `count` elements of the buffer are
    /// initialised; `count <= Self::capacity::<T>()`.
    #[inline(always)]
    unsafe fn store<T>(buffer: &Self::Buffer, target: *mut T, count: usize) {
        // SAFETY: the caller's word.
        unsafe { copy_in(buffer.start(), target.cast(), count * size_of::<T>()) };
    }
}

/// Private room for one block.
///
/// # Safety
/// `start` is valid for the block's bytes and aligned to 64 bytes.
#[doc(hidden)]
pub unsafe trait BlockBuffer: Sized {
    fn new<T>() -> Self;
    fn start(&self) -> *const u8;
    fn start_mut(&mut self) -> *mut u8;
}

/// A vector register type.
///
/// # Safety
/// Plain old data of `LANE_BYTES` bytes.
#[doc(hidden)]
pub unsafe trait Lane: Copy + 'static {}

macro_rules! lanes {
    ($bytes:literal, $int:ty, $float32:ty, $float64:ty) => {
        const LANE_BYTES: usize = $bytes;
        /// The widest register for integers and bytes.
        pub(crate) type IntLane = $int;
        /// The widest register for `f32`.
        pub(crate) type FloatLane32 = $float32;
        /// The widest register for `f64`.
        pub(crate) type FloatLane64 = $float64;
    };
}

#[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
lanes!(32, core::arch::x86_64::__m256i, core::arch::x86_64::__m256, core::arch::x86_64::__m256d);
#[cfg(all(target_arch = "x86_64", not(target_feature = "avx2")))]
lanes!(16, core::arch::x86_64::__m128i, core::arch::x86_64::__m128, core::arch::x86_64::__m128d);
#[cfg(target_arch = "aarch64")]
lanes!(16, core::arch::aarch64::uint8x16_t, core::arch::aarch64::float32x4_t, core::arch::aarch64::float64x2_t);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
lanes!(8, u64, u64, u64);

const LANES: usize = BLOCK_BYTES / LANE_BYTES;

// SAFETY: plain old data, `LANE_BYTES` wide, by the table above.
unsafe impl Lane for IntLane {}
// SAFETY: as above.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
unsafe impl Lane for FloatLane32 {}
// SAFETY: as above.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
unsafe impl Lane for FloatLane64 {}

/// One block of wide lanes in private memory.
#[doc(hidden)]
#[repr(C, align(64))]
pub struct Block<L: Lane>([MaybeUninit<L>; LANES]);

// SAFETY: `BLOCK_BYTES` bytes, aligned to 64.
unsafe impl<L: Lane> BlockBuffer for Block<L> {
    #[inline(always)]
    fn new<T>() -> Self {
        Self([MaybeUninit::uninit(); LANES])
    }
    #[inline(always)]
    fn start(&self) -> *const u8 {
        self.0.as_ptr().cast()
    }
    #[inline(always)]
    fn start_mut(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }
}

// SAFETY: `load_wide` writes `LANES` lanes, `BLOCK_BYTES` bytes, a full block; `copy_out` writes what it is told.
unsafe impl<L: Lane> BlockLane for L {
    type Buffer = Block<L>;

    #[inline(always)]
    fn capacity<T>() -> usize {
        const { assert!(BLOCK_BYTES.is_multiple_of(size_of::<T>()), "elements of this size do not fill a block") };
        const { assert!(align_of::<T>() <= align_of::<Block<L>>(), "elements aligned to more than 64 bytes have no blocks") };
        BLOCK_BYTES / size_of::<T>()
    }

    #[inline(always)]
    fn is_wide<T>(first: *const T) -> bool {
        first.cast::<L>().is_aligned() && !cfg!(miri)
    }

    #[inline(always)]
    unsafe fn load_wide<T>(buffer: &mut Block<L>, source: *const T) {
        let lanes: *const L = source.cast();
        for lane in 0..LANES {
            // SAFETY: a full block is `LANES` lanes, all mapped by the caller's word.
            let place = unsafe { lanes.add(lane) };
            // SAFETY: mapped; aligned, because the first address was and a block is a multiple of a lane; volatile,
            // outside every allocation.
            buffer.0[lane] = MaybeUninit::new(unsafe { place.read_volatile() });
        }
    }

    #[inline(always)]
    unsafe fn store_wide<T>(buffer: &Block<L>, target: *mut T) {
        let lanes: *mut L = target.cast();
        for lane in 0..LANES {
            // SAFETY: a full block is `LANES` lanes, all mapped by the caller's word.
            let place = unsafe { lanes.add(lane) };
            // SAFETY: the caller's word: the whole block is initialised.
            let value = unsafe { buffer.0[lane].assume_init() };
            // SAFETY: mapped and writable by the caller's word, aligned as in `load_wide`; volatile.
            unsafe { place.write_volatile(value) };
        }
    }
}

/// The way of elements without wide lanes, structs above all: `memcpy` through a private buffer of 4 KiB, or of one
/// element where that is larger.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Bounce;

/// The buffer of [`Bounce`]: 64-byte chunks on the heap, made once per loop.
#[doc(hidden)]
#[derive(Debug)]
pub struct BounceBuffer(Box<[MaybeUninit<Chunk>]>);

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Chunk([u8; 64]);

// SAFETY: `new` makes room for `max(BOUNCE_BYTES, size_of::<T>())` bytes, aligned to 64; `capacity` refuses elements
// with a larger alignment.
unsafe impl BlockBuffer for BounceBuffer {
    fn new<T>() -> Self {
        let bytes = BOUNCE_BYTES.max(size_of::<T>());
        Self(Box::new_uninit_slice(bytes.div_ceil(size_of::<Chunk>())))
    }
    #[inline(always)]
    fn start(&self) -> *const u8 {
        self.0.as_ptr().cast()
    }
    #[inline(always)]
    fn start_mut(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }
}

// SAFETY: `copy_out` writes exactly what it is told.
unsafe impl BlockLane for Bounce {
    type Buffer = BounceBuffer;

    #[inline(always)]
    fn capacity<T>() -> usize {
        const { assert!(align_of::<T>() <= align_of::<Chunk>(), "elements aligned to more than 64 bytes have no blocks") };
        (BOUNCE_BYTES / size_of::<T>()).max(1)
    }

    #[inline(always)]
    fn is_wide<T>(_first: *const T) -> bool {
        false
    }

    #[inline(always)]
    unsafe fn load_wide<T>(buffer: &mut BounceBuffer, source: *const T) {
        // SAFETY: the caller's word.
        unsafe { Self::load(buffer, source, Self::capacity::<T>()) };
    }

    #[inline(always)]
    unsafe fn store_wide<T>(buffer: &BounceBuffer, target: *mut T) {
        // SAFETY: the caller's word.
        unsafe { Self::store(buffer, target, Self::capacity::<T>()) };
    }
}

/// The first `count` elements of a loaded block.
///
/// # Safety
/// `BlockLane::load::<T>` or `load_wide::<T>` has filled at least `count` elements of this buffer.
#[inline(always)]
pub(crate) unsafe fn loaded<T, B: BlockBuffer>(buffer: &B, count: usize) -> &[Candidate<T>] {
    // SAFETY: the buffer is aligned for `T` and holds `count` initialised elements by the caller's word; it is
    // private and borrowed for the slice's lifetime.
    unsafe { core::slice::from_raw_parts(buffer.start().cast(), count) }
}

/// The first `count` elements of a loaded block, to be changed.
///
/// # Safety
/// As for [`loaded`].
#[inline(always)]
pub(crate) unsafe fn loaded_mut<T, B: BlockBuffer>(buffer: &mut B, count: usize) -> &mut [Candidate<T>] {
    // SAFETY: as in `loaded`; the buffer is borrowed exclusively.
    unsafe { core::slice::from_raw_parts_mut(buffer.start_mut().cast(), count) }
}
