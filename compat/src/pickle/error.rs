//! Why a pickle was refused: where, at which instruction, and what stood there.

use alloc::string::String;
use core::fmt;

/// Why [`parse`](super::parse) refused a pickle, or a [manager](crate::manager) a message.
///
/// ```
/// use shmtypes_compat::pickle::{PickleErrorKind, parse};
///
/// let error = parse(b"cos\nsystem\n(Vtrue\ntR.").unwrap_err();
/// assert_eq!(error.offset(), 0);
/// assert_eq!(error.opcode(), Some(b'c'));
/// assert_eq!(*error.kind(), PickleErrorKind::UnknownGlobal { module: "os".into(), name: "system".into() });
/// assert!(error.to_string().starts_with("byte 0, instruction 'c': it imports \"system\" from \"os\""));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PickleError {
    pub(crate) offset: usize,
    pub(crate) opcode: Option<u8>,
    pub(crate) kind: PickleErrorKind,
    pub(crate) subject: Subject,
}

/// What the pickle should have been of, which decides what can be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Handle,
    Message,
}

/// What was wrong with a pickle, with the data.
///
/// ```
/// use shmtypes_compat::pickle::{PickleErrorKind, parse};
///
/// assert_eq!(*parse(b"N.").unwrap_err().kind(), PickleErrorKind::WrongValue { expected: "a handle", found: "None" });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PickleErrorKind {
    /// The pickle is longer than any that is expected.
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit; [`MAX_PICKLE_BYTES`](super::MAX_PICKLE_BYTES) for a handle.
        limit: usize,
    },
    /// The pickle, or its frame, ends inside an instruction or before STOP.
    Truncated,
    /// An instruction that no pickle of this kind has; the error's opcode says which.
    UnknownOpcode,
    /// The pickle has a protocol that is not known.
    UnknownProtocol {
        /// The protocol that it says it has.
        protocol: u8,
        /// The newest one that is known.
        supported: u8,
    },
    /// PROTO behind the start of the pickle, or FRAME inside of a frame.
    Misplaced,
    /// The frame is longer than the rest of the pickle.
    FrameTooLong {
        /// The length that it says it has.
        bytes: u64,
        /// How many bytes are left.
        left: usize,
    },
    /// Digits that are no number, or a number outside 64 bits.
    BadNumber,
    /// Text that has no value as a string.
    BadText {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A string that is longer than any that is expected.
    StringTooLong {
        /// Its length.
        bytes: usize,
        /// The limit; [`MAX_STRING_BYTES`](super::MAX_STRING_BYTES) in a handle.
        limit: usize,
    },
    /// An instruction takes more values than there are above the last mark.
    StackUnderflow,
    /// An instruction takes all values above a mark, and there is no mark.
    NoMark,
    /// Too many values and marks at once.
    StackTooDeep {
        /// The limit; [`MAX_STACK`](super::MAX_STACK) for a handle.
        limit: usize,
    },
    /// Too many values altogether.
    TooManyValues {
        /// The limit.
        limit: usize,
    },
    /// Lists and tuples inside of each other, too deep.
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// Text that is taken from the memo again and again makes more than was sent.
    TooMuchText {
        /// The limit in bytes.
        limit: usize,
    },
    /// A value is stored, or taken, under too great a number.
    MemoIndex {
        /// The number.
        index: u64,
        /// The limit; [`MAX_MEMO`](super::MAX_MEMO) for a handle.
        limit: usize,
    },
    /// A value is taken that was not stored.
    MemoEmpty {
        /// Its number.
        index: u64,
    },
    /// The pickle imports something that is not needed for what it should be.
    UnknownGlobal {
        /// The module that it imports from.
        module: String,
        /// What it imports.
        name: String,
    },
    /// Another value than there should be.
    WrongValue {
        /// What should stand there.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A call with another number of arguments than it has.
    WrongArguments {
        /// What should stand there.
        expected: &'static str,
        /// The number found.
        found: usize,
    },
    /// A keyword argument other than `name`.
    UnknownKeyword {
        /// The keyword.
        keyword: String,
    },
    /// A negative size.
    NegativeSize {
        /// The size.
        size: i64,
    },
    /// Values or marks are left at STOP.
    Leftover {
        /// How many.
        values: usize,
    },
    /// Bytes follow the pickle.
    Trailing {
        /// How many.
        bytes: usize,
    },
}

impl PickleError {
    /// Where the instruction begins that failed, in bytes from the start.
    ///
    /// ```
    /// assert_eq!(shmtypes_compat::pickle::parse(b"NNi").unwrap_err().offset(), 2);
    /// ```
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The instruction that failed, if the bytes got as far as one.
    ///
    /// ```
    /// assert_eq!(shmtypes_compat::pickle::parse(b"NNi").unwrap_err().opcode(), Some(b'i'));
    /// assert_eq!(shmtypes_compat::pickle::parse(b"").unwrap_err().opcode(), None);
    /// ```
    #[must_use]
    pub fn opcode(&self) -> Option<u8> {
        self.opcode
    }

    /// What was wrong, with the data.
    ///
    /// ```
    /// use shmtypes_compat::pickle::{PickleErrorKind, parse};
    ///
    /// assert_eq!(*parse(b"").unwrap_err().kind(), PickleErrorKind::Truncated);
    /// ```
    #[must_use]
    pub fn kind(&self) -> &PickleErrorKind {
        &self.kind
    }

    /// What to do about it.
    ///
    /// ```
    /// let error = shmtypes_compat::pickle::parse(b"").unwrap_err();
    /// assert!(error.hint().contains("whole"));
    /// ```
    #[must_use]
    pub fn hint(&self) -> &'static str {
        use PickleErrorKind as K;
        if self.subject == Subject::Message {
            return match self.kind {
                K::Truncated | K::FrameTooLong { .. } | K::Trailing { .. } => {
                    "send one pickle in each frame, and the whole of it"
                }
                K::UnknownProtocol { .. } => "have the sender use pickle protocol 4",
                K::UnknownGlobal { .. } => {
                    "no message with an object of a class is understood; send None, numbers, strings, lists and tuples"
                }
                K::TooLong { .. } | K::StringTooLong { .. } | K::TooManyValues { .. } => "ask for less at once",
                _ => "the other side must speak as CPython's `multiprocessing.managers` does; check who sent it",
            };
        }
        match self.kind {
            K::Truncated | K::FrameTooLong { .. } => "pass the whole pickle, as one message of its length",
            K::Trailing { .. } => "pass one pickle without what follows it",
            K::UnknownProtocol { .. } => "have the sender use `pickle.dumps(handle, protocol=4)`",
            K::UnknownGlobal { .. } => {
                "send the SharedMemory or ShareableList itself; subclasses and containers of it are refused"
            }
            K::WrongValue { .. } | K::WrongArguments { .. } | K::UnknownKeyword { .. } | K::UnknownOpcode => {
                "send a SharedMemory or ShareableList as `pickle.dumps` writes it, by itself"
            }
            _ => "no Python writes such a pickle of a handle; check who sent it",
        }
    }
}

