//! The kind of a value: its `struct` format and the code for the way back to a Python object.
//!
//! | value | format | code |
//! |---|---|---|
//! | `int` | `q` | 0 |
//! | `float` | `d` | 0 |
//! | `bool` | `xxxxxxx?` | 0 |
//! | `None` | `xxxxxx?x` | 3 |
//! | `str` | `8s`, `16s`, … | 1 |
//! | `bytes` | `8s`, `16s`, … | 2 |
//!
//! CPython 3.13, `shared_memory.py` lines 278-306.

use crate::value::ValueRef;

/// The kind of a value. Text has the length that its format gives, which may be less than its slot's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Float,
    Bool,
    None,
    Str(usize),
    Bytes(usize),
}

pub(super) const INT: u64 = u64::from_ne_bytes(*b"q\0\0\0\0\0\0\0");
pub(super) const FLOAT: u64 = u64::from_ne_bytes(*b"d\0\0\0\0\0\0\0");
pub(super) const BOOL: u64 = u64::from_ne_bytes(*b"xxxxxxx?");
pub(super) const NONE: u64 = u64::from_ne_bytes(*b"xxxxxx?x");

pub(super) const AS_IT_IS: u8 = 0;
pub(super) const DECODE: u8 = 1;
pub(super) const STRIP: u8 = 2;
pub(super) const TO_NONE: u8 = 3;

/// The code of a value that is being written by this crate: -1, which CPython never writes, and for which its reader
/// raises `KeyError` in place of returning something half written.
pub(super) const CHANGING: u8 = 0xff;

/// The greatest length that a format of eight characters describes: seven digits and the `s`.
pub(super) const MAX_TEXT: usize = 9_999_999;

impl Kind {
    /// The kind that a format and a code name together, if `ShareableList` writes them.
    #[inline(always)]
    pub(super) fn parse(format: u64, code: u8) -> Option<Self> {
        match code {
            AS_IT_IS if format == INT => Some(Self::Int),
            AS_IT_IS if format == FLOAT => Some(Self::Float),
            AS_IT_IS if format == BOOL => Some(Self::Bool),
            DECODE => text_len(format).map(Self::Str),
            STRIP => text_len(format).map(Self::Bytes),
            TO_NONE if format == NONE => Some(Self::None),
            _ => None,
        }
    }

    /// The kind of a value that is not text.
    #[inline(always)]
    pub(super) fn of_number(value: ValueRef<'_>) -> Option<(Self, u64)> {
        Some(match value {
            ValueRef::Int(int) => (Self::Int, int.cast_unsigned()),
            ValueRef::Float(float) => (Self::Float, float.to_bits()),
            ValueRef::Bool(bool) => (Self::Bool, u64::from_ne_bytes([0, 0, 0, 0, 0, 0, 0, bool.into()])),
            ValueRef::None => (Self::None, 0),
            ValueRef::Str(_) | ValueRef::Bytes(_) => return None,
        })
    }

    #[inline(always)]
    pub(super) fn format(self) -> u64 {
        match self {
            Self::Int => INT,
            Self::Float => FLOAT,
            Self::Bool => BOOL,
            Self::None => NONE,
            Self::Str(len) | Self::Bytes(len) => text_format(len),
        }
    }

    #[inline(always)]
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Int | Self::Float | Self::Bool => AS_IT_IS,
            Self::None => TO_NONE,
            Self::Str(_) => DECODE,
            Self::Bytes(_) => STRIP,
        }
    }

    /// How many bytes of the slot belong to the value.
    #[inline(always)]
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Int | Self::Float | Self::Bool | Self::None => 8,
            Self::Str(len) | Self::Bytes(len) => len,
        }
    }
}

