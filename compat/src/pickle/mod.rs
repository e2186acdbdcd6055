//! Pickles of `SharedMemory` and `ShareableList` handles: what Python processes send each other to share a block.
//!
//! A pickle is a program for a stack machine that may import and call anything. This module runs the few instructions
//! that CPython writes for these two classes, on values that can become nothing else, and refuses every other import by
//! name. What it accepts, CPython loads as the same handle; what CPython writes, it accepts: protocols 0 to 5, plain,
//! from a `ForkingPickler`, or shortened by `pickletools.optimize`. CPython 3.8 to 3.15 write the same bytes.
//!
//! No input is allowed more memory than a small multiple of its own length, and the limits below are on top of that.
//! The machine and the writer serve the messages of a [manager](crate::manager) too, which have other values and limits.

mod emit;
mod error;
pub(crate) mod machine;
pub(crate) mod op;
mod parse;
mod read;
#[cfg(test)]
mod tests;
pub(crate) mod write;

use alloc::string::String;

pub use emit::{EmitError, emit};
pub(crate) use error::Subject;
pub use error::{PickleError, PickleErrorKind};
pub use parse::parse;

/// The greatest length of a pickle in bytes. The longest that [`emit`] writes is shorter.
///
/// ```
/// use shmtypes_compat::pickle::{Handle, MAX_PICKLE_BYTES, MAX_STRING_BYTES, emit};
///
/// let longest = Handle::ShareableList { name: "\\".repeat(MAX_STRING_BYTES) };
/// assert!(emit(&longest, 0).unwrap().len() < MAX_PICKLE_BYTES);
/// ```
pub const MAX_PICKLE_BYTES: usize = 8192;

/// The greatest length of one string in bytes of UTF-8. A name that some system accepts has at most 255.
///
/// ```
/// use shmtypes_compat::pickle::{EmitError, Handle, MAX_STRING_BYTES, emit};
///
/// let name = "x".repeat(MAX_STRING_BYTES + 1);
/// let error = emit(&Handle::ShareableList { name }, 4).unwrap_err();
/// assert_eq!(error, EmitError::NameTooLong { bytes: MAX_STRING_BYTES + 1, limit: MAX_STRING_BYTES });
/// ```
pub const MAX_STRING_BYTES: usize = 1024;

/// The greatest number of values and marks on the machine's stack. CPython's pickles need 7.
///
/// ```
/// use shmtypes_compat::pickle::{MAX_STACK, PickleErrorKind, parse};
///
/// let error = parse(&[b'N'; MAX_STACK + 1]).unwrap_err();
/// assert_eq!(*error.kind(), PickleErrorKind::StackTooDeep { limit: MAX_STACK });
/// ```
pub const MAX_STACK: usize = 64;

/// The number of values that a pickle may store to use again. CPython's pickles store at most 13.
///
/// ```
/// use shmtypes_compat::pickle::{MAX_MEMO, PickleErrorKind, parse};
///
/// let error = parse(b"Np64\n.").unwrap_err();
/// assert_eq!(*error.kind(), PickleErrorKind::MemoIndex { index: 64, limit: MAX_MEMO });
/// ```
pub const MAX_MEMO: usize = 64;

/// The newest protocol, and the greatest argument of [`emit`].
///
/// ```
/// use shmtypes_compat::pickle::{HIGHEST_PROTOCOL, Handle, emit};
///
/// let handle = Handle::ShareableList { name: "psm_89abcdef".into() };
/// assert!(emit(&handle, HIGHEST_PROTOCOL).is_ok());
/// assert!(emit(&handle, HIGHEST_PROTOCOL + 1).is_err());
/// ```
pub const HIGHEST_PROTOCOL: u8 = 5;

/// The protocol that `pickle.dumps` uses by default in CPython 3.8 to 3.13, and that all of them read; 3.14 writes 5.
///
/// ```
/// use shmtypes_compat::pickle::{DEFAULT_PROTOCOL, Handle, emit};
///
/// let handle = Handle::ShareableList { name: "psm_89abcdef".into() };
/// assert!(emit(&handle, DEFAULT_PROTOCOL).unwrap().starts_with(b"\x80\x04"));
/// ```
pub const DEFAULT_PROTOCOL: u8 = 4;

/// What a pickle stands for: an object that Python would make by attaching to a block.
///
/// The name is as `SharedMemory.name` gives it, and nothing has checked it: a peer wrote it. Make it a
/// [`PosixName`](crate::name::PosixName) before using it.
///
/// ```
/// use shmtypes_compat::name::PosixName;
/// use shmtypes_compat::pickle::{Handle, emit, parse};
///
/// let handle = Handle::SharedMemory { name: "psm_0123abcd".into(), size: Some(4096) };
/// let pickle = emit(&handle, 4).unwrap();
/// assert_eq!(parse(&pickle).unwrap(), handle);
/// assert_eq!(PosixName::new(handle.name()).unwrap().file_name(), "psm_0123abcd");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Handle {
    /// `multiprocessing.shared_memory.SharedMemory(name, False, size)`.
    SharedMemory {
        /// The block's name.
        name: String,
        /// The block's length as its last owner saw it. Python ignores it on attaching, and writes it always.
        size: Option<u64>,
    },
    /// `multiprocessing.shared_memory.ShareableList(name=name)`.
    ShareableList {
        /// The name of the list's block.
        name: String,
    },
}

impl Handle {
    /// The block's name, which nothing has checked.
    ///
    /// ```
    /// use shmtypes_compat::pickle::Handle;
    ///
    /// assert_eq!(Handle::ShareableList { name: "psm_89abcdef".into() }.name(), "psm_89abcdef");
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::SharedMemory { name, .. } | Self::ShareableList { name } => name,
        }
    }
}

/// Where the classes live, in the words of the pickles (CPython 3.13, Lib/multiprocessing/shared_memory.py line 1).
const SHARED_MEMORY: (&str, &str) = ("multiprocessing.shared_memory", "SharedMemory");
const SHAREABLE_LIST: (&str, &str) = ("multiprocessing.shared_memory", "ShareableList");
/// `ShareableList.__reduce__` is `partial(self.__class__, name=self.shm.name), ()` (shared_memory.py line 485).
const PARTIAL: (&str, &str) = ("functools", "partial");
/// What a `ForkingPickler` writes for a partial (CPython 3.13, Lib/multiprocessing/reduction.py lines 223 to 227).
const REBUILD_PARTIAL: (&str, &str) = ("multiprocessing.reduction", "_rebuild_partial");
/// The only keyword in the partial.
const NAME: &str = "name";
