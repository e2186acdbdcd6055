//! What tests of `ShmList` and their second processes share: texts that tell whether they are whole, edits beside a vector,
//! and words that a hostile peer leaves.

use crate::props::Input;
use shmtypes::compat::{ListError, Value, ValueRef};
use shmtypes::{AccessMode, Deadline, ErrorKind, ShmList, Writable};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// Where the header says at which byte the data start, and how many words they are.
const DATA_OFFSET: u64 = 48;
const CAPACITY: u64 = 96;

/// The length of the longest [`pattern`].
pub const LONGEST: usize = 8 * 500;

/// A long text that says its number in all its parts, and how many those are.
#[must_use]
pub fn pattern(number: u64) -> String {
    format!("{number:07} ").repeat(250 + number as usize % 251)
}

/// The number of a [`pattern`].
///
/// # Panics
/// If it is none, or parts of several.
#[must_use]
pub fn number_of(text: &str) -> u64 {
    let number = text.get(..7).and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("{text:?}"));
    assert!(text == pattern(number), "a mixture: {text:?}");
    number
}

/// Any bytes as edits or as hostile words: the fuzz target.
pub fn any_bytes(bytes: &[u8]) {
    match bytes.split_first() {
        Some((first, rest)) if first % 2 == 0 => edits(rest),
        Some((_, rest)) => hostile_words(rest),
        None => {}
    }
}

/// Edits that the bytes spell, on a list and on a vector: both agree after every step.
///
/// # Panics
/// If the property does not hold.
pub fn edits(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let least = usize::from(input.byte() % 32);
    let mut model: Vec<Value> = (0..input.byte() % 6).map(|_| input.value()).collect();
    let list = ShmList::options().unnamed().slot_capacity(least).create(&model).expect("there is room");
    let capacities: Vec<usize> =
        model.iter().map(|value| text_len(value).max(least).max(8).next_multiple_of(8)).collect();
    while !input.is_empty() && !model.is_empty() {
        let index = isize::from(input.byte().cast_signed()) % (2 * model.len() as isize);
        let value = input.value();
        let position = if index < 0 { index + model.len() as isize } else { index };
        let position = usize::try_from(position).ok().filter(|&position| position < model.len());
        let outcome = match input.byte() % 3 {
            0 => list.update(index, |_| &value),
            1 => list.set_until(index, &value, Duration::from_secs(60)),
            _ => list.set(index, &value),
        };
        match (position, outcome.map_err(|error| error.kind().clone())) {
            (None, Err(ErrorKind::List(ListError::OutOfRange { len, .. }))) => assert_eq!(len, model.len()),
            (Some(position), Err(ErrorKind::List(ListError::ExceedsStorage { needed, available }))) => {
                assert!(needed == text_len(&value) && available == capacities[position] && needed > available);
            }
            (Some(position), Ok(())) => {
                assert!(text_len(&value) <= capacities[position]);
                model[position] = value;
            }
            (position, outcome) => panic!("{outcome:?} at {position:?}"),
        }
        let found = list.to_vec().expect("nobody else writes");
        assert!(
            found.len() == model.len() && found.iter().zip(&model).all(|(a, b)| same(a, b)),
            "{found:?}, {model:?}"
        );
        let sought = model[position.unwrap_or(0)].as_ref();
        let equal = |value: &Value| sought.python_eq(value.as_ref());
        assert_eq!(list.count(sought).expect("nobody else writes"), model.iter().filter(|value| equal(value)).count());
        assert_eq!(list.index(sought).ok(), model.iter().position(equal));
    }
}

