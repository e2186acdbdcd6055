//! `multiprocessing.shared_memory.ShareableList`, byte for byte.
//!
//! ```
//! use shmtypes_compat::{Dialect, List, ValueRef, list};
//!
//! let values = [ValueRef::Int(1), ValueRef::Str("two"), ValueRef::Float(3.0)];
//! let bytes = list::encode(&values, Dialect::default(), list::Text::Exact)?;
//! let list = List::attach(bytes.as_slice())?;
//! assert_eq!(list.get(-2, &mut Vec::new())?, ValueRef::Str("two"));
//! assert_eq!(list.format()?, "q8sd");
//! # Ok::<(), shmtypes_compat::ListError>(())
//! ```
//!
//! 1. **The number of values and the length of the memory are private**, read once. The offset of a slot is fetched once
//!    per use and judged against them.
//! 2. **What comes out is stable**: the bytes are read twice, numbers in one piece, format and code before and after, and all
//!    must agree, or the read is repeated, and after [`ATTEMPTS`] is [`ListError::Busy`].
//! 3. **What goes in is complete or visibly not**: a number stored over a number of its kind is one aligned store of
//!    eight bytes. Everything else first sets the value's code to -1, then stores bytes, format and last the code, so
//!    that a reader never takes bytes of one kind for another, and a writer that was killed leaves `Busy` and no
//!    nonsense.
//! 4. **Nothing is stored before all is judged**: a refused value leaves the list as it was.
//!
//! What it does not promise: during one read a peer may store several values whose kinds, or texts, alternate in step with
//! the reader's looks, so that nothing tells (ABA): then bits of one kind come out as another, or words of several
//! texts. And two writers of one text may mix. Python's own writer makes three separate stores, format, code and value,
//! without any order that a reader could rely on; half of its work can be read as a value of the new kind with the bytes
//! of the old.

mod encode;
mod error;
mod kind;
mod layout;
mod pass;
mod slot;
mod store;
#[cfg(test)]
mod tests;

pub use encode::{encode, encode_into, encoded_len};
pub use error::ListError;
pub use layout::{LayoutVersion, Progress};

use crate::memory::{Memory, MemoryMut};
use crate::value::{Needle, Value, ValueRef};
use alloc::string::String;
use alloc::vec::Vec;
use kind::Kind;
use layout::Geometry;

/// How often a value is read again while somebody writes it, before it is [`ListError::Busy`]. A text of more than 4 KiB
/// has fewer attempts, so that a read takes bounded time however long the text is.
pub const ATTEMPTS: usize = 256;

/// How a new list sizes the slots of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// The layout of 3.9, with room for the UTF-8: `8 * (bytes // 8 + 1)`. Every Python from 3.9 on reads it; for ASCII
    /// it is byte for byte what Python 3.9 to 3.13 writes.
    #[default]
    Portable,
    /// The layout of 3.8, and its slots: `8 * (characters // 8 + 1)`.
    Py38,
    /// What Python 3.9 to 3.13 writes, and 3.14 and 3.15 before 3.14.11 and 3.15.3: `8 * (characters // 8 + 1)`.
    Py39,
}

/// What happens to text that Python would read back as something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Text {
    /// It is refused: what ends in NUL, and what the slot would cut.
    #[default]
    Exact,
    /// The workaround of Python's manual: a character is appended when storing, `\x07` as there, and whatever is last is
    /// taken off when reading. Both sides must do it.
    Padded,
    /// It is stored as CPython stores it, and loses what CPython loses.
    AsCPython,
}

/// A value that can be put into a list without a copy.
pub trait AsValue {
    /// The value, with text borrowed.
    fn as_value(&self) -> ValueRef<'_>;
}

impl<T: AsValue + ?Sized> AsValue for &T {
    #[inline]
    fn as_value(&self) -> ValueRef<'_> {
        (**self).as_value()
    }
}

macro_rules! as_value {
    ($($source:ty => |$value:ident| $result:expr),* $(,)?) => { $(
        impl AsValue for $source {
            #[inline]
            fn as_value(&self) -> ValueRef<'_> {
                let $value = self;
                $result
            }
        }
    )* };
}

as_value! {
    crate::Value => |value| value.as_ref(),
    ValueRef<'_> => |value| *value,
    i8 => |value| ValueRef::Int((*value).into()),
    i16 => |value| ValueRef::Int((*value).into()),
    i32 => |value| ValueRef::Int((*value).into()),
    i64 => |value| ValueRef::Int(*value),
    u8 => |value| ValueRef::Int((*value).into()),
    u16 => |value| ValueRef::Int((*value).into()),
    u32 => |value| ValueRef::Int((*value).into()),
    f32 => |value| ValueRef::Float((*value).into()),
    f64 => |value| ValueRef::Float(*value),
    bool => |value| ValueRef::Bool(*value),
    str => |text| ValueRef::Str(text),
    String => |text| ValueRef::Str(text),
    [u8] => |bytes| ValueRef::Bytes(bytes),
    Vec<u8> => |bytes| ValueRef::Bytes(bytes),
    () => |_none| ValueRef::None,
}

