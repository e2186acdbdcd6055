//! Guards: their places as the compiler has them, their gaps, and what tells them apart.
#![allow(unsafe_code, reason = "implements the unsafe layout traits for stand-ins of the types in `sync`")]

use super::{Guard, READERS};
use crate::layout::{AccessMode, Kind, Schema, ShmRef, ShmStr, ShmZero};
use crate::{Fingerprint, ShmEvent, ShmLayout};
use core::mem::{align_of, offset_of, size_of};
use core::sync::atomic::AtomicU64;

/// What the mutex in `sync` is in memory.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Mutex<T> {
    pub(crate) lock: AtomicU64,
    pub(crate) value: T,
}

/// What the reader-writer lock is.
#[repr(C)]
pub(crate) struct RwLock<T> {
    pub(crate) lock: AtomicU64,
    pub(crate) readers: [AtomicU64; READERS],
    pub(crate) value: T,
}

/// What the cell is.
#[repr(C)]
pub(crate) struct Cell<T, const K: usize> {
    pub(crate) lock: AtomicU64,
    pub(crate) current: AtomicU64,
    pub(crate) changed: ShmEvent,
    pub(crate) reserved: u32,
    pub(crate) buffers: [Buffer<T>; K],
}

#[repr(C)]
pub(crate) struct Buffer<T> {
    pub(crate) version: AtomicU64,
    pub(crate) value: T,
}

macro_rules! guard {
    ($type:ty, [$($parameter:tt)*], $guard:expr) => {
        // SAFETY: `repr(C)` of atomics, integers and a layout; `guarded` compares size and alignment with the geometry,
        // which tells of the gaps.
        unsafe impl<T: ShmLayout $($parameter)*> ShmLayout for $type {
            const SCHEMA: Schema = Schema::guarded::<Self, T>($guard);
            type View<'a, M: AccessMode> = ShmRef<'a, Self, M>;
        }
        // SAFETY: all words may be 0, and so may the value.
        unsafe impl<T: ShmZero $($parameter)*> ShmZero for $type {}
    };
}
guard!(Mutex<T>, [], Guard::Mutex);
guard!(RwLock<T>, [], Guard::RwLock);
guard!(Cell<T, K>, [, const K: usize], Guard::Cell { buffers: K });

#[derive(ShmLayout, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line {
    bytes: [u8; 64],
}

#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
pub(crate) struct Balance {
    pub(crate) amount: f64,
    pub(crate) currency: [u8; 3],
    pub(crate) is_open: bool,
    pub(crate) cents: u32,
}

/// All of them inside each other.
#[derive(ShmLayout)]
#[repr(C)]
pub(crate) struct Account {
    id: u32,
    branch: u32,
    open: Mutex<bool>,
    rates: [RwLock<f32>; 2],
    latest: Cell<Mutex<u8>, 2>,
    balance: Mutex<Balance>,
}

fn agrees_with_the_compiler<T: ShmLayout, const K: usize>() {
    let of = |guard: Guard| guard.geometry(size_of::<T>(), align_of::<T>()).expect("small");

    let mutex = of(Guard::Mutex);
    assert_eq!((mutex.size, mutex.align), (size_of::<Mutex<T>>(), align_of::<Mutex<T>>()));
    assert_eq!((mutex.copies, mutex.value), (0, offset_of!(Mutex<T>, value)));

    let lock = of(Guard::RwLock);
    assert_eq!((lock.size, lock.align), (size_of::<RwLock<T>>(), align_of::<RwLock<T>>()));
    assert_eq!((lock.copies, lock.value), (0, offset_of!(RwLock<T>, value)));

    let cell = of(Guard::Cell { buffers: K });
    assert_eq!((cell.size, cell.align), (size_of::<Cell<T, K>>(), align_of::<Cell<T, K>>()));
    assert_eq!((cell.copies, cell.stride), (offset_of!(Cell<T, K>, buffers), size_of::<Buffer<T>>()));
    assert_eq!(cell.value, offset_of!(Buffer<T>, value));

    for (schema, size, align) in [
        (Mutex::<T>::SCHEMA, mutex.size, mutex.align),
        (RwLock::<T>::SCHEMA, lock.size, lock.align),
        (Cell::<T, K>::SCHEMA, cell.size, cell.align),
    ] {
        assert_eq!((schema.size(), schema.align()), (size, align));
    }
}

#[test]
fn all_parts_stand_where_the_compiler_puts_them() {
    agrees_with_the_compiler::<u8, 2>();
    agrees_with_the_compiler::<bool, 3>();
    agrees_with_the_compiler::<u16, 4>();
    agrees_with_the_compiler::<[u8; 3], 5>();
    agrees_with_the_compiler::<u32, 64>();
    agrees_with_the_compiler::<f64, 4>();
    agrees_with_the_compiler::<[f64; 3], 4>();
    agrees_with_the_compiler::<u128, 2>();
    agrees_with_the_compiler::<ShmStr<13>, 2>();
    agrees_with_the_compiler::<Line, 4>();
    agrees_with_the_compiler::<Mutex<u8>, 2>();
    agrees_with_the_compiler::<Account, 2>();
}

