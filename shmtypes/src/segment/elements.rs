//! The elements of an attached segment: a typed run of shared memory that keeps its attachment alive.
//!
//! The join between a segment, which knows no types, and a layout, which knows no segment. Everything above is safe
//! code: bounds are checked here, against private numbers.
#![allow(unsafe_code, reason = "calls the access module under the invariant of Elements")]

mod lent;
mod loan;
mod words;

pub(crate) use lent::Lent;
pub(crate) use loan::Loan;

use super::attachment::Attachment;
use crate::access::{self, BlockBuffer, BlockLane, Candidate};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{
    AccessMode, InvalidBits, ReadOnly, ReadWrite, ShmLayout, ShmPod, ShmRef, ShmValue, Writable, as_pods_mut,
    as_values, assert_no_gaps,
};
use crate::participants::{Identity, Participant};
use crate::sys::{Access, Watch};
use core::marker::PhantomData;
use core::mem::{MaybeUninit, align_of, size_of};
use core::ops::Deref;
use core::ptr::NonNull;
use std::sync::Arc;

/// The elements of an array in shared memory, one after the other: what [`ShmArray`](crate::ShmArray) and
/// [`NdArray`](crate::compat::NdArray) have in common. Both lend it by `Deref`, so that its methods are theirs, and a
/// function that takes `&Elements<T>` takes either.
///
/// ```
/// use shmtypes::compat::NdArray;
/// use shmtypes::{Elements, Result, ShmArray};
///
/// fn mean(samples: &Elements<f64>) -> Result<f64> {
///     Ok(samples.sum()? / samples.len() as f64)
/// }
/// let ours = ShmArray::create_from_slice(&[1.0, 2.0])?;
/// let pythons = NdArray::create_from_slice(&[2], &[3.0, 4.0])?;
/// assert_eq!((mean(&ours)?, mean(&pythons)?), (1.5, 3.5));
/// assert_eq!(ours.dot(&pythons)?, 11.0);
/// # pythons.unlink()?;
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// A peer may write at any time. If it dies while writing, the element or range that it was copying is half written; if
/// it writes nonsense, there are wrong values, or an `Err` where the type does not allow the bytes.
#[repr(C)]
pub struct Elements<T, M = ReadWrite> {
    // Invariant: `len` places that start `stride` bytes apart, the first of them at `first`, are mapped and aligned for a
    // `T` each, for writing too if `M` is `ReadWrite`, as long as this stands inside the `Kept` that it was made for, or in a
    // `Lent` that borrows from that: it is never copied elsewhere, and never lent for longer or mutably. No reference to the places exists outside the escape hatch.
    first: *mut T,
    len: usize,
    /// `size_of::<T>()`, or more where the segment's type has further fields than `T`.
    stride: usize,
    /// Tells whether the mapping was found truncated, as long as it stands.
    watch: Watch,
    /// This process's part in the segment's locks. Lives as long as the mapping.
    participant: Option<NonNull<Participant>>,
    /// Who has taken the lock under which a guard lends these.
    holder: Option<Identity>,
    mode: PhantomData<M>,
}

/// Elements, and what keeps them mapped: the attachment of a segment, or a block of Python's.
pub(crate) struct Kept<T, M = ReadWrite, K = Attachment> {
    // Invariant: that of `elements`, as long as `keeper` lives.
    elements: Elements<T, M>,
    keeper: Arc<K>,
}

impl<T, M, K> Clone for Kept<T, M, K> {
    fn clone(&self) -> Self {
        // The same keeper keeps what they are of.
        Self { elements: self.copy(), keeper: Arc::clone(&self.keeper) }
    }
}

impl<T, M, K> Kept<T, M, K> {
    /// To stand where the invariant of [`Elements`] allows it.
    #[inline(always)]
    fn copy(&self) -> Elements<T, M> {
        let Elements { first, len, stride, watch, participant, holder, mode } = self.elements;
        Elements { first, len, stride, watch, participant, holder, mode }
    }
}

