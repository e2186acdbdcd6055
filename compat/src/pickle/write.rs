//! Writes pickles instruction by instruction, in the order and the forms that CPython's pickler chooses.
#![allow(clippy::little_endian_bytes, reason = "pickles are little-endian")]

use super::op;
use alloc::format;
use alloc::vec::Vec;

/// A frame that has got this long ends before the next value, and a string of this length stands outside of frames
/// (Lib/pickle.py, `_Framer._FRAME_SIZE_TARGET`).
const FRAME_TARGET: usize = 64 << 10;
/// A shorter frame is not worth its header (`_FRAME_SIZE_MIN`).
const FRAME_MIN: usize = 4;
/// FRAME, and the length.
const FRAME_HEADER: usize = 9;
/// So many items of a list go into one APPENDS (`_Pickler._BATCHSIZE`).
const BATCH: usize = 1000;

pub(crate) struct Writer {
    out: Vec<u8>,
    protocol: u8,
    /// How many values are stored in the memo. CPython stores every value that could come up again.
    stored: u32,
    /// Where the header of the frame stands that is being written.
    frame: Option<usize>,
}

impl Writer {
    pub(crate) fn new(protocol: u8) -> Self {
        let out = if protocol >= 2 { [op::PROTO, protocol].to_vec() } else { Vec::new() };
        Self { out, protocol, stored: 0, frame: None }
    }

    pub(crate) fn protocol(&self) -> u8 {
        self.protocol
    }

    pub(crate) fn op(&mut self, opcode: u8) {
        self.bytes(&[opcode]);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        if self.protocol >= 4 && self.frame.is_none() {
            self.frame = Some(self.out.len());
            self.out.push(op::FRAME);
            self.out.extend_from_slice(&[0; FRAME_HEADER - 1]);
        }
        self.out.extend_from_slice(bytes);
    }

    /// CPython asks this at the start of every value: Modules/_pickle.c, `_Pickler_OpcodeBoundary`.
    fn value(&mut self) {
        if self.frame.is_some_and(|start| self.out.len() - start - FRAME_HEADER >= FRAME_TARGET) {
            self.end_frame();
        }
    }

    fn end_frame(&mut self) {
        let Some(start) = self.frame.take() else { return };
        let content = start + FRAME_HEADER;
        let length = self.out.len() - content;
        if length < FRAME_MIN {
            self.out.drain(start..content);
        } else if let Some(place) = self.out.get_mut(start + 1..content) {
            place.copy_from_slice(&(length as u64).to_le_bytes());
        }
    }

    /// The bytes of a string, behind the instruction and the length (Modules/_pickle.c, `_Pickler_write_bytes`).
    fn payload(&mut self, header: &[u8], payload: &[u8]) {
        if self.protocol >= 4 && payload.len() >= FRAME_TARGET {
            self.end_frame();
            self.out.extend_from_slice(header);
            self.out.extend_from_slice(payload);
        } else {
            self.bytes(header);
            self.bytes(payload);
        }
        self.store();
    }

    /// Stores the topmost value in the memo and returns its number.
    pub(crate) fn store(&mut self) -> u32 {
        let index = self.stored;
        match (self.protocol, u8::try_from(index)) {
            (0, _) => self.bytes(format!("p{index}\n").as_bytes()),
            (1..=3, Ok(index)) => self.bytes(&[op::BINPUT, index]),
            (1..=3, Err(_)) => {
                self.op(op::LONG_BINPUT);
                self.bytes(&index.to_le_bytes());
            }
            _ => self.op(op::MEMOIZE),
        }
        self.stored += 1;
        index
    }

    pub(crate) fn load(&mut self, index: u32) {
        match (self.protocol, u8::try_from(index)) {
            (0, _) => self.bytes(format!("g{index}\n").as_bytes()),
            (_, Ok(index)) => self.bytes(&[op::BINGET, index]),
            (_, Err(_)) => {
                self.op(op::LONG_BINGET);
                self.bytes(&index.to_le_bytes());
            }
        }
    }

    pub(crate) fn none(&mut self) {
        self.value();
        self.op(op::NONE);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.value();
        match (self.protocol, value) {
            (0 | 1, false) => self.bytes(b"I00\n"),
            (0 | 1, true) => self.bytes(b"I01\n"),
            (_, false) => self.op(op::NEWFALSE),
            (_, true) => self.op(op::NEWTRUE),
        }
    }

