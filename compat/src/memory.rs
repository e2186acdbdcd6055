//! The memory that a list stands in.
//!
//! One codec serves private slices (tests, fuzzing, files) and live segments that other processes write. So it never
//! borrows from the memory: it copies out, and judges the copy. Any byte may change between two reads.

use core::cell::Cell;

/// Bytes to be copied out.
///
/// Every method panics if the range does not lie within [`len`](Memory::len); the codec checks before it asks.
pub trait Memory {
    /// The number of bytes, which never changes.
    fn len(&self) -> usize;

    /// Whether there are no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies bytes out.
    fn read(&self, offset: usize, target: &mut [u8]);

    /// The eight bytes at `offset`. At a multiple of eight they come in one piece: no peer's store of eight bytes is
    /// seen half done.
    fn read_word(&self, offset: usize) -> u64;

    /// The byte at `offset`.
    fn read_byte(&self, offset: usize) -> u8;

    /// The eight bytes at `offset` in one piece; `None` where that cannot be: no multiple of eight, or not inside.
    #[inline]
    fn whole_word(&self, offset: usize) -> Option<u64> {
        is_whole(self.len(), offset).then(|| self.read_word(offset))
    }

    /// Copies words out, each in one piece, and says so; `false` where one of them cannot be.
    #[inline]
    fn whole_words(&self, offset: usize, target: &mut [[u8; 8]]) -> bool {
        target.iter_mut().enumerate().all(|(number, word)| {
            let found = self.whole_word(offset + 8 * number);
            *word = found.unwrap_or_default().to_ne_bytes();
            found.is_some()
        })
    }

    /// Whether the words at `offset` are these now, each in one piece.
    #[inline]
    fn are_whole_words(&self, offset: usize, seen: &[[u8; 8]]) -> bool {
        let is_still =
            |(number, word): (usize, &[u8; 8])| self.whole_word(offset + 8 * number) == Some(u64::from_ne_bytes(*word));
        seen.iter().enumerate().all(is_still)
    }

    /// Whether the bytes at `offset` are these now: reads them again, all or as far as the first difference.
    #[inline]
    fn is_still(&self, offset: usize, seen: &[u8]) -> bool {
        const CHUNK: usize = 64;
        let still = |(number, chunk): (usize, &[u8])| {
            let mut copy = [0; CHUNK];
            let copy = &mut copy[..chunk.len()];
            self.read(offset + number * CHUNK, copy);
            copy == chunk
        };
        seen.chunks(CHUNK).enumerate().all(still)
    }
}

/// Bytes to be changed, too. Takes `&self`, because others may change them as well.
pub trait MemoryMut: Memory {
    /// Copies bytes in.
    fn write(&self, offset: usize, source: &[u8]);

    /// Stores eight bytes; at a multiple of eight in one piece.
    fn write_word(&self, offset: usize, word: u64);

    /// Stores one byte.
    fn write_byte(&self, offset: usize, byte: u8);

    /// Stores eight bytes in one piece and says so; `false`, and nothing is stored, where [`Memory::whole_word`] is
    /// `None`.
    #[inline]
    fn write_whole_word(&self, offset: usize, word: u64) -> bool {
        let is_whole = is_whole(self.len(), offset);
        if is_whole {
            self.write_word(offset, word);
        }
        is_whole
    }
}

/// Whether a word at `offset` lies at a multiple of eight and within `len` bytes.
fn is_whole(len: usize, offset: usize) -> bool {
    offset.is_multiple_of(8) && len.checked_sub(8).is_some_and(|last| offset <= last)
}

impl<M: Memory + ?Sized> Memory for &M {
    #[inline]
    fn len(&self) -> usize {
        (**self).len()
    }
    #[inline]
    fn read(&self, offset: usize, target: &mut [u8]) {
        (**self).read(offset, target);
    }
    #[inline]
    fn read_word(&self, offset: usize) -> u64 {
        (**self).read_word(offset)
    }
    #[inline]
    fn read_byte(&self, offset: usize) -> u8 {
        (**self).read_byte(offset)
    }
    #[inline]
    fn whole_word(&self, offset: usize) -> Option<u64> {
        (**self).whole_word(offset)
    }
    #[inline]
    fn whole_words(&self, offset: usize, target: &mut [[u8; 8]]) -> bool {
        (**self).whole_words(offset, target)
    }
    #[inline]
    fn are_whole_words(&self, offset: usize, seen: &[[u8; 8]]) -> bool {
        (**self).are_whole_words(offset, seen)
    }
    #[inline]
    fn is_still(&self, offset: usize, seen: &[u8]) -> bool {
        (**self).is_still(offset, seen)
    }
}

impl<M: MemoryMut + ?Sized> MemoryMut for &M {
    #[inline]
    fn write(&self, offset: usize, source: &[u8]) {
        (**self).write(offset, source);
    }
    #[inline]
    fn write_word(&self, offset: usize, word: u64) {
        (**self).write_word(offset, word);
    }
    #[inline]
    fn write_byte(&self, offset: usize, byte: u8) {
        (**self).write_byte(offset, byte);
    }
    #[inline]
    fn write_whole_word(&self, offset: usize, word: u64) -> bool {
        (**self).write_whole_word(offset, word)
    }
}

/// Private bytes that nobody changes.
impl Memory for [u8] {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }
    fn read(&self, offset: usize, target: &mut [u8]) {
        target.copy_from_slice(&self[offset..offset + target.len()]);
    }
    fn read_word(&self, offset: usize) -> u64 {
        let mut word = [0; 8];
        self.read(offset, &mut word);
        u64::from_ne_bytes(word)
    }
    fn read_byte(&self, offset: usize) -> u8 {
        self[offset]
    }
}

/// Private bytes that are edited in place: `Cell::from_mut(bytes).as_slice_of_cells()`.
impl Memory for [Cell<u8>] {
    fn len(&self) -> usize {
        <[Cell<u8>]>::len(self)
    }
    fn read(&self, offset: usize, target: &mut [u8]) {
        let source = &self[offset..offset + target.len()];
        for (byte, cell) in target.iter_mut().zip(source) {
            *byte = cell.get();
        }
    }
    fn read_word(&self, offset: usize) -> u64 {
        let mut word = [0; 8];
        self.read(offset, &mut word);
        u64::from_ne_bytes(word)
    }
    fn read_byte(&self, offset: usize) -> u8 {
        self[offset].get()
    }
}

impl MemoryMut for [Cell<u8>] {
    fn write(&self, offset: usize, source: &[u8]) {
        let target = &self[offset..offset + source.len()];
        for (cell, &byte) in target.iter().zip(source) {
            cell.set(byte);
        }
    }
    fn write_word(&self, offset: usize, word: u64) {
        self.write(offset, &word.to_ne_bytes());
    }
    fn write_byte(&self, offset: usize, byte: u8) {
        self[offset].set(byte);
    }
}
