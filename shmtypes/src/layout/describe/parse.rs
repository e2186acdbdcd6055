//! The parser of the canonical JSON.
//!
//! It reads the `layout` half, checks it against the rules of `repr(C)` (padding only around what a lock or cell guards),
//! and lets the writer say
//! whether the stored text, the `numpy` half included, is what it would have written. So there is one authority on
//! spelling, and what is accepted is written again byte for byte.

use super::json::first_difference;
use super::{Layout, LayoutField, LayoutKind, LayoutVariant, TypeName};
use crate::layout::{Guard, Scalar};
use core::fmt;
use core::ops::RangeInclusive;

/// The greatest alignment that Rust knows (the Reference, "Type Layout", on `align`).
const MAX_ALIGN: usize = 1 << 29;

/// Bytes that are no schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidSchema {
    /// The first byte that is wrong.
    pub offset: usize,
    /// What should stand there.
    pub expected: &'static str,
}

impl fmt::Display for InvalidSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no schema: {} was expected at byte {}", self.expected, self.offset)
    }
}

impl core::error::Error for InvalidSchema {}

impl From<InvalidSchema> for crate::Error {
    fn from(invalid: InvalidSchema) -> Self {
        Self::new(crate::ErrorKind::Corrupt { field: "schema", value: invalid.offset as u64 })
    }
}

type Result<T> = core::result::Result<T, InvalidSchema>;

pub(super) fn parse(json: &[u8]) -> Result<Layout> {
    if json.len() > Layout::MAX_LEN {
        return Err(InvalidSchema { offset: Layout::MAX_LEN, expected: "the end" });
    }
    let mut parser = Parser { json, at: 0 };
    parser.literal("{\"layout\":", "a schema")?;
    let layout = parser.layout(Layout::MAX_DEPTH)?;
    match first_difference(&layout, json) {
        None => Ok(layout),
        Some(offset) => Err(InvalidSchema { offset, expected: "the canonical form" }),
    }
}

