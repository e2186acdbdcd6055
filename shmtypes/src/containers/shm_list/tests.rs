//! Lists, on whatever plays the operating system.

use super::record::RECORD_WORDS;
use super::*;
use crate::{Container, ErrorKind, Fault, ShmArray, inspect, unlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

fn unique(test: &str) -> String {
    format!("unit-{test}-{:016x}", u64::from_ne_bytes(*crate::sys::random().unwrap().first_chunk().unwrap()))
}

fn one_of_each() -> [Value; 7] {
    [
        Value::Int(i64::MIN),
        Value::Float(-0.0),
        Value::Bool(true),
        Value::from("t\u{fc}xt"),
        Value::from(b"b\0\0"),
        Value::None,
        Value::from(""),
    ]
}

fn list_error(error: &Error) -> &ListError {
    match error.kind() {
        ErrorKind::List(error) => error,
        other => panic!("{other:?}"),
    }
}

/// Writes to the words as a hostile peer would.
fn scribble(list: &ShmList, word: usize, value: u64) {
    list.words.place_at(word).unwrap().set(value);
}

#[test]
fn every_kind_can_follow_every_other_one_and_is_read_exactly() {
    let list = ShmList::options().slot_capacity(8).create(one_of_each()).unwrap();
    let reader = ShmList::open_read_only(list.name()).unwrap();
    assert_eq!(reader.to_vec().unwrap(), one_of_each());
    assert_eq!(list.get(1).unwrap().to_string(), "-0.0");
    let mut scratch = Vec::new();
    for value in &one_of_each() {
        for position in 0..list.len() as isize {
            list.set(position, value).unwrap();
            assert_eq!(&reader.get(position).unwrap(), value);
            assert_eq!(reader.get_ref(position, &mut scratch).unwrap(), value.as_ref());
            assert_eq!(reader.get(position - 7).unwrap(), *value);
        }
        assert!(reader.iter().rev().all(|found| found.unwrap() == *value));
    }
    let kinds = [ValueKind::None, ValueKind::Int, ValueKind::Float, ValueKind::Bool, ValueKind::Str, ValueKind::Bytes];
    let values = [Value::None, Value::Int(1), Value::Float(1.0), Value::Bool(false), "".into(), [0; 8].into()];
    for (kind, value) in kinds.into_iter().zip(values) {
        list.set_ref(0, value.as_ref()).unwrap();
        assert_eq!(list.kind(0).unwrap(), kind);
    }
    list.set(0, f64::from_bits(0x7ff8_0000_0000_1234)).unwrap();
    assert!(matches!(list.get(0).unwrap(), Value::Float(nan) if nan.to_bits() == 0x7ff8_0000_0000_1234));
}

#[test]
fn a_slot_takes_its_first_value_and_at_least_a_number_and_what_was_asked_for() {
    let list = ShmList::create(["", "12345678", "123456789"]).unwrap();
    assert_eq!([0, 1, 2].map(|index| list.capacity(index).unwrap()), [8, 8, 16]);
    assert_eq!(list.format().unwrap(), "8s8s16s");
    let wide = ShmList::options().slot_capacity(20).create([Value::Int(1), Value::from("x".repeat(30))]).unwrap();
    assert_eq!((wide.capacity(0).unwrap(), wide.capacity(1).unwrap()), (24, 32));
    let exact = ShmList::create_with_capacities([(Value::None, 0), (Value::from("four"), 4), (Value::Bool(true), 9)]);
    let exact = exact.unwrap();
    assert_eq!([0, 1, 2].map(|index| exact.capacity(index).unwrap()), [8, 8, 16]);
    assert_eq!(exact.format().unwrap(), "xxxxxx?x8sxxxxxxx?");
    let error = ShmList::create_with_capacities([("nine chars", 8)]).unwrap_err();
    assert_eq!(*list_error(&error), ListError::ExceedsStorage { needed: 10, available: 8 });
    let error = ShmList::create_with_capacities([(1, usize::MAX)]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidOptions { .. }), "{error}");
}

