//! What stands in the gaps of a value never gets into a segment, however the value gets there.
#![allow(unsafe_code, reason = "makes private values whose gaps hold garbage, and looks at the bytes of a segment")]

use super::Unpublished;
use crate::access;
use crate::layout::guarded::tests::{Cell, Mutex};
use crate::segment::create::{Draft, Plan};
use crate::segment::header::Container;
use crate::segment::options::SegmentOptions;
use crate::{ShmArray, ShmBox, ShmLayout, ShmZero};
use core::mem::size_of;

/// What gaps are filled with.
const GARBAGE: u8 = 0xAA;

const COUNT: usize = 3;

/// A type with gaps.
trait Gappy: ShmLayout + ShmZero {
    /// Where they start, and how long they are.
    const GAPS: &[(usize, usize)];

    /// What value number `index` is in a segment.
    fn clean(index: usize) -> Vec<u8>;

    /// The same in private memory, at its worst.
    fn dirty(index: usize) -> Vec<u8> {
        let mut bytes = Self::clean(index);
        for &(start, length) in Self::GAPS {
            assert_eq!(bytes[start..start + length], vec![0; length]);
            bytes[start..start + length].fill(GARBAGE);
        }
        bytes
    }
}

/// Small enough to be stored in words, and to travel in registers.
type Small = Mutex<[u8; 3]>;

impl Gappy for Small {
    const GAPS: &[(usize, usize)] = &[(11, 5)];

    fn clean(index: usize) -> Vec<u8> {
        [&(index as u64).to_ne_bytes()[..], &[1, 2, index as u8], &[0; 5]].concat()
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
    const GAPS: &[(usize, usize)] = &[(10, 6), (26, 6), (56, 8), (72, 8), (104, 8), (145, 7)];

    fn clean(index: usize) -> Vec<u8> {
        let word = |number: usize| (number as u64).to_ne_bytes().to_vec();
        let lock = [word(index), (index as u16).to_ne_bytes().to_vec(), vec![0; 6]].concat();
        let head = [word(1), word(2), 3_u32.to_ne_bytes().to_vec(), 4_u32.to_ne_bytes().to_vec(), vec![0; 8]].concat();
        let buffer = [word(5), vec![0; 8], (index as u128).to_ne_bytes().to_vec()].concat();
        let last = [word(6), word(7), vec![1], vec![0; 7], word(index)].concat();
        [&lock[..], &lock, &head, &buffer, &buffer, &last].concat()
    }
}

/// Fills places for values with values whose gaps hold garbage.
fn fill<T: Gappy>(slots: &mut [T]) {
    let bytes: Vec<u8> = (0..slots.len()).flat_map(T::dirty).collect();
    assert_eq!(bytes.len(), size_of_val(slots));
    // SAFETY: both are that long, and the bytes are values.
    unsafe { slots.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
}

/// Value number `index`.
fn value<T: Gappy>(index: usize) -> T {
    let bytes = T::dirty(index);
    assert_eq!(bytes.len(), size_of::<T>());
    // SAFETY: the bytes are a value.
    unsafe { bytes.as_ptr().cast::<T>().read_unaligned() }
}

/// The bytes of `count` elements in a segment.
fn bytes<T>(first: *const T, count: usize) -> Vec<u8> {
    let mut bytes = vec![GARBAGE; count * size_of::<T>()];
    // SAFETY: the elements are mapped; the target is private and as long.
    unsafe { access::copy_out(first.cast(), bytes.as_mut_ptr(), bytes.len()) };
    bytes
}

fn assert_clean<T: Gappy>(found: &[u8], count: usize) {
    let expected: Vec<u8> = (0..count).flat_map(T::clean).collect();
    assert_eq!(found, expected);
}

/// As another handle finds it.
fn assert_array_is_clean<T: Gappy>(array: &ShmArray<T>) {
    let other = ShmArray::<T>::open(array.name()).unwrap();
    assert_clean::<T>(&bytes(other.first(), COUNT), COUNT);
}

fn draft<T: ShmLayout>(options: &SegmentOptions) -> Draft<'_> {
    let plan = Plan { container: Container::Array, shape: &[COUNT], mutable_bytes: 128, slots: 0, filled: true };
    Draft::new::<T>(options, &plan).unwrap()
}

fn assert_draft_is_clean<T: Gappy>(mut draft: Draft<'_>) {
    let first = draft.elements::<T>().first;
    assert_clean::<T>(&bytes(first, COUNT), COUNT);
}

fn each_value_is_stored_without_its_gaps<T: Gappy>() {
    let array = ShmArray::create_from_fn(COUNT, value::<T>).unwrap();
    assert_array_is_clean(&array);

    let only = ShmBox::create_from(value::<T>(0)).unwrap();
    let other = ShmBox::<T>::open(only.name()).unwrap();
    assert_clean::<T>(&bytes(crate::ShmView::place(other.view()).as_ptr(), 1), 1);
}

#[test]
fn what_is_created_from_values_has_clean_gaps() {
    each_value_is_stored_without_its_gaps::<Small>();
    each_value_is_stored_without_its_gaps::<Large>();
}

fn a_slice_is_copied_without_its_gaps<T: Gappy>() {
    let mut values: Vec<T> = (0..COUNT).map(value::<T>).collect();
    // In place, so that no move can have left the garbage behind.
    fill(&mut values);
    let options = SegmentOptions::default();
    let mut draft = draft::<T>(&options);
    draft.elements::<T>().copy_from_slice(&values);
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
        let options = SegmentOptions::default();
        let mut draft = draft::<T>(&options);
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
