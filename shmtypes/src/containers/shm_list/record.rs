//! A slot in shared memory: its record, its two areas, and what a value looks like there.
//!
//! ```text
//! record  lock | current | version[2] | head[2] | capacity | offset           64 bytes, a cache line
//! areas   `capacity` bytes twice, side by side, `offset` words into the data
//! head    tag in the low byte, length in bytes in the upper half
//! ```
//!
//! Store number n goes into area n mod 2, by the protocol of [`protocol`]. Memory of zeros is a complete `None`. What capacity
//! and offset say is fetched once per access and judged by the private length of the data; tag, length and bytes are judged on
//! a private copy, once its version has been confirmed.

use super::kind::{ValueKind, is_text, kind_of, length_of};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, ShmLayout, ShmRef, ShmView, Writable};
use crate::segment::elements::Elements;
use crate::sync::cell::protocol::{self, Buffers, BuffersMut};
use core::mem::size_of;
use core::sync::atomic::{AtomicU64, Ordering, fence};
use shmtypes_compat::{ListError, Value, ValueRef};
use std::time::{Duration, Instant};

/// What stands at the start of the data, once per slot.
#[derive(shmtypes_derive::ShmLayout, Debug)]
#[repr(C)]
pub(super) struct Record {
    /// Held by the writer.
    lock: AtomicU64,
    /// How many stores there were.
    current: AtomicU64,
    versions: [AtomicU64; 2],
    heads: [AtomicU64; 2],
    /// Of each area, in bytes.
    capacity: AtomicU64,
    /// Of the first area, in words from the start of the data.
    offset: AtomicU64,
}

pub(super) const WORD: usize = size_of::<u64>();
pub(super) const RECORD_WORDS: usize = size_of::<Record>() / WORD;
/// The size of the smallest area: that of a number.
pub(super) const MIN_CAPACITY: usize = WORD;
/// The size of the largest area: a length has 32 bits.
pub(super) const MAX_CAPACITY: usize = u32::MAX as usize & !(WORD - 1);

const _: () = assert!(size_of::<Record>() == 64);

/// After which time a reader that still loses gives up, unless it is told less.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a reader goes on after a series of losses, having given way to other threads.
const ROUNDS: usize = 8;

/// A slot whose geometry has been fetched and judged.
#[derive(Clone, Copy)]
pub(super) struct Slot<'a, M: AccessMode> {
    // Invariant: two areas of `capacity` bytes, a multiple of eight and at least eight, stand in `words` from word `area` on,
    // and no record does.
    words: &'a Elements<u64, M>,
    record: <Record as ShmLayout>::View<'a, M>,
    area: usize,
    capacity: usize,
    patience: Duration,
}

/// The same with the view of number and head, which need no memory.
#[derive(Clone, Copy)]
struct Numbers<'a, M: AccessMode>(Slot<'a, M>);

/// The same with text.
#[derive(Clone, Copy)]
struct Texts<'a, M: AccessMode>(Slot<'a, M>);

/// The same with what goes into it.
#[derive(Clone, Copy)]
struct Storing<'a, 'v, M: AccessMode>(Slot<'a, M>, Encoded<'v>);

/// A value as it goes into a slot.
#[derive(Clone, Copy)]
pub(super) struct Encoded<'v> {
    pub(super) head: u64,
    pub(super) content: Content<'v>,
}

#[derive(Clone, Copy)]
pub(super) enum Content<'v> {
    Nothing,
    Number(u64),
    Text(&'v [u8]),
}

/// A private copy of what a number takes.
#[derive(Clone, Copy, Default)]
pub(super) struct Glance {
    head: u64,
    word: u64,
}

/// A private copy of any value.
struct Copied {
    glance: Glance,
    text: Vec<u8>,
    /// Why the text could not be copied.
    failure: Option<Error>,
}

impl<'v> Encoded<'v> {
    #[inline(always)]
    pub(super) fn new(value: ValueRef<'v>) -> Self {
        let number = |kind: ValueKind, word| Self { head: kind.head(WORD), content: Content::Number(word) };
        let text = |kind: ValueKind, text: &'v [u8]| Self { head: kind.head(text.len()), content: Content::Text(text) };
        match value {
            ValueRef::Int(int) => number(ValueKind::Int, int.cast_unsigned()),
            ValueRef::Float(float) => number(ValueKind::Float, float.to_bits()),
            ValueRef::Bool(bool) => number(ValueKind::Bool, bool.into()),
            ValueRef::Str(str) => text(ValueKind::Str, str.as_bytes()),
            ValueRef::Bytes(bytes) => text(ValueKind::Bytes, bytes),
            ValueRef::None => Self { head: ValueKind::None.head(0), content: Content::Nothing },
        }
    }