#[test]
fn what_is_too_long_changes_nothing_and_says_by_how_much() {
    let list = ShmList::create(["eight by", "x"]).unwrap();
    for index in [0, -2] {
        // Eight characters, nine bytes.
        let error = list.set(index, "eight b\u{fc}").unwrap_err();
        assert_eq!(*list_error(&error), ListError::ExceedsStorage { needed: 9, available: 8 });
        assert_eq!((error.fault(), error.segment()), (Fault::Caller, Some(list.name())));
    }
    assert_eq!(list.to_vec().unwrap(), ["eight by".into(), Value::from("x")]);
    let error = list.update(1, |_| "far too long".to_owned()).unwrap_err();
    assert_eq!(*list_error(&error), ListError::ExceedsStorage { needed: 12, available: 8 });
    list.set(1, [0_u8; 8]).unwrap();
    assert_eq!(list.get(1).unwrap(), Value::from([0; 8]));
}

#[test]
fn indices_count_from_both_ends_and_no_further() {
    let list = ShmList::create([10, 20, 30]).unwrap();
    for (index, expected) in [(0, 10), (2, 30), (-1, 30), (-3, 10)] {
        assert_eq!(list.get(index).unwrap(), Value::Int(expected));
    }
    for index in [3, -4, -6, isize::MAX, isize::MIN] {
        let expected = ListError::OutOfRange { index, len: 3 };
        assert_eq!(*list_error(&list.get(index).unwrap_err()), expected);
        assert_eq!(*list_error(&list.set(index, 1).unwrap_err()), expected);
        assert_eq!(*list_error(&list.fetch_add(index, 1).unwrap_err()), expected);
        assert_eq!(*list_error(&list.capacity(index).unwrap_err()), expected);
        assert_eq!(*list_error(&list.update(index, |value| value).unwrap_err()), expected);
        assert_eq!(list.get(index).unwrap_err().python_exception(), "IndexError");
    }
    let empty = ShmList::create([0_i64; 0]).unwrap();
    assert!(empty.is_empty() && empty.to_vec().unwrap().is_empty() && empty.iter().next().is_none());
    assert!(empty.get(0).is_err() && empty.get(-1).is_err());
    assert_eq!(ShmList::open(empty.name()).unwrap().len(), 0);
}

#[test]
fn equality_is_pythons() {
    let values =
        [Value::Int(1), Value::Bool(true), Value::Float(1.0), Value::from("1"), Value::from(b"1"), Value::None];
    let list = ShmList::create(values).unwrap();
    assert_eq!((list.count(1).unwrap(), list.count("1").unwrap(), list.count(()).unwrap()), (3, 1, 1));
    assert_eq!((list.index(b"1").unwrap(), list.index(1.0).unwrap(), list.index(()).unwrap()), (4, 0, 5));
    list.set(0, f64::NAN).unwrap();
    assert_eq!((list.count(f64::NAN).unwrap(), list.index(true).unwrap()), (0, 1));
    assert_eq!(*list_error(&list.index("absent").unwrap_err()), ListError::NotFound);
    assert!(list.contains(1).unwrap() && list.contains(()).unwrap());
    assert!(!list.contains(f64::NAN).unwrap() && !list.contains("absent").unwrap());
}

#[test]
fn integers_are_exchanged_and_added_to_and_nothing_else_is() {
    let list = ShmList::create([Value::Int(5), Value::Bool(true), Value::from("5")]).unwrap();
    assert_eq!(list.compare_exchange(0, 5, 6).unwrap(), Ok(5));
    assert_eq!(list.compare_exchange(0, 5, 7).unwrap(), Err(6));
    assert_eq!(list.fetch_add(-3, i64::MAX).unwrap(), 6);
    assert_eq!(list.get(0).unwrap(), Value::Int(i64::MIN + 5));
    for (index, found) in [(1, "bool"), (2, "str")] {
        let error = list.fetch_add(index, 1).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::WrongKind { index: index as usize, found, expected: "int" });
        assert_eq!((error.python_exception(), error.fault()), ("TypeError", Fault::Caller));
        assert!(list.compare_exchange(index, 1, 2).is_err());
    }
    assert_eq!(list.get(1).unwrap(), Value::Bool(true));
}

