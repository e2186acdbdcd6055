//! Elements lent by the guard of a lock, which a forked child's copy of that guard does not lend.
#![allow(unsafe_code, reason = "makes elements that stand outside of the `Kept` they are of")]

use super::{Elements, Kept};
use crate::layout::{AccessMode, ShmLayout};
use crate::participants::Identity;
use core::marker::PhantomData;
use core::ops::Deref;

/// The elements of a handle, which it outlives, as the participant that took the lock has them.
pub(crate) struct Lent<'a, T, M> {
    // Invariant: those of the `Kept` that `handle` stands for.
    elements: Elements<T, M>,
    handle: PhantomData<&'a Kept<T, M>>,
}

impl<T: ShmLayout, M: AccessMode> Kept<T, M> {
    /// The same elements for the guard of a lock that `holder` has taken: calls on many of them are refused once this
    /// process is another one.
    #[inline(always)]
    pub(crate) fn lend(&self, holder: Identity) -> Lent<'_, T, M> {
        let elements = Elements { holder: Some(holder), ..self.copy() };
        Lent { elements, handle: PhantomData }
    }
}

impl<T, M> Deref for Lent<'_, T, M> {
    type Target = Elements<T, M>;

    #[inline(always)]
    fn deref(&self) -> &Elements<T, M> {
        &self.elements
    }
}