struct Parser<'a> {
    json: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn error<T>(&self, expected: &'static str) -> Result<T> {
        Err(InvalidSchema { offset: self.at, expected })
    }

    fn skip(&mut self, literal: &str) -> bool {
        let found = self.json[self.at..].starts_with(literal.as_bytes());
        if found {
            self.at += literal.len();
        }
        found
    }

    fn literal(&mut self, literal: &str, expected: &'static str) -> Result<()> {
        if self.skip(literal) { Ok(()) } else { self.error(expected) }
    }

    /// A layout in which structs, arrays and guards lie at most `depth` deep.
    fn layout(&mut self, depth: usize) -> Result<Layout> {
        if self.json.get(self.at) == Some(&b'"') {
            let scalar = self.scalar(|_| true)?;
            return Ok(leaf(scalar.size(), scalar.align(), LayoutKind::Scalar(scalar)));
        }
        if self.skip("{\"atomic\":") {
            let scalar = self.scalar(|scalar| is_integer(scalar, 8) || scalar == Scalar::Bool)?;
            // An atomic is aligned to its size, also where its integer is not.
            return self.end(leaf(scalar.size(), scalar.size(), LayoutKind::Atomic(scalar)));
        }
        if self.skip("{\"nonzero\":") {
            let scalar = self.scalar(|scalar| is_integer(scalar, 16))?;
            return self.end(leaf(scalar.size(), scalar.align(), LayoutKind::NonZero(scalar)));
        }
        if self.skip("{\"option_nonzero\":") {
            let scalar = self.scalar(|scalar| is_integer(scalar, 16))?;
            return self.end(leaf(scalar.size(), scalar.align(), LayoutKind::OptionNonZero(scalar)));
        }
        if self.skip("{\"str\":") {
            let (capacity, size) = self.capacity()?;
            return self.end(leaf(size, 1, LayoutKind::Text { capacity }));
        }
        if self.skip("{\"bytes\":") {
            let (capacity, size) = self.capacity()?;
            return self.end(leaf(size, 1, LayoutKind::Bytes { capacity }));
        }
        if self.skip("{\"event\":\"u32\"") {
            return self.end(leaf(4, 4, LayoutKind::Event));
        }
        if self.skip("{\"opaque\":") {
            return self.opaque();
        }
        if self.skip("{\"enum\":") {
            return self.enumeration();
        }
        let Some(depth) = depth.checked_sub(1) else { return self.error("fewer levels") };
        if self.skip("{\"array\":") {
            return self.array(depth);
        }
        if self.skip("{\"mutex\":") {
            return self.guarded(depth, |_| Ok(Guard::Mutex));
        }
        if self.skip("{\"rwlock\":") {
            return self.guarded(depth, |_| Ok(Guard::RwLock));
        }
        if self.skip("{\"cell\":") {
            return self.guarded(depth, |parser| {
                parser.literal(",\"buffers\":", "the buffers")?;
                let start = parser.at;
                match parser.positive()? {
                    buffers @ 2..=64 => Ok(Guard::Cell { buffers }),
                    _ => Err(InvalidSchema { offset: start, expected: "2 to 64 buffers" }),
                }
            });
        }
        let version = if self.skip("{\"version\":") {
            let version = self.version()?;
            self.literal(",", "a comma")?;
            version
        } else {
            self.literal("{", "a layout")?;
            0
        };
        self.literal("\"names\":[", "the names")?;
        self.structure(version, depth)
    }

    fn array(&mut self, depth: usize) -> Result<Layout> {
        let element = self.layout(depth)?;
        self.literal(",\"length\":", "the length")?;
        let start = self.at;
        let length = self.positive()?;
        let Some(size) = element.size.checked_mul(length).filter(|size| isize::try_from(*size).is_ok()) else {
            return Err(InvalidSchema { offset: start, expected: "a length that can be addressed" });
        };
        let align = element.align;
        self.end(leaf(size, align, LayoutKind::Array { element: Box::new(element), length }))
    }

    /// A value, and what `rest` reads behind it.
    fn guarded(&mut self, depth: usize, rest: impl FnOnce(&mut Self) -> Result<Guard>) -> Result<Layout> {
        let value = self.layout(depth)?;
        let guard = rest(self)?;
        match guard.geometry(value.size, value.align) {
            Some(geometry) => {
                let kind = LayoutKind::Guarded { guard, value: Box::new(value) };
                self.end(leaf(geometry.size, geometry.align, kind))
            }
            None => self.error("a size that can be addressed"),
        }
    }

    fn opaque(&mut self) -> Result<Layout> {
        let name = self.text()?;
        self.literal(",\"itemsize\":", "the size")?;
        let size = self.positive()?;
        self.literal(",\"align\":", "the alignment")?;
        let align = self.alignment(1, size)?;
        self.end(leaf(size, align, LayoutKind::Opaque { name }))
    }

    fn enumeration(&mut self) -> Result<Layout> {
        let repr = self.scalar(|scalar| values_of(scalar).is_some())?;
        let values = values_of(repr).unwrap_or(0..=0);
        let version = if self.skip(",\"version\":") { self.version()? } else { 0 };
        self.literal(",\"variants\":[", "the variants")?;
        let start = self.at;
        let variants = self.list(|parser| {
            parser.literal("[", "a variant")?;
            let name = parser.text()?;
            parser.literal(",", "a comma")?;
            let start = parser.at;
            let value = parser.signed()?;
            if !values.contains(&value) {
                return Err(InvalidSchema { offset: start, expected: "a value of the enum's integer" });
            }
            parser.literal("]", "the end of the variant")?;
            Ok(LayoutVariant { name, value })
        })?;
        let distinct = all_distinct(variants.iter().map(|variant| variant.name.as_str()))
            && all_distinct(variants.iter().map(|variant| variant.value));
        if !distinct {
            return Err(InvalidSchema { offset: start, expected: "distinct variants" });
        }
        self.end(leaf(repr.size(), repr.align(), LayoutKind::Enum { version, repr, variants }))
    }

    /// The rest of a struct, after the bracket that begins its names.
    fn structure(&mut self, version: u32, depth: usize) -> Result<Layout> {
        let start = self.at;
        let names = self.list(Self::text)?;
        if !all_distinct(names.iter()) || names.iter().any(String::is_empty) {
            return Err(InvalidSchema { offset: start, expected: "distinct names" });
        }
        self.literal(",\"types\":[", "the types")?;
        let start = self.at;
        let types = self.list(|parser| parser.layout(depth))?;
        if types.len() != names.len() {
            return Err(InvalidSchema { offset: start, expected: "as many types as names" });
        }
        self.literal(",\"offsets\":[", "the offsets")?;
        let mut fields = Vec::with_capacity(names.len());
        let (mut end, mut align) = (0_usize, 1);
        for (name, layout) in names.into_iter().zip(types) {
            if !fields.is_empty() {
                self.literal(",", "as many offsets as names")?;
            }
            let start = self.at;
            let offset = self.size()?;
            // Without padding, a field begins where the one before it ends.
            if offset != end || !offset.is_multiple_of(layout.align) {
                return Err(InvalidSchema { offset: start, expected: "the end of the field before it" });
            }
            let Some(next) = end.checked_add(layout.size) else { return self.error("sizes that can be addressed") };
            (end, align) = (next, align.max(layout.align));
            fields.push(LayoutField { name, offset, layout });
        }
        self.literal("],\"itemsize\":", "the size")?;
        let start = self.at;
        if self.positive()? != end || isize::try_from(end).is_err() {
            return Err(InvalidSchema { offset: start, expected: "the end of the last field" });
        }
        self.literal(",\"align\":", "the alignment")?;
        let align = self.alignment(align, end)?;
        self.end(leaf(end, align, LayoutKind::Struct { version, fields }))
    }

    /// A list of at least one item, after its opening bracket.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.skip(",") {
            items.push(item(self)?);
        }
        self.literal("]", "a comma or the end of the list")?;
        Ok(items)
    }

    fn end(&mut self, layout: Layout) -> Result<Layout> {
        self.literal("}", "the end of the layout")?;
        Ok(layout)
    }

    fn scalar(&mut self, accept: impl Fn(Scalar) -> bool) -> Result<Scalar> {
        let rest = &self.json[self.at..];
        let quoted = |scalar: &&Scalar| {
            let name = scalar.name().as_bytes();
            rest.len() >= name.len() + 2
                && rest[0] == b'"'
                && rest[1..].starts_with(name)
                && rest[name.len() + 1] == b'"'
        };
        let Some(scalar) = Scalar::ALL.iter().find(quoted).filter(|scalar| accept(**scalar)) else {
            return self.error("a scalar that may stand here");
        };
        self.at += scalar.name().len() + 2;
        Ok(*scalar)
    }

    fn number(&mut self) -> Result<u64> {
        let start = self.at;
        let mut number = 0_u64;
        while let Some(digit @ b'0'..=b'9') = self.json.get(self.at) {
            let Some(next) = number.checked_mul(10).and_then(|ten| ten.checked_add((digit - b'0').into())) else {
                return self.error("a smaller number");
            };
            (number, self.at) = (next, self.at + 1);
        }
        if self.at == start { self.error("a number") } else { Ok(number) }
    }

    fn signed(&mut self) -> Result<i128> {
        if !self.skip("-") {
            return Ok(self.number()?.into());
        }
        match self.number()? {
            0 => self.error("0 without a sign"),
            number => Ok(-i128::from(number)),
        }
    }

    fn size(&mut self) -> Result<usize> {
        let start = self.at;
        let number = self.number()?;
        match isize::try_from(number) {
            Ok(_) => Ok(number as usize),
            Err(_) => Err(InvalidSchema { offset: start, expected: "a size that can be addressed" }),
        }
    }

    fn positive(&mut self) -> Result<usize> {
        let start = self.at;
        match self.size()? {
            0 => Err(InvalidSchema { offset: start, expected: "a number above 0" }),
            size => Ok(size),
        }
    }

    fn version(&mut self) -> Result<u32> {
        let start = self.at;
        u32::try_from(self.number()?).or(Err(InvalidSchema { offset: start, expected: "a version of 32 bits" }))
    }

    /// The capacity of a text, and its size.
    fn capacity(&mut self) -> Result<(usize, usize)> {
        let start = self.at;
        let capacity = self.positive()?;
        let size = u32::try_from(capacity).ok().and_then(|_| capacity.checked_add(size_of::<u32>()));
        match size.filter(|size| isize::try_from(*size).is_ok()) {
            Some(size) => Ok((capacity, size)),
            None => Err(InvalidSchema { offset: start, expected: "a capacity of 32 bits" }),
        }
    }

    /// An alignment of at least `least` for something of this size.
    fn alignment(&mut self, least: usize, size: usize) -> Result<usize> {
        let start = self.at;
        let align = self.positive()?;
        if align.is_power_of_two() && (least..=MAX_ALIGN).contains(&align) && size.is_multiple_of(align) {
            Ok(align)
        } else {
            Err(InvalidSchema { offset: start, expected: "an alignment that fits" })
        }
    }

    fn text(&mut self) -> Result<String> {
        self.literal("\"", "a text")?;
        let start = self.at;
        let Some(length) = end_of_text(&self.json[start..]) else { return self.error("a text that ends") };
        let bytes = &self.json[start..start + length];
        let escaped = core::str::from_utf8(bytes)
            .map_err(|error| InvalidSchema { offset: start + error.valid_up_to(), expected: "UTF-8" })?;
        let Some(text) = unescape(escaped) else { return self.error("a text with valid escapes") };
        self.at = start + length + 1;
        Ok(text)
    }
}