#[test]
fn an_update_is_made_of_what_was_there_or_not_at_all() {
    let list = ShmList::options().slot_capacity(16).create(["ab"]).unwrap();
    list.update(0, |value| Value::from(format!("{value}{value}"))).unwrap();
    assert_eq!(list.get(0).unwrap(), Value::from("'ab''ab'"));
    let panics = catch_unwind(AssertUnwindSafe(|| list.update(0, |_| -> Value { panic!("on purpose") })));
    assert!(panics.is_err());
    // Neither is the slot poisoned.
    list.try_update(0, |value| (value == Value::from("'ab''ab'")).then_some(1)).unwrap();
    assert_eq!(list.get(0).unwrap(), Value::Int(1));
    let other = ShmList::open(list.name()).unwrap();
    list.update(0, |value| {
        for outcome in [other.try_set(0, 2), other.try_update(0, |value| value)] {
            assert!(matches!(outcome.unwrap_err().kind(), ErrorKind::LockHeld { .. }));
        }
        for outcome in [other.set_until(0, 2, Instant::now()), other.update_until(0, |value| value, Instant::now())] {
            assert!(matches!(outcome.unwrap_err().kind(), ErrorKind::LockTimedOut { .. }));
        }
        assert_eq!(other.get(0).unwrap(), value, "who reads waits for nobody");
        3
    })
    .unwrap();
    assert_eq!(other.get(0).unwrap(), Value::Int(3));
}

#[test]
fn the_segment_is_a_list_and_no_other_container() {
    let name = unique("list");
    let list = ShmList::options().name(&name).persist(Persist::Keep).create([1, 2]).unwrap();
    let info = inspect(&name).unwrap();
    assert_eq!((info.container, info.slots.map(|slots| slots.count)), (Container::List, Some(64)));
    assert_eq!(format!("{list:?}"), format!("ShmList([1, 2], name='{name}')"));
    let error = ShmArray::<u64>::open(&name).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WrongContainer { found: "ShmList", expected: "ShmArray" }), "{error}");
    let array = ShmArray::<u64>::create(100).unwrap();
    assert!(matches!(ShmList::open(array.name()).unwrap_err().kind(), ErrorKind::WrongContainer { .. }));
    assert!(list.as_fd().is_none());
    assert_eq!((list.persist(), list.clone().close().unwrap()), (Persist::Keep, Detached::StillInUse));
    drop(list);
    assert_eq!(ShmList::open(&name).unwrap().to_vec().unwrap(), [Value::Int(1), Value::Int(2)]);
    unlink(&name).unwrap();
}

#[test]
fn opening_or_creating_finds_a_list_of_the_same_length() {
    let name = unique("list-open-or-create");
    let first = ShmList::open_or_create(&name, ["a", "b"]).unwrap();
    first.set(0, 7).unwrap();
    assert_eq!(ShmList::open_or_create(&name, [1, 2]).unwrap().get(0).unwrap(), Value::Int(7));
    let error = ShmList::open_or_create(&name, [1, 2, 3]).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LengthMismatch { given: 3, found: 2 });
    let text = format!("{name:?}: it is a list of 2 values, not 3 (attach with `open`, which takes any");
    assert!(error.to_string().starts_with(&text), "{error}");
}

#[test]
fn a_list_is_shown_as_python_shows_one() {
    let list = ShmList::options().unnamed().create(one_of_each()).unwrap();
    assert_eq!(list.to_string(), "[-9223372036854775808, -0.0, True, 't\u{fc}xt', b'b\\x00\\x00', None, '']");
    assert_eq!(format!("{list:?}"), format!("ShmList({list}, name='')"));
    assert_eq!(ShmList::create([0_i64; 0]).unwrap().to_string(), "[]");
}

#[test]
fn what_cannot_be_read_is_shown_by_why_and_not_without_end() {
    let list = ShmList::create((0..300).map(|_| 7)).unwrap();
    for index in 0..102 {
        // As a peer would that marks each value as being written.
        scribble(&list, (2 * index + 1) * RECORD_WORDS + 2, 1);
    }
    let shown = list.to_string();
    assert!(shown.starts_with("[7, <") && shown.ends_with(", <99 more, of which not all are readable>]"), "{shown}");
    assert_eq!(shown.matches('<').count(), 101);
    assert!(shown.contains(&ErrorKind::List(ListError::Busy { index: 3 }).to_string()), "{shown}");
}

