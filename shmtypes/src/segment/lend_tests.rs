//! What stands in the gaps of a value never gets into a segment, however the value gets there.
#![allow(unsafe_code, reason = "makes private values whose gaps hold garbage, and looks at the bytes of a segment")]

use super::Unpublished;
use crate::access;
use crate::layout::guarded::tests::{Cell, Mutex};
use crate::segment::create::{Draft, Plan};
use crate::segment::header::Container;
use crate::segment::options::SegmentOptions;
use crate::{ShmArray, ShmBox, ShmEvent, ShmLayout, ShmZero};
use core::mem::{MaybeUninit, size_of};
use core::sync::atomic::AtomicU64;

/// What gaps are filled with.
const GARBAGE: u8 = 0xAA;

const COUNT: usize = 3;

/// A type with gaps.
trait Gappy: ShmLayout + ShmZero {
    /// Writes the fields of value number `index`, and nothing else.
    ///
    /// # Safety
    /// `place` is aligned and valid for writes.
    unsafe fn write_fields(place: *mut Self, index: u8);

    /// What such a value is in a segment.
    fn bytes(index: u8) -> Vec<u8>;
}

/// Small enough to be stored in words, and to travel in registers.
type Small = Mutex<[u8; 3]>;

impl Gappy for Small {
    unsafe fn write_fields(place: *mut Self, index: u8) {
        // SAFETY: the caller's word.
        unsafe { (&raw mut (*place).lock).write(AtomicU64::new(index.into())) };
        // SAFETY: as above.
        unsafe { (&raw mut (*place).value).write([1, 2, index]) };
    }

    fn bytes(index: u8) -> Vec<u8> {
        [&u64::from(index).to_ne_bytes()[..], &[1, 2, index], &[0; 5]].concat()
    }
}

/// Gaps inside of arrays, in front, in the middle and at the end.
#[derive(ShmLayout)]
#[repr(C)]
struct Large {
    locks: [Mutex<u16>; 2],
    wide: Cell<u128, 2>,
    last: Mutex<Mutex<bool>>,
    end: u64,
}

impl Gappy for Large {
    unsafe fn write_fields(place: *mut Self, index: u8) {
        // SAFETY: the caller's word, as below.
        unsafe { (&raw mut (*place).end).write(index.into()) };
        for lock in 0..2 {
            // SAFETY: as above.
            unsafe { (&raw mut (*place).locks[lock].lock).write(AtomicU64::new(index.into())) };
            // SAFETY: as above.
            unsafe { (&raw mut (*place).locks[lock].value).write(index.into()) };
            // SAFETY: as above.
            unsafe { (&raw mut (*place).wide.buffers[lock].version).write(AtomicU64::new(7)) };
            // SAFETY: as above.
            unsafe { (&raw mut (*place).wide.buffers[lock].value).write(index.into()) };
        }
        // SAFETY: as above.
        unsafe { (&raw mut (*place).wide.lock).write(AtomicU64::new(1)) };
        // SAFETY: as above.
        unsafe { (&raw mut (*place).wide.current).write(AtomicU64::new(2)) };
        // SAFETY: as above.
        unsafe { (&raw mut (*place).wide.changed).write(ShmEvent::new()) };
        // SAFETY: as above.
        unsafe { (&raw mut (*place).wide.reserved).write(4) };
        // SAFETY: as above.
        unsafe { (&raw mut (*place).last.lock).write(AtomicU64::new(5)) };
        // SAFETY: as above.
        unsafe { (&raw mut (*place).last.value.lock).write(AtomicU64::new(6)) };
        // SAFETY: as above.
        unsafe { (&raw mut (*place).last.value.value).write(true) };
    }

    fn bytes(index: u8) -> Vec<u8> {
        let word = |number: u64| number.to_ne_bytes().to_vec();
        let lock = [word(index.into()), u16::from(index).to_ne_bytes().to_vec(), vec![0; 6]].concat();
        let buffer = [word(7), vec![0; 8], u128::from(index).to_ne_bytes().to_vec()].concat();
        let head = [word(1), word(2), vec![0; 4], 4_u32.to_ne_bytes().to_vec(), vec![0; 8]].concat();
        let last = [word(5), word(6), vec![1], vec![0; 7], word(index.into())].concat();
        [&lock[..], &lock, &head, &buffer, &buffer, &last].concat()
    }
}

/// Value number `index`, with garbage in its gaps.
fn dirty<T: Gappy>(index: usize) -> MaybeUninit<T> {
    let mut private = MaybeUninit::<T>::uninit();
    // SAFETY: a private place for one value.
    unsafe { private.as_mut_ptr().write_bytes(GARBAGE, 1) };
    // SAFETY: as above.
    unsafe { T::write_fields(private.as_mut_ptr(), index as u8) };
    private
}