fn leaf(size: usize, align: usize, kind: LayoutKind) -> Layout {
    Layout { size, align, name: TypeName(None), kind }
}

/// The position of the quote that ends a text.
fn end_of_text(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Knows the three escapes that the writer writes. Whether it would have written them is the writer's to say.
fn unescape(escaped: &str) -> Option<String> {
    let mut text = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        if let Some(digits) = after.strip_prefix('u') {
            let code = u32::from_str_radix(digits.get(..4)?, 16).ok()?;
            text.push(char::from_u32(code)?);
            rest = &digits[4..];
        } else {
            text.push(after.chars().next().filter(|c| matches!(c, '"' | '\\'))?);
            rest = &after[1..];
        }
    }
    text.push_str(rest);
    Some(text)
}

/// An integer of the machine's byte order with at most this many bytes.
fn is_integer(scalar: Scalar, most: usize) -> bool {
    use Scalar as S;
    let integer =
        matches!(scalar, S::U8 | S::I8 | S::U16 | S::I16 | S::U32 | S::I32 | S::U64 | S::I64 | S::U128 | S::I128);
    integer && scalar.size() <= most
}

fn all_distinct<T: Ord>(items: impl Iterator<Item = T>) -> bool {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items.windows(2).all(|pair| pair[0] != pair[1])
}

/// The values of an integer that may store an enum.
fn values_of(repr: Scalar) -> Option<RangeInclusive<i128>> {
    Some(match repr {
        Scalar::U8 => 0..=u8::MAX.into(),
        Scalar::I8 => i8::MIN.into()..=i8::MAX.into(),
        Scalar::U16 => 0..=u16::MAX.into(),
        Scalar::I16 => i16::MIN.into()..=i16::MAX.into(),
        Scalar::U32 => 0..=u32::MAX.into(),
        Scalar::I32 => i32::MIN.into()..=i32::MAX.into(),
        Scalar::U64 => 0..=u64::MAX.into(),
        Scalar::I64 => i64::MIN.into()..=i64::MAX.into(),
        _ => return None,
    })
}