impl<const N: usize> AsValue for [u8; N] {
    #[inline]
    fn as_value(&self) -> ValueRef<'_> {
        ValueRef::Bytes(self)
    }
}

impl<T: AsValue> AsValue for Option<T> {
    #[inline]
    fn as_value(&self) -> ValueRef<'_> {
        self.as_ref().map_or(ValueRef::None, AsValue::as_value)
    }
}

/// A list in some memory.
#[derive(Clone, Debug)]
pub struct List<M> {
    memory: M,
    geometry: Geometry,
    text: Text,
}

/// A function and no closure, because the compiler puts it into the caller's loop only if it is told to.
#[inline(always)]
fn owned<E>(value: ValueRef<'_>) -> Result<Value, E> {
    Ok(value.to_value())
}

impl<M: Memory> List<M> {
    /// Finds out which layout the list has and checks its table. Takes constant time, but for lists of 3.8.
    ///
    /// # Errors
    /// [`ListError::Truncated`], [`ListError::Corrupt`].
    pub fn attach(memory: M) -> Result<Self, ListError> {
        let geometry = Geometry::read(&memory)?;
        Ok(Self { memory, geometry, text: Text::default() })
    }

    /// The same, but the table is read where it is cheaper: from `table`, another way to the same bytes.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    pub fn attach_by<T: Memory + ?Sized>(table: &T, memory: M) -> Result<Self, ListError> {
        if memory.len() < table.len() {
            return Err(ListError::Truncated { needed: table.len() as u64, found: memory.len() as u64 });
        }
        let geometry = Geometry::read(table)?;
        Ok(Self { memory, geometry, text: Text::default() })
    }

    /// What happens to text that Python would read back as something else; [`Text::Exact`] unless told.
    #[must_use]
    pub fn with_text(mut self, text: Text) -> Self {
        self.text = text;
        self
    }

    /// The memory.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// The memory, for what does not concern its bytes. The list's table is private: other memory in this place would
    /// be read and written by it, and a shorter one panics.
    pub fn memory_mut(&mut self) -> &mut M {
        &mut self.memory
    }

    /// The number of values, which never changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.geometry.len
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which layout the list has.
    #[must_use]
    pub fn version(&self) -> LayoutVersion {
        self.geometry.version()
    }

    /// The position that an index means: negative ones count from the end, as far as `-len`. (CPython does not check
    /// those below, and reads or overwrites its own table.)
    ///
    /// # Errors
    /// [`ListError::OutOfRange`].
    #[inline]
    pub fn position(&self, index: isize) -> Result<usize, ListError> {
        let len = self.len();
        let position = if index < 0 { len.checked_sub(index.unsigned_abs()) } else { Some(index.unsigned_abs()) };
        position.filter(|&position| position < len).ok_or(ListError::OutOfRange { index, len })
    }

    /// Copies a value out. Text lands in `scratch`, which keeps its length for the next call.
    ///
    /// # Errors
    /// [`ListError::OutOfRange`], [`ListError::Busy`], and what can be wrong with a slot.
    #[inline]
    pub fn get<'s>(&self, index: isize, scratch: &'s mut Vec<u8>) -> Result<ValueRef<'s>, ListError> {
        self.get_patiently(index, scratch, || false)
    }

    /// The same, but an error that [may pass](ListError::may_pass) is read again as long as `again` says so.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline]
    pub fn get_patiently<'s>(
        &self,
        index: isize,
        scratch: &'s mut Vec<u8>,
        again: impl FnMut() -> bool,
    ) -> Result<ValueRef<'s>, ListError> {
        match self.position(index) {
            Ok(position) => self.read(position, scratch, again, Ok, Err),
            Err(error) => Err(error),
        }
    }

    #[inline(always)]
    fn read<'s, R>(
        &self,
        position: usize,
        scratch: &'s mut impl slot::Scratch,
        again: impl FnMut() -> bool,
        take: impl FnOnce(ValueRef<'s>) -> R,
        fail: impl FnOnce(ListError) -> R,
    ) -> R {
        let slot = self.geometry.good_slot(&self.memory, position);
        slot::read(&self.memory, &self.geometry, position, slot, self.text, scratch, again, take, fail)
    }

    /// Copies a value out, with text of its own.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline(always)]
    pub fn get_value(&self, index: isize) -> Result<Value, ListError> {
        self.get_value_patiently(index, || false, |error| error)
    }

    /// The same, but a value that is [`ListError::Busy`] is read again as long as `again` says so, and the error is
    /// what `fail` makes of it.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline(always)]
    pub fn get_value_patiently<E>(
        &self,
        index: isize,
        again: impl FnMut() -> bool,
        fail: impl FnOnce(ListError) -> E,
    ) -> Result<Value, E> {
        let position = match self.position(index) {
            Ok(position) => position,
            Err(error) => return Err(fail(error)),
        };
        let slot = self.geometry.good_slot(&self.memory, position);
        // Most values are numbers, and memory for text takes as long to prepare as they to read.
        let number =
            slot.and_then(|slot| slot::Places::new(&self.geometry, position, slot).number(&self.memory, owned));
        if let Some(number) = number {
            return number;
        }
        let (mut scratch, fail) = (slot::Local::new(), |error| Err(fail(error)));
        slot::read(&self.memory, &self.geometry, position, slot, self.text, &mut scratch, again, owned, fail)
    }

    /// Visits every value. Text lies in private scratch memory for the time of the visit.
    ///
    /// # Errors
    /// What can be wrong with a slot; what `visit` returns.
    #[inline]
    pub fn try_for_each<E: From<ListError>>(
        &self,
        visit: impl FnMut(usize, ValueRef<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.try_for_each_patiently(visit, || false)
    }

    /// The same, but an error that [may pass](ListError::may_pass) is read again as long as `again` says so.
    ///
    /// # Errors
    /// As [`try_for_each`](Self::try_for_each).
    #[inline]
    pub fn try_for_each_patiently<E: From<ListError>>(
        &self,
        visit: impl FnMut(usize, ValueRef<'_>) -> Result<(), E>,
        again: impl FnMut() -> bool,
    ) -> Result<(), E> {
        pass::Pass::new(&self.memory, &self.geometry, self.text).run(visit, again)
    }

    /// How many values Python calls equal to `value`.
    ///
    /// # Errors
    /// What can be wrong with a slot.
    pub fn count(&self, value: ValueRef<'_>) -> Result<usize, ListError> {
        let (mut count, needle) = (0, Needle::new(value));
        self.try_for_each(|_, other| {
            count += usize::from(needle.is(other));
            Ok::<(), ListError>(())
        })?;
        Ok(count)
    }

    /// The first position of a value that Python calls equal to `value`.
    ///
    /// # Errors
    /// [`ListError::NotFound`], and what can be wrong with a slot before it.
    pub fn index(&self, value: ValueRef<'_>) -> Result<usize, ListError> {
        enum Stop {
            Found(usize),
            Failed(ListError),
        }
        impl From<ListError> for Stop {
            fn from(error: ListError) -> Self {
                Self::Failed(error)
            }
        }
        let needle = Needle::new(value);
        let outcome = self.try_for_each(|index, other| match needle.is(other) {
            true => Err(Stop::Found(index)),
            false => Ok(()),
        });
        match outcome {
            Ok(()) => Err(ListError::NotFound),
            Err(Stop::Found(index)) => Ok(index),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    /// The `struct` formats of all values, one after the other, as Python's `format` has them.
    ///
    /// # Errors
    /// [`ListError::UnknownFormat`] for a format that is none of `ShareableList`'s.
    pub fn format(&self) -> Result<String, ListError> {
        let mut text = String::new();
        for index in 0..self.len() {
            let format = self.memory.read_word(self.geometry.format_at(index));
            let code = self.memory.read_byte(self.geometry.code_at(index));
            let number = [Kind::Int, Kind::Float, Kind::Bool, Kind::None].iter().any(|kind| kind.format() == format);
            let bytes = format.to_ne_bytes();
            let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
            match core::str::from_utf8(&bytes[..end]) {
                Ok(known) if number || kind::text_len(format).is_some() => text.push_str(known),
                _ => return Err(ListError::UnknownFormat { index, format: bytes, code }),
            }
        }
        Ok(text)
    }

    /// The size of a value's slot in bytes: how long a text fits.
    ///
    /// # Errors
    /// [`ListError::OutOfRange`], [`ListError::Corrupt`].
    pub fn slot_bytes(&self, index: isize) -> Result<usize, ListError> {
        Ok(self.geometry.slot(&self.memory, self.position(index)?)?.bytes)
    }
}

impl<M: MemoryMut> List<M> {
    /// Stores a value, of whatever kind.
    ///
    /// # Errors
    /// [`ListError::OutOfRange`], [`ListError::ExceedsStorage`], [`ListError::TrailingNul`]; then nothing was changed.
    #[inline(always)]
    pub fn set(&self, index: isize, value: ValueRef<'_>) -> Result<(), ListError> {
        store::write(&self.memory, &self.geometry, self.position(index)?, value, self.text)
    }
}