    /// How many bytes it needs.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        match self.content {
            Content::Nothing => 0,
            Content::Number(_) => WORD,
            Content::Text(text) => text.len(),
        }
    }
}

impl Glance {
    /// The number, if it is one and makes sense.
    #[inline(always)]
    fn number(self) -> Option<ValueRef<'static>> {
        const INT: u64 = ValueKind::Int.head(WORD);
        const FLOAT: u64 = ValueKind::Float.head(WORD);
        const BOOL: u64 = ValueKind::Bool.head(WORD);
        const NONE: u64 = ValueKind::None.head(0);
        match (self.head, self.word) {
            (INT, word) => Some(ValueRef::Int(word.cast_signed())),
            (FLOAT, word) => Some(ValueRef::Float(f64::from_bits(word))),
            (BOOL, word @ 0..=1) => Some(ValueRef::Bool(word == 1)),
            (NONE, _) => Some(ValueRef::None),
            _ => None,
        }
    }

    #[inline(always)]
    pub(super) fn int(self) -> Option<i64> {
        match self.number() {
            Some(ValueRef::Int(int)) => Some(int),
            _ => None,
        }
    }

    /// What is wrong with what is no number and no text.
    #[cold]
    fn invalid(self, index: usize) -> Error {
        let is_bool = self.head == ValueKind::Bool.head(WORD);
        let (path, found, expected) = if is_bool {
            ("value", self.word, "a `bool`, which is 0 or 1")
        } else {
            ("head", self.head, "a kind of value, with a length that fits")
        };
        Error::new(ErrorKind::InvalidValue { element: Some(index), path: path.to_owned(), found, expected })
    }
}

impl<'a, M: AccessMode> Slot<'a, M> {
    /// The slot at `index`, of `len` slots.
    #[inline(always)]
    pub(super) fn new(words: &'a Elements<u64, M>, index: usize, len: usize) -> Result<Self> {
        // `index < len`, whose records the data hold.
        let Some(place) = words.part::<Record>(index * RECORD_WORDS) else {
            return Err(Error::out_of_range(index, len));
        };
        let record = <Record as ShmLayout>::View::from_place(place);
        // Relaxed: never changes, unless by a hostile hand. Fetched once, and judged.
        let capacity = record.capacity().load(Ordering::Relaxed);
        let offset = record.offset().load(Ordering::Relaxed);
        let records = (len * RECORD_WORDS) as u64;
        let fits_word = capacity.is_multiple_of(WORD as u64) && capacity >= MIN_CAPACITY as u64;
        if !fits_word || capacity > MAX_CAPACITY as u64 {
            return Err(damaged("capacity of a slot", capacity));
        }
        let areas = 2 * (capacity / WORD as u64);
        if offset < records || offset.checked_add(areas).is_none_or(|end| end > words.count() as u64) {
            return Err(damaged("offset of a slot", offset));
        }
        // No truncation: less than the number of words.
        Ok(Self { words, record, area: offset as usize, capacity: capacity as usize, patience: PATIENCE })
    }

    /// The same, whose reads take no longer.
    pub(super) fn within(self, patience: Duration) -> Self {
        Self { patience: patience.min(PATIENCE), ..self }
    }

    pub(super) fn capacity(self) -> usize {
        self.capacity
    }

