//! The escape hatch: the address, and slices on the caller's word.
#![allow(unsafe_code, reason = "public unsafe functions that hand shared memory out as slices")]

use super::ShmArray;
use crate::layout::{AccessMode, ShmLayout, ShmPod, Writable};
use crate::segment::elements::Elements;

/// The escape hatch.
impl<T: ShmLayout, M: AccessMode> Elements<T, M> {
    /// The address of the first element. Whoever reads or writes through it takes on the rules of the [crate's access
    /// model](crate#the-access-model): volatile or atomic accesses, no references. The address is valid as long as any
    /// handle of this attachment is.
    #[must_use]
    pub fn as_ptr(&self) -> *mut T {
        self.first()
    }

    /// The elements as a plain slice.
    ///
    /// # Panics
    /// On a segment that was opened with [`Evolve::Append`](crate::Evolve::Append) and holds a longer type.
    ///
    /// # Safety
    /// As long as the slice is used, nobody writes to the elements, in this process or any other, and nobody truncates
    /// the file. What a peer does is not in this process's hand: the program's design must guarantee it.
    #[must_use]
    pub unsafe fn as_slice(&self) -> &[T]
    where
        T: ShmPod,
    {
        // SAFETY: the caller's word; the mapping lives as long as `self` is borrowed.
        unsafe { self.slice() }
    }
}

/// The escape hatch.
impl<T: ShmLayout, M: AccessMode> ShmArray<T, M> {
    /// The elements as an exclusive slice.
    ///
    /// # Panics
    /// As [`as_slice`](Elements::as_slice).
    ///
    /// # Safety
    /// As long as the slice is used, nobody else reads or writes the elements, in this process (through any clone of
    /// this handle, or another handle of the segment) or any other, and nobody truncates the file.
    #[must_use]
    pub unsafe fn as_mut_slice(&mut self) -> &mut [T]
    where
        T: ShmPod,
        M: Writable,
    {
        // SAFETY: the caller's word; the mapping lives as long as `self` is borrowed.
        unsafe { self.elements.as_mut_slice() }
    }
}
