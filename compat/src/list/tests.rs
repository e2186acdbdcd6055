//! Lists in private memory: properties against plain vectors, hostile bytes, and memory that moves.

use super::*;
use crate::Value;
use crate::memory::{Memory, MemoryMut};
use core::cell::{Cell, RefCell};
use proptest::prelude::*;
use std::string::ToString;
use std::vec;

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(|bits| Value::Float(f64::from_bits(bits))),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::None),
        "\\PC{0,20}".prop_map(Value::Str),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
    ]
}

/// Equal to the bit, NaN included.
fn same(a: ValueRef<'_>, b: ValueRef<'_>) -> bool {
    match (a, b) {
        (ValueRef::Float(a), ValueRef::Float(b)) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    }
}

fn ends_in_nul(value: &Value) -> bool {
    match value {
        Value::Str(text) => text.ends_with('\0'),
        Value::Bytes(bytes) => bytes.last() == Some(&0),
        _ => false,
    }
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(values in prop::collection::vec(value(), 0..20)) {
        let bytes = match encode(&values, Dialect::Portable, Text::Exact) {
            Err(ListError::TrailingNul { .. }) => {
                prop_assert!(values.iter().any(ends_in_nul));
                encode(&values, Dialect::Portable, Text::Padded).unwrap()
            }
            bytes => bytes.unwrap(),
        };
        prop_assert_eq!(bytes.len(), encoded_len(&values, Dialect::Portable, if values.iter().any(ends_in_nul) { Text::Padded } else { Text::Exact }).unwrap());
        let text = if values.iter().any(ends_in_nul) { Text::Padded } else { Text::Exact };
        let list = List::attach(bytes.as_slice()).unwrap().with_text(text);
        prop_assert_eq!(list.len(), values.len());
        let mut scratch = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let read = list.get(index as isize, &mut scratch).unwrap();
            prop_assert!(same(read, value.as_ref()), "{read:?} is not {value:?}");
        }
    }

    #[test]
    fn edits_do_what_they_do_to_a_vector(
        values in prop::collection::vec(value(), 1..8),
        edits in prop::collection::vec((any::<isize>(), value()), 0..30),
        py38 in any::<bool>(),
    ) {
        // Padded, so that nothing is refused for its end; in 3.8 only where no slot is too small.
        let dialect = if py38 { Dialect::Py38 } else { Dialect::Portable };
        let Ok(mut bytes) = encode(&values, dialect, Text::Padded) else { return Ok(()) };
        let len = bytes.len();
        let list = List::attach(Cell::from_mut(bytes.as_mut_slice()).as_slice_of_cells()).unwrap().with_text(Text::Padded);
        let mut model = values;
        let mut scratch = Vec::new();
        for (index, value) in edits {
            let index = index % (2 * model.len() as isize + 1);
            let before = list.clone();
            match (list.set(index, value.as_ref()), list.position(index)) {
                (Ok(()), Ok(position)) => model[position] = value,
                (Err(ListError::ExceedsStorage { needed, available }), Ok(position)) => {
                    prop_assert!(needed > available);
                    prop_assert_eq!(available, before.slot_bytes(position as isize).unwrap());
                }
                (Err(ListError::OutOfRange { .. }), Err(_)) => {}
                (outcome, position) => prop_assert!(false, "{outcome:?} at {position:?}"),
            }
            for (index, value) in model.iter().enumerate() {
                let read = list.get(index as isize, &mut scratch).unwrap();
                prop_assert!(same(read, value.as_ref()), "{read:?} is not {value:?}");
            }
        }
        prop_assert_eq!(bytes.len(), len);
    }

    #[test]
    fn any_bytes_give_values_or_errors(mut bytes in prop::collection::vec(any::<u8>(), 0..200), text in 0..3) {
        let text = [Text::Exact, Text::Padded, Text::AsCPython][text as usize];
        exercise(&mut bytes, text);
    }

    #[test]
    fn damaged_lists_give_values_or_errors(
        values in prop::collection::vec(value(), 0..6),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encode(&values, Dialect::Portable, Text::AsCPython).unwrap();
        for (place, byte) in damage {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        exercise(&mut bytes.clone(), Text::Exact);
        bytes.truncate(cut.index(bytes.len() + 1));
        exercise(&mut bytes, Text::AsCPython);
    }
}