impl<T, M, K> Deref for Kept<T, M, K> {
    type Target = Elements<T, M>;

    #[inline(always)]
    fn deref(&self) -> &Elements<T, M> {
        &self.elements
    }
}

// SAFETY: the mapping belongs to the process; all accesses are volatile, in assembly or atomic, so that threads may
// race like processes do; `T: ShmLayout` is made of plain numbers and atomics and owns nothing of a thread.
unsafe impl<T: ShmLayout, M: AccessMode> Send for Elements<T, M> {}
// SAFETY: as above: every method takes `&self` and moves bytes by such accesses only.
unsafe impl<T: ShmLayout, M: AccessMode> Sync for Elements<T, M> {}

impl<T: ShmLayout, M: AccessMode> Kept<T, M> {
    /// The data of `attachment`, whose header must say that it holds elements like `T`.
    pub(crate) fn new(attachment: Attachment) -> Result<Self> {
        let header = attachment.header();
        let corrupt = |field, value| Error::new(ErrorKind::Corrupt { field, value });
        let stride = header.element_bytes as usize;
        if stride < size_of::<T>() || !stride.is_multiple_of(align_of::<T>()) {
            return Err(corrupt("element size", header.element_bytes));
        }
        if header.element_align < align_of::<T>() as u32 {
            return Err(corrupt("element alignment", header.element_align.into()));
        }
        let map = attachment.map().ok_or_else(|| corrupt("mapping", 0))?;
        if M::WRITABLE && attachment.access() != Access::ReadWrite {
            return Err(Error::new(ErrorKind::PermissionDenied { operation: "write through a read-only mapping" }));
        }
        let (offset, len) = (header.data_offset as usize, header.capacity as usize);
        let bytes = len.checked_mul(stride).and_then(|bytes| bytes.checked_add(offset));
        if bytes.is_none_or(|end| end > map.bytes()) {
            return Err(corrupt("capacity", header.capacity));
        }
        // Inside the mapping by the test above, which is at least page-aligned, and the header's parser has checked
        // that the offset is a multiple of the alignment.
        let first = map.start().wrapping_add(offset).cast::<T>();
        if !first.is_aligned() {
            return Err(corrupt("data offset", header.data_offset));
        }
        let watch = map.watch();
        let keeper = Arc::new(attachment);
        // Where it stays.
        let participant = keeper.participant().map(NonNull::from);
        let elements = Elements { first, len, stride, watch, participant, holder: None, mode: PhantomData };
        Ok(Self { elements, keeper })
    }
}

impl<T: ShmLayout, M: AccessMode> Kept<T, M> {
    /// The place of an `F` in the mutable block, `offset` bytes into it; `None` if the block ends before.
    pub(crate) fn mutable<F: ShmLayout>(&self, offset: usize) -> Option<ShmRef<'_, F, M>> {
        let header = self.keeper.header();
        let map = self.keeper.map()?;
        let start = usize::try_from(header.mutable_offset).ok()?;
        // The table of slots, which ends the block, is accessed in other ways.
        let own_bytes = usize::try_from(header.own_mutable_bytes()).ok()?;
        let in_block = offset.checked_add(size_of::<F>()).is_some_and(|end| end <= own_bytes);
        let in_map = start.checked_add(own_bytes).is_some_and(|end| end <= map.bytes());
        let place = map.start().wrapping_add(start).wrapping_add(offset).cast::<F>();
        if !(in_block && in_map && place.is_aligned()) {
            return None;
        }
        // SAFETY: aligned and mapped by the test above as long as `self` keeps the attachment, for writing too if `M` is
        // `ReadWrite` (checked in `new`). The escape hatch reaches the data only, which start behind the block.
        Some(unsafe { ShmRef::new(place, self.keeper.participant()) })
    }
}

