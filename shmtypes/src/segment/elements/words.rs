//! Elements that are words, seen as what a container has put together from them: parts with a layout of their own, and bytes.
#![allow(unsafe_code, reason = "calls the access module under the invariant of Elements")]

use super::Elements;
use crate::access;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, ShmLayout, ShmRef, Writable};
use core::mem::{align_of, size_of};

const WORD: usize = size_of::<u64>();

impl<M: AccessMode> Elements<u64, M> {
    /// Whether there are `count` words from `start` on, side by side.
    #[inline(always)]
    fn has_words(&self, start: usize, count: usize) -> bool {
        self.check_dense().is_ok() && start.checked_add(count).is_some_and(|end| end <= self.count())
    }

    /// The place of a `P` that stands in the words from `start` on, if there are as many. Whoever uses these words uses
    /// them as a `P`.
    #[inline(always)]
    pub(crate) fn part<P: ShmLayout>(&self, start: usize) -> Option<ShmRef<'_, P, M>> {
        const { assert!(align_of::<P>() <= WORD && size_of::<P>().is_multiple_of(WORD)) };
        if !self.has_words(start, size_of::<P>() / WORD) {
            return None;
        }
        // SAFETY: the words are mapped and side by side, so that a `P` is aligned there, for as long as `self` is borrowed;
        // writable if `M` is. No reference to them exists: the containers that lend some have no parts.
        Some(unsafe { ShmRef::new(self.place(start).cast(), self.participant()) })
    }

    /// Copies bytes out that start with word `start`, to the end of `target`, whatever they are.
    ///
    /// # Errors
    /// [`ErrorKind::NoAddressSpace`] if there is no memory for them. Then `target` is as it was.
    #[inline(always)]
    pub(crate) fn append_bytes(&self, start: usize, bytes: usize, target: &mut Vec<u8>) -> Result<()> {
        let count = bytes.div_ceil(WORD);
        if !self.has_words(start, count) {
            return Err(self.no_words(start, count));
        }
        if target.capacity() - target.len() < bytes && target.try_reserve_exact(bytes).is_err() {
            return Err(Error::new(ErrorKind::NoAddressSpace { needed: bytes as u64 }));
        }
        let room = &mut target.spare_capacity_mut()[..bytes];
        // SAFETY: the words are mapped; the room is private and as large.
        unsafe { access::copy_out(self.place(start).cast::<u8>().cast_const(), room.as_mut_ptr().cast(), bytes) };
        let len = target.len() + bytes;
        // SAFETY: there was room for `bytes` more, which `copy_out` has filled.
        unsafe { target.set_len(len) };
        Ok(())
    }

    /// Copies bytes in, from the start of word `start` on.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] if there are not as many words. Then nothing was changed.
    #[inline(always)]
    pub(crate) fn store_bytes(&self, start: usize, bytes: &[u8]) -> Result<()>
    where
        M: Writable,
    {
        let count = bytes.len().div_ceil(WORD);
        if !self.has_words(start, count) {
            return Err(self.no_words(start, count));
        }
        // SAFETY: the words are mapped, and writable because `M` is; the source is a private slice.
        unsafe { access::copy_in(bytes.as_ptr(), self.place(start).cast(), bytes.len()) };
        Ok(())
    }

    #[cold]
    fn no_words(&self, start: usize, count: usize) -> Error {
        Error::out_of_range(start.saturating_add(count), self.count())
    }
}
