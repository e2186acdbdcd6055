//! Writes handles as `pickle.dumps(handle, protocol)` does, byte for byte.

use super::write::Writer;
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
    let mut writer = Writer::new(protocol);
    match handle {
        Handle::SharedMemory { name, size } => {
            let size = size.ok_or(EmitError::SizeMissing)?;
            let size = i64::try_from(size).map_err(|_| EmitError::SizeTooLarge { size })?;
            writer.shared_memory(name, size);
        }
        Handle::ShareableList { name } => writer.shareable_list(name),
    }
    Ok(writer.finish())
}

impl Writer {
    fn shared_memory(&mut self, name: &str, size: i64) {
        self.global(SHARED_MEMORY);
        self.tuple(3, |this| {
            this.text(name);
            this.bool(false);
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
            this.empty_dict();
            this.text(NAME);
            this.text(name);
            this.op(op::SETITEM);
            this.none();
        });
        self.op(op::BUILD);
        self.empty_tuple();
        self.reduce();
    }

    fn global(&mut self, (module, name): (&str, &str)) -> u32 {
        if self.protocol() < 4 {
            self.bytes(format!("c{module}\n{name}\n").as_bytes());
        } else {
            self.text(module);
            self.text(name);
            self.op(op::STACK_GLOBAL);
        }
        self.store()
    }

    fn reduce(&mut self) {
        self.op(op::REDUCE);
        self.store();
    }
}
