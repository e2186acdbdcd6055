//! Cells as containers, on whatever plays the operating system.
#![allow(unsafe_code, reason = "scribbles on a cell")]

use crate::access::{self, atomic::with};
use crate::{Container, Detached, ErrorKind, Persist, ReadOnly, ShmBox, ShmCell, ShmLayout, inspect, unlink};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

fn unique(test: &str) -> String {
    format!("unit-{test}-{:016x}", u64::from_ne_bytes(*crate::sys::random().unwrap().first_chunk().unwrap()))
}

#[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Quote {
    bid: f64,
    ask: f64,
    levels: [f64; 6],
}

fn quote(number: f64) -> Quote {
    Quote { bid: number, ask: number, levels: [number; 6] }
}

#[test]
fn what_one_handle_stores_another_one_loads() {
    let cell = ShmCell::<Quote>::create().unwrap();
    let other = ShmCell::<Quote>::open(cell.name()).unwrap();
    let reader = ShmCell::<Quote>::open_read_only(cell.name()).unwrap();
    assert_eq!(reader.load().unwrap(), quote(0.0));
    cell.store(quote(1.0)).unwrap();
    assert_eq!(other.update(|found| std::mem::replace(found, quote(2.0))).unwrap(), quote(1.0));
    assert_eq!((reader.load().unwrap(), reader.version()), (quote(2.0), 2));
    let shown = format!("ShmCell {{ name: {:?}, type: \"Quote\", mode: ReadOnly }}", reader.name());
    assert_eq!(format!("{reader:?}"), shown);
    assert_eq!(cell.clone().close().unwrap(), Detached::StillInUse);
    drop(cell);
    assert_eq!(reader.close().unwrap(), Detached::StillInUse);
    assert_eq!(other.close().unwrap(), Detached::Removed);
}

#[test]
fn a_value_for_which_zero_is_invalid_is_there_from_the_start() {
    let name = unique("cell-from");
    let cell = ShmCell::options().name(&name).persist(Persist::Keep).create_from([NonZeroU32::MAX; 3]).unwrap();
    assert_eq!((cell.load().unwrap(), cell.persist(), cell.version()), ([NonZeroU32::MAX; 3], Persist::Keep, 0));
    assert!(cell.as_fd().is_none());
    let info = inspect(&name).unwrap();
    assert_eq!((info.container, info.slots.map(|slots| slots.count)), (Container::Cell, Some(64)));
    assert_eq!(ShmCell::<[NonZeroU32; 3]>::open(&name).unwrap().load().unwrap(), [NonZeroU32::MAX; 3]);
    unlink(&name).unwrap();
}

#[test]
fn a_cell_is_no_box_and_a_box_no_cell() {
    let cell = ShmCell::<u64>::create().unwrap();
    let error = ShmBox::<crate::sync::SeqCell<u64>>::open(cell.name()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WrongContainer { found: "ShmCell", .. }), "{error}");
    let single = ShmBox::<crate::sync::SeqCell<u64>>::create().unwrap();
    let error = ShmCell::<u64>::open(single.name()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WrongContainer { .. }), "{error}");
    let error = ShmCell::<f64>::open(cell.name()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::LayoutMismatch { .. }), "{error}");
}

#[test]
fn opening_or_creating_finds_what_is_there() {
    let name = unique("cell-open-or-create");
    let first = ShmCell::<u64>::open_or_create(&name).unwrap();
    first.store(5).unwrap();
    assert_eq!(ShmCell::<u64>::open_or_create(&name).unwrap().load().unwrap(), 5);
}

/// The heap has no descriptors.
#[cfg(not(any(miri, shmtypes_heap)))]
#[test]
fn an_unnamed_cell_is_shared_by_its_descriptor() {
    let unnamed = ShmCell::<u64>::options().unnamed().create().unwrap();
    unnamed.store(6).unwrap();
    let descriptor = unnamed.as_fd().unwrap().try_clone_to_owned().unwrap();
    let same = ShmCell::<u64>::from_fd(descriptor).unwrap();
    same.update(|value| *value += 1).unwrap();
    assert_eq!((unnamed.load().unwrap(), unnamed.name()), (7, ""));
}

