//! Rust source that declares a layout.
//!
//! What the derive makes of it has the same schema. Names that are no ASCII identifier get one and keep their own with
//! `#[shm(rename = "…")]`; a foreign type is taken to have the path that its recorded name spells.

use super::definitions::{Definitions, distinct};
use super::text::{RUST, identifier, is_plain, shown};
use super::{Layout, LayoutField, LayoutKind, LayoutVariant};
use crate::layout::{Scalar, Schema};

impl Layout {
    /// Rust source that declares this layout as `name`, the types inside it first.
    #[must_use]
    pub fn to_rust(&self, name: &str) -> String {
        let (definitions, name) = Definitions::new(self, name, RUST);
        let mut items: Vec<String> = Vec::new();
        for definition in &definitions.list {
            let (identifier, layout) = (&definition.identifier, definition.layout);
            match &layout.kind {
                LayoutKind::Struct { version, fields } => {
                    items.push(structure(identifier, layout, *version, fields, &definitions));
                }
                LayoutKind::Enum { version, repr, variants } => {
                    items.push(enumeration(identifier, *version, *repr, variants));
                }
                _ => {}
            }
        }
        if !matches!(self.kind, LayoutKind::Struct { .. } | LayoutKind::Enum { .. }) {
            items.push(format!("pub type {name} = {};\n", type_of(self, &definitions)));
        }
        items.join("\n")
    }
}

impl Schema {
    /// Rust source that declares this layout as `name`, the types inside it first.
    #[must_use]
    pub fn to_rust(&self, name: &str) -> String {
        Layout::from(self).to_rust(name)
    }
}

fn structure(
    name: &str,
    layout: &Layout,
    version: u32,
    fields: &[LayoutField],
    definitions: &Definitions<'_>,
) -> String {
    let copy = if has_atomic(layout) { "" } else { "Clone, Copy, " };
    let most = fields.iter().map(|field| field.layout.align).max();
    let align = if most == Some(layout.align) { String::new() } else { format!(", align({})", layout.align) };
    let mut source = format!("#[derive({copy}shmtypes::ShmLayout)]\n#[repr(C{align})]\n{}", version_of(version));
    let tuple = fields.iter().enumerate().all(|(index, field)| field.name == index.to_string());
    source.push_str(&format!("pub struct {name}{}\n", if tuple { "(" } else { " {" }));
    for (field, identifier) in fields.iter().zip(distinct(fields.iter().map(|field| field.name.as_str()), RUST)) {
        if !tuple && identifier != field.name {
            source.push_str(&format!("    #[shm(rename = {})]\n", literal(&field.name)));
        }
        if let LayoutKind::Opaque { name } = &field.layout.kind {
            let (size, align) = (field.layout.size, field.layout.align);
            source.push_str(&format!(
                "    // {size} bytes, alignment {align}\n    #[shm(bytemuck = {})]\n",
                literal(name)
            ));
        }
        let name = if tuple { String::new() } else { format!("{identifier}: ") };
        source.push_str(&format!("    pub {name}{},\n", type_of(&field.layout, definitions)));
    }
    source + if tuple { ");\n" } else { "}\n" }
}

fn enumeration(name: &str, version: u32, repr: Scalar, variants: &[LayoutVariant]) -> String {
    let mut source = format!(
        "#[derive(Clone, Copy, shmtypes::ShmLayout)]\n#[repr({})]\n{}pub enum {name} {{\n",
        repr.name(),
        version_of(version)
    );
    let identifiers = distinct(variants.iter().map(|variant| variant.name.as_str()), RUST);
    for (variant, identifier) in variants.iter().zip(identifiers) {
        if identifier != variant.name {
            source.push_str(&format!("    #[shm(rename = {})]\n", literal(&variant.name)));
        }
        source.push_str(&format!("    {identifier} = {},\n", variant.value));
    }
    source + "}\n"
}

fn version_of(version: u32) -> String {
    if version == 0 { String::new() } else { format!("#[shm(version = {version})]\n") }
}

fn has_atomic(layout: &Layout) -> bool {
    match &layout.kind {
        LayoutKind::Atomic(_) | LayoutKind::Event | LayoutKind::Guarded { .. } => true,
        LayoutKind::Array { element, .. } => has_atomic(element),
        LayoutKind::Struct { fields, .. } => fields.iter().any(|field| has_atomic(&field.layout)),
        _ => false,
    }
}

fn type_of(layout: &Layout, definitions: &Definitions<'_>) -> String {
    match &layout.kind {
        LayoutKind::Scalar(scalar) => scalar_type(*scalar),
        LayoutKind::Atomic(scalar) => {
            let (first, rest) = scalar.name().split_at(1);
            format!("core::sync::atomic::Atomic{}{rest}", first.to_ascii_uppercase())
        }
        LayoutKind::Event => "shmtypes::ShmEvent".to_owned(),
        LayoutKind::NonZero(scalar) => format!("core::num::NonZero<{}>", scalar.name()),
        LayoutKind::OptionNonZero(scalar) => format!("Option<core::num::NonZero<{}>>", scalar.name()),
        LayoutKind::Text { capacity } => format!("shmtypes::ShmStr<{capacity}>"),
        LayoutKind::Bytes { capacity } => format!("shmtypes::ShmBytes<{capacity}>"),
        LayoutKind::Array { element, length } => format!("[{}; {length}]", type_of(element, definitions)),
        LayoutKind::Guarded { guard, value } => {
            format!("shmtypes::sync::{}", guard.type_name(&type_of(value, definitions)))
        }
        LayoutKind::Struct { .. } | LayoutKind::Enum { .. } => definitions.name_of(layout).to_owned(),
        LayoutKind::Opaque { name } => path(name),
    }
}

fn scalar_type(scalar: Scalar) -> String {
    use Scalar as S;
    match scalar {
        S::F16 | S::Bf16 => format!("half::{}", scalar.name()),
        S::Complex32 | S::Complex64 => {
            format!("num_complex::Complex<{}>", if scalar == S::Complex32 { "f32" } else { "f64" })
        }
        S::Uuid => "uuid::Uuid".to_owned(),
        _ => match (scalar.name().strip_suffix("le"), scalar.name().strip_suffix("be")) {
            (Some(number), _) => format!("zerocopy::byteorder::little_endian::{}", number.to_ascii_uppercase()),
            (_, Some(number)) => format!("zerocopy::byteorder::big_endian::{}", number.to_ascii_uppercase()),
            _ => scalar.name().to_owned(),
        },
    }
}

/// The recorded name of a foreign type, if it spells a path, else an identifier made from it.
fn path(name: &str) -> String {
    let is_path = name.split("::").all(|segment| identifier(segment, RUST) == segment);
    if is_path { shown(name) } else { identifier(&shown(name), RUST) }
}

/// A Rust string literal.
fn literal(text: &str) -> String {
    let mut literal = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            c if is_plain(c) => literal.push(c),
            c => literal.push_str(&format!("\\u{{{:x}}}", c as u32)),
        }
    }
    literal + "\""
}