/// Fills what was lent with garbage, and then with the fields of values.
fn fill<T: Gappy>(slots: &mut [T]) {
    // SAFETY: the slots, which all get their fields before anybody looks.
    unsafe { slots.as_mut_ptr().write_bytes(GARBAGE, slots.len()) };
    for (index, slot) in slots.iter_mut().enumerate() {
        // SAFETY: a place for one value.
        unsafe { T::write_fields(slot, index as u8) };
    }
}

/// The bytes of `count` elements in a segment.
fn bytes<T>(first: *const T, count: usize) -> Vec<u8> {
    let mut bytes = vec![GARBAGE; count * size_of::<T>()];
    // SAFETY: the elements are mapped; the target is private and as long.
    unsafe { access::copy_out(first.cast(), bytes.as_mut_ptr(), bytes.len()) };
    bytes
}

fn assert_clean<T: Gappy>(found: &[u8], count: usize) {
    assert!(T::SCHEMA.has_gaps());
    let expected: Vec<u8> = (0..count).flat_map(|index| T::bytes(index as u8)).collect();
    assert_eq!(found, expected);
}

/// As another handle finds it.
fn assert_array_is_clean<T: Gappy>(array: &ShmArray<T>) {
    let other = ShmArray::<T>::open(array.name()).unwrap();
    assert_clean::<T>(&bytes(other.first(), COUNT), COUNT);
}

fn draft<T: ShmLayout>() -> Draft {
    let plan = Plan { container: Container::Array, shape: &[COUNT], mutable_bytes: 128, filled: true };
    Draft::new::<T>(&SegmentOptions::default(), &plan).unwrap()
}

fn assert_draft_is_clean<T: Gappy>(mut draft: Draft) {
    let first = draft.elements::<T>().first;
    assert_clean::<T>(&bytes(first, COUNT), COUNT);
}

fn each_value_is_stored_without_its_gaps<T: Gappy>() {
    // SAFETY: `dirty` writes all fields.
    let array = ShmArray::create_from_fn(COUNT, |index| unsafe { dirty::<T>(index).assume_init() }).unwrap();
    assert_array_is_clean(&array);

    // SAFETY: as above.
    let only = ShmBox::create_from(unsafe { dirty::<T>(0).assume_init() }).unwrap();
    let other = ShmBox::<T>::open(only.name()).unwrap();
    assert_clean::<T>(&bytes(crate::ShmView::place(other.view()).as_ptr(), 1), 1);
}

#[test]
fn what_is_created_from_values_has_clean_gaps() {
    each_value_is_stored_without_its_gaps::<Small>();
    each_value_is_stored_without_its_gaps::<Large>();
}

fn a_slice_is_copied_without_its_gaps<T: Gappy>() {
    // In place, so that no move can have left the garbage behind.
    let mut values: Vec<MaybeUninit<T>> = (0..COUNT).map(|_| MaybeUninit::uninit()).collect();
    // SAFETY: room for as many values, of which `fill` writes all fields before anybody looks.
    let slots = unsafe { core::slice::from_raw_parts_mut(values.as_mut_ptr().cast::<T>(), COUNT) };
    fill(slots);
    let mut draft = draft::<T>();
    draft.elements::<T>().copy_from_slice(slots);
    assert_draft_is_clean::<T>(draft);
}

#[test]
fn what_is_copied_from_a_slice_has_clean_gaps() {
    a_slice_is_copied_without_its_gaps::<Small>();
    a_slice_is_copied_without_its_gaps::<Large>();
}

fn a_loan_is_cleared<T: Gappy>() {
    let array = ShmArray::<T>::create_with(COUNT, fill).unwrap();
    assert_array_is_clean(&array);
    let array = ShmArray::<T>::try_create_with(COUNT, |slots| {
        fill(slots);
        Ok::<(), crate::Error>(())
    });
    assert_array_is_clean(&array.unwrap());
    assert_array_is_clean(&ShmArray::<T>::options().shape(&[1, COUNT]).create_with(COUNT, fill).unwrap());

    // The elements themselves are lent, and where the file has a name already, private memory.
    for is_private in [true, false] {
        let mut draft = draft::<T>();
        let offset = draft.header().data_offset as usize;
        // SAFETY: a fresh draft, whose mapping is used here only.
        let mut elements = unsafe { Unpublished::<T>::new(draft.map_mut(), offset, COUNT, is_private) };
        elements.lend(fill).unwrap();
        assert_draft_is_clean::<T>(draft);
    }
}

#[test]
fn what_was_lent_has_clean_gaps() {
    a_loan_is_cleared::<Small>();
    a_loan_is_cleared::<Large>();
}