/// Calls everything. What matters is that nothing panics.
fn exercise(bytes: &mut [u8], text: Text) {
    let Ok(list) = List::attach(Cell::from_mut(bytes).as_slice_of_cells()) else { return };
    let list = list.with_text(text);
    let mut scratch = Vec::new();
    for index in -(list.len() as isize) - 1..=list.len() as isize {
        let _ = (list.get(index, &mut scratch), list.slot_bytes(index));
        for value in [ValueRef::Int(7), ValueRef::Str("text"), ValueRef::Bytes(b"\0"), ValueRef::None] {
            let _ = list.set(index, value);
        }
    }
    let _ = (list.count(ValueRef::Int(7)), list.index(ValueRef::None), list.format(), list.version());
}

#[test]
fn text_that_python_would_change_is_refused_and_nothing_is_stored() {
    let mut bytes = encode(&["old", "x"], Dialect::Portable, Text::Exact).unwrap();
    let before = bytes.clone();
    let list = List::attach(Cell::from_mut(bytes.as_mut_slice()).as_slice_of_cells()).unwrap();
    assert_eq!(list.set(0, ValueRef::Str("a\0")), Err(ListError::TrailingNul { len: 2 }));
    assert_eq!(list.set(0, ValueRef::Bytes(b"123456789")), Err(ListError::ExceedsStorage { needed: 9, available: 8 }));
    assert_eq!(list.set(2, ValueRef::Int(1)), Err(ListError::OutOfRange { index: 2, len: 2 }));
    assert_eq!(list.set(-3, ValueRef::Int(1)), Err(ListError::OutOfRange { index: -3, len: 2 }));
    assert_eq!(bytes, before);
    assert_eq!(encode(&["a\0"], Dialect::Portable, Text::Exact), Err(ListError::TrailingNul { len: 2 }));
    let cut = ListError::WouldBeCut { index: 1, needed: 21, available: 8 };
    assert_eq!(encode(&["ok", "€€€€€€€"], Dialect::Py39, Text::Exact), Err(cut.clone()));
    assert_eq!(encode(&["ok", "€€€€€€€"], Dialect::Py38, Text::Exact), Err(cut));
    assert!(encode(&["ok", "€€€€€€€"], Dialect::Portable, Text::Exact).is_ok());
    let long = vec![b'a'; 9_999_992];
    assert_eq!(
        encoded_len(&[&long[..]], Dialect::Portable, Text::Exact),
        Err(ListError::TooLong { index: 0, len: 9_999_992 })
    );
    assert_eq!(encoded_len(&[&long[1..]], Dialect::Portable, Text::Exact), Ok(10_000_025));
}

#[test]
fn padded_text_keeps_every_end() {
    let values = ["", "a\0", "é\0\0"];
    let bytes = encode(&values, Dialect::Portable, Text::Padded).unwrap();
    let list = List::attach(bytes.as_slice()).unwrap().with_text(Text::Padded);
    for (index, value) in values.iter().enumerate() {
        assert_eq!(list.get(index as isize, &mut Vec::new()).unwrap(), ValueRef::Str(value));
    }
    // A side that does not know of the padding sees what Python would.
    let list = List::attach(bytes.as_slice()).unwrap();
    assert_eq!(list.get(1, &mut Vec::new()).unwrap(), ValueRef::Str("a\0\x07"));
}

#[test]
fn a_short_format_in_a_long_slot_is_widened_unless_cpython_is_to_be_copied() {
    let made = || {
        let mut bytes = encode(&["0123456789"], Dialect::Portable, Text::Exact).unwrap();
        let at = bytes.len() - 9;
        bytes[at..at + 8].copy_from_slice(b"3s\0\0\0\0\0\0");
        bytes
    };
    for (text, expected, format) in [(Text::Exact, "abcdef", "16s"), (Text::AsCPython, "abc", "3s")] {
        let mut bytes = made();
        let list = List::attach(Cell::from_mut(bytes.as_mut_slice()).as_slice_of_cells()).unwrap().with_text(text);
        assert_eq!(list.get(0, &mut Vec::new()).unwrap(), ValueRef::Str("012"));
        list.set(0, ValueRef::Str("abcdef")).unwrap();
        assert_eq!(list.get(0, &mut Vec::new()).unwrap(), ValueRef::Str(expected));
        assert_eq!(list.format().unwrap(), format);
    }
}

