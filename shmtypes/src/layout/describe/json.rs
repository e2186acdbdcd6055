//! The canonical JSON, and the NumPy dtype that is its second half.
//!
//! ```text
//! {"layout":L,"numpy":N}
//!
//! L  "f64"   {"atomic":"u64"}   {"nonzero":"u32"}   {"option_nonzero":"u32"}   {"str":32}   {"bytes":16}
//!    {"mutex":L}   {"rwlock":L}   {"cell":L,"buffers":4}   {"array":L,"length":3}
//!    {"opaque":"glam::Vec3","itemsize":12,"align":4}
//!    {"enum":"u8","version":1,"variants":[["Rock",0],["Ship",1]]}
//!    {"version":1,"names":["a","b"],"types":[L,L],"offsets":[0,8],"itemsize":24,"align":8}
//!                                                                       (a version of 0 is left out)
//! N  "<f8"   "(3,4)<f8"   [{…},[3,4]]   {"names":[…],"formats":[N,…],"offsets":[…],"itemsize":24}
//! ```
//!
//! `np.dtype(json.loads(schema)["numpy"])` takes N as it stands, except that a pair of dtype and shape must become a
//! tuple first.
//!
//! One writer serves [`Schema`](super::Schema) and [`Layout`](super::Layout) through [`Node`], and both sinks: a
//! `String`, and a comparison that stops at the first difference and allocates nothing.

use super::numpy::{self, write_numpy};
use super::text::is_plain;
use crate::layout::{Guard, Scalar};
use core::fmt::{self, Write};

/// A layout, borrowed or owned.
pub(super) trait Node: Sized {
    type Field;
    type Variant;

    fn size(&self) -> usize;
    fn align(&self) -> usize;
    fn shape(&self) -> Shape<'_, Self>;
    /// Name, offset and layout.
    fn field(field: &Self::Field) -> (&str, usize, &Self);
    /// Name and discriminant.
    fn variant(variant: &Self::Variant) -> (&str, i128);
}

