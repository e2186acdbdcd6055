//! Boxes, on whatever plays the operating system.

use crate::participants::tests::undisturbed;
use crate::{Container, Detached, ErrorKind, Evolve, Persist, ShmArray, ShmBox, ShmEvent, ShmLayout, inspect, unlink};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

fn unique(test: &str) -> String {
    format!("unit-{test}-{:016x}", u64::from_ne_bytes(*crate::sys::random().unwrap().first_chunk().unwrap()))
}

#[derive(ShmLayout, Debug)]
#[repr(C)]
struct Counters {
    hits: AtomicU64,
    limit: u32,
    changed: ShmEvent,
}

#[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Limits {
    connections: NonZeroU32,
    timeout: u32,
}

#[test]
fn what_one_handle_counts_another_one_sees() {
    let _quiet = undisturbed();
    let counters = ShmBox::<Counters>::create().unwrap();
    let other = ShmBox::<Counters>::open(counters.name()).unwrap();
    let reader = ShmBox::<Counters>::open_read_only(counters.name()).unwrap();
    counters.view().hits().fetch_add(3, Ordering::Relaxed);
    other.view().limit().set(7);
    other.view().changed().notify();
    assert_eq!(reader.view().hits().load(Ordering::Relaxed), 3);
    assert_eq!(reader.view().limit().get(), 7);
    assert_eq!(reader.view().changed().count(), 1);
    assert_eq!(
        format!("{reader:?}"),
        format!("ShmBox {{ name: {:?}, type: \"Counters\", mode: ReadOnly }}", reader.name())
    );
    assert_eq!(counters.clone().close().unwrap(), Detached::StillInUse);
    drop(counters);
    assert_eq!(reader.close().unwrap(), Detached::StillInUse);
    assert_eq!(other.close().unwrap(), Detached::Removed);
}

#[test]
fn a_value_for_which_zero_is_invalid_is_there_from_the_start() {
    let name = unique("box-from");
    let limits = Limits { connections: NonZeroU32::MIN, timeout: 9 };
    let shared = ShmBox::options().name(&name).persist(Persist::Keep).create_from(limits).unwrap();
    assert_eq!((shared.get().unwrap(), shared.persist()), (limits, Persist::Keep));
    let other = Limits { connections: NonZeroU32::MAX, ..limits };
    shared.set(other).unwrap();
    assert_eq!(ShmBox::<Limits>::open(&name).unwrap().get().unwrap(), other);
    assert_eq!(inspect(&name).unwrap().container, Container::Box);
    unlink(&name).unwrap();
}

#[test]
fn a_box_is_no_array_and_an_array_no_box() {
    let array = ShmArray::<u64>::create(1).unwrap();
    let error = ShmBox::<u64>::open(array.name()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WrongContainer { .. }), "{error}");
    let single = ShmBox::<u64>::create().unwrap();
    let error = ShmArray::<u64>::open(single.name()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WrongContainer { .. }), "{error}");
    let error = ShmBox::<Limits>::open(single.name()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::LayoutMismatch { .. }), "{error}");
}

#[test]
fn opening_or_creating_finds_what_is_there() {
    let name = unique("box-open-or-create");
    let first = ShmBox::<AtomicU64>::open_or_create(&name).unwrap();
    first.view().store(5, Ordering::Relaxed);
    let second = ShmBox::<AtomicU64>::open_or_create(&name).unwrap();
    assert_eq!(second.view().load(Ordering::Relaxed), 5);
    let error = ShmBox::<AtomicU64>::options().name(&name).create().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::AlreadyExists { .. }), "{error}");
}

#[test]
fn an_old_reader_opens_a_box_whose_type_grew() {
    #[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct Old {
        a: u64,
    }
    #[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct New {
        a: u64,
        b: u64,
    }
    let new = ShmBox::create_from(New { a: 1, b: 2 }).unwrap();
    assert!(ShmBox::<Old>::open(new.name()).is_err());
    let old = ShmBox::<Old>::options().name(new.name()).evolve(Evolve::Append).open().unwrap();
    assert_eq!(old.get().unwrap(), Old { a: 1 });
    old.set(Old { a: 3 }).unwrap();
    assert_eq!(new.get().unwrap(), New { a: 3, b: 2 });
}
