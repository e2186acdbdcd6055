//! A list's table, read from the file.
//!
//! Attaching needs the number of values and the last offset, which may lie a long way behind. To touch them is two page
//! faults, each of which maps the pages around it: more than all system calls of attaching together, and the more, the
//! longer the list. A `pread` costs the same everywhere.

use super::list::ListError;
use super::memory::Memory;
use crate::error::{Error, Result};
use crate::sys::{Failure, File};
use core::cell::{Cell, RefCell};

/// How much is read at once: lists of 3.8 have a size per value, all of which are read.
const WINDOW: usize = 512;

pub(super) struct Table<'f> {
    file: &'f File,
    bytes: usize,
    /// Where the window starts, how much of it is there, and its bytes.
    window: RefCell<(usize, usize, [u8; WINDOW])>,
    failure: Cell<Option<Failure>>,
}

impl<'f> Table<'f> {
    pub(super) fn new(file: &'f File, bytes: usize) -> Self {
        Self { file, bytes, window: RefCell::new((0, 0, [0; WINDOW])), failure: Cell::new(None) }
    }

    /// What was found out, unless reading failed meanwhile.
    pub(super) fn judge<T>(self, found: core::result::Result<T, ListError>) -> Result<T> {
        match self.failure.get() {
            Some(failure) => Err(failure.into()),
            None => found.map_err(Error::from),
        }
    }
}

/// Bytes that cannot be read, because the file was cut meanwhile or for another reason, are zero.
impl Memory for Table<'_> {
    fn len(&self) -> usize {
        self.bytes
    }

    fn read(&self, offset: usize, target: &mut [u8]) {
        debug_assert!(target.len() <= WINDOW, "nothing in a table is longer");
        let (start, filled, bytes) = &mut *self.window.borrow_mut();
        let is_there = offset >= *start && offset + target.len() <= *start + *filled;
        if !is_there {
            let read = self.file.read_at(bytes, offset as u64);
            (*start, *filled) = (offset, read.unwrap_or(0));
            self.failure.set(self.failure.get().or(read.err()));
        }
        let found = &bytes[offset - *start..*filled];
        for (place, index) in target.iter_mut().zip(0..) {
            *place = found.get(index).copied().unwrap_or(0);
        }
    }

    fn read_word(&self, offset: usize) -> u64 {
        let mut word = [0; 8];
        self.read(offset, &mut word);
        u64::from_ne_bytes(word)
    }

    fn read_byte(&self, offset: usize) -> u8 {
        let mut byte = [0];
        self.read(offset, &mut byte);
        byte[0]
    }
}