/// How many accesses attaching takes.
const ATTACH_READS: usize = 3;

/// Memory in which a peer acts at a chosen access. Bytes move in pieces of eight.
struct Moving<F> {
    bytes: RefCell<Vec<u8>>,
    accesses: Cell<usize>,
    peer: F,
}

impl<F: Fn(usize, &mut [u8])> Moving<F> {
    fn new(bytes: Vec<u8>, peer: F) -> Self {
        Self { bytes: RefCell::new(bytes), accesses: Cell::new(0), peer }
    }
    fn step(&self) {
        let number = self.accesses.get();
        self.accesses.set(number + 1);
        (self.peer)(number, &mut self.bytes.borrow_mut());
    }
}

impl<F: Fn(usize, &mut [u8])> Memory for Moving<F> {
    fn len(&self) -> usize {
        self.bytes.borrow().len()
    }
    fn read(&self, offset: usize, target: &mut [u8]) {
        // What lies between two words comes in two pieces.
        let step = if offset.is_multiple_of(8) { 8 } else { 4 };
        for (number, piece) in target.chunks_mut(step).enumerate() {
            self.step();
            self.bytes.borrow().read(offset + step * number, piece);
        }
    }
    fn read_word(&self, offset: usize) -> u64 {
        if !offset.is_multiple_of(8) {
            let mut word = [0; 8];
            self.read(offset, &mut word);
            return u64::from_ne_bytes(word);
        }
        self.step();
        self.bytes.borrow().read_word(offset)
    }
    fn read_byte(&self, offset: usize) -> u8 {
        self.step();
        self.bytes.borrow().read_byte(offset)
    }
}

impl<F: Fn(usize, &mut [u8])> MemoryMut for Moving<F> {
    fn write(&self, offset: usize, source: &[u8]) {
        for (number, piece) in source.chunks(8).enumerate() {
            self.step();
            let at = offset + 8 * number;
            self.bytes.borrow_mut()[at..at + piece.len()].copy_from_slice(piece);
        }
    }
    fn write_word(&self, offset: usize, word: u64) {
        self.write(offset, &word.to_ne_bytes());
    }
    fn write_byte(&self, offset: usize, byte: u8) {
        self.write(offset, &[byte]);
    }
}

fn edit(bytes: &mut [u8], value: ValueRef<'_>) {
    edit_at(0, bytes, value);
}

fn edit_at(index: isize, bytes: &mut [u8], value: ValueRef<'_>) {
    List::attach(Cell::from_mut(bytes).as_slice_of_cells()).unwrap().set(index, value).unwrap();
}

/// Every state that the memory goes through while `value` is stored over `before`.
fn states(before: &[u8], index: isize, value: ValueRef<'_>) -> Vec<Vec<u8>> {
    let seen = RefCell::new(Vec::new());
    let memory = Moving::new(before.to_vec(), |_, bytes: &mut [u8]| seen.borrow_mut().push(bytes.to_vec()));
    List::attach(&memory).unwrap().set(index, value).unwrap();
    seen.borrow_mut().push(memory.bytes.borrow().clone());
    seen.into_inner()
}

#[test]
fn a_writer_killed_between_any_two_stores_leaves_the_old_value_the_new_one_or_busy() {
    let values = [
        ValueRef::Int(5),
        ValueRef::Float(2.5),
        ValueRef::Bool(true),
        ValueRef::None,
        ValueRef::Str("text of the slot"),
        ValueRef::Str("other"),
        ValueRef::Bytes(b"bytes"),
    ];
    let mut busy = 0;
    for before in values {
        let mut bytes = encode(&["0123456789abcdef"], Dialect::Portable, Text::Exact).unwrap();
        edit(&mut bytes, before);
        for after in values {
            for state in states(&bytes, 0, after) {
                let list = List::attach(state.as_slice()).unwrap();
                match list.get(0, &mut Vec::new()) {
                    Ok(read) => assert!(read == before || read == after, "{read:?} between {before:?} and {after:?}"),
                    Err(ListError::Busy { index: 0 }) => busy += 1,
                    Err(other) => panic!("{other:?} between {before:?} and {after:?}"),
                }
                let mut repaired = state;
                edit(&mut repaired, ValueRef::Int(1));
                let list = List::attach(repaired.as_slice()).unwrap();
                assert_eq!(list.get(0, &mut Vec::new()).unwrap(), ValueRef::Int(1));
            }
        }
    }
    assert!(busy > 50, "only {busy} states were busy: does the test still see them?");
}