fn text_len(value: &Value) -> usize {
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

/// Words that the bytes spell, put into the data of a list: every call gives a value or an error.
///
/// # Panics
/// If the property does not hold.
pub fn hostile_words(bytes: &[u8]) {
    let slots = [(Value::Int(1), 8), (Value::from("text"), 24), (Value::from([7; 9]), 16), (Value::None, 100)];
    let options = ShmList::options().unnamed().lock_timeout(Some(Duration::from_millis(1)));
    let list = options.create_with_capacities(slots).expect("there is room");
    let descriptor = list.as_fd().expect("it is unnamed").try_clone_to_owned().expect("a second descriptor");
    let data = Data::of(File::from(descriptor));
    let mut input = Input::new(bytes);
    loop {
        for _ in 0..=input.byte() % 4 {
            let (target, value) = (input.byte(), input.hostile_word());
            data.write(u64::from(target), value);
        }
        exercise(&list, data.words as usize * 8);
        write(&list);
        if input.is_empty() {
            break;
        }
    }
}

/// The words of a list, as whoever has its file can write them.
#[derive(Debug)]
pub struct Data {
    file: File,
    start: u64,
    /// How many there are.
    pub words: u64,
}

impl Data {
    /// The data of a segment.
    ///
    /// # Panics
    /// If the file has no header.
    #[must_use]
    pub fn of(file: File) -> Self {
        let word = |at| {
            let mut bytes = [0; 8];
            file.read_exact_at(&mut bytes, at).expect("read the header");
            u64::from_ne_bytes(bytes)
        };
        let (start, words) = (word(DATA_OFFSET), word(CAPACITY));
        Self { file, start, words }
    }

    /// All words.
    ///
    /// # Panics
    /// If the file cannot be read.
    #[must_use]
    pub fn read_all(&self) -> Vec<u64> {
        let mut bytes = vec![0; 8 * self.words as usize];
        self.file.read_exact_at(&mut bytes, self.start).expect("read the data");
        bytes.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word)).collect()
    }

    /// Writes a word; one beyond the end is counted from the start again.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn write(&self, word: u64, value: u64) {
        let at = self.start + 8 * (word % self.words);
        self.file.write_all_at(&value.to_ne_bytes(), at).expect("write a word");
    }
}

/// Every call that reads, on a list whose data are anything: text is UTF-8 and no longer than `bytes`.
///
/// # Panics
/// If a call gives more than the data can hold.
pub fn exercise<M: AccessMode>(list: &ShmList<M>, bytes: usize) {
    let check = |value: ValueRef<'_>| match value {
        ValueRef::Str(text) => assert!(text.len() <= bytes && std::str::from_utf8(text.as_bytes()).is_ok()),
        ValueRef::Bytes(found) => assert!(found.len() <= bytes),
        _ => {}
    };
    let mut scratch = Vec::new();
    let len = list.len() as isize;
    for index in -len - 1..=len {
        let _ = list.get(index).inspect(|value| check(value.as_ref())).inspect_err(|error| drop(error.to_string()));
        let _ = list.get_ref(index, &mut scratch).map(check);
        let _ = (list.kind(index), list.capacity(index).inspect(|&capacity| assert!(2 * capacity <= bytes)));
    }
    assert!(list.get(len).is_err() && list.get(-len - 1).is_err());
    let _ = list.for_each(|_, value| check(value));
    assert_eq!(list.iter().rev().count(), list.len());
    if let Ok(values) = list.to_vec() {
        assert!(values.len() == list.len() && values.iter().map(text_len).sum::<usize>() <= bytes);
    }
    let _ = (list.count(1.0), list.index("text"), list.format(), format!("{list:?}"));
    let _ = list.wait_changed(Deadline::from(Duration::ZERO));
}

/// Every call that writes.
pub fn write<M: Writable>(list: &ShmList<M>) {
    for index in 0..list.len() as isize {
        let _ = (list.try_set(index, 2), list.set(index, "t\u{fc}xt"), list.set_ref(index, ValueRef::Bytes(&[1; 20])));
        let _ = (list.fetch_add(index, 1), list.compare_exchange(index, 1, 2), list.try_update(index, |value| value));
        let _ = (list.set(index, f64::NAN), list.set(index, ()), list.set(index, true));
    }
    list.notify();
}