/// A value that is a longer text each time it is asked for.
struct Growing(core::cell::Cell<usize>);

impl AsValue for Growing {
    fn as_value(&self) -> ValueRef<'_> {
        self.0.set(self.0.get() + 20);
        ValueRef::Str(&"some text that has far more bytes than the slot for its beginning"[..self.0.get()])
    }
}

#[test]
fn a_value_that_answers_differently_each_time_is_asked_once() {
    let growing = || Growing(core::cell::Cell::new(0));
    let expected = Value::from("some text that has f");
    let list = ShmList::create([growing()]).unwrap();
    assert_eq!((list.get(0).unwrap(), list.capacity(0).unwrap()), (expected.clone(), 24));
    let list = ShmList::create_with_capacities([(growing(), 20), (growing(), 20)]).unwrap();
    assert_eq!(list.to_vec().unwrap(), [expected.clone(), expected.clone()]);
    let name = unique("growing");
    assert_eq!(ShmList::open_or_create(&name, [growing()]).unwrap().get(0).unwrap(), expected);
}

#[test]
fn each_handle_sees_each_notification_once() {
    let list = ShmList::create([0]).unwrap();
    let reader = ShmList::open_read_only(list.name()).unwrap();
    assert!(matches!(reader.wait_changed(Instant::now()).unwrap_err().kind(), ErrorKind::TimedOut { .. }));
    assert_eq!(list.notify(), 0);
    reader.wait_changed(Instant::now()).unwrap();
    assert!(reader.wait_changed(Instant::now()).is_err());
    assert!(reader.clone().wait_changed(Instant::now()).is_err());
    list.wait_changed(Instant::now()).unwrap();
}

#[test]
fn whatever_stands_in_a_record_gives_a_value_or_an_error() {
    let hostile = [0, 1, 2, 3, 6, 7, 8, 9, 16, 24, 1 << 20, 1 << 31, 1 << 32, u64::MAX / 16, u64::MAX - 7, u64::MAX];
    let heads = [ValueKind::Str.head(9), ValueKind::Bytes.head(9), ValueKind::Bool.head(8), ValueKind::None.head(8)];
    let list = ShmList::options().lock_timeout(Some(Duration::from_millis(1))).create(["text", "more"]).unwrap();
    let whole = list.words.to_vec().unwrap();
    for word in 0..RECORD_WORDS {
        for value in hostile.iter().copied().chain(heads) {
            scribble(&list, word, value);
            for outcome in [list.get(0), list.get(-2)] {
                if let Err(error) = outcome {
                    assert!(!error.to_string().is_empty() && error.fault() != Fault::System, "{error}");
                }
            }
            let _ = (list.to_vec(), list.count(1), list.index("more"), list.format(), list.kind(0));
            let _ = (list.set(0, 1), list.set(0, "eight by"), list.fetch_add(0, 1), list.update(0, |value| value));
            // Who follows a wrong capacity or offset may store into another slot's areas, and nowhere else.
            let neighbour = list.get(1);
            assert!(word >= 6 || neighbour.is_ok_and(|value| value == Value::from("more")), "word {word}, {value:#x}");
            for (word, &value) in whole.iter().enumerate() {
                scribble(&list, word, value);
            }
        }
    }
}

#[test]
fn damage_is_told_by_what_it_is() {
    let list = ShmList::create(["eight by"]).unwrap();
    let first_area = RECORD_WORDS;
    scribble(&list, first_area, u64::MAX);
    assert_eq!(*list_error(&list.get(0).unwrap_err()), ListError::NotUtf8 { index: 0, valid_up_to: 0 });
    scribble(&list, 4, ValueKind::Bool.head(8));
    let error = list.get(0).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidValue { element: Some(0), .. }), "{error}");
    scribble(&list, 4, ValueKind::Str.head(9));
    assert!(matches!(list.get(0).unwrap_err().kind(), ErrorKind::InvalidValue { element: Some(0), .. }));
    scribble(&list, 2, 1);
    assert_eq!(*list_error(&list.get(0).unwrap_err()), ListError::Busy { index: 0 });
    list.set(0, "mended").unwrap();
    assert_eq!(list.get(0).unwrap(), Value::from("mended"));
    scribble(&list, 6, 12);
    assert_eq!(
        *list_error(&list.set(0, 1).unwrap_err()),
        ListError::Corrupt { field: "capacity of a slot", value: 12 }
    );
    scribble(&list, 6, 8);
    scribble(&list, 7, 7);
    assert_eq!(*list_error(&list.get(0).unwrap_err()), ListError::Corrupt { field: "offset of a slot", value: 7 });
}