#[test]
fn there_are_no_guards_of_impossible_sizes() {
    let most = isize::MAX as usize;
    for buffers in [0, 1, 65, most, usize::MAX] {
        assert_eq!(Guard::Cell { buffers }.geometry(8, 8), None, "{buffers}");
    }
    for guard in [Guard::Mutex, Guard::RwLock, Guard::Cell { buffers: 2 }, Guard::Cell { buffers: 64 }] {
        assert!(guard.geometry(1, 1).is_some());
        assert!(guard.geometry(1 << 29, 1 << 29).is_some() || usize::BITS < 64);
        for (size, align) in
            [(most, 1), (usize::MAX, 1), (most - 8, 1), (1, usize::MAX), (1, 1 << (usize::BITS - 1)), (8, 0)]
        {
            assert_eq!(guard.geometry(size, align), None, "{guard:?} of {size} bytes, alignment {align}");
        }
    }
    // The last size that can be addressed, and the one after it.
    assert_eq!(Guard::Mutex.geometry(most - 15, 8).map(|geometry| geometry.size), Some(most - 7));
    assert_eq!(Guard::Mutex.geometry(most - 7, 8), None);
    let half = (most - 24) / 2 / 8 * 8;
    assert!(Guard::Cell { buffers: 2 }.geometry(half - 8, 8).is_some());
    assert_eq!(Guard::Cell { buffers: 2 }.geometry(half, 8), None);
}

#[test]
#[should_panic = "the type has not the size of its guard's layout"]
fn a_type_of_another_size_is_no_guard() {
    _ = Schema::guarded::<RwLock<u64>, u64>(Guard::Mutex);
}

#[test]
#[should_panic = "the type has not the alignment of its guard's layout"]
fn a_type_of_another_alignment_is_no_guard() {
    _ = Schema::guarded::<[u8; 16], u64>(Guard::Mutex);
}

#[test]
#[should_panic = "a cell has 2 to 64 buffers"]
fn a_cell_of_one_buffer_is_no_guard() {
    _ = Schema::guarded::<Cell<u64, 1>, u64>(Guard::Cell { buffers: 1 });
}

fn gaps(schema: &Schema) -> Vec<(usize, usize)> {
    let mut gaps = Vec::new();
    schema.for_each_gap(&mut |start, length| gaps.push((start, length)));
    assert_eq!(schema.has_gaps(), !gaps.is_empty());
    gaps
}

#[test]
fn gaps_are_what_belongs_to_no_field() {
    let none: &[(usize, usize)] = &[];
    assert_eq!(gaps(&u64::SCHEMA), none);
    assert_eq!(gaps(&Balance::SCHEMA), none);
    assert_eq!(gaps(&Mutex::<u64>::SCHEMA), none);
    assert_eq!(gaps(&Mutex::<Balance>::SCHEMA), none);
    assert_eq!(gaps(&RwLock::<[f64; 3]>::SCHEMA), none);
    assert_eq!(gaps(&Cell::<f64, 4>::SCHEMA), none);

    assert_eq!(gaps(&Mutex::<bool>::SCHEMA), [(9, 7)]);
    assert_eq!(gaps(&Mutex::<u32>::SCHEMA), [(12, 4)]);
    assert_eq!(gaps(&Mutex::<u128>::SCHEMA), [(8, 8)]);
    assert_eq!(gaps(&Mutex::<Line>::SCHEMA), [(8, 56)]);
    assert_eq!(gaps(&RwLock::<u8>::SCHEMA), [(521, 7)]);
    assert_eq!(gaps(&RwLock::<u128>::SCHEMA), [(520, 8)]);
    assert_eq!(gaps(&RwLock::<Line>::SCHEMA), [(520, 56)]);
    assert_eq!(gaps(&Cell::<u32, 2>::SCHEMA), [(36, 4), (52, 4)]);
    assert_eq!(gaps(&Cell::<u128, 2>::SCHEMA), [(24, 8), (40, 8), (72, 8)]);
    assert_eq!(gaps(&Cell::<Line, 2>::SCHEMA), [(24, 40), (72, 56), (200, 56)]);
}

#[test]
fn gaps_of_what_lies_inside_are_found_in_ascending_order() {
    assert_eq!(gaps(&<[Mutex<u32>; 3]>::SCHEMA), [(12, 4), (28, 4), (44, 4)]);
    assert_eq!(gaps(&<[[Mutex<u8>; 2]; 1]>::SCHEMA), [(9, 7), (25, 7)]);
    assert_eq!(gaps(&Mutex::<Mutex<u16>>::SCHEMA), [(18, 6)]);
    assert_eq!(gaps(&Cell::<Mutex<u8>, 2>::SCHEMA), [(41, 7), (65, 7)]);
    let open = offset_of!(Account, open);
    let [first, second] = [0, 1].map(|index| offset_of!(Account, rates) + index * size_of::<RwLock<f32>>());
    let latest = offset_of!(Account, latest);
    assert_eq!(
        gaps(&Account::SCHEMA),
        [(open + 9, 7), (first + 524, 4), (second + 524, 4), (latest + 41, 7), (latest + 65, 7)]
    );
}

