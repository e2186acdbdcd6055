//! Where the parts of a list stand.
//!
//! ```text
//! 3.9 and later                                   3.8
//! 0          N                                    0        N
//! 8          offset of slot 0 .. N, o[N] = K      8        size of slot 0 .. N-1, their sum is K
//! 16+8N      slots, K bytes                       8+8N     slots, K bytes
//! 16+8N+K    struct format of each, 8 bytes       8+8N+K   struct format of each, 8 bytes
//! 16+16N+K   code of each, 1 byte                 8+16N+K  code of each, 1 byte
//! ```
//!
//! All numbers are signed 64-bit, native (CPython 3.13, `shared_memory.py` lines 269-277). There is no magic and no
//! version, but the second word tells: 0 is the offset of the first slot, and no slot of 3.8 has size 0.

use super::ListError;
use super::kind::{self, Kind};
use crate::memory::Memory;
use alloc::boxed::Box;
use alloc::vec::Vec;

pub(super) const WORD: usize = 8;

/// The two layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutVersion {
    /// Sizes of slots: Python 3.8.
    Py38,
    /// Offsets of slots: Python 3.9 and later.
    Py39,
}

/// How far the maker of a list is. CPython makes the block with zeros and its final size, then writes the table, the
/// values, the formats and the codes, each from the front to the back (3.13, `shared_memory.py` lines 358-383).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The table in front of the values is missing, or its end. Attached now, the list would look empty, or like none.
    Table,
    /// The table stands; the last value, its format or its code is missing.
    Values,
    /// Nothing is known to be missing. (Bytes that are no list are not judged here, and neither is a code 0 that an
    /// `int` would have, too.)
    Finished,
}

impl Progress {
    /// How far the maker of the list in this memory is. An empty list, or one of 3.8, must fill it exactly for this, as
    /// Python's do on Linux. Takes constant time.
    #[must_use]
    pub fn of<M: Memory + ?Sized>(memory: &M) -> Self {
        let bytes = memory.len();
        if bytes < 2 * WORD {
            return Self::Finished;
        }
        let len = match usize::try_from(memory.read_word(0).cast_signed()) {
            Ok(len) if len <= bytes / (2 * WORD) => len,
            _ => return Self::Finished,
        };
        // The last word of the table is the end of the values, or of 3.8 the size of the last one: 0 only where it is
        // missing, or where the block has no room for values.
        let last = if len > 0 && memory.read_word(WORD) != 0 { len } else { len + 1 };
        let has_room = bytes > (last + 1) * WORD + len * (WORD + 1);
        if has_room && memory.read_word(last * WORD) == 0 {
            return Self::Table;
        }
        if len == 0 {
            return Self::Finished;
        }
        // Behind the values, whose end the table of 3.9 says; else at the end of the block.
        let values = usize::try_from(memory.read_word(last * WORD)).ok().filter(|_| last > len);
        let end = values.and_then(|values| values.checked_add((last + 1) * WORD + len * (WORD + 1)));
        let end = end.filter(|&end| end <= bytes).unwrap_or(bytes);
        let format = memory.read_word(end - len - WORD);
        let code = memory.read_byte(end - 1);
        let is_missing =
            format == 0 || code == 0 && (format == Kind::None.format() || kind::text_len(format).is_some());
        if is_missing && !has_room {
            return Self::Table; // of 3.8 perhaps, whose sizes are missing
        }
        if is_missing { Self::Values } else { Self::Finished }
    }
}

/// A private copy of what a list says of itself: from it come all bounds. Only the offset of a slot is fetched when the
/// slot is used, and judged then.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    pub(super) len: usize,
    /// Where the slots start.
    data: usize,
    data_bytes: usize,
    /// 3.8 stores sizes; their sums are private. Empty for 3.9.
    slot_ends: Option<Box<[usize]>>,
}

/// A slot inside the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) start: usize,
    pub(super) bytes: usize,
}

impl Geometry {
    /// Reads and checks the table. Takes constant time, but for lists of 3.8.
    pub(super) fn read<M: Memory + ?Sized>(memory: &M) -> Result<Self, ListError> {
        let found = memory.len() as u64;
        if memory.len() < WORD {
            return Err(ListError::Truncated { needed: WORD as u64, found });
        }
        let raw = memory.read_word(0);
        // A list of N values has more than 16 N bytes in either layout.
        let len = match usize::try_from(raw.cast_signed()) {
            Ok(len) if len <= memory.len() / (2 * WORD) => len,
            Ok(len) => {
                let needed = (len as u64).checked_mul(17).and_then(|bytes| bytes.checked_add(8)).unwrap_or(u64::MAX);
                return Err(ListError::Truncated { needed, found });
            }
            Err(_) => return Err(ListError::Corrupt { field: "length", value: raw }),
        };
        // Eight bytes hold the empty list of 3.8 only.
        let is_py38 = if len == 0 { memory.len() < 2 * WORD } else { memory.read_word(WORD) != 0 };
        let geometry = if is_py38 { Self::read_py38(memory, len)? } else { Self::read_py39(memory, len)? };
        match geometry.end() {
            Some(end) if end <= memory.len() => Ok(geometry),
            end => Err(ListError::Truncated { needed: end.map_or(u64::MAX, |end| end as u64), found }),
        }
    }

