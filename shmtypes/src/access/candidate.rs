//! A private copy of the bytes of a value that nobody has checked yet.
#![allow(unsafe_code, reason = "reads plain words out of initialised private bytes")]

use core::mem::{MaybeUninit, align_of, size_of};

/// The bytes of one `T`, copied into private memory: all initialised, nobody else can change them, and perhaps no
/// valid `T`. [`ShmValue::find_invalid`](crate::ShmValue::find_invalid) decides whether they are.
#[repr(transparent)]
pub struct Candidate<T> {
    // Invariant: all `size_of::<T>()` bytes are initialised.
    bytes: MaybeUninit<T>,
}

impl<T> Candidate<T> {
    /// # Safety
    /// All `size_of::<T>()` bytes are initialised.
    #[inline(always)]
    pub(crate) unsafe fn from_initialized(bytes: MaybeUninit<T>) -> Self {
        Self { bytes }
    }

    /// The candidate of the field of type `F` that stands `offset` bytes into this one.
    ///
    /// # Panics
    /// If no aligned `F` fits there; with a constant offset the check costs nothing.
    #[doc(hidden)]
    #[inline(always)]
    pub fn field<F>(&self, offset: usize) -> &Candidate<F> {
        assert!(offset <= size_of::<T>() && size_of::<F>() <= size_of::<T>() - offset);
        assert!(offset.is_multiple_of(align_of::<F>()) && align_of::<F>() <= align_of::<T>());
        // SAFETY: `offset .. offset + size_of::<F>()` lies inside `T`, by the first assertion.
        let part = unsafe { self.bytes.as_ptr().byte_add(offset) };
        // SAFETY: in bounds and aligned by the assertions; the bytes are initialised (invariant), live as long as
        // `self` and are private; `Candidate<F>` accepts any initialised bytes.
        unsafe { &*part.cast::<Candidate<F>>() }
    }

    /// The first bytes of the candidate as a `W`, a type for which every bit pattern is valid.
    #[doc(hidden)]
    #[inline(always)]
    pub fn word<W: bytemuck::AnyBitPattern>(&self) -> W {
        // SAFETY: `field` checks that a `W` fits; its bytes are initialised, and `AnyBitPattern` says that any such
        // bytes are a `W`.
        unsafe { self.field::<W>(0).bytes.assume_init_read() }
    }

    /// All bytes of the candidate.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `size_of::<T>()` bytes, initialised (invariant), private, and unchanged as long as `self` is borrowed,
        // since nothing here gives out a `T` inside a candidate.
        unsafe { core::slice::from_raw_parts(self.bytes.as_ptr().cast(), size_of::<T>()) }
    }

    /// The value.
    ///
    /// # Safety
    /// The bytes are a valid `T`.
    #[inline(always)]
    pub(crate) unsafe fn assume_valid(self) -> T {
        // SAFETY: initialised by the invariant, valid by the caller's word.
        unsafe { self.bytes.assume_init() }
    }
}

impl<T, const N: usize> Candidate<[T; N]> {
    /// The candidates of the elements.
    #[doc(hidden)]
    #[inline(always)]
    pub fn elements(&self) -> &[Candidate<T>] {
        let first: *const Candidate<T> = self.bytes.as_ptr().cast();
        // SAFETY: `[T; N]` is `N` times `T` without gaps, `Candidate<T>` is transparent over `MaybeUninit<T>`, the
        // bytes are initialised (invariant) and live as long as `self`.
        unsafe { core::slice::from_raw_parts(first, N) }
    }
}

impl<T> core::fmt::Debug for Candidate<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Candidate<{}>", core::any::type_name::<T>())
    }
}