impl<T: ShmLayout, M: AccessMode, K> Kept<T, M, K> {
    /// # Safety
    /// As long as `keeper` lives, `len` places for a `T` each, side by side from `first` on, are mapped and aligned, for
    /// writing too if `M` is `ReadWrite`, and no reference to them exists. `watch` is that of their mapping.
    pub(crate) unsafe fn from_raw(first: *mut T, len: usize, watch: Watch, keeper: Arc<K>) -> Self {
        let stride = size_of::<T>();
        let elements = Elements { first, len, stride, watch, participant: None, holder: None, mode: PhantomData };
        Self { elements, keeper }
    }

    pub(crate) fn keeper(&self) -> &K {
        &self.keeper
    }

    pub(crate) fn into_keeper(self) -> Arc<K> {
        self.keeper
    }

    /// The elements as an exclusive slice. Panics if they are not side by side.
    ///
    /// # Safety
    /// As long as the slice is used, nobody else, in any process or through any handle, reads or writes the elements or
    /// truncates the file.
    pub(crate) unsafe fn as_mut_slice(&mut self) -> &mut [T]
    where
        T: ShmPod,
        M: Writable,
    {
        assert!(self.check_dense().is_ok(), "the elements of this segment are not side by side");
        // SAFETY: mapped and aligned by the invariant as long as `self` is borrowed, and writable; any bytes are a `T`;
        // nobody else has access, by the caller's word.
        unsafe { core::slice::from_raw_parts_mut(self.first, self.len) }
    }
}

/// What the methods of `containers::array` are made of.
impl<T: ShmLayout, M: AccessMode> Elements<T, M> {
    /// The address of element `index`.
    #[inline(always)]
    fn place(&self, index: usize) -> *mut T {
        if self.stride == size_of::<T>() {
            // The usual case apart: a multiplication by a constant is a shift, and a loop decides once.
            self.first.wrapping_add(index)
        } else {
            self.first.wrapping_byte_add(index * self.stride)
        }
    }

    #[inline(always)]
    pub(crate) fn participant(&self) -> Option<&Participant> {
        // SAFETY: the attachment's own, which stands where it is as long as `self` (invariant).
        self.participant.map(|participant| unsafe { participant.as_ref() })
    }

