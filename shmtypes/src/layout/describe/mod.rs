//! Descriptions of a layout: canonical JSON, its parser, what differs between two, and source code that declares it.
//!
//! Every segment stores the JSON of its type. Two programs with the same layout have the same bytes, so attaching
//! compares bytes (`json_matches`); only when they differ is the stored text parsed into a [`Layout`], which can say
//! what differs ([`Layout::differences`]) and be written down for people ([`Layout::to_rust`], [`Layout::to_c`],
//! [`Layout::to_numpy`]).
//!
//! Rules:
//!
//! 1. Canonical: no whitespace, one order of keys, one spelling of every number and text. Names of fields and variants
//!    are in it, names of types are not.
//! 2. Stored text is hostile. Any bytes give [`Layout::parse`] a layout or an error: no panic, no recursion deeper than
//!    [`Layout::MAX_DEPTH`], no allocation that is not proportional to the text, which has at most [`Layout::MAX_LEN`] bytes.
//! 3. What `parse` accepts, `to_json` writes again byte for byte. What `to_json` writes of a type that the derive
//!    accepts is accepted by `parse`, within those two limits.
//! 4. What is shown to people has no control characters in it, whatever the names are.
//!
//! What it does not promise: that a layout which a peer wrote is the layout of anything.

mod c;
mod definitions;
mod difference;
mod json;
mod numpy;
mod parse;
mod rust;
mod text;

#[cfg(test)]
mod guarded_tests;
#[cfg(test)]
mod rendering_tests;
#[cfg(test)]
mod tests;

use super::Guard;
use super::schema::{Kind, Scalar, Schema};
use json::{Node, Shape};

pub(crate) use json::json_matches;
pub use parse::InvalidSchema;

/// The layout of a type that this program may not have, as read from a segment.
///
/// Equal layouts have equal JSON: the names of types, which only layouts of this program's types have, do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    size: usize,
    align: usize,
    name: TypeName,
    kind: LayoutKind,
}

/// What a [`Layout`] is made of; [`Kind`] with everything owned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayoutKind {
    /// A number, `bool`, `char` or another leaf of fixed width.
    Scalar(Scalar),
    /// An atomic integer or `bool`.
    Atomic(Scalar),
    /// A [`ShmEvent`](crate::ShmEvent).
    Event,
    /// An integer that is never 0.
    NonZero(Scalar),
    /// An integer where 0 means `None`.
    OptionNonZero(Scalar),
    /// [`ShmStr`](super::ShmStr).
    Text {
        /// The greatest length in bytes.
        capacity: usize,
    },
    /// [`ShmBytes`](super::ShmBytes).
    Bytes {
        /// The greatest length in bytes.
        capacity: usize,
    },
    /// A fixed number of equal elements.
    Array {
        /// The element's layout.
        element: Box<Layout>,
        /// How many there are.
        length: usize,
    },
    /// A struct.
    Struct {
        /// `#[shm(version = N)]`, 0 unless given.
        version: u32,
        /// The fields by offset.
        fields: Vec<LayoutField>,
    },
    /// A fieldless enum.
    Enum {
        /// `#[shm(version = N)]`, 0 unless given.
        version: u32,
        /// The integer that stores it.
        repr: Scalar,
        /// The variants in the order of their declaration.
        variants: Vec<LayoutVariant>,
    },
    /// A foreign type known by a name that the user gave.
    Opaque {
        /// The name.
        name: String,
    },
    /// A value behind a lock, or in a cell.
    Guarded {
        /// What guards it.
        guard: Guard,
        /// The value's layout.
        value: Box<Layout>,
    },
}

/// A field of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayoutField {
    /// The field's name, or its index in a tuple struct.
    pub name: String,
    /// Where it starts, in bytes from the start of the struct.
    pub offset: usize,
    /// Its layout.
    pub layout: Layout,
}

/// A variant of an enum.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayoutVariant {
    /// The variant's name.
    pub name: String,
    /// Its discriminant.
    pub value: i128,
}

