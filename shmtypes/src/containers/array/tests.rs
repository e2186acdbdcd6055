//! The array on whatever plays the operating system: /dev/shm, or the heap under Miri.

use crate::layout::{ShmStr, ShmView};
use crate::participants::tests::undisturbed;
use crate::{Detached, ErrorKind, Persist, ShmArray, ShmLayout, ShmValue};
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU64, Ordering};

/// A name that no other test has; the handles of the test remove it.
fn unique(test: &str) -> String {
    format!("unit-{test}-{:016x}", u64::from_ne_bytes(*crate::sys::random().unwrap().first_chunk().unwrap()))
}

#[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
enum Side {
    Buy = 1,
    Sell = 2,
}

#[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Order {
    price: f64,
    amount: u32,
    lots: NonZeroU16,
    side: Side,
    firm: bool,
    symbol: ShmStr<12>,
}

fn order(index: usize) -> Order {
    Order {
        price: index as f64 / 4.0,
        amount: index as u32,
        lots: NonZeroU16::new(index as u16 + 1).unwrap(),
        side: if index.is_multiple_of(2) { Side::Buy } else { Side::Sell },
        firm: index.is_multiple_of(3),
        symbol: ShmStr::new(&format!("S{index}")).unwrap(),
    }
}

#[test]
fn what_one_handle_stores_another_one_reads() {
    let _quiet = undisturbed();
    let name = unique("round-trip");
    let orders = ShmArray::<Order>::options().name(&name).create_from_fn(5, order).unwrap();
    let other = ShmArray::<Order>::open(&name).unwrap();
    assert_eq!(other.to_vec().unwrap(), (0..5).map(order).collect::<Vec<_>>());
    orders.set(1, order(40)).unwrap();
    assert_eq!(other.get(1).unwrap(), order(40));
    other.at(2).price().set(7.5);
    assert_eq!(orders.at(2).price().get(), 7.5);
    assert_eq!(orders.at(2).side().try_get().unwrap(), Side::Buy);
    assert_eq!(orders.at(2).try_get().unwrap(), Order { price: 7.5, ..order(2) });
    assert_eq!(orders.iter().rev().map(|order| order.unwrap().amount).collect::<Vec<_>>(), [4, 3, 2, 40, 0]);
    assert_eq!(orders.close().unwrap(), Detached::StillInUse);
    assert_eq!(other.close().unwrap(), Detached::Removed);
    assert_eq!(*ShmArray::<Order>::open(&name).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn bytes_that_are_no_value_are_an_error_that_names_the_field() {
    let orders = ShmArray::<Order>::create_from_fn(3, order).unwrap();
    let raw = ShmArray::<Order>::open(orders.name()).unwrap();
    let side = raw.at(1).side().as_ptr().cast::<u8>();
    #[expect(unsafe_code, reason = "plays the peer that scribbles")]
    // SAFETY: inside the mapping; this thread alone uses it.
    unsafe {
        side.write_volatile(9);
    }
    let error = orders.get(1).unwrap_err();
    match error.kind() {
        ErrorKind::InvalidValue { element: Some(1), path, found: 9, .. } => assert_eq!(path, "side"),
        other => panic!("{other:?}"),
    }
    assert!(orders.to_vec().is_err() && orders.fold_blocks((), |(), _| ()).is_err());
    assert!(orders.at(1).side().try_get().is_err());
    let mut target = [order(7); 3];
    assert!(orders.copy_to_slice(0, &mut target).is_err());
    assert_eq!(target, [order(7); 3], "a failed copy changes nothing");
    assert_eq!(orders.get(2).unwrap(), order(2), "the neighbours are untouched");
}

#[test]
fn blocks_and_kernels_agree_with_a_loop_at_every_length() {
    for len in [0, 1, 15, 16, 17, 33] {
        let values: Vec<f64> = (0..len).map(|i| f64::from(i * 37 % 23) - 11.0).collect();
        let array = ShmArray::create_from_fn(values.len(), |i| values[i]).unwrap();
        assert_eq!(array.sum().unwrap(), values.iter().sum::<f64>());
        assert_eq!(array.dot(&array).unwrap(), values.iter().map(|x| x * x).sum::<f64>());
        assert_eq!(array.max().unwrap(), values.iter().copied().reduce(f64::max));
        assert_eq!(array.min().unwrap(), values.iter().copied().reduce(f64::min));
        array.map_in_place(|x| x * 2.0).unwrap();
        assert_eq!(array.to_vec().unwrap(), values.iter().map(|x| x * 2.0).collect::<Vec<_>>());
        array.fill(1.5).unwrap();
        assert_eq!(
            array.fold_blocks(0, |n, block| n + block.iter().filter(|&&x| x == 1.5).count()).unwrap(),
            values.len()
        );
    }
}

#[test]
fn unpublished_memory_is_lent_zeroed_and_a_failed_fill_leaves_nothing() {
    let name = unique("fill");
    let options = ShmArray::<u32>::options().name(&name);
    let failed = options.try_create_with(4, |slots| {
        assert_eq!(slots, [0; 4]);
        slots[0] = 1;
        Err(std::io::Error::other("no"))
    });
    assert_eq!(failed.unwrap_err().to_string(), "no");
    let array = options.create_with(4, |slots| slots.copy_from_slice(&[5, 6, 7, 8])).unwrap();
    assert_eq!(array.to_vec().unwrap(), [5, 6, 7, 8]);
    assert_eq!(ShmArray::create_from_slice(&[1_u32, 2]).unwrap().to_vec().unwrap(), [1, 2]);
}

#[test]
fn shapes_are_row_major_and_checked() {
    let name = unique("shape");
    let grid = ShmArray::<u16>::options().name(&name).shape(&[2, 3, 4]).create_from_fn(24, |i| i as u16).unwrap();
    assert_eq!((grid.shape(), grid.strides()), (&[2, 3, 4][..], vec![12, 4, 1]));
    assert_eq!(grid.get_nd(&[1, 2, 3]).unwrap(), 23);
    grid.set_nd(&[0, 1, 0], 99).unwrap();
    assert_eq!(grid.get(4).unwrap(), 99);
    assert!(matches!(grid.get_nd(&[0, 3, 0]).unwrap_err().kind(), ErrorKind::OutOfRange { index: 3, len: 3 }));
    assert!(matches!(grid.get_nd(&[0]).unwrap_err().kind(), ErrorKind::ShapeMismatch { .. }));
    let wrong = ShmArray::<u16>::options().name(&name).shape(&[24]).open().unwrap_err();
    assert!(matches!(wrong.kind(), ErrorKind::ShapeMismatch { .. }));
    assert!(matches!(
        ShmArray::<u16>::options().shape(&[2, 3]).create(7).unwrap_err().kind(),
        ErrorKind::ShapeMismatch { .. }
    ));
}

#[test]
fn kept_segments_outlive_their_handles_until_unlinked() {
    let _quiet = undisturbed();
    let name = unique("keep");
    let kept = ShmArray::<u8>::options().name(&name).persist(Persist::Keep).create(3).unwrap();
    assert_eq!(kept.close().unwrap(), Detached::Kept);
    let again = ShmArray::<u8>::open(&name).unwrap();
    assert_eq!(*crate::reap_named(&name).unwrap_err().kind(), ErrorKind::InUse);
    assert!(crate::inspect(&name).unwrap().attached);
    drop(again);
    assert!(!crate::inspect(&name).unwrap().attached);
    crate::reap_named(&name).unwrap();
    assert_eq!(*crate::inspect(&name).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn threads_may_race_on_one_array() {
    let array = ShmArray::<AtomicU64>::create(2).unwrap();
    let pairs = ShmArray::<[u32; 2]>::create(1).unwrap();
    let rounds = if cfg!(miri) { 20 } else { 2000 };
    std::thread::scope(|scope| {
        for value in 1..3_u32 {
            let (array, pairs) = (&array, &pairs);
            scope.spawn(move || {
                for _ in 0..rounds {
                    array.at(0).fetch_add(1, Ordering::Relaxed);
                    if !cfg!(miri) {
                        pairs.set(0, [value; 2]).unwrap();
                        assert!(pairs.get(0).unwrap().iter().all(|&half| half <= 2));
                    }
                }
            });
        }
    });
    assert_eq!(array.at(0).load(Ordering::Relaxed), 2 * rounds);
}

#[test]
fn values_of_another_layout_are_told_field_by_field() {
    let name = unique("mismatch");
    let _array = ShmArray::<f64>::options().name(&name).create(1).unwrap();
    let error = ShmArray::<u64>::open(&name).unwrap_err();
    assert!(error.to_string().contains("f64 in the segment, u64 in this program"), "{error}");
    assert_eq!(error.segment(), Some(name.as_str()));
}

/// A type's schema must be storable: what the derive and the leaves describe, the parser accepts.
#[test]
fn every_schema_parses() {
    fn check<T: ShmValue>() {
        crate::layout::Layout::parse(T::SCHEMA.to_json().as_bytes()).unwrap();
    }
    check::<Order>();
    check::<[Side; 3]>();
    check::<Option<std::num::NonZeroI128>>();
    check::<zerocopy::byteorder::U32<zerocopy::byteorder::BigEndian>>();
}