    /// The same elements, to be read only.
    #[inline(always)]
    pub(crate) fn read_only(&self) -> &Elements<T, ReadOnly> {
        // SAFETY: `repr(C)`, and the mode has no size, so both types have the same fields at the same places; the invariant of
        // the result asks for less. It is lent as long as `self`.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }

    /// Refuses what needs the elements side by side.
    #[inline(always)]
    pub(crate) fn check_dense(&self) -> Result<()> {
        if self.stride == size_of::<T>() { Ok(()) } else { Err(self.strided()) }
    }

    #[cold]
    #[inline(never)]
    fn strided(&self) -> Error {
        self.named(Error::new(ErrorKind::Strided { stride: self.stride, element_size: size_of::<T>() }))
    }

    /// Refuses a guard's copy in a forked child: the lock is its parent's.
    #[inline(always)]
    pub(crate) fn check_holder(&self) -> Result<()> {
        match (self.holder, self.participant()) {
            (Some(holder), Some(participant)) if !participant.is(holder) => Err(self.not_the_child_s()),
            _ => Ok(()),
        }
    }

    #[cold]
    #[inline(never)]
    fn not_the_child_s(&self) -> Error {
        self.named(Error::not_the_child_s())
    }

    /// What calls on many elements begin with.
    #[inline(always)]
    fn check_many(&self) -> Result<()> {
        self.check_holder()?;
        self.check_dense()
    }

    /// Refuses what was read or written up to now if a peer had truncated the file (`sigbus`).
    #[inline(always)]
    pub(crate) fn check_whole(&self) -> Result<()> {
        self.watch.check().map_err(|error| self.named(error))
    }

    /// The same after stores alone.
    #[inline(always)]
    pub(crate) fn check_stored(&self) -> Result<()> {
        self.watch.check_stored().map_err(|error| self.named(error))
    }

    /// Names the segment, where it is known here: that of a handle which takes part in its locks.
    #[cold]
    #[inline(never)]
    fn named(&self, error: Error) -> Error {
        match self.participant() {
            Some(participant) => error.in_segment(participant.segment()),
            None => error,
        }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn out_of_range(&self, index: usize) -> Error {
        self.named(Error::out_of_range(index, self.len))
    }

    /// What was read or done, or why it failed, unless a peer had truncated the file by then.
    #[inline(always)]
    pub(crate) fn whole<R>(&self, outcome: Result<R>) -> Result<R> {
        self.check_whole()?;
        outcome
    }

    /// The error for a failure, unless it comes from zeros in the place of what is missing.
    #[cold]
    pub(crate) fn truncation_or(&self, failure: Error) -> Error {
        self.check_whole().err().unwrap_or(failure)
    }

    #[inline(always)]
    pub(crate) fn count(&self) -> usize {
        self.len
    }

    pub(crate) fn first(&self) -> *mut T {
        self.first
    }

    /// A private copy of element `index`, if there is one.
    #[inline(always)]
    pub(crate) fn load(&self, index: usize) -> Option<Candidate<T>> {
        if index < self.len {
            // SAFETY: `index < len`: mapped and aligned by the invariant.
            Some(unsafe { access::load(self.place(index)) })
        } else {
            None
        }
    }

    /// The place of element `index`, if there is one.
    #[inline(always)]
    pub(crate) fn place_at(&self, index: usize) -> Option<ShmRef<'_, T, M>> {
        if index < self.len {
            // SAFETY: `index < len`: mapped and aligned for as long as `self` is borrowed, which its `Kept` outlives;
            // writable if `M` is. References exist by the escape hatch only, whose caller answers for them.
            Some(unsafe { ShmRef::new(self.place(index), self.participant()) })
        } else {
            None
        }
    }

    /// Stores element `index`; `false` if there is none.
    #[inline(always)]
    #[must_use]
    pub(crate) fn store(&self, index: usize, value: &T) -> bool
    where
        T: ShmValue,
        M: Writable,
    {
        assert_no_gaps::<T>();
        if index < self.len {
            // SAFETY: `index < len`: mapped, aligned and writable; a value has no padding.
            unsafe { access::store(self.place(index), value) };
        }
        index < self.len
    }

    /// The same where [`check_dense`](Self::check_dense) has been asked before; else it is stored where no element starts.
    #[inline(always)]
    #[must_use]
    pub(crate) fn store_dense(&self, index: usize, value: &T) -> bool
    where
        T: ShmValue,
        M: Writable,
    {
        assert_no_gaps::<T>();
        if index < self.len {
            // SAFETY: `index < len`, and a stride is at least the size and a multiple of the alignment: inside the elements,
            // aligned and writable; a value has no padding.
            unsafe { access::store(self.first.wrapping_add(index), value) };
        }
        index < self.len
    }

    /// Refuses ranges that reach past the end, or whose elements are not side by side.
    #[inline(always)]
    fn check_range(&self, start: usize, count: usize) -> Result<()> {
        self.check_many()?;
        match start.checked_add(count) {
            Some(end) if end <= self.len => Ok(()),
            end => Err(self.out_of_range(end.unwrap_or(usize::MAX))),
        }
    }

    /// Copies elements out, unchecked.
    pub(crate) fn copy_out(&self, start: usize, target: &mut [MaybeUninit<Candidate<T>>]) -> Result<()> {
        self.check_range(start, target.len())?;
        let source = self.first.wrapping_add(start).cast::<u8>();
        // SAFETY: the range is mapped (`check_range`); the target is private and as large.
        unsafe { access::copy_out(source, target.as_mut_ptr().cast(), size_of_val(target)) };
        self.check_whole()
    }

    /// Copies elements in.
    pub(crate) fn copy_in(&self, start: usize, source: &[T]) -> Result<()>
    where
        T: ShmValue,
        M: Writable,
    {
        assert_no_gaps::<T>();
        self.check_range(start, source.len())?;
        let target = self.first.wrapping_add(start).cast::<u8>();
        // SAFETY: the range is mapped and writable (`check_range`, `M`); the source is a private slice, and a value
        // has no padding, so all its bytes are initialised.
        unsafe { access::copy_in(source.as_ptr().cast(), target, size_of_val(source)) };
        self.check_whole()
    }

    /// Copies elements out and checks them; `target` changes only if all are valid.
    pub(crate) fn copy_out_checked(&self, start: usize, target: &mut [T]) -> Result<()>
    where
        T: ShmValue,
    {
        if T::ANY_BITS {
            self.check_range(start, target.len())?;
            let source = self.first.wrapping_add(start).cast::<u8>();
            // SAFETY: the range is mapped (`check_range`); the target is private, as large, and any bytes are valid
            // elements (contract of `ANY_BITS`).
            unsafe { access::copy_out(source, target.as_mut_ptr().cast(), size_of_val(target)) };
            return self.check_whole();
        }
        target.copy_from_slice(&self.copy_range(start, target.len())?);
        Ok(())
    }

    /// Copies `count` elements out into fresh memory and checks them.
    pub(crate) fn copy_range(&self, start: usize, count: usize) -> Result<Vec<T>>
    where
        T: ShmValue,
    {
        let mut private = Vec::new();
        private.try_reserve_exact(count).map_err(|_| no_room::<T>(count))?;
        self.append_range(start, count, &mut private)?;
        Ok(private)
    }

    /// Copies `count` elements out to the end of `target`, which stays as it is unless all are valid.
    pub(crate) fn append_range(&self, start: usize, count: usize, target: &mut Vec<T>) -> Result<()>
    where
        T: ShmValue,
    {
        // Before anything is allocated.
        self.check_range(start, count)?;
        target.try_reserve(count).map_err(|_| no_room::<T>(count))?;
        let spare = &mut target.spare_capacity_mut()[..count];
        let first: *mut MaybeUninit<Candidate<T>> = spare.as_mut_ptr().cast();
        // SAFETY: `Candidate<T>` is transparent over the bytes of a `T`, so as large and as aligned; uninitialised room may
        // be seen as either; `spare` is borrowed exclusively and not used any more.
        self.copy_out(start, unsafe { core::slice::from_raw_parts_mut(first, count) })?;
        // SAFETY: `copy_out` filled `count` candidates, which are private.
        let candidates = unsafe { core::slice::from_raw_parts(first.cast::<Candidate<T>>(), count) };
        if !T::ANY_BITS {
            as_values(candidates).map_err(|(index, invalid)| self.invalid_element(start + index, invalid))?;
        }
        let len = target.len() + count;
        // SAFETY: the room was reserved, and `count` valid elements stand behind those of before.
        unsafe { target.set_len(len) };
        Ok(())
    }

    /// The error for bytes that are no `T`, unless they are zeros in the place of what is missing.
    #[cold]
    #[inline(never)]
    pub(crate) fn invalid_element(&self, index: usize, invalid: InvalidBits) -> Error {
        self.truncation_or(self.named(invalid.into_error(&T::SCHEMA, Some(index))))
    }

    /// How many elements at the front may move in full wide blocks.
    #[inline(always)]
    fn wide_end(&self) -> usize
    where
        T: ShmValue,
    {
        if T::Lane::is_wide(self.first) { self.len - self.len % T::Lane::capacity::<T>() } else { 0 }
    }

    /// Lends private copies of all elements, checked, block after block.
    #[inline(always)]
    pub(crate) fn visit_blocks(&self, mut visit: impl FnMut(&[T])) -> Result<()>
    where
        T: ShmValue,
    {
        self.check_many()?;
        let full = T::Lane::capacity::<T>();
        let mut lend = |index: usize, candidates: &[Candidate<T>]| -> Result<()> {
            visit(as_values(candidates).map_err(|(at, invalid)| self.invalid_element(index + at, invalid))?);
            Ok(())
        };
        let (mut index, wide_end) = (0, self.wide_end());
        while index < wide_end {
            // A buffer of its own, which stays in registers (see `BlockLane`).
            let mut buffer = <T::Lane as BlockLane>::Buffer::new::<T>();
            // SAFETY: `index + full <= wide_end <= len`: mapped, and whole blocks behind a wide address.
            unsafe { T::Lane::load_wide::<T>(&mut buffer, self.first.wrapping_add(index)) };
            // SAFETY: `load_wide` filled the block.
            lend(index, unsafe { access::loaded(&buffer, full) })?;
            index += full;
        }
        if index == self.len {
            return self.check_whole();
        }
        let mut buffer = <T::Lane as BlockLane>::Buffer::new::<T>();
        while index < self.len {
            let count = full.min(self.len - index);
            // SAFETY: `index + count <= len`: mapped; `count <= full`.
            unsafe { T::Lane::load::<T>(&mut buffer, self.first.wrapping_add(index), count) };
            // SAFETY: `load` filled `count` elements.
            lend(index, unsafe { access::loaded(&buffer, count) })?;
            index += count;
        }
        self.check_whole()
    }

    /// Lends private copies of two runs side by side, as far as the shorter one goes.
    #[inline(always)]
    pub(crate) fn visit_block_pairs<N: AccessMode>(
        &self,
        other: &Elements<T, N>,
        mut visit: impl FnMut(&[T], &[T]),
    ) -> Result<()>
    where
        T: ShmPod,
    {
        self.check_many()?;
        other.check_many()?;
        let full = T::Lane::capacity::<T>();
        let end = self.len.min(other.len);
        let (mut index, wide_end) = (0, self.wide_end().min(other.wide_end()));
        while index < wide_end {
            // Buffers of their own, which stay in registers (see `BlockLane`).
            let mut left = <T::Lane as BlockLane>::Buffer::new::<T>();
            let mut right = <T::Lane as BlockLane>::Buffer::new::<T>();
            // SAFETY: `index + full <= wide_end`, within both runs: mapped, and whole blocks behind a wide address.
            unsafe { T::Lane::load_wide::<T>(&mut left, self.first.wrapping_add(index)) };
            // SAFETY: as above.
            unsafe { T::Lane::load_wide::<T>(&mut right, other.first.wrapping_add(index)) };
            // SAFETY: both loads filled their block.
            let left = unsafe { access::loaded_mut(&mut left, full) };
            // SAFETY: as above.
            let right = unsafe { access::loaded_mut(&mut right, full) };
            visit(as_pods_mut(left), as_pods_mut(right));
            index += full;
        }
        if index == end {
            self.check_whole()?;
            return other.check_whole();
        }
        let mut left = <T::Lane as BlockLane>::Buffer::new::<T>();
        let mut right = <T::Lane as BlockLane>::Buffer::new::<T>();
        while index < end {
            let count = full.min(end - index);
            // SAFETY: `index + count <= end`, within both runs: mapped; `count <= full`.
            unsafe { T::Lane::load::<T>(&mut left, self.first.wrapping_add(index), count) };
            // SAFETY: as above.
            unsafe { T::Lane::load::<T>(&mut right, other.first.wrapping_add(index), count) };
            // SAFETY: both loads filled `count` elements.
            let left = unsafe { access::loaded_mut(&mut left, count) };
            // SAFETY: as above.
            let right = unsafe { access::loaded_mut(&mut right, count) };
            visit(as_pods_mut(left), as_pods_mut(right));
            index += count;
        }
        self.check_whole()?;
        other.check_whole()
    }

    /// Copies block after block out, lets `change` work on the private copy, and copies it back in.
    #[inline(always)]
    pub(crate) fn update_blocks(&self, mut change: impl FnMut(&mut [T])) -> Result<()>
    where
        T: ShmPod,
        M: Writable,
    {
        self.check_many()?;
        let full = T::Lane::capacity::<T>();
        let (mut index, wide_end) = (0, self.wide_end());
        while index < wide_end {
            let place = self.first.wrapping_add(index);
            // A buffer of its own, which stays in registers (see `BlockLane`).
            let mut buffer = <T::Lane as BlockLane>::Buffer::new::<T>();
            // SAFETY: `index + full <= wide_end <= len`: mapped, and whole blocks behind a wide address.
            unsafe { T::Lane::load_wide::<T>(&mut buffer, place) };
            // SAFETY: `load_wide` filled the block.
            change(as_pods_mut(unsafe { access::loaded_mut(&mut buffer, full) }));
            // SAFETY: the same range, writable because `M` is; the block is initialised.
            unsafe { T::Lane::store_wide::<T>(&buffer, place) };
            index += full;
        }
        if index == self.len {
            return self.check_whole();
        }
        let mut buffer = <T::Lane as BlockLane>::Buffer::new::<T>();
        while index < self.len {
            let count = full.min(self.len - index);
            let place = self.first.wrapping_add(index);
            // SAFETY: `index + count <= len`: mapped; `count <= full`.
            unsafe { T::Lane::load::<T>(&mut buffer, place, count) };
            // SAFETY: `load` filled `count` elements.
            change(as_pods_mut(unsafe { access::loaded_mut(&mut buffer, count) }));
            // SAFETY: the same range, writable because `M` is; `count` elements are initialised.
            unsafe { T::Lane::store::<T>(&buffer, place, count) };
            index += count;
        }
        self.check_whole()
    }

    /// Stores one value everywhere.
    #[inline(always)]
    pub(crate) fn store_everywhere(&self, value: T) -> Result<()>
    where
        T: ShmPod,
        M: Writable,
    {
        assert_no_gaps::<T>();
        self.check_many()?;
        let full = T::Lane::capacity::<T>();
        let filled = || {
            let mut buffer = <T::Lane as BlockLane>::Buffer::new::<T>();
            for index in 0..full {
                let start = buffer.start_mut().cast::<T>();
                // SAFETY: the buffer has room for `capacity` elements and is aligned for them; it is private.
                unsafe { start.wrapping_add(index).write(value) };
            }
            buffer
        };
        let (mut index, wide_end) = (0, self.wide_end());
        if wide_end > 0 {
            // A buffer of its own, which stays in registers (see `BlockLane`).
            let buffer = filled();
            while index < wide_end {
                // SAFETY: `index + full <= wide_end <= len`: mapped, writable, whole blocks behind a wide address; the
                // block is initialised.
                unsafe { T::Lane::store_wide::<T>(&buffer, self.first.wrapping_add(index)) };
                index += full;
            }
        }
        if index == self.len {
            return self.check_whole();
        }
        let buffer = filled();
        while index < self.len {
            let count = full.min(self.len - index);
            // SAFETY: `index + count <= len`: mapped, writable; `count <= full`; the block is initialised.
            unsafe { T::Lane::store::<T>(&buffer, self.first.wrapping_add(index), count) };
            index += count;
        }
        self.check_whole()
    }

    /// The elements as a slice. Panics if they are not side by side.
    ///
    /// # Safety
    /// As long as the slice is used, nobody, in any process, writes to the elements or truncates the file.
    pub(crate) unsafe fn slice(&self) -> &[T]
    where
        T: ShmPod,
    {
        assert!(self.check_dense().is_ok(), "the elements of this segment are not side by side");
        // SAFETY: mapped and aligned by the invariant as long as `self` is borrowed; any bytes are a `T`; nobody writes, by
        // the caller's word.
        unsafe { core::slice::from_raw_parts(self.first, self.len) }
    }
}

#[cold]
fn no_room<T>(count: usize) -> Error {
    Error::new(ErrorKind::NoAddressSpace { needed: (count as u64).saturating_mul(size_of::<T>() as u64) })
}
