//! One value: read until it stands still, written so that a reader can tell.
//!
//! Writer: code = -1; release fence; bytes; release fence; format; release fence; code. Reader: code, acquire fence,
//! format, acquire fence, bytes; acquire fence; code, acquire fence, format again; for text, the bytes again, and code
//! and format once more. The fences order the stores among each other, and the loads, which plain or volatile accesses
//! do not on machines weaker than x86.
//!
//! Why the code comes first in the second look: an `int` that becomes a `float` keeps its code. Whoever has read the new
//! bytes finds -1, or the code behind which the new format stands.
//!
//! Why text needs the look in the middle: a store of text over text leaves format and code as they were. A reader that
//! copied twice in the middle of such a store, and looked only after its end, would find nothing changed. A first copy
//! that has any byte of a store is followed by a look that sees -1, or the store complete; then the second copy differs.

use super::kind::{AS_IT_IS, BOOL, CHANGING, DECODE, FLOAT, INT, Kind, MAX_TEXT, text_format};
use super::layout::{Geometry, Slot, WORD};
use super::{ATTEMPTS, ListError, Text};
use crate::memory::{Memory, MemoryMut};
use crate::value::ValueRef;
use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};

/// What the padding of [`Text::Padded`] is, in Python's manual.
pub(super) const PADDING: u8 = 0x07;

/// How many bytes of a text may be copied for each of the [`ATTEMPTS`] that it takes.
const BYTES_PER_ATTEMPT: usize = 4096;

/// What [`read`] found. Of text the length, without the NULs at its end; the bytes lie in the scratch memory.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    Int(i64),
    Float(f64),
    Bool(bool),
    None,
    Str(usize),
    Bytes(usize),
}

/// Text up to this length is put together and taken apart on the stack.
const SHORT: usize = 64;

/// The formats of text of 0, 1, … words.
const SHORT_FORMATS: [u64; SHORT / WORD + 1] = {
    let mut formats = [0; SHORT / WORD + 1];
    let mut words = 0;
    while words < formats.len() {
        formats[words] = text_format(words * WORD);
        words += 1;
    }
    formats
};

/// Where text lands.
pub(super) trait Scratch {
    /// Memory of at least `len` bytes, and of [`SHORT`] in any case.
    fn room(&mut self, len: usize) -> &mut [u8];

    /// The first [`SHORT`] bytes of it, or more, in place of `room`.
    fn short(&mut self) -> &mut [[u8; WORD]];

    /// The first `len` bytes of it.
    fn text(&self, len: usize) -> &[u8];
}

/// For callers that keep it: what is there stays, so that nothing is cleared twice.
impl Scratch for Vec<u8> {
    #[inline(always)]
    fn room(&mut self, len: usize) -> &mut [u8] {
        if self.len() < len.max(SHORT) {
            self.resize(len.max(SHORT), 0);
        }
        self
    }

    #[inline(always)]
    fn short(&mut self) -> &mut [[u8; WORD]] {
        self.room(SHORT).as_chunks_mut().0
    }

    #[inline(always)]
    fn text(&self, len: usize) -> &[u8] {
        &self[..len]
    }
}

/// For one call: nothing is allocated for short text.
pub(super) struct Local {
    short: Short,
    long: Vec<u8>,
}

/// Aligned as the check of UTF-8 likes it.
#[repr(align(16))]
struct Short([[u8; WORD]; SHORT / WORD]);

impl Local {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self { short: Short([[0; WORD]; SHORT / WORD]), long: Vec::new() }
    }
}

impl Scratch for Local {
    #[inline(always)]
    fn room(&mut self, len: usize) -> &mut [u8] {
        if len <= SHORT {
            return self.short().as_flattened_mut();
        }
        self.long.resize(len, 0);
        &mut self.long
    }

    #[inline(always)]
    fn short(&mut self) -> &mut [[u8; WORD]] {
        self.long.clear();
        &mut self.short.0
    }

    #[inline(always)]
    fn text(&self, len: usize) -> &[u8] {
        // By where `room` was, not by the length: a long text may be mostly NULs.
        if self.long.is_empty() { &self.short.0.as_flattened()[..len] } else { &self.long[..len] }
    }
}

/// One look at a value.
enum Look {
    Found(Found),
    /// A format and a code that do not go together.
    Odd(u64, u8),
    /// It changed meanwhile, and this many bytes were copied for nothing.
    Moved(usize),
}