#[test]
fn a_value_that_changes_its_kind_while_it_is_read_is_the_old_or_the_new_one() {
    let text = encode(&["0123456789abcdef"], Dialect::Portable, Text::Exact).unwrap();
    for (before, after) in [
        (ValueRef::Int(i64::MAX), ValueRef::Str("abc")),
        (ValueRef::Str("0123456789abcdef"), ValueRef::Float(0.5)),
        (ValueRef::Str("0123456789abcdef"), ValueRef::Str("x")),
        (ValueRef::Bytes(b"0123456789"), ValueRef::None),
    ] {
        let mut bytes = text.clone();
        edit(&mut bytes, before);
        for at in 0..20 {
            let memory = Moving::new(bytes.clone(), |number, bytes: &mut [u8]| {
                if number == at {
                    edit(bytes, after);
                }
            });
            let list = List::attach(&memory).unwrap();
            let mut scratch = Vec::new();
            let read = list.get(0, &mut scratch).unwrap();
            assert!(read == before || read == after, "{read:?} with a store at access {at}");
        }
    }
}

/// The value that the tests below read while it changes. Those before it have its kind, so that a pass comes to it in
/// the loop that it has for such.
const TARGET: usize = 2;

/// A way of reading the value at [`TARGET`].
type Way = fn(&List<&dyn Memory>) -> Result<Value, ListError>;

const WAYS: [(&str, Way); 3] = [
    ("lent", |list| list.get(TARGET as isize, &mut Vec::new()).map(ValueRef::to_value)),
    ("owned", |list| list.get_value(TARGET as isize)),
    ("visited", |list| {
        let mut found = Value::None;
        list.try_for_each::<ListError>(|_, value| {
            found = value.to_value();
            Ok(())
        })?;
        Ok(found)
    }),
];

/// The first access of the last value's own: behind its offsets, which no store changes.
fn first_access(bytes: &[u8], way: Way) -> usize {
    let code_at = bytes.len() - 1;
    let memory = Moving::new(bytes.to_vec(), |_, _: &mut [u8]| {});
    let first = Cell::new(None);
    let memory = Watched { memory, at: code_at, first: &first };
    way(&List::attach(&memory as &dyn Memory).unwrap()).unwrap();
    first.get().expect("the code is read")
}

/// Remembers at which access a byte is read first.
struct Watched<'a, F> {
    memory: Moving<F>,
    at: usize,
    first: &'a Cell<Option<usize>>,
}

impl<F: Fn(usize, &mut [u8])> Memory for Watched<'_, F> {
    fn len(&self) -> usize {
        self.memory.len()
    }
    fn read(&self, offset: usize, target: &mut [u8]) {
        self.memory.read(offset, target);
    }
    fn read_word(&self, offset: usize) -> u64 {
        self.memory.read_word(offset)
    }
    fn read_byte(&self, offset: usize) -> u8 {
        if offset == self.at && self.first.get().is_none() {
            self.first.set(Some(self.memory.accesses.get()));
        }
        self.memory.read_byte(offset)
    }
}

