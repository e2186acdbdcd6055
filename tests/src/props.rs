//! Properties over arbitrary bytes: the bodies of the fuzz targets, replayed on stable by the tests.

use shmtypes::compat::list::{ListError, Text, encode};
use shmtypes::compat::{Dialect, List, Value, ValueRef, pickle};
use shmtypes::layout::Layout;
use shmtypes::{SegmentDirectory, ShmArray};
use std::cell::Cell;
use std::fs;

/// Any bytes as a schema: a layout whose JSON is those bytes, or an error.
///
/// # Panics
/// If the property does not hold.
pub fn schema_bytes(bytes: &[u8]) {
    if let Ok(layout) = Layout::parse(bytes) {
        assert_eq!(layout.to_json().as_bytes(), bytes, "canonical: one layout, one text");
        assert!(layout.differences(&layout).is_empty());
        for rendering in [layout.to_rust("Name"), layout.to_c("Name"), layout.to_numpy("name")] {
            assert!(rendering.chars().all(|c| c == '\n' || !c.is_control()), "{rendering:?}");
        }
    }
}

/// Any bytes as the file of a segment: every call gives a value or an error.
///
/// # Panics
/// If the property does not hold, or the file cannot be written.
pub fn segment_bytes(bytes: &[u8]) {
    let name = format!("props-{}-{:?}", std::process::id(), std::thread::current().id()).replace(['(', ')'], "-");
    let path = format!("/dev/shm/{name}");
    fs::write(&path, bytes).expect("write the file");
    let _removed = Removed(path);
    let directory = SegmentDirectory::default();
    let _ = directory.inspect(&name).map(|info| info.layout.to_rust(&info.type_name));
    if let Ok(array) = ShmArray::<f64>::open(&name) {
        let _ = (array.get(0), array.get(array.len()), array.sum(), array.to_vec(), array.shape(), array.strides());
        assert!(array.len() * size_of::<f64>() <= bytes.len());
    }
    if let Ok(array) = ShmArray::<bool>::open(&name) {
        let _ = (array.to_vec(), array.iter().filter(Result::is_err).count());
        assert!(array.len() <= bytes.len());
    }
}

struct Removed(String);

impl Drop for Removed {
    fn drop(&mut self) {
        // A `Keep` or `UntilLastDetach` header may have removed it already.
        let _ = fs::remove_file(&self.0);
    }
}

/// Any bytes as a `ShareableList`: every call gives a value or an error, what is read is inside the bytes, and what can
/// be stored is read back, with the table untouched.
///
/// # Panics
/// If the property does not hold.
pub fn list_bytes(bytes: &[u8]) {
    let Ok(list) = List::attach(bytes) else { return };
    assert!(list.len() * 17 <= bytes.len(), "a list has at least 17 bytes for every value");
    let mut scratch = Vec::new();
    let mut all_good = true;
    for position in 0..list.len() {
        let index = isize::try_from(position).expect("a position");
        let found = list.get(index, &mut scratch).map(ValueRef::to_value);
        assert!(same(&list.get_value(index), &found), "lent and owned are the same: {found:?}");
        all_good &= found.is_ok();
        let Ok(found) = found else { continue };
        assert!(list.slot_bytes(index).is_ok_and(|slot| slot <= bytes.len() && text_len(&found) <= slot));
        if let Value::Str(text) = &found {
            assert!(!text.ends_with('\0'));
        }
        // NaN is equal to nothing.
        if all_good && !matches!(found, Value::Float(float) if float.is_nan()) {
            assert!(list.index(found.as_ref()).is_ok_and(|first| first <= position));
        }
    }
    let counted = list.count(ValueRef::Int(0));
    assert!(counted.is_ok() == all_good && counted.is_ok_and(|count| count <= list.len()) == all_good);
    assert!(list.format().is_ok_and(|format| format.len() <= 8 * list.len()) || !all_good);
    assert!(list.get(isize::MAX, &mut scratch).is_err() && list.get(isize::MIN, &mut scratch).is_err());
    // One of them, by some byte that says little.
    store_everywhere(
        bytes,
        [Text::Exact, Text::Padded, Text::AsCPython][usize::from(bytes[0] ^ bytes[bytes.len() - 1]) % 3],
    );
}

fn store_everywhere(bytes: &[u8], text: Text) {
    let mut memory = bytes.to_vec();
    let list = List::attach(Cell::from_mut(memory.as_mut_slice()).as_slice_of_cells())
        .expect("attached before")
        .with_text(text);
    let values = [ValueRef::Int(-7), ValueRef::Str("t\u{fc}xt"), ValueRef::Bytes(b"\0b\0"), ValueRef::None];
    for position in 0..list.len() {
        let index = isize::try_from(position).expect("a position");
        let value = values[position % values.len()];
        if list.set(index, value).is_ok() && (text != Text::AsCPython || matches!(value, ValueRef::Int(_))) {
            let read = list.get_value(index);
            assert!(same(&read, &Ok(value.to_value())), "{read:?} after {value:?} was stored");
        }
    }
    let table = 8 * (list.len() + 1);
    assert!(memory[..table] == bytes[..table], "the table was written");
}

fn text_len(value: &Value) -> usize {
    match value {
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 8,
    }
}

/// Equal to the bit, NaN included.
fn same<E: PartialEq>(a: &Result<Value, E>, b: &Result<Value, E>) -> bool {
    match (a, b) {
        (Ok(Value::Float(a)), Ok(Value::Float(b))) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    }
}

