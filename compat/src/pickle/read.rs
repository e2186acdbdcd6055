//! The bytes of a pickle, and the arguments of its instructions: numbers, lines and strings.
#![allow(clippy::little_endian_bytes, reason = "pickles are little-endian")]

use super::PickleErrorKind;
use alloc::borrow::Cow;
use alloc::string::String;

type Result<T> = core::result::Result<T, PickleErrorKind>;

/// What is left of a pickle.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the frame ends, or the pickle.
    end: usize,
    in_frame: bool,
    /// The greatest length of a string.
    longest: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], longest: usize) -> Self {
        Self { bytes, at: 0, end: bytes.len(), in_frame: false, longest }
    }

    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// How many bytes follow, inside and outside of the frame.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Leaves the frame that is read to its end. Call between instructions: none may cross it.
    pub(super) fn next_instruction(&mut self) {
        if self.at == self.end {
            self.end = self.bytes.len();
            self.in_frame = false;
        }
    }

    /// Takes the length of a frame, which ends the reading of instructions and their arguments there.
    ///
    /// CPython's C unpickler only asks that the bytes are there (Modules/_pickle.c, `load_frame`), the one in Python
    /// also that no instruction crosses the end (Lib/pickle.py, `_Unframer`). Long pickles have one frame after the
    /// other, and the longest strings stand between them.
    pub(super) fn frame(&mut self) -> Result<()> {
        let bytes = u64::from_le_bytes(self.array()?);
        if self.in_frame {
            return Err(PickleErrorKind::Misplaced);
        }
        let left = self.left();
        match usize::try_from(bytes) {
            Ok(length) if length <= left => self.end = self.at + length,
            _ => return Err(PickleErrorKind::FrameTooLong { bytes, left }),
        }
        self.in_frame = true;
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.at..self.end).unwrap_or_default();
        let taken = rest.get(..count).ok_or(PickleErrorKind::Truncated)?;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| PickleErrorKind::Truncated)
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    /// The bytes up to the next newline, which is taken too.
    fn line(&mut self) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.at..self.end).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or(PickleErrorKind::Truncated)?;
        let line = self.take(length)?;
        self.take(1)?;
        Ok(line)
    }

    /// A line of decimal digits, with an optional sign and an optional `L` behind.
    ///
    /// CPython also takes hexadecimal, octal and spaces here, and writes none of them.
    pub(super) fn decimal(&mut self, suffix: Option<u8>) -> Result<i64> {
        let line = self.line()?;
        let line = match (suffix, line.split_last()) {
            (Some(suffix), Some((last, rest))) if *last == suffix => rest,
            _ => line,
        };
        decimal(line)
    }

    /// The argument of INT, which is also how protocols 0 and 1 write the two truth values.
    pub(super) fn int_or_bool(&mut self) -> Result<IntOrBool> {
        match self.line()? {
            b"00" => Ok(IntOrBool::Bool(false)),
            b"01" => Ok(IntOrBool::Bool(true)),
            line => decimal(line).map(IntOrBool::Int),
        }
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_le_bytes)
    }

    /// A length byte and as many bytes of two's complement.
    pub(super) fn long1(&mut self) -> Result<i64> {
        let count = usize::from(self.byte()?);
        let taken = self.take(count)?;
        let negative = taken.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut bytes = [if negative { 0xff } else { 0 }; 8];
        bytes.get_mut(..count).ok_or(PickleErrorKind::BadNumber)?.copy_from_slice(taken);
        Ok(i64::from_le_bytes(bytes))
    }

    /// A line of GLOBAL.
    pub(super) fn text_line(&mut self) -> Result<&'a str> {
        let line = self.line()?;
        self.limited(line).and_then(utf8)
    }

    /// As many bytes of UTF-8.
    pub(super) fn text(&mut self, bytes: u32) -> Result<Cow<'a, str>> {
        self.sized(bytes.into()).and_then(utf8).map(Cow::Borrowed)
    }

    /// As many bytes.
    pub(super) fn sized(&mut self, bytes: u64) -> Result<&'a [u8]> {
        // Never more than a usize where it is below the limit.
        let count = usize::try_from(bytes).unwrap_or(usize::MAX);
        if count > self.longest {
            return Err(PickleErrorKind::StringTooLong { bytes: count, limit: self.longest });
        }
        self.take(count)
    }

    fn limited(&self, text: &'a [u8]) -> Result<&'a [u8]> {
        if text.len() > self.longest {
            return Err(PickleErrorKind::StringTooLong { bytes: text.len(), limit: self.longest });
        }
        Ok(text)
    }

    /// A line of "raw-unicode-escape": Latin-1, with escapes of four digits after `\u` and eight after `\U`, and every other
    /// backslash itself.
    ///
    /// As in CPython (Objects/unicodeobject.c, `_PyUnicode_DecodeRawUnicodeEscapeStateful`), a backslash that begins no
    /// escape takes the next character with it, so that a `u` behind two backslashes is a letter.
    pub(super) fn escaped_line(&mut self) -> Result<Cow<'a, str>> {
        let mut line = self.line()?.iter();
        let mut text = String::new();
        while let Some(byte) = line.next() {
            if text.len() > self.longest {
                break;
            }
            let character = char::from(*byte);
            if *byte != b'\\' {
                text.push(character);
                continue;
            }
            let digits = match line.next() {
                Some(b'u') => 4,
                Some(b'U') => 8,
                Some(other) => {
                    text.push(character);
                    text.push(char::from(*other));
                    continue;
                }
                None => {
                    text.push(character);
                    continue;
                }
            };
            let mut code = 0u32;
            for _ in 0..digits {
                let digit = line.next().and_then(|digit| char::from(*digit).to_digit(16));
                let digit = digit.ok_or(PickleErrorKind::BadText { reason: "an escape has too few digits" })?;
                // Eight hexadecimal digits are exactly 32 bits.
                code = code << 4 | digit;
            }
            text.push(
                char::from_u32(code)
                    .ok_or(PickleErrorKind::BadText { reason: "an escape stands for half a character, or for none" })?,
            );
        }
        if text.len() > self.longest {
            return Err(PickleErrorKind::StringTooLong { bytes: text.len(), limit: self.longest });
        }
        Ok(Cow::Owned(text))
    }
}

/// What INT makes.
pub(super) enum IntOrBool {
    Int(i64),
    Bool(bool),
}

fn decimal(line: &[u8]) -> Result<i64> {
    let digits = line.strip_prefix(b"-").unwrap_or(line);
    let canonical = match digits {
        [b'0'] => line.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let text = core::str::from_utf8(line).ok().filter(|_| canonical);
    text.and_then(|text| text.parse().ok()).ok_or(PickleErrorKind::BadNumber)
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    // CPython writes and reads lone surrogates with "surrogatepass".
    core::str::from_utf8(bytes).map_err(|_| PickleErrorKind::BadText { reason: "it is not UTF-8" })
}