/// As a peer would that has made all slots the same large one.
#[test]
fn a_copy_of_a_list_is_never_larger_than_its_segment() {
    let list = ShmList::create_with_capacities((0..100).map(|_| ("x".repeat(8), 8)).chain([("y".repeat(800), 800)]));
    let list = list.unwrap();
    let (capacity, offset) = (6, 7);
    let last = 100 * RECORD_WORDS;
    for index in 0..100 {
        scribble(&list, index * RECORD_WORDS + capacity, 800);
        scribble(&list, index * RECORD_WORDS + offset, list.words.get(last + offset).unwrap());
        scribble(&list, index * RECORD_WORDS + 4, ValueKind::Str.head(800));
    }
    let is_corrupt = |error: Error| matches!(list_error(&error), ListError::Corrupt { .. });
    assert!(is_corrupt(list.to_vec().unwrap_err()));
    // Nor does any other walk over all values copy more.
    assert!(is_corrupt(list.count(5).unwrap_err()));
    assert!(is_corrupt(list.index(5).unwrap_err()));
    let mut visited = 0;
    assert!(is_corrupt(list.for_each(|_, _| visited += 800).unwrap_err()));
    assert!(visited < list.words.count() * 8, "{visited}");
    let room = list.words.count() * 8 / 800;
    assert!(list.iter().flatten().count() <= room && list.iter().rev().flatten().count() <= room);
}

mod against_a_vector {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i64>().prop_map(Value::Int),
            any::<u64>().prop_map(|bits| Value::Float(f64::from_bits(bits))),
            any::<bool>().prop_map(Value::Bool),
            "\\PC{0,12}".prop_map(Value::Str),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
            Just(Value::None),
        ]
    }

    fn len(value: &Value) -> usize {
        match value {
            Value::Str(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            _ => 0,
        }
    }

    /// Equal to the bit, NaN included.
    fn same(a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (a, b) => a == b,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: if cfg!(miri) { 2 } else { 100 }, ..ProptestConfig::default() })]

        #[test]
        fn stores_do_what_they_do_to_a_vector(
            first in prop::collection::vec(value(), 0..6),
            least in 0..30_usize,
            stores in prop::collection::vec((-8..8_isize, value()), 0..20),
        ) {
            let list = ShmList::options().unnamed().slot_capacity(least).create(&first).unwrap();
            let mut model = first.clone();
            for (index, value) in stores {
                let position = if index < 0 { index + model.len() as isize } else { index };
                let place = usize::try_from(position).ok().filter(|&place| place < model.len());
                match (place, list.set(index, &value)) {
                    (None, Err(error)) => {
                        prop_assert_eq!(list_error(&error), &ListError::OutOfRange { index, len: model.len() });
                    }
                    (Some(place), Err(error)) => {
                        let available = least.max(len(&first[place])).max(8).next_multiple_of(8);
                        prop_assert_eq!(list_error(&error), &ListError::ExceedsStorage { needed: len(&value), available });
                        prop_assert!(len(&value) > available);
                    }
                    (Some(place), Ok(())) => model[place] = value,
                    (None, Ok(())) => prop_assert!(false, "stored at {index}"),
                }
                let found = list.to_vec().unwrap();
                prop_assert!(found.len() == model.len() && found.iter().zip(&model).all(|(a, b)| same(a, b)), "{found:?}");
            }
            for value in &model {
                let count = model.iter().filter(|other| value.as_ref().python_eq(other.as_ref())).count();
                prop_assert_eq!(list.count(value).unwrap(), count);
                let index = model.iter().position(|other| value.as_ref().python_eq(other.as_ref()));
                prop_assert_eq!(list.index(value).ok(), index);
            }
        }
    }
}