/// Reads value `index`, which is in range and whose slot is this one if its offsets are good: gives what `take` makes
/// of the value, or `fail` of the error. A value that is [`ListError::Busy`] is read again as long as `again` says so.
///
/// It gives no `Result` of a value because every caller makes something of its own of it, a [`Value`](crate::Value)
/// in its place for one, and what is put together in one place and moved to another costs as much as all the reads.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "it is put into the loops of few callers, where all of them are apart")]
pub(super) fn read<'s, M: Memory + ?Sized, R>(
    memory: &M,
    geometry: &Geometry,
    index: usize,
    slot: Option<Slot>,
    text: Text,
    scratch: &'s mut impl Scratch,
    again: impl FnMut() -> bool,
    take: impl FnOnce(ValueRef<'s>) -> R,
    fail: impl FnOnce(ListError) -> R,
) -> R {
    // Mostly nobody writes. The rest is kept out of the caller's loop.
    let found = 'quick: {
        let Some(slot) = slot else { break 'quick None };
        let places = Places::new(geometry, index, slot);
        let (format, code) = places.first_look(memory);
        // Integers and floats go straight to `take`.
        if code == AS_IT_IS && slot.bytes >= WORD {
            if format == INT {
                let Some(word) = places.word(memory, format, code) else { break 'quick None };
                return take(ValueRef::Int(word.cast_signed()));
            }
            if format == FLOAT {
                let Some(word) = places.word(memory, format, code) else { break 'quick None };
                return take(ValueRef::Float(f64::from_bits(word)));
            }
        }
        // And so does short text.
        if code == DECODE
            && let Some(words) = places.short_words(format)
        {
            let target = &mut scratch.short()[..words];
            let Some(len) = places.short_text(memory, format, code, target) else { break 'quick None };
            return match borrowed(Found::Str(len), index, text, scratch) {
                Ok(value) => take(value),
                Err(error) => fail(error),
            };
        }
        if code == AS_IT_IS && format == BOOL && slot.bytes >= WORD {
            let Some(word) = places.word(memory, format, code) else { break 'quick None };
            break 'quick Some(Found::Bool(word.to_ne_bytes()[7] != 0));
        }
        match places.second_look(memory, format, code, scratch) {
            Look::Found(found) => Some(found),
            Look::Odd(..) | Look::Moved(_) => None,
        }
    };
    let found = match found {
        Some(found) => Ok(found),
        None => read_patiently(memory, geometry, index, scratch, again),
    };
    match found.and_then(|found| borrowed(found, index, text, scratch)) {
        Ok(value) => take(value),
        Err(error) => fail(error),
    }
}

#[cold]
#[inline(never)]
fn read_patiently<M: Memory + ?Sized>(
    memory: &M,
    geometry: &Geometry,
    index: usize,
    scratch: &mut impl Scratch,
    mut again: impl FnMut() -> bool,
) -> Result<Found, ListError> {
    loop {
        match read_again(memory, geometry, index, scratch) {
            Err(ListError::Busy { .. }) if again() => {}
            outcome => return outcome,
        }
    }
}

fn read_again<M: Memory + ?Sized>(
    memory: &M,
    geometry: &Geometry,
    index: usize,
    scratch: &mut impl Scratch,
) -> Result<Found, ListError> {
    let places = Places::new(geometry, index, geometry.slot(memory, index)?);
    // The one combination of format and code that was seen, as long as it is one, and one that nobody writes.
    let mut odd = None;
    let mut moves = false;
    let mut left = ATTEMPTS;
    while let Some(rest) = left.checked_sub(1) {
        left = rest;
        let (format, code) = places.first_look(memory);
        match places.second_look(memory, format, code, scratch) {
            Look::Found(found) => return Ok(found),
            Look::Odd(format, code) => {
                moves |= code == CHANGING || odd.replace((format, code)).is_some_and(|before| before != (format, code));
            }
            Look::Moved(bytes) => {
                moves = true;
                // A long text costs more of the patience, or megabytes that never stand still would be copied 256 times.
                left = left.saturating_sub(bytes / BYTES_PER_ATTEMPT);
            }
        }
        core::hint::spin_loop();
    }
    Err(match odd {
        Some((format, code)) if !moves => ListError::UnknownFormat { index, format: format.to_ne_bytes(), code },
        _ => ListError::Busy { index },
    })
}

/// Where the parts of one value stand.
#[derive(Clone, Copy)]
pub(super) struct Places {
    slot: Slot,
    format_at: usize,
    code_at: usize,
}

impl Places {
    #[inline(always)]
    pub(super) fn new(geometry: &Geometry, index: usize, slot: Slot) -> Self {
        Self { slot, format_at: geometry.format_at(index), code_at: geometry.code_at(index) }
    }

    /// Format and code, before the bytes.
    #[inline(always)]
    fn first_look<M: Memory + ?Sized>(self, memory: &M) -> (u64, u8) {
        let code = memory.read_byte(self.code_at);
        fence(Ordering::Acquire); // pairs with the last Release fence in `finish`
        let format = memory.read_word(self.format_at);
        fence(Ordering::Acquire); // pairs with the first Release fence in `finish`
        (format, code)
    }

    /// Whether format and code are still these. After a fence that keeps it behind the bytes.
    #[inline(always)]
    fn are_still<M: Memory + ?Sized>(self, memory: &M, format: u64, code: u8) -> bool {
        let same_code = memory.read_byte(self.code_at) == code;
        fence(Ordering::Acquire); // pairs with the last Release fence in `finish`
        same_code && memory.read_word(self.format_at) == format
    }

    /// The word of an integer or a float that stands still, in one piece.
    #[inline(always)]
    fn word<M: Memory + ?Sized>(self, memory: &M, format: u64, code: u8) -> Option<u64> {
        let word = memory.whole_word(self.slot.start)?;
        fence(Ordering::Acquire); // pairs with the Release fence in `begin`
        self.are_still(memory, format, code).then_some(word)
    }

    /// What `take` makes of an integer or a float that stands still.
    #[inline(always)]
    pub(super) fn number<M: Memory + ?Sized, R>(
        self,
        memory: &M,
        take: impl FnOnce(ValueRef<'static>) -> R,
    ) -> Option<R> {
        let (format, code) = self.first_look(memory);
        if code != AS_IT_IS || self.slot.bytes < WORD {
            return None;
        }
        match format {
            INT => Some(take(ValueRef::Int(self.word(memory, format, code)?.cast_signed()))),
            FLOAT => Some(take(ValueRef::Float(f64::from_bits(self.word(memory, format, code)?)))),
            _ => None,
        }
    }

    /// What `take` makes of a short text that stands still.
    #[inline(always)]
    pub(super) fn text<'s, M: Memory + ?Sized, R>(
        self,
        memory: &M,
        text: Text,
        scratch: &'s mut Local,
        take: impl FnOnce(ValueRef<'s>) -> R,
    ) -> Option<R> {
        let (format, code) = self.first_look(memory);
        if code != DECODE {
            return None;
        }
        let words = self.short_words(format)?;
        let len = self.short_text(memory, format, code, &mut scratch.short()[..words])?;
        borrowed(Found::Str(len), 0, text, scratch).ok().map(take)
    }

    /// How many words a text of this format has, if it is a short one that fills its slot, as nearly all do.
    #[inline(always)]
    fn short_words(self, format: u64) -> Option<usize> {
        // What is left over eight goes to the top, beyond all short lengths.
        let words = self.slot.bytes.rotate_right(3);
        (SHORT_FORMATS.get(words) == Some(&format)).then_some(words)
    }

    /// Copies a text of whole words, and gives its length without the NULs at its end, if it stands still.
    #[inline(always)]
    fn short_text<M: Memory + ?Sized>(
        self,
        memory: &M,
        format: u64,
        code: u8,
        target: &mut [[u8; WORD]],
    ) -> Option<usize> {
        let start = self.slot.start;
        for (number, word) in target.iter_mut().enumerate() {
            *word = memory.whole_word(start + number * WORD)?.to_ne_bytes();
        }
        fence(Ordering::Acquire); // pairs with the Release fence in `begin`
        if !self.are_still(memory, format, code) {
            return None;
        }
        fence(Ordering::Acquire); // pairs with the last Release fence in `finish`
        for (number, word) in target.iter().enumerate() {
            if memory.whole_word(start + number * WORD)? != u64::from_ne_bytes(*word) {
                return None;
            }
        }
        fence(Ordering::Acquire); // pairs with the Release fence in `begin`
        self.are_still(memory, format, code).then(|| end_of(target.as_flattened()))
    }

    /// The value of this format and code, and whether both stood still.
    #[inline(always)]
    fn second_look<M: Memory + ?Sized>(self, memory: &M, format: u64, code: u8, scratch: &mut impl Scratch) -> Look {
        let Some(kind) = Kind::parse(format, code).filter(|kind| kind.bytes() <= self.slot.bytes) else {
            return Look::Odd(format, code);
        };
        let start = self.slot.start;
        let found = match kind {
            Kind::Int => Found::Int(memory.read_word(start).cast_signed()),
            Kind::Float => Found::Float(f64::from_bits(memory.read_word(start))),
            Kind::Bool => Found::Bool(memory.read_word(start).to_ne_bytes()[7] != 0),
            Kind::None => Found::None,
            Kind::Str(len) | Kind::Bytes(len) => {
                let copied = copy_text(memory, start, len, scratch, || self.are_still(memory, format, code));
                let Some(end) = copied else { return Look::Moved(len) };
                if matches!(kind, Kind::Str(_)) { Found::Str(end) } else { Found::Bytes(end) }
            }
        };
        fence(Ordering::Acquire); // pairs with the Release fence in `begin`
        if self.are_still(memory, format, code) { Look::Found(found) } else { Look::Moved(kind.bytes()) }
    }
}

/// The value in the scratch memory, borrowed.
#[inline(always)]
pub(super) fn borrowed(
    found: Found,
    index: usize,
    text: Text,
    scratch: &impl Scratch,
) -> Result<ValueRef<'_>, ListError> {
    Ok(match found {
        Found::Int(int) => ValueRef::Int(int),
        Found::Float(float) => ValueRef::Float(float),
        Found::Bool(bool) => ValueRef::Bool(bool),
        Found::None => ValueRef::None,
        Found::Str(len) => match core::str::from_utf8(scratch.text(len)) {
            Ok(read) if text == Text::Padded => ValueRef::Str(without_padding(read)),
            Ok(read) => ValueRef::Str(read),
            Err(error) => return Err(ListError::NotUtf8 { index, valid_up_to: error.valid_up_to() }),
        },
        Found::Bytes(len) => {
            let padding = usize::from(text == Text::Padded && len > 0);
            ValueRef::Bytes(scratch.text(len - padding))
        }
    })
}

/// Copies text out and says how long it is without the NULs at its end; `None` if it did not stand still meanwhile.
#[inline(always)]
fn copy_text<M: Memory + ?Sized>(
    memory: &M,
    start: usize,
    len: usize,
    scratch: &mut impl Scratch,
    unchanged: impl Fn() -> bool,
) -> Option<usize> {
    let target = &mut scratch.room(len)[..len];
    memory.read(start, target);
    fence(Ordering::Acquire); // pairs with the Release fence in `begin`
    if !unchanged() {
        return None;
    }
    fence(Ordering::Acquire); // pairs with the last Release fence in `finish`
    memory.is_still(start, target).then(|| end_of(target))
}

/// The length without the NULs at the end.
#[inline(always)]
fn end_of(text: &[u8]) -> usize {
    // There are up to eight of them, if CPython or this crate made the list.
    if let Some((rest, last)) = text.split_last_chunk::<WORD>()
        && let word @ 1.. = u64::from_le(u64::from_ne_bytes(*last))
    {
        // The last character is in the highest byte.
        return rest.len() + WORD - (word.leading_zeros() / 8) as usize;
    }
    text.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

/// Text without the character that padding appended, whatever it is.
fn without_padding(read: &str) -> &str {
    let mut characters = read.chars();
    characters.next_back();
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
    // Pairs with the Acquire fences behind the bytes, in `word`, `short_text`, `second_look` and `copy_text`.
    fence(Ordering::Release);
}

/// Stores format and code, after the bytes, and so takes the mark away.
#[inline(always)]
fn finish<M: MemoryMut + ?Sized>(memory: &M, places: Places, format: u64, code: u8) {
    fence(Ordering::Release); // pairs with the Acquire fence between the format and the bytes in `first_look`
    memory.write_word(places.format_at, format);
    // Pairs with the Acquire fences behind the code, in `first_look` and `are_still`, and before the second copies.
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
