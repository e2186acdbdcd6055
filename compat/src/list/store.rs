//! One value, stored so that a reader can tell: the other side of [`slot`](super::slot), which says how.

use super::kind::{CHANGING, DECODE, Kind, MAX_TEXT};
use super::layout::{Geometry, Slot, WORD};
use super::slot::{Places, SHORT};
use super::{ListError, Text};
use crate::memory::MemoryMut;
use crate::value::ValueRef;
use core::sync::atomic::{Ordering, fence};

/// What the padding of [`Text::Padded`] is, in Python's manual.
pub(super) const PADDING: u8 = 0x07;

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
#[inline(always)]
pub(super) fn write<M: MemoryMut + ?Sized>(
    memory: &M,
    geometry: &Geometry,
    index: usize,
    value: ValueRef<'_>,
    text: Text,
) -> Result<(), ListError> {
    // The usual cases. The rest is kept out of the caller's loop.
    let is_written = match value {
        ValueRef::Int(int) => write_number(memory, geometry, index, Kind::Int, int.cast_unsigned()),
        ValueRef::Float(float) => write_number(memory, geometry, index, Kind::Float, float.to_bits()),
        ValueRef::Str(str) => write_short_text(memory, geometry, index, DECODE, str.as_bytes(), text),
        ValueRef::Bool(_) | ValueRef::None => {
            Kind::of_number(value).is_some_and(|(kind, word)| write_number(memory, geometry, index, kind, word))
        }
        ValueRef::Bytes(_) => false,
    };
    if is_written { Ok(()) } else { write_other(memory, geometry, index, value, text) }
}

/// Stores a number over one of its kind, which is one store, and says whether it could.
#[inline(always)]
fn write_number<M: MemoryMut + ?Sized>(memory: &M, geometry: &Geometry, index: usize, kind: Kind, word: u64) -> bool {
    let Some(slot) = geometry.good_slot(memory, index) else { return false };
    slot.bytes >= kind.bytes()
        && memory.read_word(geometry.format_at(index)) == kind.format()
        && memory.read_byte(geometry.code_at(index)) == kind.code()
        && memory.write_whole_word(slot.start, word)
}

/// Stores a short text over text that fills its slot, and says whether it could.
#[inline(always)]
fn write_short_text<M: MemoryMut + ?Sized>(
    memory: &M,
    geometry: &Geometry,
    index: usize,
    code: u8,
    bytes: &[u8],
    text: Text,
) -> bool {
    let Some(slot) = geometry.good_slot(memory, index) else { return false };
    let places = Places::new(geometry, index, slot);
    let format = memory.read_word(places.format_at);
    let Some(words) = places.short_words(format) else { return false };
    if words * WORD < bytes.len() || text == Text::Padded || check_end(bytes, text).is_err() {
        return false;
    }
    begin(memory, places);
    // Word by word from where the text lies: put together in between, it would have to wait for the last of its bytes.
    let (whole, rest) = bytes.as_chunks();
    for (number, word) in whole.iter().enumerate() {
        memory.write_word(slot.start + number * WORD, u64::from_ne_bytes(*word));
    }
    let mut done = whole.len();
    if !rest.is_empty() {
        memory.write_word(slot.start + done * WORD, last_word(bytes, rest));
        done += 1;
    }
    for number in done..words {
        memory.write_word(slot.start + number * WORD, 0);
    }
    finish(memory, places, format, code);
    true
}

/// The `rest` of a text, behind its last whole word, and zeros.
#[inline(always)]
fn last_word(bytes: &[u8], rest: &[u8]) -> u64 {
    match bytes.last_chunk() {
        // The last eight bytes, of which the first were in the word before.
        Some(last) => (u64::from_le(u64::from_ne_bytes(*last)) >> (8 * (WORD - rest.len()))).to_le(),
        None => rest.iter().rev().fold(0_u64, |word, &byte| word << 8 | u64::from(byte)).to_le(),
    }
}

#[inline(never)]
fn write_other<M: MemoryMut + ?Sized>(
    memory: &M,
    geometry: &Geometry,
    index: usize,
    value: ValueRef<'_>,
    text: Text,
) -> Result<(), ListError> {
    let slot = geometry.slot(memory, index)?;
    let places = Places::new(geometry, index, slot);
    if let Some((kind, word)) = Kind::of_number(value) {
        if slot.bytes < kind.bytes() {
            return Err(ListError::ExceedsStorage { needed: kind.bytes(), available: slot.bytes });
        }
        begin(memory, places);
        memory.write_word(slot.start, word);
        finish(memory, places, kind.format(), kind.code());
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
    let current = super::kind::text_len(memory.read_word(places.format_at)).filter(|&len| len <= slot.bytes);
    let len = match current {
        Some(len) if len >= needed || text == Text::AsCPython => len,
        _ if slot.bytes <= MAX_TEXT => slot.bytes,
        _ => return Err(ListError::TooLong { index, len: slot.bytes }),
    };
    let kind = if matches!(value, ValueRef::Str(_)) { Kind::Str(len) } else { Kind::Bytes(len) };
    let bytes = &bytes[..bytes.len().min(len)];
    begin(memory, places);
    write_text(memory, slot, len, bytes, padding);
    finish(memory, places, kind.format(), kind.code());
    Ok(())
}

/// Marks a value as one that changes, before its bytes are stored.
#[inline(always)]
fn begin<M: MemoryMut + ?Sized>(memory: &M, places: Places) {
    memory.write_byte(places.code_at, CHANGING);
    // Pairs with the Acquire fences behind the bytes, in `slot`: `word`, `short_text`, `second_look` and `copy_text`.
    fence(Ordering::Release);
}

/// Stores format and code, after the bytes, and so takes the mark away.
#[inline(always)]
fn finish<M: MemoryMut + ?Sized>(memory: &M, places: Places, format: u64, code: u8) {
    fence(Ordering::Release); // pairs with the Acquire fence between the format and the bytes in `slot::first_look`
    memory.write_word(places.format_at, format);
    // Pairs with the Acquire fences behind the code, in `slot::first_look` and `are_still`, and before the second copies.
    fence(Ordering::Release);
    memory.write_byte(places.code_at, code);
}

/// Text, its padding, and zeros up to the length of the format.
#[inline]
fn write_text<M: MemoryMut + ?Sized>(memory: &M, slot: Slot, len: usize, bytes: &[u8], padding: &[u8]) {
    if len <= SHORT {
        // Put together here, so that the memory is written once, and by whole words.
        let mut whole = [0; SHORT];
        let whole = &mut whole[..len];
        whole[..bytes.len()].copy_from_slice(bytes);
        for (place, &byte) in whole[bytes.len()..].iter_mut().zip(padding) {
            *place = byte;
        }
        return memory.write(slot.start, whole);
    }
    write_long(memory, slot, len, bytes, padding);
}

#[inline(never)]
fn write_long<M: MemoryMut + ?Sized>(memory: &M, slot: Slot, len: usize, bytes: &[u8], padding: &[u8]) {
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
