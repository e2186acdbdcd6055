//! One value, read until it stands still. `store` writes it so that a reader can tell.
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
//!
//! Why text is looked at once more at the end: a second store may bring back the first text, and both copies can be the
//! same in the middle of it, with words of either. That finds a second store that is not over yet; one that is over by then
//! has left everything as it was, and cannot be found in a format without versions.
//!
//! A number is loaded once more after the second look. A store of another kind and one back may lie between the two loads of
//! the code; the bytes, though, are then most often others than those of the first load. A store over a number of the same kind
//! changes them too, and nothing else: who is kept from two equal loads by such stores alone, several times in a row, takes
//! the number, which is whole in any case.
//!
//! Integers, floats and short text have straight paths of few steps, in which nothing is decided that need not be. What
//! is unusual in any way goes the long way round, and again from the start.

use super::kind::{AS_IT_IS, BOOL, CHANGING, DECODE, FLOAT, INT, Kind, text_format};
use super::layout::{Geometry, Slot, WORD};
use super::{ATTEMPTS, ListError, Text};
use crate::memory::Memory;
use crate::value::ValueRef;
use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};

/// How many bytes of a text may be copied for each of the [`ATTEMPTS`] that it takes.
const BYTES_PER_ATTEMPT: usize = 4096;

/// How often in a row a number may differ from its second load before that is taken for stores of its own kind. That many
/// stores and stores back, each between the same two loads, are not to be expected.
const RESTLESS_LOOKS: usize = 4;

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
pub(super) const SHORT: usize = 64;

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
    /// A number that was another one when it was loaded again; format and code stayed.
    Restless(Found),
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
            Look::Odd(..) | Look::Restless(_) | Look::Moved(_) => None,
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
            Err(ref error) if error.may_pass() && again() => {}
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
    // In a row, of one format and code.
    let mut restless = (0, 0, 0);
    let mut left = ATTEMPTS;
    while let Some(rest) = left.checked_sub(1) {
        left = rest;
        let (format, code) = places.first_look(memory);
        match places.second_look(memory, format, code, scratch) {
            Look::Found(found) => return Ok(found),
            Look::Restless(found) => {
                moves = true;
                let looks = if (restless.1, restless.2) == (format, code) { restless.0 + 1 } else { 1 };
                if looks == RESTLESS_LOOKS {
                    return Ok(found);
                }
                restless = (looks, format, code);
                continue;
            }
            Look::Odd(format, code) => {
                moves |= code == CHANGING || odd.replace((format, code)).is_some_and(|before| before != (format, code));
            }
            Look::Moved(bytes) => {
                moves = true;
                // A long text costs more of the patience, or megabytes that never stand still would be copied 256 times.
                left = left.saturating_sub(bytes / BYTES_PER_ATTEMPT);
            }
        }
        restless.0 = 0;
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
    pub(super) format_at: usize,
    pub(super) code_at: usize,
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
        fence(Ordering::Acquire); // pairs with the last Release fence in `store::finish`
        let format = memory.read_word(self.format_at);
        fence(Ordering::Acquire); // pairs with the first Release fence in `store::finish`
        (format, code)
    }

    /// Whether format and code are still these. After a fence that keeps it behind the bytes.
    #[inline(always)]
    fn are_still<M: Memory + ?Sized>(self, memory: &M, format: u64, code: u8) -> bool {
        let same_code = memory.read_byte(self.code_at) == code;
        fence(Ordering::Acquire); // pairs with the last Release fence in `store::finish`
        same_code && memory.read_word(self.format_at) == format
    }

    /// The word of an integer or a float that stands still, in one piece.
    #[inline(always)]
    fn word<M: Memory + ?Sized>(self, memory: &M, format: u64, code: u8) -> Option<u64> {
        let word = memory.whole_word(self.slot.start)?;
        fence(Ordering::Acquire); // pairs with the Release fence in `store::begin`
        if !self.are_still(memory, format, code) {
            return None;
        }
        fence(Ordering::Acquire); // pairs with the last Release fence in `store::finish`
        (memory.whole_word(self.slot.start) == Some(word)).then_some(word)
    }

    /// The word of a number: in one piece, or, in a slot that starts between two words, looked at twice as text is.
    /// (CPython and this crate make no such slots.)
    #[inline(always)]
    fn any_word<M: Memory + ?Sized>(self, memory: &M, format: u64, code: u8) -> Option<u64> {
        if let Some(word) = memory.whole_word(self.slot.start) {
            return Some(word);
        }
        let mut word = [0; WORD];
        memory.read(self.slot.start, &mut word);
        fence(Ordering::Acquire); // pairs with the Release fence in `store::begin`
        if !self.are_still(memory, format, code) {
            return None;
        }
        fence(Ordering::Acquire); // pairs with the last Release fence in `store::finish`
        memory.is_still(self.slot.start, &word).then(|| u64::from_ne_bytes(word))
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
    pub(super) fn short_words(self, format: u64) -> Option<usize> {
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
        if !memory.whole_words(start, target) {
            return None;
        }
        fence(Ordering::Acquire); // pairs with the Release fence in `store::begin`
        if !self.are_still(memory, format, code) {
            return None;
        }
        fence(Ordering::Acquire); // pairs with the last Release fence in `store::finish`
        if !memory.are_whole_words(start, target) {
            return None;
        }
        fence(Ordering::Acquire); // pairs with the Release fence in `store::begin`
        self.are_still(memory, format, code).then(|| end_of(target.as_flattened()))
    }

    /// The value of this format and code, and whether both stood still.
    #[inline(always)]
    fn second_look<M: Memory + ?Sized>(self, memory: &M, format: u64, code: u8, scratch: &mut impl Scratch) -> Look {
        let Some(kind) = Kind::parse(format, code).filter(|kind| kind.bytes() <= self.slot.bytes) else {
            return Look::Odd(format, code);
        };
        let start = self.slot.start;
        let mut number = None;
        let found = match kind {
            Kind::Int | Kind::Float | Kind::Bool => {
                let Some(word) = self.any_word(memory, format, code) else { return Look::Moved(WORD) };
                number = Some(word);
                match kind {
                    Kind::Int => Found::Int(word.cast_signed()),
                    Kind::Float => Found::Float(f64::from_bits(word)),
                    _ => Found::Bool(word.to_ne_bytes()[7] != 0),
                }
            }
            Kind::None => Found::None,
            Kind::Str(len) | Kind::Bytes(len) => {
                let copied = copy_text(memory, start, len, scratch, || self.are_still(memory, format, code));
                let Some(end) = copied else { return Look::Moved(len) };
                if matches!(kind, Kind::Str(_)) { Found::Str(end) } else { Found::Bytes(end) }
            }
        };
        fence(Ordering::Acquire); // pairs with the Release fence in `store::begin`
        if !self.are_still(memory, format, code) {
            return Look::Moved(kind.bytes());
        }
        fence(Ordering::Acquire); // pairs with the last Release fence in `store::finish`
        match number {
            Some(word) if !self.is_word(memory, word) => Look::Restless(found),
            _ => Look::Found(found),
        }
    }

    /// Whether the number is still this one.
    #[inline(always)]
    fn is_word<M: Memory + ?Sized>(self, memory: &M, word: u64) -> bool {
        let start = self.slot.start;
        memory.whole_word(start).map_or_else(|| memory.is_still(start, &word.to_ne_bytes()), |again| again == word)
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
    fence(Ordering::Acquire); // pairs with the Release fence in `store::begin`
    if !unchanged() {
        return None;
    }
    fence(Ordering::Acquire); // pairs with the last Release fence in `store::finish`
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