/// All ways in which one store can lie beside one read, the bytes in pieces of eight: the read's accesses, each of
/// which finds the store at some step, never an earlier one than the access before.
#[test]
fn one_store_beside_one_read_is_the_old_value_the_new_one_or_busy() {
    let text = |text: &'static str| ValueRef::Str(text);
    let mut interleavings = 0;
    for (before, after) in [
        (text("0123456789abcdef"), text("ABCDEFGHIJKLMNOP")),
        (text("0123456789abcdef"), text("A")),
        (text("x"), text("ABCDEFGHIJKLMNOP")),
        (text("0123456789abcdef"), ValueRef::Bytes(b"ABCDEFGHIJKLMNOP")),
        (ValueRef::Bytes(b"0123456789abcdef"), ValueRef::Bytes(b"ABCDEFGHIJKLMNOP")),
        (ValueRef::Int(1), text("ABCDEFGHIJKLMNOP")),
        (text("0123456789abcdef"), ValueRef::Float(0.5)),
        (ValueRef::Int(1), ValueRef::Float(0.5)),
        (ValueRef::Float(0.5), ValueRef::Int(1)),
        (ValueRef::Bool(true), ValueRef::Float(0.5)),
        (ValueRef::Bool(false), ValueRef::Bool(true)),
        (ValueRef::Int(1), ValueRef::None),
        (ValueRef::None, ValueRef::Int(1)),
    ] {
        let mut bytes = encode(&["0123456789abcdef"; TARGET + 1], Dialect::Portable, Text::Exact).unwrap();
        for index in 0..=TARGET {
            edit_at(index as isize, &mut bytes, before);
        }
        let mut states = states(&bytes, TARGET as isize, after);
        states.dedup();
        interleavings += read_beside(&states, &[before, after], [0; 14]);
    }
    assert!(interleavings > 100_000, "only {interleavings}");
}

/// A second store that brings the first text back, and is not over yet: the bytes of both looks can be the same then,
/// some of the one text and some of the other.
#[test]
fn a_store_and_half_a_store_back_are_one_of_the_values_or_busy() {
    let texts = ["0123456789abcde", "ABCDEFGHIJKLMNO"];
    for values in [texts.map(ValueRef::Str), texts.map(|text| ValueRef::Bytes(text.as_bytes()))] {
        let mut bytes = encode(&[values[0]; TARGET + 1], Dialect::Portable, Text::Exact).unwrap();
        let mut all = states(&bytes, TARGET as isize, values[1]);
        edit_at(TARGET as isize, &mut bytes, values[1]);
        all.extend(states(&bytes, TARGET as isize, values[0]));
        all.dedup();
        assert!(all[8] == all[0], "mark, two words and code, and so again");
        // As far as the first word.
        all.truncate(7);
        let interleavings = read_beside(&all, &values, [0; 12]);
        assert!(interleavings > 50_000, "only {interleavings}");
    }
}

