//! One value: read until it stands still, written so that a reader can tell.
//!
//! Writer: code = -1; release fence; bytes, format; release fence; code. Reader: code, acquire fence, format, bytes;
//! acquire fence; code, acquire fence, format again; for text, the bytes again, and code and format once more. The
//! fences order the stores among each other, and the loads, which plain or volatile accesses do not on machines weaker
//! than x86.
//!
//! Why the code comes first in the second look: an `int` that becomes a `float` keeps its code. Whoever has read the new
//! bytes finds -1, or the code behind which the new format stands.
//!
//! Why text needs the look in the middle: a store of text over text leaves format and code as they were. A reader that
//! copied twice in the middle of such a store, and looked only after its end, would find nothing changed. A first copy
//! that has any byte of a store is followed by a look that sees -1, or the store complete; then the second copy differs.

use super::kind::{CHANGING, Kind, MAX_TEXT};
use super::layout::{Geometry, Slot};
use super::{ATTEMPTS, ListError, Text};
use crate::memory::{Memory, MemoryMut};
use crate::value::{Value, ValueRef};
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};

/// What the padding of [`Text::Padded`] is, in Python's manual.
pub(super) const PADDING: u8 = 0x07;

/// How many bytes of a text may be copied for each of the [`ATTEMPTS`] that it takes.
const BYTES_PER_ATTEMPT: usize = 4096;

/// What [`read`] found. Text lies in the scratch memory, without the NULs at its end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    Int(i64),
    Float(f64),
    Bool(bool),
    None,
    Str,
    Bytes,
}

/// Reads value `index`, which is in range.
#[inline]
pub(super) fn read<M: Memory + ?Sized>(
    memory: &M,
    geometry: &Geometry,
    index: usize,
    scratch: &mut Vec<u8>,
) -> Result<Found, ListError> {
    let slot = geometry.slot(memory, index)?;
    let (format_at, code_at) = (geometry.format_at(index), geometry.code_at(index));
    // The one combination of format and code that was seen, as long as it is one, and one that nobody writes.
    let mut odd = None;
    let mut moves = false;
    let mut left = ATTEMPTS;
    while let Some(rest) = left.checked_sub(1) {
        left = rest;
        let code = memory.read_byte(code_at);
        fence(Ordering::Acquire); // pairs with the second Release fence in `store`
        let format = memory.read_word(format_at);
        let unchanged = || {
            let same_code = memory.read_byte(code_at) == code;
            fence(Ordering::Acquire); // pairs with the second Release fence in `store`
            same_code && memory.read_word(format_at) == format
        };
        let Some(kind) = Kind::parse(format, code).filter(|kind| kind.bytes() <= slot.bytes) else {
            moves |= code == CHANGING || odd.replace((format, code)).is_some_and(|before| before != (format, code));
            core::hint::spin_loop();
            continue;
        };
        let found = match kind {
            Kind::Str(len) | Kind::Bytes(len) => {
                copy_text(memory, slot.start, len, scratch, unchanged).then_some(match kind {
                    Kind::Str(_) => Found::Str,
                    _ => Found::Bytes,
                })
            }
            number => {
                let word = memory.read_word(slot.start);
                Some(match number {
                    Kind::Int => Found::Int(word.cast_signed()),
                    Kind::Float => Found::Float(f64::from_bits(word)),
                    Kind::Bool => Found::Bool(word.to_ne_bytes()[7] != 0),
                    _ => Found::None,
                })
            }
        };
        fence(Ordering::Acquire); // pairs with the first Release fence in `store`
        if let Some(found) = found
            && unchanged()
        {
            return Ok(found);
        }
        moves = true;
        // A long text costs more of the patience, or megabytes that never stand still would be copied 256 times.
        left = left.saturating_sub(kind.bytes() / BYTES_PER_ATTEMPT);
        core::hint::spin_loop();
    }
    Err(match odd {
        Some((format, code)) if !moves => ListError::UnknownFormat { index, format: format.to_ne_bytes(), code },
        _ => ListError::Busy { index },
    })
}

/// The value in the scratch memory, borrowed.
#[inline]
pub(super) fn borrowed(found: Found, index: usize, text: Text, scratch: &[u8]) -> Result<ValueRef<'_>, ListError> {
    Ok(match found {
        Found::Int(int) => ValueRef::Int(int),
        Found::Float(float) => ValueRef::Float(float),
        Found::Bool(bool) => ValueRef::Bool(bool),
        Found::None => ValueRef::None,
        Found::Str => match core::str::from_utf8(scratch) {
            Ok(read) => ValueRef::Str(without_padding(read, text)),
            Err(error) => return Err(ListError::NotUtf8 { index, valid_up_to: error.valid_up_to() }),
        },
        Found::Bytes => {
            let padding = usize::from(text == Text::Padded && !scratch.is_empty());
            ValueRef::Bytes(&scratch[..scratch.len() - padding])
        }
    })
}

/// The value in the scratch memory, which becomes its own.
#[inline]
pub(super) fn owned(found: Found, index: usize, text: Text, mut scratch: Vec<u8>) -> Result<Value, ListError> {
    match found {
        Found::Str => match String::from_utf8(scratch) {
            Ok(mut read) => {
                read.truncate(without_padding(&read, text).len());
                Ok(Value::Str(read))
            }
            Err(error) => Err(ListError::NotUtf8 { index, valid_up_to: error.utf8_error().valid_up_to() }),
        },
        Found::Bytes => {
            if text == Text::Padded {
                scratch.pop();
            }
            Ok(Value::Bytes(scratch))
        }
        number => borrowed(number, index, text, &[]).map(ValueRef::to_value),
    }
}