impl fmt::Display for PickleErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes, limit } => write!(f, "its {bytes} bytes are more than the limit of {limit}"),
            Self::Truncated => f.write_str("the pickle ends too early"),
            Self::UnknownOpcode => f.write_str("no pickle of this kind has this instruction"),
            Self::UnknownProtocol { protocol, supported } => {
                write!(f, "it has protocol {protocol}, and protocols up to {supported} are known")
            }
            Self::Misplaced => f.write_str("the instruction does not belong here"),
            Self::FrameTooLong { bytes, left } => write!(f, "the frame has {bytes} bytes and {left} are left"),
            Self::BadNumber => f.write_str("the number is not valid"),
            Self::BadText { reason } => write!(f, "the text is not valid: {reason}"),
            Self::StringTooLong { bytes, limit } => {
                write!(f, "the string's {bytes} bytes are more than the limit of {limit}")
            }
            Self::StackUnderflow => f.write_str("it takes more values than there are"),
            Self::NoMark => f.write_str("there is no mark"),
            Self::StackTooDeep { limit } => write!(f, "there are more than {limit} values at once"),
            Self::TooManyValues { limit } => write!(f, "there are more than {limit} values"),
            Self::TooDeep { limit } => write!(f, "lists and tuples are more than {limit} deep"),
            Self::TooMuchText { limit } => write!(f, "text that is used again makes more than {limit} bytes"),
            Self::MemoIndex { index, limit } => write!(f, "memo number {index} is not below the limit of {limit}"),
            Self::MemoEmpty { index } => write!(f, "nothing is stored under memo number {index}"),
            Self::UnknownGlobal { module, name } => {
                write!(f, "it imports {name:?} from {module:?}")
            }
            Self::WrongValue { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::WrongArguments { expected, found } => write!(f, "expected {expected}, found {found} of them"),
            Self::UnknownKeyword { keyword } => write!(f, "expected the keyword \"name\", found {keyword:?}"),
            Self::NegativeSize { size } => write!(f, "a block cannot have {size} bytes"),
            Self::Leftover { values } => write!(f, "{values} values are left at the end"),
            Self::Trailing { bytes } => write!(f, "{bytes} bytes follow the pickle"),
        }
    }
}

impl fmt::Display for PickleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}", self.offset)?;
        match self.opcode {
            Some(opcode) if opcode.is_ascii_graphic() => write!(f, ", instruction {:?}", char::from(opcode))?,
            Some(opcode) => write!(f, ", instruction {opcode:#04x}")?,
            None => {}
        }
        write!(f, ": {} ({})", self.kind, self.hint())
    }
}

impl core::error::Error for PickleError {}
