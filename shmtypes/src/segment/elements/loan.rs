//! Elements lent as a plain slice, while a lock keeps everybody else away.
#![allow(unsafe_code, reason = "makes slices of shared memory, by the word of the lock's holder")]

use super::Elements;
use crate::access;
use crate::layout::{AccessMode, ShmPod, Writable};
use core::marker::PhantomData;

/// A loan of all elements: shared if `M` is [`ReadOnly`](crate::ReadOnly), else exclusive. It ends when it is dropped.
pub(crate) struct Loan<T, M> {
    // Invariant: that of `Elements`, side by side, and the promise of `new`, as long as this lives. The pointer is the one that
    // the hand-over gave.
    first: *mut T,
    len: usize,
    mode: PhantomData<M>,
}

// SAFETY: a shared loan lends `&[T]` only, by whose rules threads may share it.
unsafe impl<T: Sync, M: AccessMode> Sync for Loan<T, M> {}

impl<T: ShmPod, M: AccessMode> Loan<T, M> {
    /// Begins a loan.
    ///
    /// # Safety
    /// The elements lie side by side. As long as the loan lives: they stay mapped, with their bytes in the file; nobody, in any process or thread,
    /// writes to them but through this loan; and if `M` is `ReadWrite`, nobody reads them either.
    #[inline(always)]
    pub(crate) unsafe fn new(elements: &Elements<T, M>) -> Self {
        Self { first: access::hand_over(elements.first), len: elements.len, mode: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn slice(&self) -> &[T] {
        // SAFETY: aligned, mapped and side by side by the invariant; any bytes are a `T`; nobody writes as long as `self` is
        // borrowed, because writing needs it exclusively.
        unsafe { core::slice::from_raw_parts(self.first, self.len) }
    }

    #[inline(always)]
    pub(crate) fn slice_mut(&mut self) -> &mut [T]
    where
        M: Writable,
    {
        // SAFETY: as above, and writable; nobody else accesses the elements (promise of `new`), nor this process by another
        // borrow of `self`.
        unsafe { core::slice::from_raw_parts_mut(self.first, self.len) }
    }
}

impl<T, M> Drop for Loan<T, M> {
    #[inline(always)]
    fn drop(&mut self) {
        access::hand_over(self.first);
    }
}