/// What a [`Node`] is made of.
pub(super) enum Shape<'a, N: Node> {
    Scalar(Scalar),
    Atomic(Scalar),
    Event,
    NonZero(Scalar),
    OptionNonZero(Scalar),
    Text(usize),
    Bytes(usize),
    Array(&'a N, usize),
    Struct(u32, &'a [N::Field]),
    Enum(u32, Scalar, &'a [N::Variant]),
    Opaque(&'a str),
    Guarded(Guard, &'a N),
}

/// Whether `stored` is the JSON of `node`. Allocates nothing.
pub(crate) fn json_matches(node: &crate::layout::Schema, stored: &[u8]) -> bool {
    first_difference(node, stored).is_none()
}

/// Where `stored` stops being the JSON of `node`.
pub(super) fn first_difference(node: &impl Node, stored: &[u8]) -> Option<usize> {
    let mut comparison = Comparison { rest: stored };
    let same = write_json(node, &mut comparison).is_ok();
    (!same || !comparison.rest.is_empty()).then(|| stored.len() - comparison.rest.len())
}

/// The JSON of `node`.
pub(super) fn to_json(node: &impl Node) -> String {
    // Room for all but large types.
    let mut json = String::with_capacity(256);
    // A `String` takes everything.
    _ = write_json(node, &mut json);
    json
}

/// A sink that stops the writer at the first byte that is not in `rest`.
struct Comparison<'a> {
    rest: &'a [u8],
}

impl Write for Comparison<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if let Some(rest) = self.rest.strip_prefix(text.as_bytes()) {
            self.rest = rest;
            return Ok(());
        }
        let same = text.bytes().zip(self.rest).take_while(|(ours, theirs)| ours == *theirs).count();
        self.rest = &self.rest[same..];
        Err(fmt::Error)
    }
}

fn write_json(node: &impl Node, out: &mut impl Write) -> fmt::Result {
    out.write_str("{\"layout\":")?;
    write_layout(node, out)?;
    out.write_str(",\"numpy\":")?;
    write_numpy(node, &numpy::JSON, 0, out)?;
    out.write_str("}")
}

fn write_layout<N: Node>(node: &N, out: &mut impl Write) -> fmt::Result {
    match node.shape() {
        Shape::Scalar(scalar) => write_name(scalar, out),
        Shape::Atomic(scalar) => write_wrapped("{\"atomic\":", scalar, out),
        // By the integer that it is in memory, for readers that know no events.
        Shape::Event => write_wrapped("{\"event\":", Scalar::U32, out),
        Shape::NonZero(scalar) => write_wrapped("{\"nonzero\":", scalar, out),
        Shape::OptionNonZero(scalar) => write_wrapped("{\"option_nonzero\":", scalar, out),
        Shape::Text(capacity) => write_last("{\"str\":", capacity, out),
        Shape::Bytes(capacity) => write_last("{\"bytes\":", capacity, out),
        Shape::Array(element, length) => {
            out.write_str("{\"array\":")?;
            write_layout(element, out)?;
            write_last(",\"length\":", length, out)
        }
        Shape::Guarded(guard, value) => {
            out.write_str(match guard {
                Guard::Mutex => "{\"mutex\":",
                Guard::RwLock => "{\"rwlock\":",
                Guard::Cell { .. } => "{\"cell\":",
            })?;
            write_layout(value, out)?;
            match guard {
                Guard::Cell { buffers } => write_last(",\"buffers\":", buffers, out),
                _ => out.write_str("}"),
            }
        }
        Shape::Opaque(name) => {
            out.write_str("{\"opaque\":")?;
            write_text(name, out)?;
            out.write_str(",\"itemsize\":")?;
            write_number(node.size(), out)?;
            write_last(",\"align\":", node.align(), out)
        }
        Shape::Enum(version, repr, variants) => {
            out.write_str("{\"enum\":")?;
            write_name(repr, out)?;
            if version != 0 {
                out.write_str(",\"version\":")?;
                write_number(version as usize, out)?;
            }
            out.write_str(",\"variants\":[")?;
            write_list(variants, ",", out, |variant, out| {
                let (name, value) = N::variant(variant);
                out.write_str("[")?;
                write_text(name, out)?;
                write!(out, ",{value}]")
            })?;
            out.write_str("]}")
        }
        Shape::Struct(version, fields) => {
            out.write_str("{")?;
            if version != 0 {
                out.write_str("\"version\":")?;
                write_number(version as usize, out)?;
                out.write_str(",")?;
            }
            out.write_str("\"names\":[")?;
            write_list(fields, ",", out, |field, out| write_text(N::field(field).0, out))?;
            out.write_str("],\"types\":[")?;
            write_list(fields, ",", out, |field, out| write_layout(N::field(field).2, out))?;
            out.write_str("],\"offsets\":[")?;
            write_list(fields, ",", out, |field, out| write_number(N::field(field).1, out))?;
            out.write_str("],\"itemsize\":")?;
            write_number(node.size(), out)?;
            write_last(",\"align\":", node.align(), out)
        }
    }
}

pub(super) fn write_list<'a, T: 'a, W: Write>(
    items: &'a [T],
    comma: &str,
    out: &mut W,
    mut write: impl FnMut(&'a T, &mut W) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.write_str(comma)?;
        }
        write(item, out)?;
    }
    Ok(())
}

/// `key` with a scalar, and the end of the object.
fn write_wrapped(key: &str, scalar: Scalar, out: &mut impl Write) -> fmt::Result {
    out.write_str(key)?;
    write_name(scalar, out)?;
    out.write_str("}")
}

/// `key` with a number, and the end of the object.
fn write_last(key: &str, number: usize, out: &mut impl Write) -> fmt::Result {
    out.write_str(key)?;
    write_number(number, out)?;
    out.write_str("}")
}

fn write_name(scalar: Scalar, out: &mut impl Write) -> fmt::Result {
    out.write_str("\"")?;
    out.write_str(scalar.name())?;
    out.write_str("\"")
}

/// `core::fmt` would do, at several times the cost.
pub(super) fn write_number(number: usize, out: &mut impl Write) -> fmt::Result {
    const DIGITS: &str = "0123456789";
    if number < 10 {
        return out.write_str(&DIGITS[number..=number]);
    }
    let mut digits = [0; 20];
    let (mut start, mut rest) = (digits.len(), number);
    while rest > 0 {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.write_str(core::str::from_utf8(&digits[start..]).unwrap_or_default())
}

/// A text in quotes. Quotes, backslashes and what is not plain are escaped, in a way that is JSON and Python alike.
pub(super) fn write_text(text: &str, out: &mut impl Write) -> fmt::Result {
    out.write_str("\"")?;
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        out.write_str(text)?;
    } else {
        for c in text.chars() {
            match c {
                '"' => out.write_str("\\\"")?,
                '\\' => out.write_str("\\\\")?,
                c if is_plain(c) => out.write_char(c)?,
                c => write!(out, "\\u{:04x}", c as u32)?,
            }
        }
    }
    out.write_str("\"")
}