    fn read_py39<M: Memory + ?Sized>(memory: &M, len: usize) -> Result<Self, ListError> {
        let data = (len + 2) * WORD;
        if data > memory.len() {
            return Err(ListError::Truncated { needed: data as u64, found: memory.len() as u64 });
        }
        let raw = memory.read_word((len + 1) * WORD);
        let data_bytes = match usize::try_from(raw.cast_signed()) {
            Ok(bytes) if len > 0 || bytes == 0 => bytes,
            _ => return Err(ListError::Corrupt { field: "last offset", value: raw }),
        };
        Ok(Self { len, data, data_bytes, slot_ends: None })
    }

    fn read_py38<M: Memory + ?Sized>(memory: &M, len: usize) -> Result<Self, ListError> {
        let mut slot_ends = Vec::new();
        // A file with holes may be longer than all memory, and then its length justifies nothing.
        slot_ends.try_reserve_exact(len).map_err(|_| ListError::TooLarge)?;
        let mut end = 0_usize;
        for index in 0..len {
            let raw = memory.read_word((index + 1) * WORD);
            let size = usize::try_from(raw.cast_signed()).ok().filter(|&size| 0 < size && size <= memory.len());
            // Each is at most the memory's length, so that the sum cannot overflow before it exceeds that too.
            end += size.ok_or(ListError::Corrupt { field: "slot size", value: raw })?;
            if end > memory.len() {
                return Err(ListError::Truncated { needed: end as u64, found: memory.len() as u64 });
            }
            slot_ends.push(end);
        }
        let data = (len + 1) * WORD;
        Ok(Self { len, data, data_bytes: end, slot_ends: Some(slot_ends.into_boxed_slice()) })
    }

    pub(super) fn version(&self) -> LayoutVersion {
        if self.slot_ends.is_some() { LayoutVersion::Py38 } else { LayoutVersion::Py39 }
    }

    /// Where the list ends, if anywhere.
    fn end(&self) -> Option<usize> {
        self.data.checked_add(self.data_bytes)?.checked_add(self.len.checked_mul(WORD + 1)?)
    }

    /// The slot of value `index`, which is in range.
    #[inline(always)]
    pub(super) fn slot<M: Memory + ?Sized>(&self, memory: &M, index: usize) -> Result<Slot, ListError> {
        let (start, end) = match &self.slot_ends {
            Some(ends) => (index.checked_sub(1).map_or(0, |before| ends[before]), ends[index]),
            None => {
                let start = memory.read_word((index + 1) * WORD);
                let end = memory.read_word((index + 2) * WORD);
                // Fetched once, checked, and used from here on. As unsigned numbers the negative ones are too large.
                if start > end || end > self.data_bytes as u64 {
                    return Err(ListError::Corrupt { field: "slot offset", value: start.max(end) });
                }
                (start as usize, end as usize)
            }
        };
        Ok(Slot { start: self.data + start, bytes: end - start })
    }

    /// The slot of value `index`, if its offsets are good.
    #[inline(always)]
    pub(super) fn good_slot<M: Memory + ?Sized>(&self, memory: &M, index: usize) -> Option<Slot> {
        let before = match &self.slot_ends {
            Some(ends) => index.checked_sub(1).map_or(0, |before| ends[before] as u64),
            None => memory.whole_word((index + 1) * WORD)?,
        };
        // The end of the slot judges the start.
        self.good_slot_from(memory, index, before)
    }

    /// The same, if the slot starts behind so many bytes of other slots.
    #[inline(always)]
    pub(super) fn good_slot_from<M: Memory + ?Sized>(&self, memory: &M, index: usize, start: u64) -> Option<Slot> {
        match &self.slot_ends {
            Some(ends) => self.slot_between(start, ends[index] as u64),
            None => self.slot_between(start, memory.whole_word((index + 2) * WORD)?),
        }
    }

    /// The same for a list of 3.9.
    #[inline(always)]
    pub(super) fn good_slot_by_offsets<M: Memory + ?Sized>(
        &self,
        memory: &M,
        index: usize,
        start: u64,
    ) -> Option<Slot> {
        if self.slot_ends.is_some() {
            return None;
        }
        self.slot_between(start, memory.whole_word((index + 2) * WORD)?)
    }

    #[inline(always)]
    fn slot_between(&self, start: u64, end: u64) -> Option<Slot> {
        let is_good = start <= end && end <= self.data_bytes as u64;
        is_good.then(|| Slot { start: self.data + start as usize, bytes: (end - start) as usize })
    }

    /// Where the slot behind this one starts, as [`good_slot_from`](Self::good_slot_from) wants it.
    #[inline(always)]
    pub(super) fn start_behind(&self, slot: Slot) -> u64 {
        (slot.start - self.data + slot.bytes) as u64
    }

    /// Where the format of value `index` stands.
    #[inline]
    pub(super) fn format_at(&self, index: usize) -> usize {
        self.data + self.data_bytes + index * WORD
    }

    /// Where the code of value `index` stands.
    #[inline]
    pub(super) fn code_at(&self, index: usize) -> usize {
        self.data + self.data_bytes + self.len * WORD + index
    }
}
