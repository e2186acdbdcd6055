//! Values as Python's `repr()` prints them.
//!
//! Floats are in the `'short'` style, which all of CPython's builds use today. A string shows the characters that are
//! printable in the Unicode version of the `unicode-properties` crate, where Python goes by its own: a character that
//! Unicode got after that Python was released is an escape there and itself here. Nothing else differs.

use core::fmt::{self, Write};
use core::str;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

#[cfg(test)]
mod tests;

/// Writes a float: the fewest digits that read back as the same float, with an exponent below 0.0001 and from 1e16 on.
///
/// CPython 3.13, Python/pystrtod.c, `format_float_short` with `'r'`. No NaN has a sign there.
///
/// # Errors
///
/// Those of `out`.
///
/// ```
/// use shmtypes_compat::repr::write_float;
///
/// let mut text = String::new();
/// for value in [1.0, -0.0, 0.1, 1e16, 0.00001, f64::NAN] {
///     write_float(&mut text, value).unwrap();
///     text.push(' ');
/// }
/// assert_eq!(text, "1.0 -0.0 0.1 1e+16 1e-05 nan ");
/// ```
pub fn write_float<W: Write + ?Sized>(out: &mut W, value: f64) -> fmt::Result {
    if value.is_nan() {
        return out.write_str("nan");
    }
    if value.is_sign_negative() {
        out.write_char('-')?;
    }
    if value.is_infinite() {
        return out.write_str("inf");
    }
    let text = shortest(value.abs())?;
    let (mantissa, exponent) = text.as_str().split_once('e').ok_or(fmt::Error)?;
    let (first, rest) = mantissa.split_at_checked(1).ok_or(fmt::Error)?;
    let rest = rest.trim_start_matches('.');
    let exponent: i32 = exponent.parse().map_err(|_| fmt::Error)?;
    match usize::try_from(exponent) {
        Ok(whole) if whole < 16 => {
            // The digits of the whole part behind the first.
            let (front, fraction) = rest.split_at_checked(whole).unwrap_or((rest, ""));
            out.write_str(first)?;
            out.write_str(front)?;
            zeros(out, whole - front.len())?;
            out.write_char('.')?;
            out.write_str(if fraction.is_empty() { "0" } else { fraction })
        }
        Err(_) if exponent >= -4 => {
            out.write_str("0.")?;
            zeros(out, exponent.unsigned_abs() as usize - 1)?;
            out.write_str(first)?;
            out.write_str(rest)
        }
        _ => {
            out.write_str(first)?;
            if !rest.is_empty() {
                out.write_char('.')?;
                out.write_str(rest)?;
            }
            write!(out, "e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs())
        }
    }
}

/// The fewest digits, in the scientific form.
///
/// Where two of that length are equally near, Rust takes the upper and Python the even one (Python/dtoa.c, mode 0, "Round
/// half-even"), as Rust does when asked for a number of digits. At a power of two, the nearest may not read back.
fn shortest(value: f64) -> Result<Short, fmt::Error> {
    let mut shortest = Short { bytes: [0; 32], length: 0 };
    write!(shortest, "{value:e}")?;
    let digits = shortest.as_str().bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
    let mut nearest = Short { bytes: [0; 32], length: 0 };
    write!(nearest, "{value:.*e}", digits.saturating_sub(1))?;
    Ok(if nearest.as_str().parse() == Ok(value) { nearest } else { shortest })
}

fn zeros<W: Write + ?Sized>(out: &mut W, count: usize) -> fmt::Result {
    (0..count).try_for_each(|_| out.write_char('0'))
}

/// Room for one float in the scientific form: at most 17 digits, a point, and an exponent.
struct Short {
    bytes: [u8; 32],
    length: usize,
}

impl Short {
    fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// Writes a string: in single quotes, or in double quotes if it has single ones and no double ones.
///
/// CPython 3.13, Objects/unicodeobject.c, `unicode_repr`.
///
/// # Errors
///
/// Those of `out`.
///
/// ```
/// use shmtypes_compat::repr::write_str;
///
/// let mut text = String::new();
/// write_str(&mut text, "it's\n\u{7f}é\u{ad}\u{2028}😀").unwrap();
/// assert_eq!(text, r#""it's\n\x7fé\xad\u2028😀""#);
/// ```
pub fn write_str<W: Write + ?Sized>(out: &mut W, value: &str) -> fmt::Result {
    let quote = quote(value.as_bytes());
    out.write_char(quote)?;
    for character in value.chars() {
        match u8::try_from(u32::from(character)) {
            Ok(byte) if byte.is_ascii() => write_ascii(out, byte, quote)?,
            _ if is_printable(character) => out.write_char(character)?,
            Ok(byte) => write!(out, "\\x{byte:02x}")?,
            Err(_) => match u16::try_from(u32::from(character)) {
                Ok(code) => write!(out, "\\u{code:04x}")?,
                Err(_) => write!(out, "\\U{:08x}", u32::from(character))?,
            },
        }
    }
    out.write_char(quote)
}

/// Writes bytes: as a string behind a `b`, with everything outside ASCII as an escape.
///
/// CPython 3.13, Objects/bytesobject.c, `PyBytes_Repr`.
///
/// # Errors
///
/// Those of `out`.
///
/// ```
/// use shmtypes_compat::repr::write_bytes;
///
/// let mut text = String::new();
/// write_bytes(&mut text, b"'a'\t\"\0\xff").unwrap();
/// assert_eq!(text, r#"b'\'a\'\t"\x00\xff'"#);
/// ```
pub fn write_bytes<W: Write + ?Sized>(out: &mut W, value: &[u8]) -> fmt::Result {
    let quote = quote(value);
    out.write_char('b')?;
    out.write_char(quote)?;
    for byte in value {
        if byte.is_ascii() {
            write_ascii(out, *byte, quote)?;
        } else {
            write!(out, "\\x{byte:02x}")?;
        }
    }
    out.write_char(quote)
}

fn quote(text: &[u8]) -> char {
    if text.contains(&b'\'') && !text.contains(&b'"') { '"' } else { '\'' }
}

fn write_ascii<W: Write + ?Sized>(out: &mut W, byte: u8, quote: char) -> fmt::Result {
    let character = char::from(byte);
    match byte {
        b'\t' => out.write_str("\\t"),
        b'\n' => out.write_str("\\n"),
        b'\r' => out.write_str("\\r"),
        _ if byte == b'\\' || character == quote => {
            out.write_char('\\')?;
            out.write_char(character)
        }
        b' '..=b'~' => out.write_char(character),
        _ => write!(out, "\\x{byte:02x}"),
    }
}

/// `str.isprintable` of one character: all but "Other" and "Separator", and the space (CPython 3.13,
/// Tools/unicode/makeunicodedata.py, `PRINTABLE_MASK`).
fn is_printable(character: char) -> bool {
    use GeneralCategory as Category;
    character == ' '
        || !matches!(
            character.general_category(),
            Category::Control
                | Category::Format
                | Category::Surrogate
                | Category::PrivateUse
                | Category::Unassigned
                | Category::LineSeparator
                | Category::ParagraphSeparator
                | Category::SpaceSeparator
        )
}