/// Reads while the memory goes through these states, in every way and at every pace. Says how many there were.
///
/// The schedule says which state each access of the first attempt finds; the longest, that of owned text, looks at code
/// and format once more. Accesses after it find the last state.
fn read_beside<const N: usize>(states: &[Vec<u8>], values: &[ValueRef<'_>], start: [usize; N]) -> usize {
    let (bytes, last) = (&states[0], states.len() - 1);
    let mut interleavings = 0;
    for (name, way) in WAYS {
        let first = first_access(bytes, way);
        let mut schedule = start;
        loop {
            let memory = Moving::new(bytes.clone(), |number, bytes: &mut [u8]| {
                if let Some(access) = number.checked_sub(first) {
                    bytes.copy_from_slice(&states[schedule.get(access).copied().unwrap_or(last)]);
                }
            });
            match way(&List::attach(&memory as &dyn Memory).unwrap()) {
                Ok(read) => {
                    assert!(values.contains(&read.as_ref()), "{name}, {read:?}: {values:?}, {schedule:?}");
                }
                Err(error) => assert_eq!(error, ListError::Busy { index: TARGET }, "{name}, {schedule:?}"),
            }
            interleavings += 1;
            // The next sequence of states that never go back.
            let Some(place) = schedule.iter().rposition(|&step| step < last) else { break };
            let next = schedule[place] + 1;
            schedule[place..].fill(next);
        }
    }
    interleavings
}

#[test]
fn a_value_that_never_stands_still_is_busy() {
    let bytes = encode(&["0123456789abcdef"], Dialect::Portable, Text::Exact).unwrap();
    let memory = Moving::new(bytes, |number, bytes: &mut [u8]| bytes[35] = b'a' + (number % 23) as u8);
    let error = List::attach(&memory).unwrap().get(0, &mut Vec::new()).unwrap_err();
    assert_eq!(error, ListError::Busy { index: 0 });
    assert!(memory.accesses.get() < 20 * ATTEMPTS, "bounded");
}

#[test]
fn a_long_text_that_never_stands_still_is_not_copied_hundreds_of_times() {
    let text = "x".repeat(1 << 20);
    let bytes = encode(&[text.as_str()], Dialect::Portable, Text::Exact).unwrap();
    let memory = Moving::new(bytes, |number, bytes: &mut [u8]| bytes[24] = b'a' + (number % 23) as u8);
    let error = List::attach(&memory).unwrap().get(0, &mut Vec::new()).unwrap_err();
    assert_eq!(error, ListError::Busy { index: 0 });
    let copies = memory.accesses.get() as f64 * 8.0 / text.len() as f64;
    assert!(copies < 3.0, "{copies} copies");
}

/// Another kind and back again between two looks is seen by the bytes.
#[test]
fn another_kind_and_the_first_again_with_another_value_is_seen() {
    let mut bytes = encode(&["0123456789abcdef"], Dialect::Portable, Text::Exact).unwrap();
    edit(&mut bytes, ValueRef::Int(1));
    let memory = Moving::new(bytes, move |number, bytes: &mut [u8]| match number.checked_sub(ATTACH_READS) {
        // Before the value's word is loaded, and after it.
        Some(4) => edit(bytes, ValueRef::Float(0.5)),
        Some(5) => edit(bytes, ValueRef::Int(2)),
        _ => {}
    });
    assert_eq!(List::attach(&memory).unwrap().get(0, &mut Vec::new()).unwrap(), ValueRef::Int(2));
}

/// Numbers of one kind are whole in any case, and stores of them keep no reader out.
#[test]
fn a_number_that_never_stands_still_is_one_of_those_stored() {
    let mut bytes = encode(&["0123456789abcdef"], Dialect::Portable, Text::Exact).unwrap();
    edit(&mut bytes, ValueRef::Int(0));
    let memory = Moving::new(bytes, move |number, bytes: &mut [u8]| edit(bytes, ValueRef::Int(number as i64)));
    let mut scratch = Vec::new();
    let found = List::attach(&memory).unwrap().get(0, &mut scratch).unwrap();
    assert!(matches!(found, ValueRef::Int(1..100)), "{found:?}");
    assert!(memory.accesses.get() < 60, "{} accesses", memory.accesses.get());
}

/// The remaining case, as the module's head says: another kind, back again, and the same other one again, between two
/// looks each.
#[test]
fn another_value_and_the_first_again_can_be_missed() {
    let mut bytes = encode(&["0123456789abcdef"], Dialect::Portable, Text::Exact).unwrap();
    edit(&mut bytes, ValueRef::Int(1));
    let memory = Moving::new(bytes, move |number, bytes: &mut [u8]| match number.checked_sub(ATTACH_READS) {
        // Before the value's word is loaded, after it, and before it is loaded again.
        Some(4) => edit(bytes, ValueRef::Float(0.5)),
        Some(5) => edit(bytes, ValueRef::Int(2)),
        Some(7) => edit(bytes, ValueRef::Float(0.5)),
        _ => {}
    });
    let list = List::attach(&memory).unwrap();
    assert_eq!(memory.accesses.get(), ATTACH_READS);
    assert_eq!(list.get(0, &mut Vec::new()).unwrap(), ValueRef::Int(0.5_f64.to_bits().cast_signed()));
}

/// The same of text: another one and the first again.
#[test]
fn another_text_and_the_first_again_can_be_missed() {
    let (first, other) = ("0123456789abcdef", "ABCDEFGHIJKLMNOP");
    let bytes = encode(&[first], Dialect::Portable, Text::Exact).unwrap();
    let memory = Moving::new(bytes, move |number, bytes: &mut [u8]| match number.checked_sub(ATTACH_READS) {
        // Of three words: behind the first one of the first copy; in front of the second copy, as far as the first word; and
        // behind that copy.
        Some(5) => edit(bytes, ValueRef::Str(other)),
        Some(9) => bytes[24..32].copy_from_slice(&first.as_bytes()[..8]),
        Some(12) => edit(bytes, ValueRef::Str(first)),
        _ => {}
    });
    let list = List::attach(&memory).unwrap();
    assert_eq!(list.get(0, &mut Vec::new()).unwrap(), ValueRef::Str("01234567IJKLMNOP"));
}

#[test]
fn a_number_between_two_words_is_the_old_one_or_the_new_one() {
    let mut bytes: Vec<u8> = [2_i64, 0, 12, 20].iter().flat_map(|word| word.to_ne_bytes()).collect();
    bytes.resize(bytes.len() + 20, 0);
    bytes.extend(b"q\0\0\0\0\0\0\0".repeat(2));
    bytes.extend([0, 0]);
    let [old, new] = [0x1111_1111_1111_1111_i64, 0x2222_2222_2222_2222];
    bytes[44..52].copy_from_slice(&old.to_ne_bytes());
    for moment in 0..24 {
        let memory = Moving::new(bytes.clone(), move |number, bytes: &mut [u8]| {
            if number == moment {
                bytes[44..52].copy_from_slice(&new.to_ne_bytes());
            }
        });
        let list = List::attach(&memory).unwrap();
        let mut scratch = Vec::new();
        let found = list.get(1, &mut scratch).unwrap();
        assert!(found == ValueRef::Int(old) || found == ValueRef::Int(new), "{found:?} at {moment}");
    }
}

#[test]
fn a_list_in_a_larger_block_is_finished() {
    let mut bytes = encode(&["one", "two"], Dialect::Portable, Text::Exact).unwrap();
    bytes.resize(4096, 0);
    assert_eq!(Progress::of(bytes.as_slice()), Progress::Finished);
}

#[test]
fn tables_that_lie_are_refused() {
    let good = encode(&[1_i64, 2, 3], Dialect::Portable, Text::Exact).unwrap();
    let word = |bytes: &mut Vec<u8>, at: usize, number: i64| bytes[at..at + 8].copy_from_slice(&number.to_ne_bytes());
    for (at, number) in
        [(0, -1), (0, i64::MAX), (0, i64::MIN), (0, 5), (0, 1 << 59), (32, -8), (32, 1 << 40), (32, i64::MAX)]
    {
        let mut bytes = good.clone();
        word(&mut bytes, at, number);
        let error = List::attach(bytes.as_slice()).map(|list| list.len()).unwrap_err();
        assert!(
            matches!(error, ListError::Truncated { .. } | ListError::Corrupt { .. }),
            "{number} at {at}: {error:?}"
        );
        assert!(!error.to_string().is_empty());
    }
    // Offsets in the middle are judged when they are used.
    for number in [-1, 17, 25, i64::MAX] {
        let mut bytes = good.clone();
        word(&mut bytes, 16, number);
        let list = List::attach(bytes.as_slice()).unwrap();
        let error = list.get(0, &mut Vec::new()).and(list.get(1, &mut Vec::new()).map(drop)).unwrap_err();
        assert!(matches!(error, ListError::Corrupt { field: "slot offset", .. }), "{number}: {error:?}");
    }
    // No slot of 3.8 is empty. A file with holes is full of such.
    let mut bytes = encode(&[1_i64, 2, 3], Dialect::Py38, Text::Exact).unwrap();
    word(&mut bytes, 16, 0);
    let error = List::attach(bytes.as_slice()).map(|list| list.len()).unwrap_err();
    assert_eq!(error, ListError::Corrupt { field: "slot size", value: 0 });
    for len in 0..good.len() {
        assert!(List::attach(&good[..len]).is_err() || len == 8, "{len} bytes");
    }
}

/// As much of a list as its maker has written, in words and then in bytes, is never taken for a finished one.
#[test]
fn a_list_that_is_being_made_is_told_from_a_finished_one() {
    let lists: [&[ValueRef<'_>]; 6] = [
        &[],
        &[ValueRef::Int(7)],
        &[ValueRef::Str("")],
        &[ValueRef::None, ValueRef::Float(0.5), ValueRef::Str("a longer text, of 25 bytes")],
        &[ValueRef::Str("x"), ValueRef::Bytes(b"y"), ValueRef::None],
        &[ValueRef::Str("x"), ValueRef::Bool(true)],
    ];
    for values in lists {
        for dialect in [Dialect::Portable, Dialect::Py38, Dialect::Py39] {
            let whole = encode(values, dialect, Text::Exact).unwrap();
            let finished = |bytes: &[u8]| Progress::of(bytes) == Progress::Finished;
            assert!(finished(&whole), "{values:?} {dialect:?}");
            let (len, data) = (values.len(), whole.len() - 17 * values.len());
            let table = whole.len() - 9 * len - (data - if dialect == Dialect::Py38 { 8 } else { 16 });
            for done in (0..table).step_by(8) {
                let mut half = vec![0; whole.len()];
                half[..done].copy_from_slice(&whole[..done]);
                // The words of an empty list are zero.
                let expected = if len == 0 { Progress::Finished } else { Progress::Table };
                assert_eq!(Progress::of(half.as_slice()), expected, "{done} bytes of {values:?} {dialect:?}");
            }
            for done in table..whole.len() - len {
                let mut half = vec![0; whole.len()];
                half[..done].copy_from_slice(&whole[..done]);
                let format_is_begun = done + 8 > whole.len() - len;
                assert!(format_is_begun || Progress::of(half.as_slice()) == Progress::Values, "{done} {values:?}");
            }
            // The last code; that of a number is 0 anyway.
            if let Some(code) = whole.last().filter(|&&code| code != 0) {
                let mut half = whole.clone();
                half[whole.len() - 1] = 0;
                assert_eq!(Progress::of(half.as_slice()), Progress::Values, "without code {code}");
            }
        }
    }
    // What is no list is for `attach` to refuse.
    for bytes in [vec![], vec![0; 8], vec![0xff; 40], vec![9; 15]] {
        assert_eq!(Progress::of(bytes.as_slice()), Progress::Finished);
    }
    // A list whose values take no room, as later versions may make of empty text.
    let no_room = [1_u64.to_ne_bytes(), [0; 8], [0; 8], *b"0s\0\0\0\0\0\0"].concat();
    let no_room = [no_room.as_slice(), &[1]].concat();
    assert_eq!(Progress::of(no_room.as_slice()), Progress::Finished);
    assert_eq!(Progress::of([0; 4096].as_slice()), Progress::Table, "Python's empty list has 16 bytes");
}

/// Python stores the format, then the code: between the two they do not go together.
#[test]
fn a_python_writer_between_two_stores_is_waited_for() {
    let mut bytes = encode(&[ValueRef::Int(7)], Dialect::Portable, Text::Exact).unwrap();
    let (format, code) = (bytes.len() - 9, bytes.len() - 1);
    let cells = Cell::from_mut(bytes.as_mut_slice()).as_slice_of_cells();
    let list = List::attach(cells).unwrap();
    cells.write(format, b"8s\0\0\0\0\0\0");
    let mut scratch = Vec::new();
    assert!(matches!(list.get(0, &mut scratch), Err(ListError::UnknownFormat { index: 0, code: 0, .. })));
    let mut turns = 0;
    let mut go_on = || {
        turns += 1;
        if turns == 3 {
            cells.write_byte(code, 2);
            cells.write(16 + 8, b"bytes\0\0\0");
        }
        turns <= 3
    };
    assert_eq!(list.get_patiently(0, &mut scratch, &mut go_on), Ok(ValueRef::Bytes(b"bytes")));
    assert_eq!(turns, 3);
    // A writer that never goes on.
    cells.write_byte(code, 0);
    let mut turns = 0;
    let never = list.get_patiently(0, &mut scratch, || {
        turns += 1;
        turns < 5
    });
    assert!(matches!(never, Err(ListError::UnknownFormat { .. })) && turns == 5);
    // What nobody writes is not waited for.
    for (odd, number) in [(b"8i\0\0\0\0\0\0", 0), (b"8s\0\0\0\0\0\0", 4)] {
        cells.write(format, odd);
        cells.write_byte(code, number);
        let found = list.get_patiently(0, &mut scratch, || panic!("there is nothing to wait for"));
        assert!(matches!(found, Err(ListError::UnknownFormat { .. })));
    }
}
