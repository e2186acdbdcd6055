//! Filling a segment before it has a name.
//!
//! Until publication nobody else can reach the memory, so aliasing XOR mutation holds and it may be lent as `&mut [T]`.
//! With the end of the loan it goes back to being memory outside the abstract machine, for good.
#![allow(unsafe_code, reason = "lends unpublished memory as a slice")]

use super::create::Draft;
use crate::access;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{ShmLayout, ShmZero};
use core::mem::{MaybeUninit, align_of, size_of};

impl Draft {
    /// The first element and the number of elements.
    fn run<T: ShmLayout>(&self) -> (*mut T, usize) {
        let header = self.header();
        let (offset, len) = (header.data_offset as usize, header.capacity as usize);
        assert!(header.element_bytes == size_of::<T>() as u64 && header.element_align == align_of::<T>() as u32);
        assert!(len * size_of::<T>() <= self.map().bytes().saturating_sub(offset));
        let first = self.map().start().wrapping_add(offset).cast::<T>();
        assert!(first.is_aligned());
        (first, len)
    }

    /// Lends the elements, all of whose bytes are zero.
    ///
    /// # Errors
    /// If a copy is needed and does not fit into memory.
    pub(crate) fn lend<T: ShmZero, R>(&mut self, fill: impl FnOnce(&mut [T]) -> R) -> Result<R> {
        let (first, len) = self.run::<T>();
        if self.is_private() {
            // SAFETY: `run` has checked bounds and alignment; fresh file pages are zero, which is a valid `T`; the file
            // has no name and `self` is borrowed exclusively, so nobody else reads or writes. (A process of the same
            // user could come through /proc/PID/fd, as it could through /proc/PID/mem: outside of what any Rust program
            // can rule out.)
            return Ok(fill(unsafe { core::slice::from_raw_parts_mut(first, len) }));
        }
        // Under a hidden name another process could find the file: fill private memory instead, and copy.
        let mut private: Vec<MaybeUninit<T>> = Vec::new();
        private
            .try_reserve_exact(len)
            .map_err(|_| Error::new(ErrorKind::NoAddressSpace { needed: (len * size_of::<T>()) as u64 }))?;
        private.resize_with(len, MaybeUninit::zeroed);
        // SAFETY: `len` elements of zero bytes, a valid `T`, in a private vector.
        let slots = unsafe { core::slice::from_raw_parts_mut(private.as_mut_ptr().cast::<T>(), len) };
        let result = fill(slots);
        // SAFETY: `run` has checked the bounds; the source is as long, and a layout has no padding.
        unsafe { access::copy_in(private.as_ptr().cast(), first.cast(), len * size_of::<T>()) };
        Ok(result)
    }

    /// Writes all elements from a slice of as many.
    pub(crate) fn copy_from_slice<T: ShmLayout>(&mut self, values: &[T]) {
        let (first, len) = self.run::<T>();
        assert!(values.len() == len);
        // SAFETY: `run` has checked the bounds; the source is a slice of as many; a layout has no padding.
        unsafe { access::copy_in(values.as_ptr().cast(), first.cast(), size_of_val(values)) };
    }

    /// Writes every element.
    pub(crate) fn write_each<T: ShmLayout, E>(
        &mut self,
        mut value: impl FnMut(usize) -> Result<T, E>,
    ) -> Result<(), E> {
        let (first, len) = self.run::<T>();
        for index in 0..len {
            let value = value(index)?;
            // SAFETY: `index < len`, and `run` has checked bounds and alignment; a layout has no padding.
            unsafe { access::store(first.wrapping_add(index), &value) };
        }
        Ok(())
    }
}