/// The walk goes over elements only where there is something to find.
#[test]
fn a_long_array_without_gaps_takes_no_time() {
    const LONG: Schema = Schema::of::<u8>(Kind::Array { element: &Mutex::<u64>::SCHEMA, length: usize::MAX });
    const { assert!(!LONG.has_gaps() && LONG.has_locks()) };
    assert_eq!(gaps(&LONG), []);
}

#[test]
fn locks_are_found_wherever_they_are() {
    const {
        assert!(Mutex::<u8>::SCHEMA.has_locks());
        assert!(RwLock::<f64>::SCHEMA.has_locks());
        assert!(Cell::<f64, 2>::SCHEMA.has_locks());
        assert!(<[Mutex<u64>; 2]>::SCHEMA.has_locks());
        assert!(Account::SCHEMA.has_locks());
        assert!(!Balance::SCHEMA.has_locks());
        assert!(!ShmEvent::SCHEMA.has_locks());
        assert!(!<[AtomicU64; 2]>::SCHEMA.has_locks());
    }
}

/// As far as sizes allow they are of one size, so that those tell few apart.
const ALIKE: &[Schema] = &[
    Mutex::<u64>::SCHEMA,
    Mutex::<f64>::SCHEMA,
    Mutex::<u32>::SCHEMA,
    Mutex::<[u32; 2]>::SCHEMA,
    Mutex::<AtomicU64>::SCHEMA,
    <[u64; 2]>::SCHEMA,
    <[Mutex<u64>; 1]>::SCHEMA,
    RwLock::<u64>::SCHEMA,
    RwLock::<f64>::SCHEMA,
    Mutex::<[u64; 65]>::SCHEMA,
    Mutex::<Mutex<[u64; 64]>>::SCHEMA,
    Cell::<u64, 2>::SCHEMA,
    Cell::<f64, 2>::SCHEMA,
    Cell::<[u64; 4], 2>::SCHEMA,
    Cell::<Mutex<[u64; 3]>, 2>::SCHEMA,
    Cell::<u64, 5>::SCHEMA,
    Mutex::<[u64; 12]>::SCHEMA,
];

#[test]
fn guards_are_told_apart_by_kind_and_value() {
    for (index, one) in ALIKE.iter().enumerate() {
        for (other_index, other) in ALIKE.iter().enumerate() {
            assert_eq!(one.has_leaves_of(other), index == other_index, "{one:?} and {other:?}");
            let same = Fingerprint::of(one) == Fingerprint::of(other);
            assert_eq!(same, index == other_index, "{one:?} and {other:?}");
            assert_eq!(one.to_json() == other.to_json(), index == other_index, "{one:?} and {other:?}");
        }
    }
}

/// Computed by another program from the description in docs/format.md. Frozen: a change here is a change of the format.
#[test]
fn fingerprints_of_guards_stay_what_they_are() {
    assert_eq!(Mutex::<f64>::FINGERPRINT.to_string(), "767cdc0cae2ca0ce3958aa4e0f66238d");
    assert_eq!(RwLock::<u32>::FINGERPRINT.to_string(), "8038f06fa11271d01f968dc64d18c4fa");
    assert_eq!(Cell::<f64, 4>::FINGERPRINT.to_string(), "bfd23e99eaba8523c05f64a37a1f10e3");
}

#[test]
fn types_and_places_have_names_that_people_know() {
    assert_eq!(Mutex::<f64>::SCHEMA.type_name(), "ShmMutex<f64>");
    assert_eq!(RwLock::<Balance>::SCHEMA.type_name(), "ShmRwLock<Balance>");
    assert_eq!(Cell::<[u8; 3], 4>::SCHEMA.type_name(), "SeqCell<[u8; 3], 4>");

    assert_eq!(Mutex::<Balance>::SCHEMA.path_at(8 + 8 + 1), "value.currency[1]");
    assert_eq!(Mutex::<bool>::SCHEMA.path_at(8), "value");
    assert_eq!(Mutex::<bool>::SCHEMA.path_at(0), "", "no part of the value");
    assert_eq!(RwLock::<Balance>::SCHEMA.path_at(520 + 11), "value.is_open");
    assert_eq!(Cell::<bool, 4>::SCHEMA.path_at(24 + 2 * 16 + 8), "buffers[2].value");
    assert_eq!(Cell::<Mutex<Balance>, 2>::SCHEMA.path_at(24 + 32 + 8 + 8 + 11), "buffers[1].value.value.is_open");
    assert_eq!(Account::SCHEMA.path_at(offset_of!(Account, balance) + 8 + 11), "balance.value.is_open");
    let second = offset_of!(Account, rates) + size_of::<RwLock<f32>>();
    assert_eq!(Account::SCHEMA.path_at(second + 520), "rates[1].value");
}
