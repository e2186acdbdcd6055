//! Filling a segment before it has a name.
//!
//! Until publication nobody else can reach the memory, so aliasing XOR mutation holds and it may be lent as `&mut [T]`.
//! With the end of the loan it goes back to being memory outside the abstract machine, for good.
//!
//! Bytes of a value that belong to no field (around what a lock or cell guards) are uninitialised in private memory, and
//! could carry whatever stood there before. They never get into a segment: stores leave them out, and what was lent is
//! cleared of them.
#![allow(unsafe_code, reason = "lends unpublished memory as a slice")]

use super::create::Draft;
use crate::access;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{ShmLayout, ShmZero};
use crate::sys::Map;
use core::marker::PhantomData;
use core::mem::{MaybeUninit, align_of, size_of};

/// The elements of a file that has no name yet, all of whose bytes are zero.
pub(crate) struct Unpublished<'m, T> {
    // Invariant: `len` places for a `T` from `first` on are mapped, for writing too, and aligned; this process reaches
    // them through this value only.
    first: *mut T,
    len: usize,
    /// Whether no other process can reach them either.
    is_private: bool,
    map: PhantomData<&'m mut Map>,
}

impl<'m, T: ShmLayout> Unpublished<'m, T> {
    /// The `len` elements that start `offset` bytes into a mapping.
    ///
    /// # Safety
    /// The mapping is for writing, and of a fresh file, all zero, that is mapped nowhere else in this process. If
    /// `is_private`, the file never had a name.
    pub(crate) unsafe fn new(map: &'m mut Map, offset: usize, len: usize, is_private: bool) -> Self {
        assert!(len.checked_mul(size_of::<T>()).is_some_and(|bytes| bytes <= map.bytes().saturating_sub(offset)));
        let first = map.start().wrapping_add(offset).cast::<T>();
        assert!(first.is_aligned());
        Self { first, len, is_private, map: PhantomData }
    }

    /// Lends the elements.
    ///
    /// # Errors
    /// If a copy is needed and does not fit into memory.
    pub(crate) fn lend<R>(&mut self, fill: impl FnOnce(&mut [T]) -> R) -> Result<R>
    where
        T: ShmZero,
    {
        let (first, len) = (self.first, self.len);
        if self.is_private {
            // SAFETY: mapped and aligned by the invariant; fresh file pages are zero, which is a valid `T`; the file has no
            // name and `self` is borrowed exclusively, so nobody else reads or writes. (A process of the same user could
            // come through /proc/PID/fd, as it could through /proc/PID/mem: outside of what any Rust program can rule
            // out.)
            let result = fill(unsafe { core::slice::from_raw_parts_mut(first, len) });
            // SAFETY: as above; the loan is over.
            unsafe { clear_gaps(first, len) };
            return Ok(result);
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
        // SAFETY: the private elements; the loan is over.
        unsafe { clear_gaps(private.as_mut_ptr().cast::<T>(), len) };
        // SAFETY: mapped for writing by the invariant; the source is as long, and all of it is initialised: fields hold values,
        // and the gaps were cleared.
        unsafe { access::copy_in(private.as_ptr().cast(), first.cast(), len * size_of::<T>()) };
        Ok(result)
    }

    /// Writes all elements from a slice of as many.
    pub(crate) fn copy_from_slice(&mut self, values: &[T]) {
        assert!(values.len() == self.len);
        if const { T::SCHEMA.has_gaps() } {
            for (index, value) in values.iter().enumerate() {
                // SAFETY: `index < len`, mapped and aligned by the invariant.
                unsafe { store_fields(self.first.wrapping_add(index), value) };
            }
            return;
        }
        // SAFETY: mapped for writing by the invariant; the source is a slice of as many; a layout without gaps has no
        // padding.
        unsafe { access::copy_in(values.as_ptr().cast(), self.first.cast(), size_of_val(values)) };
    }

    /// Writes every element.
    pub(crate) fn write_each<E>(&mut self, mut value: impl FnMut(usize) -> Result<T, E>) -> Result<(), E> {
        for index in 0..self.len {
            let value = value(index)?;
            // SAFETY: `index < len`, mapped and aligned by the invariant.
            unsafe { store_fields(self.first.wrapping_add(index), &value) };
        }
        Ok(())
    }
}

/// Stores a value's fields, and leaves alone what is between them.
///
/// # Safety
/// `target` is aligned for `T`, and mapped and writable for the call.
#[inline(always)]
unsafe fn store_fields<T: ShmLayout>(target: *mut T, value: &T) {
    if const { !T::SCHEMA.has_gaps() } {
        // SAFETY: the target is the caller's word; a layout without gaps has no padding.
        return unsafe { access::store(target, value) };
    }
    let (source, target) = (core::ptr::from_ref(value).cast::<u8>(), target.cast::<u8>());
    let copy = |start: usize, end: usize| {
        // SAFETY: a range inside the value, which is private, and its target; between two gaps all bytes belong to fields
        // (contract of `ShmLayout`), so they are initialised.
        unsafe { access::copy_in(source.wrapping_add(start), target.wrapping_add(start), end - start) };
    };
    let mut fields = 0;
    T::SCHEMA.for_each_gap(&mut |start, length| {
        copy(fields, start);
        fields = start + length;
    });
    copy(fields, size_of::<T>());
}

/// Makes zero what belongs to no field.
///
/// # Safety
/// `len` elements from `first` on are valid for writes, and nobody else uses them.
#[inline(always)]
unsafe fn clear_gaps<T: ShmLayout>(first: *mut T, len: usize) {
    if const { !T::SCHEMA.has_gaps() } {
        return;
    }
    for index in 0..len {
        let element = first.wrapping_add(index).cast::<u8>();
        T::SCHEMA.for_each_gap(&mut |start, length| {
            // SAFETY: inside an element, by the contract of `ShmLayout`, and so valid for writes by the caller's word.
            unsafe { element.wrapping_add(start).write_bytes(0, length) };
        });
    }
}

impl Draft<'_> {
    /// The elements, all of whose bytes are zero.
    pub(crate) fn elements<T: ShmLayout>(&mut self) -> Unpublished<'_, T> {
        let capacity = self.header().capacity as usize;
        self.first_elements(capacity)
    }

    /// The first `count` elements, all of whose bytes are zero.
    ///
    /// # Panics
    /// If there are fewer.
    pub(crate) fn first_elements<T: ShmLayout>(&mut self, count: usize) -> Unpublished<'_, T> {
        let header = self.header();
        let offset = header.data_offset as usize;
        assert!(header.element_bytes == size_of::<T>() as u64 && header.element_align == align_of::<T>() as u32);
        assert!(count <= header.capacity as usize);
        let is_private = self.is_private();
        // SAFETY: a draft maps its own fresh file once, for writing, and hands the mapping out here only, under an
        // exclusive borrow.
        unsafe { Unpublished::new(self.map_mut(), offset, count, is_private) }
    }

    /// The start of the mutable block, all of whose bytes are zero.
    ///
    /// # Panics
    /// If there is no room for a `B`.
    pub(crate) fn block<B: ShmLayout>(&mut self) -> Unpublished<'_, B> {
        let header = self.header();
        let offset = header.mutable_offset as usize;
        assert!(size_of::<B>() as u64 <= header.own_mutable_bytes());
        let is_private = self.is_private();
        // SAFETY: as above; the header is written by call, and not through the mapping.
        unsafe { Unpublished::new(self.map_mut(), offset, 1, is_private) }
    }
}

#[cfg(test)]
#[path = "lend_tests.rs"]
mod tests;