    #[inline(always)]
    pub(super) fn lock_word(self) -> ShmRef<'a, AtomicU64, M> {
        self.record.lock()
    }

    /// The first word of an area.
    #[inline(always)]
    fn area(self, buffer: usize) -> usize {
        self.area + buffer * (self.capacity / WORD)
    }

    #[inline(always)]
    fn glance_at(self, buffer: usize) -> Glance {
        // Relaxed: the fence of `protocol` carries it.
        let head = self.record.heads().at(buffer).load(Ordering::Relaxed);
        // Inside by the invariant.
        let word = self.words.place_at(self.area(buffer)).map_or(0, ShmRef::get);
        Glance { head, word }
    }

    /// What is in the slot, as far as a number goes; its kind in any case.
    #[inline(always)]
    pub(super) fn glance(self, index: usize) -> Result<Glance> {
        let mut glance = Glance::default();
        read(Numbers(self), &mut glance, index, self.patience)?;
        Ok(glance)
    }

    pub(super) fn kind(self, index: usize) -> Result<ValueKind> {
        let glance = self.glance(index)?;
        kind_of(glance.head, self.capacity).ok_or_else(|| glance.invalid(index))
    }

    /// A number, if there is one and no store comes between.
    #[inline(always)]
    fn number(self) -> Option<ValueRef<'static>> {
        let mut glance = Glance::default();
        if protocol::try_read(Numbers(self), &mut glance) { glance.number() } else { None }
    }

    #[inline(always)]
    pub(super) fn get(self, index: usize) -> Result<Value> {
        match self.number() {
            // Most values are numbers, and memory for text takes longer to prepare than they to read.
            Some(number) => Ok(number.to_value()),
            None => self.get_other(index),
        }
    }

    #[inline(never)]
    fn get_other(self, index: usize) -> Result<Value> {
        let Copied { glance, text, .. } = self.copy(index, Vec::new())?;
        match kind_of(glance.head, self.capacity) {
            Some(ValueKind::Str) => match String::from_utf8(text) {
                Ok(text) => Ok(Value::Str(text)),
                Err(error) => Err(not_utf8(index, error.utf8_error())),
            },
            Some(ValueKind::Bytes) => Ok(Value::Bytes(text)),
            _ => match glance.number() {
                Some(number) => Ok(number.to_value()),
                None => Err(glance.invalid(index)),
            },
        }
    }

    #[inline(always)]
    pub(super) fn get_ref(self, index: usize, scratch: &mut Vec<u8>) -> Result<ValueRef<'_>> {
        match self.number() {
            Some(number) => Ok(number),
            None => self.get_ref_other(index, scratch),
        }
    }

    #[inline(never)]
    fn get_ref_other(self, index: usize, scratch: &mut Vec<u8>) -> Result<ValueRef<'_>> {
        let Copied { glance, text, .. } = self.copy(index, core::mem::take(scratch))?;
        *scratch = text;
        match kind_of(glance.head, self.capacity) {
            Some(ValueKind::Str) => match core::str::from_utf8(scratch) {
                Ok(text) => Ok(ValueRef::Str(text)),
                Err(error) => Err(not_utf8(index, error)),
            },
            Some(ValueKind::Bytes) => Ok(ValueRef::Bytes(scratch)),
            _ => glance.number().ok_or_else(|| glance.invalid(index)),
        }
    }

    fn copy(self, index: usize, text: Vec<u8>) -> Result<Copied> {
        let mut copied = Copied { glance: Glance::default(), text, failure: None };
        read(Texts(self), &mut copied, index, self.patience)?;
        match copied.failure {
            Some(error) => Err(error),
            None => Ok(copied),
        }
    }

    /// Refuses what is longer than an area.
    #[inline(always)]
    pub(super) fn check_fits(self, value: &Encoded<'_>) -> Result<()> {
        if value.len() > self.capacity { Err(exceeds(value.len(), self.capacity)) } else { Ok(()) }
    }

    /// Replaces the value. The caller holds the lock, and has checked that the value fits.
    #[inline(always)]
    pub(super) fn store(self, value: Encoded<'_>)
    where
        M: Writable,
    {
        protocol::write(Storing(self, value), &());
    }
}

/// Fills `target` with one store.
#[inline(always)]
fn read<B: Buffers>(buffers: B, target: &mut B::Private, index: usize, patience: Duration) -> Result<()> {
    if protocol::try_read(buffers, target) { Ok(()) } else { read_on(buffers, target, index, patience) }
}

#[cold]
fn read_on<B: Buffers>(buffers: B, target: &mut B::Private, index: usize, patience: Duration) -> Result<()> {
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let mut losses = 0;
        while let Some(more) = protocol::lose(buffers, losses) {
            losses = more;
            if protocol::try_read(buffers, target) {
                return Ok(());
            }
            // Copies of long texts take long, and a peer can make each of them in vain.
            if start.elapsed() > patience {
                return Err(ListError::Busy { index }.into());
            }
        }
        // With two areas, a writer that does nothing but store is in the way of half of all reads.
        std::thread::yield_now();
    }
    Err(ListError::Busy { index }.into())
}