/// What CPython's reader raises for a format and a code that do not go together: it unpacks by the format, looks the
/// code up, and strips what is no number (3.13, `shared_memory.py` lines 286-291, 437-449).
pub(super) fn python_exception(format: u64, code: u8) -> &'static str {
    let is_number = [INT, FLOAT, BOOL, NONE].contains(&format);
    match code {
        // Nothing is unpacked.
        _ if format == 0 => "ValueError",
        _ if !is_number && text_len(format).is_none() => "struct.error",
        DECODE | STRIP if is_number => "AttributeError",
        // Taken as it is.
        AS_IT_IS | DECODE | STRIP | TO_NONE => "ValueError",
        _ => "KeyError",
    }
}

/// Whether each of the two is one that CPython writes, or what stands there before it writes.
pub(super) fn may_meet(format: u64, code: u8) -> bool {
    let is_known = [0, INT, FLOAT, BOOL, NONE].contains(&format) || text_len(format).is_some();
    is_known && [AS_IT_IS, DECODE, STRIP, TO_NONE].contains(&code)
}

/// The length in a format such as `24s`, of at most seven digits.
#[inline(always)]
pub(super) fn text_len(format: u64) -> Option<usize> {
    // The first character in the lowest byte, whatever the byte order.
    let format = format.to_le();
    let [first, second, third] = [0, 8, 16].map(|shift| (format >> shift) as u8);
    if format >> 24 == 0 && third == b's' && first.is_ascii_digit() && second.is_ascii_digit() {
        return Some(usize::from(first - b'0') * 10 + usize::from(second - b'0'));
    }
    any_text_len(format)
}

/// The same for any number of digits.
fn any_text_len(mut rest: u64) -> Option<usize> {
    let mut len = 0;
    let mut digits = 0;
    loop {
        let byte = (rest & 0xff) as u8;
        rest >>= 8;
        match byte {
            b'0'..=b'9' if digits < 7 => len = len * 10 + usize::from(byte - b'0'),
            b's' if digits > 0 && rest == 0 => return Some(len),
            _ => return None,
        }
        digits += 1;
    }
}

/// The format of a text of `len` bytes, which are at most [`MAX_TEXT`].
#[inline]
pub(super) const fn text_format(len: usize) -> u64 {
    debug_assert!(len <= MAX_TEXT);
    if 10 <= len && len < 100 {
        let (tens, ones) = (b'0' + (len / 10) as u8, b'0' + (len % 10) as u8);
        return u64::from_ne_bytes([tens, ones, b's', 0, 0, 0, 0, 0]);
    }
    let mut format = b's' as u64;
    let mut rest = len;
    loop {
        format = format << 8 | (b'0' + (rest % 10) as u8) as u64;
        rest /= 10;
        if rest == 0 {
            return u64::from_le(format);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_text_are_read_as_they_are_written() {
        for len in [0, 8, 16, 24, 80, 96, 104, 1000, 123_456, 9_999_992, MAX_TEXT] {
            let format = text_format(len);
            assert_eq!(text_len(format), Some(len));
            let bytes = format.to_ne_bytes();
            let expected = std::format!("{len}s");
            assert_eq!(&bytes[..expected.len()], expected.as_bytes());
            assert!(bytes[expected.len()..].iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn what_list_never_writes_is_no_kind() {
        let word = |text: &[u8; 8]| u64::from_ne_bytes(*text);
        for format in [
            b"s\0\0\0\0\0\0\0",
            b"8\0\0\0\0\0\0\0",
            b"8s8s\0\0\0\0",
            b"12345678",
            b" 8s\0\0\0\0\0",
            b"\0\x008s\0\0\0\0",
        ] {
            for code in 0..=255 {
                assert_eq!(Kind::parse(word(format), code), None);
            }
        }
        assert_eq!(Kind::parse(INT, DECODE), None);
        assert_eq!(Kind::parse(INT, TO_NONE), None);
        assert_eq!(Kind::parse(NONE, AS_IT_IS), None);
        assert_eq!(Kind::parse(word(b"8s\0\0\0\0\0\0"), AS_IT_IS), None);
        assert_eq!(Kind::parse(INT, CHANGING), None);
        assert_eq!(Kind::parse(word(b"8s\0\0\0\0\0\0"), CHANGING), None);
    }
}