/// Edits that `bytes` spell, on a list and on a plain vector: both agree after every step.
///
/// # Panics
/// If the property does not hold.
pub fn list_edits(bytes: &[u8]) {
    let mut input = Input(bytes);
    let text = [Text::Exact, Text::Padded][usize::from(input.byte() % 2)];
    let dialect = [Dialect::Portable, Dialect::Py39, Dialect::Py38][usize::from(input.byte() % 3)];
    let mut model: Vec<Value> = (0..input.byte() % 8).map(|_| input.value()).collect();
    let mut memory = match encode(&model, dialect, text) {
        Ok(memory) => memory,
        Err(ListError::TrailingNul { .. } | ListError::WouldBeCut { .. }) => return,
        Err(other) => panic!("{other}"),
    };
    let list =
        List::attach(Cell::from_mut(memory.as_mut_slice()).as_slice_of_cells()).expect("just made").with_text(text);
    let slots: Vec<usize> = (0..model.len()).map(|index| list.slot_bytes(index as isize).expect("in range")).collect();
    while !input.0.is_empty() && !model.is_empty() {
        let index = isize::from(input.byte().cast_signed()) % (2 * model.len() as isize);
        let value = input.value();
        let position = if index < 0 { index + model.len() as isize } else { index };
        let position = usize::try_from(position).ok().filter(|&position| position < model.len());
        let needed = text_len(&value);
        let is_text = matches!(value, Value::Str(_) | Value::Bytes(_));
        let needed = needed + usize::from(is_text && text == Text::Padded);
        let ends_in_nul = match &value {
            Value::Str(text) => text.ends_with('\0'),
            Value::Bytes(bytes) => bytes.last() == Some(&0),
            _ => false,
        };
        let outcome = list.set(index, value.as_ref());
        match (position, outcome) {
            (None, Err(ListError::OutOfRange { .. })) => {}
            (Some(_), Err(ListError::TrailingNul { .. })) => assert!(ends_in_nul && text == Text::Exact),
            (Some(position), Err(ListError::ExceedsStorage { .. })) => assert!(needed > slots[position]),
            (Some(position), Ok(())) => {
                assert!(needed <= slots[position] && !(ends_in_nul && text == Text::Exact));
                model[position] = value;
            }
            (position, outcome) => panic!("{outcome:?} at {position:?}"),
        }
        let sought = &model[position.unwrap_or(0)];
        assert_eq!(list.count(sought.as_ref()), Ok(model.iter().filter(|value| python_equal(sought, value)).count()));
        let first = model.iter().position(|value| python_equal(sought, value));
        assert_eq!(list.index(sought.as_ref()).ok(), first);
        for (index, value) in model.iter().enumerate() {
            let read = list.get_value(index as isize);
            assert!(same(&read, &Ok(value.clone())), "value {index} is {read:?}, not {value:?}");
        }
    }
}

/// Python's `==`, in the slow and obvious way: numbers by their exact value, text only with its own kind.
fn python_equal(a: &Value, b: &Value) -> bool {
    /// `None` for what is no number, or no integer.
    fn exact(value: &Value) -> Option<i128> {
        match *value {
            Value::Int(int) => Some(int.into()),
            Value::Bool(bool) => Some(bool.into()),
            // Integers of this size convert without loss; a float beyond them equals no `i64`.
            Value::Float(float) if float.fract() == 0.0 && float.abs() < 1e30 => Some(float as i128),
            _ => None,
        }
    }
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Int(_) | Value::Bool(_) | Value::Float(_), Value::Int(_) | Value::Bool(_) | Value::Float(_)) => {
            exact(a).is_some() && exact(a) == exact(b)
        }
        (a, b) => a == b,
    }
}

/// Any bytes as the pickle of a handle: a handle that is pickled to a pickle of itself, or an error.
///
/// # Panics
/// If the property does not hold.
pub fn pickle_bytes(bytes: &[u8]) {
    let handle = match pickle::parse(bytes) {
        Ok(handle) => handle,
        Err(error) => return assert!(error.offset() <= bytes.len() && !error.to_string().is_empty()),
    };
    for protocol in 0..=5 {
        if let Ok(again) = pickle::emit(&handle, protocol) {
            assert_eq!(pickle::parse(&again).as_ref(), Ok(&handle), "protocol {protocol}");
        }
    }
}

/// Values out of bytes.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A word that some check might overlook, or any.
    pub(crate) fn hostile_word(&mut self) -> u64 {
        let small = u64::from(self.byte());
        match self.byte() % 6 {
            0 => small,
            1 => u64::from(self.byte() % 8) | small << 32,
            2 => u64::MAX - small,
            3 => 1 << (small % 64),
            4 => (1 << (small % 64)) - 1,
            _ => self.word(),
        }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    fn word(&mut self) -> u64 {
        (0..8).fold(0, |word, _| word << 8 | u64::from(self.byte()))
    }

    pub(crate) fn value(&mut self) -> Value {
        match self.byte() % 6 {
            0 => Value::Int(self.word().cast_signed()),
            1 => Value::Float(f64::from_bits(self.word())),
            2 => Value::Bool(self.byte() % 2 == 1),
            3 => Value::None,
            4 => {
                let count = self.byte() % 20;
                Value::Str((0..count).map(|_| char::from_u32(self.word() as u32 & 0x1_ffff).unwrap_or('x')).collect())
            }
            _ => {
                let count = self.byte() % 40;
                Value::Bytes((0..count).map(|_| self.byte()).collect())
            }
        }
    }
}
