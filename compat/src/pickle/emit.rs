//! Writes handles as `pickle.dumps(handle, protocol)` does, byte for byte.
#![allow(clippy::little_endian_bytes, reason = "pickles are little-endian")]

use super::{HIGHEST_PROTOCOL, Handle, MAX_STRING_BYTES, NAME, PARTIAL, SHAREABLE_LIST, SHARED_MEMORY, op};
use alloc::format;
use alloc::vec::Vec;
use core::fmt;

/// Why [`emit`] has no pickle for a handle.
///
/// ```
/// use shmtypes_compat::pickle::{EmitError, Handle, emit};
///
/// let handle = Handle::SharedMemory { name: "psm_0123abcd".into(), size: None };
/// assert_eq!(emit(&handle, 4), Err(EmitError::SizeMissing));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmitError {
    /// There is no such protocol.
    UnknownProtocol {
        /// The protocol that was asked for.
        protocol: u8,
        /// The newest one.
        supported: u8,
    },
    /// The name is longer than [`MAX_STRING_BYTES`].
    NameTooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A `SharedMemory` without its size.
    SizeMissing,
    /// A size that is no `Py_ssize_t`, so no Python can have such a block.
    SizeTooLarge {
        /// The size.
        size: u64,
    },
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownProtocol { protocol, supported } => {
                write!(f, "there is no pickle protocol {protocol} (use 4, or another one up to {supported})")
            }
            Self::NameTooLong { bytes, limit } => {
                write!(f, "the name's {bytes} bytes are more than the limit of {limit} (no block has such a name)")
            }
            Self::SizeMissing => {
                f.write_str("the pickle of a SharedMemory has the block's length (take it from the attached block)")
            }
            Self::SizeTooLarge { size } => {
                write!(f, "no block has {size} bytes (take the length from the attached block)")
            }
        }
    }
}

impl core::error::Error for EmitError {}

/// Writes the pickle of a handle.
///
/// The bytes are those of `pickle.dumps(handle, protocol)` in CPython 3.8 to 3.15. A `ForkingPickler` writes lists
/// otherwise; every Python loads both.
///
/// # Errors
///
/// When there is no such pickle: see [`EmitError`]. The name is not checked otherwise.
///
/// ```
/// use shmtypes_compat::pickle::{Handle, emit};
///
/// let handle = Handle::SharedMemory { name: "psm_0123abcd".into(), size: Some(100) };
/// let expected = b"cmultiprocessing.shared_memory\nSharedMemory\np0\n(Vpsm_0123abcd\np1\nI00\nI100\ntp2\nRp3\n.";
/// assert_eq!(emit(&handle, 0).unwrap(), expected);
/// ```
pub fn emit(handle: &Handle, protocol: u8) -> Result<Vec<u8>, EmitError> {
    if protocol > HIGHEST_PROTOCOL {
        return Err(EmitError::UnknownProtocol { protocol, supported: HIGHEST_PROTOCOL });
    }
    let bytes = handle.name().len();
    if bytes > MAX_STRING_BYTES {
        return Err(EmitError::NameTooLong { bytes, limit: MAX_STRING_BYTES });
    }
    let mut writer = Writer { out: Vec::new(), protocol, stored: 0 };
    match handle {
        Handle::SharedMemory { name, size } => {
            let size = size.ok_or(EmitError::SizeMissing)?;
            let size = i64::try_from(size).map_err(|_| EmitError::SizeTooLarge { size })?;
            writer.shared_memory(name, size);
        }
        Handle::ShareableList { name } => writer.shareable_list(name),
    }
    writer.op(op::STOP);
    Ok(writer.finish())
}

struct Writer {
    out: Vec<u8>,
    protocol: u8,
    /// How many values are stored in the memo. CPython stores every value that could come up again.
    stored: u8,
}

impl Writer {
    fn shared_memory(&mut self, name: &str, size: i64) {
        self.global(SHARED_MEMORY);
        self.tuple(3, |this| {
            this.text(name);
            match this.protocol {
                0 | 1 => this.bytes(b"I00\n"),
                _ => this.op(op::NEWFALSE),
            }
            this.int(size);
        });
        self.reduce();
    }

    /// `functools.partial` pickles as a call with the function alone, and the rest as state.
    fn shareable_list(&mut self, name: &str) {
        let mut class = 0;
        self.global(PARTIAL);
        self.tuple(1, |this| class = this.global(SHAREABLE_LIST));
        self.reduce();
        self.tuple(4, |this| {
            this.load(class);
            this.empty_tuple();
            match this.protocol {
                0 => this.bytes(&[op::MARK, op::DICT]),
                _ => this.op(op::EMPTY_DICT),
            }
            this.store();
            this.text(NAME);
            this.text(name);
            this.op(op::SETITEM);
            this.op(op::NONE);
        });
        self.op(op::BUILD);
        self.empty_tuple();
        self.reduce();
    }

    fn op(&mut self, opcode: u8) {
        self.out.push(opcode);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Stores the topmost value in the memo and returns its number.
    fn store(&mut self) -> u8 {
        let index = self.stored;
        match self.protocol {
            0 => self.bytes(format!("p{index}\n").as_bytes()),
            1..=3 => self.bytes(&[op::BINPUT, index]),
            _ => self.op(op::MEMOIZE),
        }
        self.stored += 1;
        index
    }

    fn load(&mut self, index: u8) {
        match self.protocol {
            0 => self.bytes(format!("g{index}\n").as_bytes()),
            _ => self.bytes(&[op::BINGET, index]),
        }
    }

    fn global(&mut self, (module, name): (&str, &str)) -> u8 {
        if self.protocol < 4 {
            self.bytes(format!("c{module}\n{name}\n").as_bytes());
        } else {
            self.text(module);
            self.text(name);
            self.op(op::STACK_GLOBAL);
        }
        self.store()
    }

    fn text(&mut self, text: &str) {
        match (self.protocol, u8::try_from(text.len())) {
            (0, _) => self.escaped(text),
            (4.., Ok(length)) => {
                self.bytes(&[op::SHORT_BINUNICODE, length]);
                self.bytes(text.as_bytes());
            }
            _ => {
                self.op(op::BINUNICODE);
                // At most MAX_STRING_BYTES.
                self.bytes(&(text.len() as u32).to_le_bytes());
                self.bytes(text.as_bytes());
            }
        }
        self.store();
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

    /// The shortest instruction for a number that is not negative.
    fn int(&mut self, value: i64) {
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
                let bits = 65 - value.leading_zeros();
                let length = bits.div_ceil(8) as u8;
                self.bytes(&[op::LONG1, length]);
                self.bytes(&value.to_le_bytes()[..usize::from(length)]);
            }
        }
    }

    fn empty_tuple(&mut self) {
        match self.protocol {
            0 => self.bytes(&[op::MARK, op::TUPLE]),
            _ => self.op(op::EMPTY_TUPLE),
        }
    }

    fn tuple(&mut self, length: u8, items: impl FnOnce(&mut Self)) {
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

    fn reduce(&mut self) {
        self.op(op::REDUCE);
        self.store();
    }

    fn finish(self) -> Vec<u8> {
        let mut pickle = Vec::new();
        if self.protocol >= 2 {
            pickle.extend_from_slice(&[op::PROTO, self.protocol]);
        }
        if self.protocol >= 4 {
            pickle.push(op::FRAME);
            pickle.extend_from_slice(&(self.out.len() as u64).to_le_bytes());
        }
        pickle.extend_from_slice(&self.out);
        pickle
    }
}