/// The name of a type, if this program knows one. No part of the layout, so all of them are equal.
#[derive(Clone, Debug)]
struct TypeName(Option<&'static str>);

impl PartialEq for TypeName {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for TypeName {}

impl Layout {
    /// The greatest length of a schema's JSON in bytes.
    pub const MAX_LEN: usize = 64 * 1024;

    /// How deep structs, arrays and guards may lie in each other.
    pub const MAX_DEPTH: usize = 32;

    /// The size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The alignment in bytes.
    #[must_use]
    pub fn align(&self) -> usize {
        self.align
    }

    /// What it is made of.
    #[must_use]
    pub fn kind(&self) -> &LayoutKind {
        &self.kind
    }

    /// The canonical JSON, as it stands in a segment.
    #[must_use]
    pub fn to_json(&self) -> String {
        json::to_json(self)
    }

    /// Reads the JSON of a segment. The bytes may be anything.
    ///
    /// # Errors
    /// [`InvalidSchema`] if `json` is not, to the byte, what [`to_json`](Self::to_json) writes.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidSchema> {
        parse::parse(json)
    }

    /// What differs between this layout, which is that of a segment, and the one that this program has: one sentence
    /// for each field. Empty if and only if they are equal; of many differences, the first and how many more.
    #[must_use]
    pub fn differences(&self, program: &Self) -> Vec<String> {
        difference::differences(self, program)
    }
}

impl Schema {
    /// The canonical JSON, as it stands in a segment of this layout.
    #[must_use]
    pub fn to_json(&self) -> String {
        json::to_json(self)
    }
}

impl From<&Schema> for Layout {
    fn from(schema: &Schema) -> Self {
        let mut name = None;
        let kind = match *schema.kind() {
            Kind::Scalar(scalar) => LayoutKind::Scalar(scalar),
            Kind::Atomic(scalar) => LayoutKind::Atomic(scalar),
            Kind::Event => LayoutKind::Event,
            Kind::NonZero(scalar) => LayoutKind::NonZero(scalar),
            Kind::OptionNonZero(scalar) => LayoutKind::OptionNonZero(scalar),
            Kind::Text { capacity } => LayoutKind::Text { capacity },
            Kind::Bytes { capacity } => LayoutKind::Bytes { capacity },
            Kind::Array { element, length } => LayoutKind::Array { element: Box::new(element.into()), length },
            Kind::Struct { name: type_name, version, fields } => {
                name = Some(type_name);
                let fields = fields.iter().map(|field| LayoutField {
                    name: field.name.to_owned(),
                    offset: field.offset,
                    layout: field.schema.into(),
                });
                LayoutKind::Struct { version, fields: fields.collect() }
            }
            Kind::Enum { name: type_name, version, repr, variants } => {
                name = Some(type_name);
                let variants = variants
                    .iter()
                    .map(|variant| LayoutVariant { name: variant.name.to_owned(), value: variant.value });
                LayoutKind::Enum { version, repr, variants: variants.collect() }
            }
            Kind::Opaque { name } => LayoutKind::Opaque { name: name.to_owned() },
            Kind::Guarded { guard, value } => LayoutKind::Guarded { guard, value: Box::new(value.into()) },
        };
        Self { size: schema.size(), align: schema.align(), name: TypeName(name), kind }
    }
}

impl Node for Schema {
    type Field = super::schema::Field;
    type Variant = super::schema::Variant;

    fn size(&self) -> usize {
        self.size()
    }

    fn align(&self) -> usize {
        self.align()
    }

    #[inline]
    fn shape(&self) -> Shape<'_, Self> {
        match *self.kind() {
            Kind::Scalar(scalar) => Shape::Scalar(scalar),
            Kind::Atomic(scalar) => Shape::Atomic(scalar),
            Kind::Event => Shape::Event,
            Kind::NonZero(scalar) => Shape::NonZero(scalar),
            Kind::OptionNonZero(scalar) => Shape::OptionNonZero(scalar),
            Kind::Text { capacity } => Shape::Text(capacity),
            Kind::Bytes { capacity } => Shape::Bytes(capacity),
            Kind::Array { element, length } => Shape::Array(element, length),
            Kind::Struct { version, fields, .. } => Shape::Struct(version, fields),
            Kind::Enum { version, repr, variants, .. } => Shape::Enum(version, repr, variants),
            Kind::Opaque { name } => Shape::Opaque(name),
            Kind::Guarded { guard, value } => Shape::Guarded(guard, value),
        }
    }

    fn field(field: &Self::Field) -> (&str, usize, &Self) {
        (field.name, field.offset, field.schema)
    }

    fn variant(variant: &Self::Variant) -> (&str, i128) {
        (variant.name, variant.value)
    }
}

impl Node for Layout {
    type Field = LayoutField;
    type Variant = LayoutVariant;

    fn size(&self) -> usize {
        self.size
    }

    fn align(&self) -> usize {
        self.align
    }

    fn shape(&self) -> Shape<'_, Self> {
        match &self.kind {
            LayoutKind::Scalar(scalar) => Shape::Scalar(*scalar),
            LayoutKind::Atomic(scalar) => Shape::Atomic(*scalar),
            LayoutKind::Event => Shape::Event,
            LayoutKind::NonZero(scalar) => Shape::NonZero(*scalar),
            LayoutKind::OptionNonZero(scalar) => Shape::OptionNonZero(*scalar),
            LayoutKind::Text { capacity } => Shape::Text(*capacity),
            LayoutKind::Bytes { capacity } => Shape::Bytes(*capacity),
            LayoutKind::Array { element, length } => Shape::Array(element, *length),
            LayoutKind::Struct { version, fields } => Shape::Struct(*version, fields),
            LayoutKind::Enum { version, repr, variants } => Shape::Enum(*version, *repr, variants),
            LayoutKind::Opaque { name } => Shape::Opaque(name),
            LayoutKind::Guarded { guard, value } => Shape::Guarded(*guard, value),
        }
    }

    fn field(field: &Self::Field) -> (&str, usize, &Self) {
        (&field.name, field.offset, &field.layout)
    }

    fn variant(variant: &Self::Variant) -> (&str, i128) {
        (&variant.name, variant.value)
    }
}