#[test]
fn each_handle_sees_each_store_once() {
    let cell = ShmCell::<u64>::create().unwrap();
    let reader: ShmCell<u64, ReadOnly> = ShmCell::<u64>::open_read_only(cell.name()).unwrap();
    let timed_out = |outcome: crate::Result<()>| {
        assert!(matches!(outcome.unwrap_err().kind(), ErrorKind::TimedOut { waited_for: "a store" }));
    };
    timed_out(cell.wait_changed(Instant::now()));
    cell.store(1).unwrap();
    cell.store(2).unwrap();
    assert_eq!(cell.notify(), 0);
    cell.wait_changed(Instant::now()).unwrap();
    let clone = cell.clone();
    reader.wait_changed(Instant::now()).unwrap();
    timed_out(cell.wait_changed(Instant::now()));
    timed_out(clone.wait_changed(Duration::from_millis(1)));
    timed_out(reader.wait_changed(Instant::now()));
    // Who attaches later has seen none.
    ShmCell::<u64>::open(cell.name()).unwrap().wait_changed(Instant::now()).unwrap();
}

#[test]
fn a_cell_with_too_few_slots_can_still_be_read() {
    let cell = ShmCell::<u64>::options().slots(1).create().unwrap();
    let error = ShmCell::<u64>::open(cell.name()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::SlotsExhausted { slots: 1 }), "{error}");
    cell.store(8).unwrap();
    assert_eq!(ShmCell::<u64>::open_read_only(cell.name()).unwrap().load().unwrap(), 8);
}

#[test]
fn a_value_comes_with_its_version_and_a_wait_from_there_misses_nothing() {
    let cell = ShmCell::<u64>::create().unwrap();
    let reader = ShmCell::<u64>::open_read_only(cell.name()).unwrap();
    assert_eq!((cell.load_versioned().unwrap(), reader.load_versioned().unwrap()), ((0, 0), (0, 0)));
    for number in 1..=3 {
        cell.store(number).unwrap();
        assert_eq!(
            (cell.load_versioned().unwrap(), reader.load_versioned().unwrap()),
            ((number, number), (number, number))
        );
    }
    let last = if cfg!(miri) { 51 } else { 20_001_u64 };
    std::thread::scope(|threads| {
        threads.spawn(|| (4..=last).for_each(|number| cell.store(number).unwrap()));
        let mut version = 3;
        while version < last {
            reader.view().wait_changed(version, Duration::from_secs(60)).unwrap();
            let before = version;
            let value;
            (value, version) = reader.load_versioned().unwrap();
            assert_eq!(value, version, "store number n stored n");
            assert!(version > before);
        }
    });
    assert_eq!(cell.view().load_versioned().unwrap(), (last, last));
}

/// Overwrites the count, the versions and the values with words, each in accesses of the size that it always has.
fn scribble(cell: &ShmCell<NonZeroU32>, word: u64) {
    let place = cell.view().as_ptr().cast::<u64>();
    for index in [1, 3, 5, 7, 9] {
        // SAFETY: inside the cell, which is aligned to eight bytes.
        unsafe { with(place.wrapping_add(index).cast::<AtomicU64>(), |place| place.store(word, Ordering::Relaxed)) };
    }
    for index in [4, 6, 8, 10] {
        // SAFETY: as above.
        unsafe { access::store(place.wrapping_add(index).cast::<u32>(), &(word as u32)) };
    }
}

#[test]
fn errors_name_the_cell() {
    let name = unique("cell-errors");
    let cell = ShmCell::options().name(&name).create_from(NonZeroU32::MIN).unwrap();
    let reader = ShmCell::<NonZeroU32>::open_read_only(&name).unwrap();
    let waits = [cell.wait_changed(Instant::now()), reader.wait_changed(Instant::now())];
    let views = [
        cell.view().wait_changed(cell.version(), Instant::now()).map(drop),
        cell.update(|_| cell.view().try_store(NonZeroU32::MAX)).unwrap(),
    ];
    // A peer's zeros are no value of the type, and a version that is odd is none that is complete.
    scribble(&cell, 0);
    let invalid = [cell.load(), reader.load(), cell.view().load()].map(|loaded| loaded.map(drop));
    scribble(&cell, u64::MAX);
    let mut target = NonZeroU32::MIN;
    let busy = [cell.load().map(drop), reader.load_into(&mut target), cell.view().load_versioned().map(drop)];
    assert!(busy.iter().all(|outcome| *outcome.as_ref().unwrap_err().kind() == ErrorKind::Busy), "{busy:?}");
    let outcomes = waits.into_iter().chain(views).chain(invalid).chain(busy);
    for error in outcomes.map(Result::unwrap_err) {
        assert_eq!(error.segment(), Some(name.as_str()), "{error}");
    }
}
