//! The NumPy dtype of a layout, as JSON and as Python source.
//!
//! An array of what NumPy spells as a text gets its shape inside the text, `"(3,4)<f8"`; an array of a structured dtype
//! is a pair of dtype and shape. Atomics, `NonZero` and enums are their integers, `char` its code, `bf16` its bits, and
//! what NumPy has no number for (128-bit integers, UUIDs, foreign types) is raw bytes, `"|V16"`. A lock or cell is the
//! struct that it is in memory; NumPy leaves the gaps around its value alone.

use super::Layout;
use super::json::{Node, Shape, write_list, write_number, write_text};
use crate::layout::guarded::READERS;
use crate::layout::{Guard, Scalar, Schema};
use core::fmt::{self, Write};

/// How a dtype is written.
pub(super) struct Style {
    /// Between the items of a list.
    comma: &'static str,
    colon: &'static str,
    /// Around a pair of dtype and shape.
    pair: (&'static str, &'static str),
    /// Around a shape; the last one ends a shape of one dimension.
    shape: (&'static str, &'static str, &'static str),
    /// One key to a line.
    lines: bool,
}

pub(super) const JSON: Style = Style { comma: ",", colon: ":", pair: ("[", "]"), shape: ("[", "]", "]"), lines: false };
const PYTHON: Style = Style { comma: ", ", colon: ": ", pair: ("(", ")"), shape: ("(", ")", ",)"), lines: true };

const NATIVE: &str = if cfg!(target_endian = "little") { "<" } else { ">" };

impl Layout {
    /// Python source that binds `name` to the `numpy.dtype` of this layout.
    #[must_use]
    pub fn to_numpy(&self, name: &str) -> String {
        let mut source = String::from("import numpy as np\n\n");
        source.push_str(&super::text::identifier(name, super::text::PYTHON));
        source.push_str(" = np.dtype(");
        // A `String` takes everything.
        _ = write_numpy(self, &PYTHON, 0, &mut source);
        source.push_str(")\n");
        source
    }
}

impl Schema {
    /// Python source that binds `name` to the `numpy.dtype` of this layout.
    #[must_use]
    pub fn to_numpy(&self, name: &str) -> String {
        Layout::from(self).to_numpy(name)
    }
}

/// The dtype of `node`, inside `depth` others.
pub(super) fn write_numpy<N: Node>(node: &N, style: &Style, depth: usize, out: &mut impl Write) -> fmt::Result {
    match node.shape() {
        Shape::Array(mut element, _) => {
            let mut dimensions = 1;
            while let Shape::Array(inner, _) = element.shape() {
                (element, dimensions) = (inner, dimensions + 1);
            }
            if matches!(element.shape(), Shape::Struct(..) | Shape::Text(_) | Shape::Bytes(_) | Shape::Guarded(..)) {
                out.write_str(style.pair.0)?;
                write_numpy(element, style, depth, out)?;
                out.write_str(style.comma)?;
                out.write_str(style.shape.0)?;
                write_lengths(node, style.comma, out)?;
                out.write_str(if dimensions == 1 { style.shape.2 } else { style.shape.1 })?;
                out.write_str(style.pair.1)
            } else {
                out.write_str("\"(")?;
                write_lengths(node, ",", out)?;
                out.write_str(if dimensions == 1 { ",)" } else { ")" })?;
                write_format(element, out)?;
                out.write_str("\"")
            }
        }
        Shape::Struct(_, fields) => {
            out.write_str("{")?;
            write_key("names", "[", style, depth, out)?;
            write_list(fields, style.comma, out, |field, out| write_text(N::field(field).0, out))?;
            out.write_str("],")?;
            write_key("formats", "[", style, depth, out)?;
            write_list(fields, style.comma, out, |field, out| write_numpy(N::field(field).2, style, depth + 1, out))?;
            out.write_str("],")?;
            write_key("offsets", "[", style, depth, out)?;
            write_list(fields, style.comma, out, |field, out| write_number(N::field(field).1, out))?;
            write_itemsize(node.size(), style, depth, out)
        }
        Shape::Text(capacity) => write_counted(["len", "text"], "|S", capacity, node.size(), style, depth, out),
        // As `V`, because NumPy drops trailing NULs of an `S` when it reads one.
        Shape::Bytes(capacity) => write_counted(["len", "bytes"], "|V", capacity, node.size(), style, depth, out),
        Shape::Guarded(guard, value) => write_guarded(guard, value, style, depth, out),
        _ => {
            out.write_str("\"")?;
            write_format(node, out)?;
            out.write_str("\"")
        }
    }
}

/// A length and that many bytes.
fn write_counted(
    names: [&str; 2],
    format: &str,
    capacity: usize,
    size: usize,
    style: &Style,
    depth: usize,
    out: &mut impl Write,
) -> fmt::Result {
    write_record(&names, &[0, size_of::<u32>()], size, style, depth, out, |out| {
        write_unsigned(size_of::<u32>(), out)?;
        out.write_str(style.comma)?;
        out.write_str("\"")?;
        out.write_str(format)?;
        write_number(capacity, out)?;
        out.write_str("\"")
    })
}

/// The words of a lock or cell, and the value.
fn write_guarded<N: Node>(guard: Guard, value: &N, style: &Style, depth: usize, out: &mut impl Write) -> fmt::Result {
    const WORD: usize = size_of::<u64>();
    let geometry = guard.geometry(value.size(), value.align()).ok_or(fmt::Error)?;
    match guard {
        Guard::Mutex => {
            write_record(&["lock", "value"], &[0, geometry.value], geometry.size, style, depth, out, |out| {
                write_unsigned(WORD, out)?;
                out.write_str(style.comma)?;
                write_numpy(value, style, depth + 1, out)
            })
        }
        Guard::RwLock => {
            let offsets = [0, WORD, geometry.value];
            write_record(&["lock", "readers", "value"], &offsets, geometry.size, style, depth, out, |out| {
                write_unsigned(WORD, out)?;
                write!(out, "{}\"({READERS},){NATIVE}u{WORD}\"{}", style.comma, style.comma)?;
                write_numpy(value, style, depth + 1, out)
            })
        }
        Guard::Cell { buffers } => {
            let names = ["lock", "current", "changed", "buffers"];
            let offsets = [0, WORD, 2 * WORD, geometry.copies];
            write_record(&names, &offsets, geometry.size, style, depth, out, |out| {
                for size in [WORD, WORD, size_of::<u32>()] {
                    write_unsigned(size, out)?;
                    out.write_str(style.comma)?;
                }
                out.write_str(style.pair.0)?;
                let (names, offsets) = (["version", "value"], [0, geometry.value]);
                write_record(&names, &offsets, geometry.stride, style, depth + 1, out, |out| {
                    write_unsigned(WORD, out)?;
                    out.write_str(style.comma)?;
                    write_numpy(value, style, depth + 2, out)
                })?;
                out.write_str(style.comma)?;
                out.write_str(style.shape.0)?;
                write_number(buffers, out)?;
                out.write_str(style.shape.2)?;
                out.write_str(style.pair.1)
            })
        }
    }
}

/// A structured dtype, whose formats `write_formats` writes.
fn write_record<W: Write>(
    names: &[&str],
    offsets: &[usize],
    size: usize,
    style: &Style,
    depth: usize,
    out: &mut W,
    write_formats: impl FnOnce(&mut W) -> fmt::Result,
) -> fmt::Result {
    out.write_str("{")?;
    write_key("names", "[", style, depth, out)?;
    write_list(names, style.comma, out, |name, out| write_text(name, out))?;
    out.write_str("],")?;
    write_key("formats", "[", style, depth, out)?;
    write_formats(out)?;
    out.write_str("],")?;
    write_key("offsets", "[", style, depth, out)?;
    write_list(offsets, style.comma, out, |offset, out| write_number(*offset, out))?;
    write_itemsize(size, style, depth, out)
}

/// An unsigned integer of this size, in quotes.
fn write_unsigned(size: usize, out: &mut impl Write) -> fmt::Result {
    out.write_str("\"")?;
    out.write_str(NATIVE)?;
    out.write_str("u")?;
    write_number(size, out)?;
    out.write_str("\"")
}

/// The end of a list, the last key and the end of the object.
fn write_itemsize(size: usize, style: &Style, depth: usize, out: &mut impl Write) -> fmt::Result {
    out.write_str("],")?;
    write_key("itemsize", "", style, depth, out)?;
    write_number(size, out)?;
    if style.lines {
        out.write_str(",")?;
    }
    write_line(style, depth, out)?;
    out.write_str("}")
}

fn write_key(key: &str, value_start: &str, style: &Style, depth: usize, out: &mut impl Write) -> fmt::Result {
    write_line(style, depth + 1, out)?;
    out.write_str("\"")?;
    out.write_str(key)?;
    out.write_str("\"")?;
    out.write_str(style.colon)?;
    out.write_str(value_start)
}

fn write_line(style: &Style, depth: usize, out: &mut impl Write) -> fmt::Result {
    if style.lines {
        out.write_str("\n")?;
        for _ in 0..depth {
            out.write_str("    ")?;
        }
    }
    Ok(())
}

/// The lengths of an array of arrays, from the outermost.
fn write_lengths<N: Node>(mut node: &N, comma: &str, out: &mut impl Write) -> fmt::Result {
    let mut first = true;
    while let Shape::Array(element, length) = node.shape() {
        if !first {
            out.write_str(comma)?;
        }
        write_number(length, out)?;
        (node, first) = (element, false);
    }
    Ok(())
}

/// What NumPy spells as a text: a letter for the kind, and the size.
fn write_format<N: Node>(node: &N, out: &mut impl Write) -> fmt::Result {
    let (order, letter) = match node.shape() {
        Shape::Scalar(scalar) => scalar_format(scalar),
        Shape::Event => scalar_format(Scalar::U32),
        Shape::Atomic(scalar) | Shape::NonZero(scalar) | Shape::OptionNonZero(scalar) | Shape::Enum(_, scalar, _) => {
            scalar_format(scalar)
        }
        _ => ("|", "V"),
    };
    out.write_str(order)?;
    out.write_str(letter)?;
    write_number(node.size(), out)
}

/// Byte order and kind.
fn scalar_format(scalar: Scalar) -> (&'static str, &'static str) {
    use Scalar as S;
    match scalar {
        S::U8 => ("|", "u"),
        S::I8 => ("|", "i"),
        S::Bool => ("|", "b"),
        S::U16 | S::U32 | S::U64 | S::Char | S::Bf16 => (NATIVE, "u"),
        S::I16 | S::I32 | S::I64 => (NATIVE, "i"),
        S::F16 | S::F32 | S::F64 => (NATIVE, "f"),
        S::Complex32 | S::Complex64 => (NATIVE, "c"),
        S::U128 | S::I128 | S::U128Le | S::I128Le | S::U128Be | S::I128Be | S::Uuid => ("|", "V"),
        S::U16Le | S::U32Le | S::U64Le => ("<", "u"),
        S::I16Le | S::I32Le | S::I64Le => ("<", "i"),
        S::F32Le | S::F64Le => ("<", "f"),
        S::U16Be | S::U32Be | S::U64Be => (">", "u"),
        S::I16Be | S::I32Be | S::I64Be => (">", "i"),
        S::F32Be | S::F64Be => (">", "f"),
    }
}