#[cold]
fn damaged(field: &'static str, value: u64) -> Error {
    ListError::Corrupt { field, value }.into()
}

#[cold]
fn not_utf8(index: usize, error: core::str::Utf8Error) -> Error {
    ListError::NotUtf8 { index, valid_up_to: error.valid_up_to() }.into()
}

#[cold]
pub(super) fn exceeds(needed: usize, available: usize) -> Error {
    ListError::ExceedsStorage { needed, available }.into()
}

/// All three see the same words.
macro_rules! words_of_the_slot {
    () => {
        const COUNT: u64 = 2;

        #[inline(always)]
        fn current(self, order: Ordering) -> u64 {
            self.0.record.current().load(order)
        }

        #[inline(always)]
        fn version_of(self, buffer: usize, order: Ordering) -> u64 {
            self.0.record.versions().at(buffer).load(order)
        }

        #[inline(always)]
        fn fence(order: Ordering) {
            fence(order);
        }
    };
}

impl<M: AccessMode> Buffers for Numbers<'_, M> {
    type Private = Glance;
    words_of_the_slot!();

    #[inline(always)]
    fn copy_from_buffer(self, buffer: usize, target: &mut Glance) {
        *target = self.0.glance_at(buffer);
    }
}

impl<M: AccessMode> Buffers for Texts<'_, M> {
    type Private = Copied;
    words_of_the_slot!();

    fn copy_from_buffer(self, buffer: usize, target: &mut Copied) {
        target.glance = self.0.glance_at(buffer);
        target.text.clear();
        target.failure = None;
        let length = length_of(target.glance.head);
        // Another length is judged when the version is known: this may be half of another store.
        if is_text(target.glance.head) && length <= self.0.capacity {
            target.failure = self.0.words.append_bytes(self.0.area(buffer), length, &mut target.text).err();
        }
    }
}

impl<M: Writable> Buffers for Storing<'_, '_, M> {
    type Private = ();
    words_of_the_slot!();

    fn copy_from_buffer(self, _: usize, (): &mut ()) {}
}

impl<M: Writable> BuffersMut for Storing<'_, '_, M> {
    /// It is in `self`, whose lifetime this type could not name.
    type Value = ();

    #[inline(always)]
    fn set_current(self, number: u64, order: Ordering) {
        self.0.record.current().store(number, order);
    }

    #[inline(always)]
    fn set_version(self, buffer: usize, version: u64, order: Ordering) {
        self.0.record.versions().at(buffer).store(version, order);
    }

    #[inline(always)]
    fn copy_into_buffer(self, buffer: usize, (): &()) {
        let Self(slot, value) = self;
        // Relaxed: the stores of `protocol` carry it.
        slot.record.heads().at(buffer).store(value.head, Ordering::Relaxed);
        match value.content {
            Content::Nothing => {}
            Content::Number(word) => {
                if let Some(place) = slot.words.place_at(slot.area(buffer)) {
                    place.set(word);
                }
            }
            Content::Text(text) => {
                let stored = slot.words.store_bytes(slot.area(buffer), text);
                stored.expect("inside the area, which is inside the data: both judged before");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    /// A slot that looks whole before each copy and not after it, as beside a peer that is faster than every reader.
    #[derive(Clone, Copy)]
    struct Never<'c> {
        copies: &'c Cell<u32>,
        just_copied: &'c Cell<bool>,
    }

    impl Buffers for Never<'_> {
        type Private = ();
        const COUNT: u64 = 2;

        fn current(self, _: Ordering) -> u64 {
            0
        }

        fn version_of(self, _: usize, _: Ordering) -> u64 {
            u64::from(self.just_copied.take())
        }

        fn copy_from_buffer(self, _: usize, (): &mut ()) {
            self.copies.set(self.copies.get() + 1);
            self.just_copied.set(true);
        }

        fn fence(_: Ordering) {}
    }

    #[test]
    fn a_reader_without_time_copies_once_more_and_gives_up() {
        let copies = |patience| {
            let copies = Cell::new(0);
            let never = Never { copies: &copies, just_copied: &Cell::new(false) };
            let error = read(never, &mut (), 3, patience).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::List(ListError::Busy { index: 3 }));
            copies.get()
        };
        assert_eq!(copies(Duration::ZERO), 2);
        assert!(copies(PATIENCE) > 2);
    }
}