/// Copies text into `scratch`, without the NULs at its end, and says whether it stood still meanwhile.
#[inline]
fn copy_text<M: Memory + ?Sized>(
    memory: &M,
    start: usize,
    len: usize,
    scratch: &mut Vec<u8>,
    unchanged: impl Fn() -> bool,
) -> bool {
    const CHUNK: usize = 64;
    scratch.clear();
    scratch.resize(len, 0);
    memory.read(start, scratch);
    fence(Ordering::Acquire); // pairs with the first Release fence in `store`
    if !unchanged() {
        return false;
    }
    fence(Ordering::Acquire); // pairs with the second Release fence in `store`
    let again = |(number, chunk): (usize, &[u8])| {
        let mut copy = [0; CHUNK];
        let copy = &mut copy[..chunk.len()];
        memory.read(start + number * CHUNK, copy);
        copy == chunk
    };
    let still = scratch.chunks(CHUNK).enumerate().all(again);
    let end = scratch.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    scratch.truncate(end);
    still
}

/// Text without the character that padding appended, whatever it is.
fn without_padding(read: &str, text: Text) -> &str {
    let mut characters = read.chars();
    if text == Text::Padded {
        characters.next_back();
    }
    characters.as_str()
}

/// The bytes of text; `None` for what is no text.
pub(super) fn text_bytes<'v>(value: ValueRef<'v>) -> Option<&'v [u8]> {
    match value {
        ValueRef::Str(text) => Some(text.as_bytes()),
        ValueRef::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

/// Refuses text that Python would read back without its end.
pub(super) fn check_end(bytes: &[u8], text: Text) -> Result<(), ListError> {
    if text == Text::Exact && bytes.last() == Some(&0) {
        return Err(ListError::TrailingNul { len: bytes.len() });
    }
    Ok(())
}

/// Stores a value at `index`, which is in range.
#[inline]
pub(super) fn write<M: MemoryMut + ?Sized>(
    memory: &M,
    geometry: &Geometry,
    index: usize,
    value: ValueRef<'_>,
    text: Text,
) -> Result<(), ListError> {
    let slot = geometry.slot(memory, index)?;
    let (format_at, code_at) = (geometry.format_at(index), geometry.code_at(index));
    if let Some((kind, word)) = Kind::of_number(value) {
        if slot.bytes < kind.bytes() {
            return Err(ListError::ExceedsStorage { needed: kind.bytes(), available: slot.bytes });
        }
        if memory.read_word(format_at) == kind.format() && memory.read_byte(code_at) == kind.code() {
            memory.write_word(slot.start, word);
        } else {
            store(memory, format_at, code_at, kind, || memory.write_word(slot.start, word));
        }
        return Ok(());
    }
    let bytes = text_bytes(value).unwrap_or_default();
    check_end(bytes, text)?;
    let padding: &[u8] = if text == Text::Padded { &[PADDING] } else { &[] };
    let needed = bytes.len() + padding.len();
    if needed > slot.bytes {
        return Err(ListError::ExceedsStorage { needed, available: slot.bytes });
    }
    // CPython keeps the format of a text, also one that is shorter than the slot, and cuts the new text to it.
    let current = super::kind::text_len(memory.read_word(format_at)).filter(|&len| len <= slot.bytes);
    let len = match current {
        Some(len) if len >= needed || text == Text::AsCPython => len,
        _ if slot.bytes <= MAX_TEXT => slot.bytes,
        _ => return Err(ListError::TooLong { index, len: slot.bytes }),
    };
    let kind = if matches!(value, ValueRef::Str(_)) { Kind::Str(len) } else { Kind::Bytes(len) };
    let bytes = &bytes[..bytes.len().min(len)];
    store(memory, format_at, code_at, kind, || write_text(memory, slot, len, bytes, padding));
    Ok(())
}

/// Stores a value behind the mark that says so.
#[inline]
fn store<M: MemoryMut + ?Sized>(memory: &M, format_at: usize, code_at: usize, kind: Kind, bytes: impl FnOnce()) {
    memory.write_byte(code_at, CHANGING);
    fence(Ordering::Release); // pairs with the Acquire fences behind the bytes in `read` and `copy_text`
    bytes();
    memory.write_word(format_at, kind.format());
    fence(Ordering::Release); // pairs with the Acquire fence in front of the bytes in `read`
    memory.write_byte(code_at, kind.code());
}

/// Text, its padding, and zeros up to the length of the format.
fn write_text<M: MemoryMut + ?Sized>(memory: &M, slot: Slot, len: usize, bytes: &[u8], padding: &[u8]) {
    const ZEROS: [u8; 64] = [0; 64];
    memory.write(slot.start, bytes);
    let mut done = bytes.len();
    if done < len && !padding.is_empty() {
        memory.write(slot.start + done, padding);
        done += padding.len();
    }
    while done < len {
        let zeros = &ZEROS[..ZEROS.len().min(len - done)];
        memory.write(slot.start + done, zeros);
        done += zeros.len();
    }
}