    /// The shortest instruction for a number; a negative one has four bytes at least.
    pub(crate) fn int(&mut self, value: i64) {
        self.value();
        match (self.protocol, u8::try_from(value), u16::try_from(value), i32::try_from(value)) {
            (0, _, _, Ok(value)) => self.bytes(format!("I{value}\n").as_bytes()),
            (0 | 1, _, _, Err(_)) => self.bytes(format!("L{value}L\n").as_bytes()),
            (_, Ok(value), _, _) => self.bytes(&[op::BININT1, value]),
            (_, _, Ok(value), _) => {
                self.op(op::BININT2);
                self.bytes(&value.to_le_bytes());
            }
            (_, _, _, Ok(value)) => {
                self.op(op::BININT);
                self.bytes(&value.to_le_bytes());
            }
            _ => {
                // Two's complement without the bytes that only repeat the sign.
                let bits = 65 - value.leading_zeros().max(value.leading_ones());
                let length = bits.div_ceil(8) as u8;
                self.bytes(&[op::LONG1, length]);
                self.bytes(&value.to_le_bytes()[..usize::from(length)]);
            }
        }
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.value();
        match (self.protocol, u8::try_from(text.len())) {
            (0, _) => {
                self.escaped(text);
                self.store();
            }
            (4.., Ok(length)) => self.payload(&[op::SHORT_BINUNICODE, length], text.as_bytes()),
            _ => self.payload(&long(op::BINUNICODE, text.len()), text.as_bytes()),
        }
    }

    /// Only for protocols that have an instruction for bytes: 3 and later.
    pub(crate) fn byte_string(&mut self, bytes: &[u8]) {
        self.value();
        match u8::try_from(bytes.len()) {
            Ok(length) => self.payload(&[op::SHORT_BINBYTES, length], bytes),
            Err(_) => self.payload(&long(op::BINBYTES, bytes.len()), bytes),
        }
    }

    /// "raw-unicode-escape" that also spares the characters that would end or change the line: CPython,
    /// Modules/_pickle.c, `raw_unicode_escape`.
    fn escaped(&mut self, text: &str) {
        self.op(op::UNICODE);
        for character in text.chars() {
            match (character, u8::try_from(u32::from(character))) {
                ('\\' | '\0' | '\n' | '\r' | '\x1a', _) => {
                    self.bytes(format!("\\u{:04x}", u32::from(character)).as_bytes());
                }
                (_, Ok(latin1)) => self.op(latin1),
                ('\u{100}'..='\u{ffff}', _) => self.bytes(format!("\\u{:04x}", u32::from(character)).as_bytes()),
                _ => self.bytes(format!("\\U{:08x}", u32::from(character)).as_bytes()),
            }
        }
        self.op(b'\n');
    }

    pub(crate) fn empty_tuple(&mut self) {
        self.value();
        match self.protocol {
            0 => self.bytes(&[op::MARK, op::TUPLE]),
            _ => self.op(op::EMPTY_TUPLE),
        }
    }

    pub(crate) fn empty_dict(&mut self) {
        self.value();
        match self.protocol {
            0 => self.bytes(&[op::MARK, op::DICT]),
            _ => self.op(op::EMPTY_DICT),
        }
        self.store();
    }

    /// A tuple with at least one item, which `items` writes.
    pub(crate) fn tuple(&mut self, length: usize, items: impl FnOnce(&mut Self)) {
        self.value();
        let short = match (self.protocol, length) {
            (2.., 1) => Some(op::TUPLE1),
            (2.., 2) => Some(op::TUPLE2),
            (2.., 3) => Some(op::TUPLE3),
            _ => None,
        };
        if short.is_none() {
            self.op(op::MARK);
        }
        items(self);
        self.op(short.unwrap_or(op::TUPLE));
        self.store();
    }

    /// A list, in protocols from 1 on (Modules/_pickle.c, `batch_list_exact`).
    pub(crate) fn list<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Self, &T)) {
        self.value();
        self.op(op::EMPTY_LIST);
        self.store();
        if let [only] = items {
            item(self, only);
            return self.op(op::APPEND);
        }
        for batch in items.chunks(BATCH) {
            self.op(op::MARK);
            batch.iter().for_each(|one| item(self, one));
            self.op(op::APPENDS);
        }
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.op(op::STOP);
        self.end_frame();
        self.out
    }
}

/// An instruction and a length, which the callers' limits keep below 4 GiB.
fn long(opcode: u8, length: usize) -> [u8; 5] {
    let [a, b, c, d] = (length as u32).to_le_bytes();
    [opcode, a, b, c, d]
}
