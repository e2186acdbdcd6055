//! What can be wrong with a list, or with what is asked of it.

use super::kind;
use core::fmt;

/// Why a list cannot be read, changed or made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListError {
    /// The memory ends before the list does.
    Truncated {
        /// How many bytes the list has by what it says of itself; `u64::MAX` where no number of bytes would do.
        needed: u64,
        /// How many there are.
        found: u64,
    },
    /// The table in front of the values contradicts itself.
    Corrupt {
        /// The number that is wrong.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A value has a format or a code that `ShareableList` never writes, or the two do not go together.
    UnknownFormat {
        /// The position of the value.
        index: usize,
        /// The `struct` format, NUL-padded.
        format: [u8; 8],
        /// The code for the way back to a Python object.
        code: u8,
    },
    /// A `str` whose bytes are no UTF-8. Python raises `UnicodeDecodeError`.
    NotUtf8 {
        /// The position of the value.
        index: usize,
        /// How many bytes from its start are good.
        valid_up_to: usize,
    },
    /// Somebody is making the list, or was killed while making it: Python gives a block its name and its size before it
    /// writes the table. Python attaches to it as an empty list.
    Unfinished,
    /// Somebody writes this value all the time, or was killed while writing it. Storing it anew repairs it.
    Busy {
        /// The position of the value.
        index: usize,
    },
    /// No such position. Python raises `IndexError`, but not for every negative one.
    OutOfRange {
        /// The position that was asked for.
        index: isize,
        /// The number of values.
        len: usize,
    },
    /// The text or bytes are longer than the slot. Python raises `ValueError`; nothing was changed.
    ExceedsStorage {
        /// The length in bytes.
        needed: usize,
        /// The size of the slot in bytes.
        available: usize,
    },
    /// Text or bytes that end in a NUL, which Python strips when it reads them. Nothing was changed.
    TrailingNul {
        /// The length in bytes.
        len: usize,
    },
    /// Text that this dialect gives too small a slot: Python sizes the slot by characters and cuts the UTF-8. Nothing
    /// was made.
    WouldBeCut {
        /// The position of the value.
        index: usize,
        /// Its length in bytes.
        needed: usize,
        /// The size of the slot in bytes.
        available: usize,
    },
    /// Text or bytes beyond what a format of eight characters can describe: 9,999,991 bytes. Python raises
    /// `AssertionError`.
    TooLong {
        /// The position of the value.
        index: usize,
        /// Its length in bytes.
        len: usize,
    },
    /// More bytes than a program can address.
    TooLarge,
    /// No value of the list is equal. Python raises `ValueError`.
    NotFound,
}

impl ListError {
    /// Whether it may pass: a value that somebody is writing looks like this for a moment. Python stores the format
    /// before the code, so that the format of one kind meets the code of another; in a list that it is making, both are
    /// 0 at first.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Unfinished => true,
            Self::UnknownFormat { format, code, .. } => kind::may_meet(u64::from_ne_bytes(*format), *code),
            _ => false,
        }
    }
}

impl ListError {
    /// The exception that Python raises in this case: `"IndexError"`, `"struct.error"`, … Where Python raises nothing and
    /// loses data instead, or returns something that was never stored, it is `"ValueError"`.
    ///
    /// ```
    /// use shmtypes_compat::ListError;
    ///
    /// assert_eq!(ListError::OutOfRange { index: 3, len: 3 }.python_exception(), "IndexError");
    /// // The value is marked as being written.
    /// assert_eq!(ListError::Busy { index: 0 }.python_exception(), "KeyError");
    /// ```
    #[must_use]
    pub fn python_exception(&self) -> &'static str {
        match self {
            Self::OutOfRange { .. } => "IndexError",
            Self::NotUtf8 { .. } => "UnicodeDecodeError",
            Self::TooLong { .. } => "AssertionError",
            Self::TooLarge => "MemoryError",
            Self::Busy { .. } => "KeyError",
            Self::Truncated { .. } => "struct.error",
            Self::Corrupt { field, .. } if *field != "length" => "struct.error",
            Self::UnknownFormat { format, code, .. } => kind::python_exception(u64::from_ne_bytes(*format), *code),
            Self::Corrupt { .. }
            | Self::Unfinished
            | Self::ExceedsStorage { .. }
            | Self::TrailingNul { .. }
            | Self::WouldBeCut { .. }
            | Self::NotFound => "ValueError",
        }
    }
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { needed: u64::MAX, found } => {
                write!(f, "{found} bytes are no ShareableList: it says that it is larger than any memory")
            }
            Self::Truncated { needed, found } => {
                write!(f, "{found} bytes are no ShareableList: it says that it has {needed}")
            }
            Self::Corrupt { field, value } => write!(f, "not a list: its {field} cannot be {value}"),
            Self::UnknownFormat { index, format, code } => {
                let end = format.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                let code = code.cast_signed();
                write!(f, "value {index} has format \"{}\" with code {code}", format[..end].escape_ascii())?;
                f.write_str(", which ShareableList does not write")
            }
            Self::NotUtf8 { index, valid_up_to } => {
                write!(f, "the text of value {index} is no UTF-8 from byte {valid_up_to} on")
            }
            Self::Unfinished => f.write_str("the list is not finished: it is just being made, or its maker was killed"),
            Self::Busy { index } => {
                write!(
                    f,
                    "value {index} is being written all the time, or its writer was killed; storing it repairs it"
                )
            }
            Self::OutOfRange { index, len } => write!(f, "index {index} is out of range for {len} values"),
            Self::ExceedsStorage { needed, available } => {
                write!(f, "{needed} bytes exceed the slot's {available}, which were fixed when the list was made")
            }
            Self::TrailingNul { len } => {
                write!(f, "{len} bytes that end in NUL would lose it in Python; write padded text, or allow the loss")
            }
            Self::WouldBeCut { index, needed, available } => write!(
                f,
                "the {needed} bytes of value {index} would be cut to {available}, because this dialect sizes slots by \
                 characters; use the default dialect, or allow the loss"
            ),
            Self::TooLong { index, len } => {
                write!(f, "the {len} bytes of value {index} are more than the 9999991 that a format can describe")
            }
            Self::TooLarge => f.write_str("the list is larger than any memory"),
            Self::NotFound => f.write_str("no value of the list is equal"),
        }
    }
}

impl core::error::Error for ListError {}
