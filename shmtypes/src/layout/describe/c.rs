//! C11 source that declares a layout.
//!
//! Its assertions make the compiler check size, alignment and every offset. An enum is its integer and a macro for each
//! variant, since a C `enum` has no fixed size. What C11 has no type for is bytes: `u128`, byte-order and foreign types,
//! and the length of a text, which is not aligned.

use super::definitions::{Definitions, distinct, unique};
use super::text::{C, identifier, is_plain};
use super::{Layout, LayoutField, LayoutKind, TypeName};
use crate::layout::guarded::READERS;
use crate::layout::{Guard, Scalar, Schema};

impl Layout {
    /// C11 source that declares this layout as `name`, the types inside it first.
    ///
    /// What is neither struct, lock, cell nor enum is declared as a struct with the one member `value`.
    #[must_use]
    pub fn to_c(&self, name: &str) -> String {
        spelled_out(self.clone()).declared_in_c(name)
    }

    /// C11 source of a layout without guards.
    fn declared_in_c(&self, name: &str) -> String {
        let (mut definitions, name) = Definitions::new(self, name, C);
        let mut constants = core::mem::take(&mut definitions.taken);
        let mut source = String::from("#include <stddef.h>\n#include <stdint.h>\n");
        for definition in &definitions.list {
            let (name, layout) = (&definition.identifier, definition.layout);
            match &layout.kind {
                LayoutKind::Struct { version, fields } => {
                    source.push_str(&version_of(*version));
                    let identifiers = distinct(fields.iter().map(|field| field.name.as_str()), C);
                    let members = fields.iter().zip(&identifiers);
                    let members: Vec<_> = members.map(|(field, identifier)| Member::of(field, identifier)).collect();
                    source.push_str(&structure(name, layout, &members, &definitions));
                }
                LayoutKind::Enum { version, repr, variants } => {
                    source.push_str(&version_of(*version));
                    source.push_str(&format!("typedef {} {name};\n", integer(*repr)));
                    for variant in variants {
                        let constant = identifier(&format!("{name}_{}", variant.name), C);
                        let constant = unique(&mut constants, constant);
                        let original = original(&variant.name, constant.ends_with(&variant.name));
                        let value = constant_value(variant.value);
                        source.push_str(&format!("#define {constant} (({name}){value}){original}\n"));
                    }
                }
                _ => {}
            }
        }
        if !matches!(self.kind, LayoutKind::Struct { .. } | LayoutKind::Enum { .. }) {
            let member = Member { identifier: "value", original: "value", offset: 0, layout: self };
            source.push('\n');
            source.push_str(&structure(&name, self, &[member], &definitions));
        }
        source
    }
}

impl Schema {
    /// C11 source that declares this layout as `name`, the types inside it first.
    #[must_use]
    pub fn to_c(&self, name: &str) -> String {
        Layout::from(self).to_c(name)
    }
}

struct Member<'a> {
    identifier: &'a str,
    original: &'a str,
    offset: usize,
    layout: &'a Layout,
}

impl<'a> Member<'a> {
    fn of(field: &'a LayoutField, identifier: &'a str) -> Self {
        Self { identifier, original: &field.name, offset: field.offset, layout: &field.layout }
    }
}

fn structure(name: &str, layout: &Layout, members: &[Member<'_>], definitions: &Definitions<'_>) -> String {
    let mut source = format!("typedef struct {name} {{\n");
    let most = members.iter().map(|member| member.layout.align).max();
    for (index, member) in members.iter().enumerate() {
        if index == 0 && most != Some(layout.align) {
            source.push_str(&format!("    _Alignas({})\n", layout.align));
        }
        let declaration = declaration(member.layout, member.identifier, definitions);
        let original = original(member.original, member.original == member.identifier);
        source.push_str(&format!("    {declaration};{original}\n"));
    }
    source.push_str(&format!("}} {name};\n"));
    let (size, align) = (layout.size, layout.align);
    source.push_str(&format!("_Static_assert(sizeof({name}) == {size}, \"size of {name}\");\n"));
    source.push_str(&format!("_Static_assert(_Alignof({name}) == {align}, \"alignment of {name}\");\n"));
    for Member { identifier, offset, .. } in members {
        let offset_of = format!("offsetof({name}, {identifier})");
        source.push_str(&format!("_Static_assert({offset_of} == {offset}, \"offset of {name}.{identifier}\");\n"));
    }
    source
}

/// The declaration of a member, with a comment where its C type does not tell what it is.
fn declaration(layout: &Layout, identifier: &str, definitions: &Definitions<'_>) -> String {
    let mut declarator = identifier.to_owned();
    let mut layout = layout;
    while let LayoutKind::Array { element, length } = &layout.kind {
        declarator.push_str(&format!("[{length}]"));
        layout = element;
    }
    let (size, align) = (layout.size, layout.align);
    let bytes = |comment: &str| {
        let align = if align == 1 { String::new() } else { format!("_Alignas({align}) ") };
        format!("{align}unsigned char {declarator}[{size}] /* {} */", comment_text(comment))
    };
    match &layout.kind {
        LayoutKind::Scalar(scalar) => match scalar_type(*scalar) {
            Some(name) => format!("{name} {declarator}"),
            None => bytes(scalar.name()),
        },
        LayoutKind::Atomic(scalar) => format!("_Atomic {} {declarator}", integer(*scalar)),
        LayoutKind::Event => format!("_Atomic uint32_t {declarator}"),
        LayoutKind::NonZero(scalar) | LayoutKind::OptionNonZero(scalar) => match scalar_type(*scalar) {
            Some(name) => format!("{name} {declarator}"),
            None => bytes(scalar.name()),
        },
        LayoutKind::Text { capacity } => {
            format!("struct {{ unsigned char len[4]; char text[{capacity}]; }} {declarator}")
        }
        LayoutKind::Bytes { capacity } => {
            format!("struct {{ unsigned char len[4]; unsigned char bytes[{capacity}]; }} {declarator}")
        }
        LayoutKind::Struct { .. } | LayoutKind::Enum { .. } => {
            format!("{} {declarator}", definitions.name_of(layout))
        }
        LayoutKind::Opaque { name } => bytes(name),
        // Of what is left, an array was entered and a guard was spelled out.
        LayoutKind::Array { .. } | LayoutKind::Guarded { .. } => declarator,
    }
}

/// The layout with locks and cells as the structs that they are in memory; C leaves the gaps by the same rules.
fn spelled_out(mut layout: Layout) -> Layout {
    match layout.kind {
        LayoutKind::Array { ref mut element, .. } => replace(element),
        LayoutKind::Struct { ref mut fields, .. } => fields.iter_mut().for_each(|field| replace(&mut field.layout)),
        LayoutKind::Guarded { guard, mut value } => {
            replace(&mut value);
            return guard_structure(guard, *value);
        }
        _ => {}
    }
    layout
}

fn replace(layout: &mut Layout) {
    let nothing = of(0, 1, None, LayoutKind::Scalar(Scalar::U8));
    *layout = spelled_out(core::mem::replace(layout, nothing));
}

fn of(size: usize, align: usize, name: Option<&'static str>, kind: LayoutKind) -> Layout {
    Layout { size, align, name: TypeName(name), kind }
}

fn guard_structure(guard: Guard, value: Layout) -> Layout {
    let Some(geometry) = guard.geometry(value.size, value.align) else { return value };
    let word = || of(8, 8, None, LayoutKind::Atomic(Scalar::U64));
    let array = |element: Layout, length| {
        of(element.size * length, element.align, None, LayoutKind::Array { element: Box::new(element), length })
    };
    let structure = |size, name, fields: Vec<(&str, usize, Layout)>| {
        let field = |(name, offset, layout)| LayoutField { name: String::from(name), offset, layout };
        let fields = fields.into_iter().map(field).collect();
        of(size, geometry.align, Some(name), LayoutKind::Struct { version: 0, fields })
    };
    match guard {
        Guard::Mutex => {
            structure(geometry.size, "ShmMutex", vec![("lock", 0, word()), ("value", geometry.value, value)])
        }
        Guard::RwLock => {
            let readers = array(word(), READERS);
            let fields = vec![("lock", 0, word()), ("readers", 8, readers), ("value", geometry.value, value)];
            structure(geometry.size, "ShmRwLock", fields)
        }
        Guard::Cell { buffers } => {
            let buffer = vec![("version", 0, word()), ("value", geometry.value, value)];
            let buffer = structure(geometry.stride, "SeqCellBuffer", buffer);
            let fields = vec![
                ("lock", 0, word()),
                ("current", 8, word()),
                ("changed", 16, of(4, 4, None, LayoutKind::Atomic(Scalar::U32))),
                ("reserved", 20, of(4, 4, None, LayoutKind::Scalar(Scalar::U32))),
                ("buffers", geometry.copies, array(buffer, buffers)),
            ];
            structure(geometry.size, "SeqCell", fields)
        }
    }
}

/// A C11 integer constant of a type that holds the value.
fn constant_value(value: i128) -> String {
    if value == i64::MIN.into() {
        // C has no negative constants, and its positive one does not fit.
        return format!("({}ll - 1)", i64::MIN + 1);
    }
    let suffix = match value {
        ..0 => "ll",
        0..=0xffff_ffff => "u",
        _ => "ull",
    };
    format!("{value}{suffix}")
}

/// The C type of an integer or `bool`, which all atomics and enums are.
fn integer(scalar: Scalar) -> &'static str {
    scalar_type(scalar).unwrap_or("unsigned char")
}

fn scalar_type(scalar: Scalar) -> Option<&'static str> {
    use Scalar as S;
    Some(match scalar {
        S::U8 => "uint8_t",
        S::I8 => "int8_t",
        S::U16 | S::F16 | S::Bf16 => "uint16_t",
        S::I16 => "int16_t",
        S::U32 | S::Char => "uint32_t",
        S::I32 => "int32_t",
        S::U64 => "uint64_t",
        S::I64 => "int64_t",
        S::F32 => "float",
        S::F64 => "double",
        S::Complex32 => "float _Complex",
        S::Complex64 => "double _Complex",
        S::Bool => "_Bool",
        _ => return None,
    })
}

fn version_of(version: u32) -> String {
    if version == 0 { "\n".to_owned() } else { format!("\n/* version {version} */\n") }
}

/// The name in the schema, where the identifier is another.
fn original(name: &str, same: bool) -> String {
    if same { String::new() } else { format!(" /* {} */", comment_text(name)) }
}

/// A text that neither ends a comment nor begins another one.
fn comment_text(text: &str) -> String {
    let mut comment = String::new();
    for c in text.chars() {
        if is_plain(c) && c != '/' && c != '\\' {
            comment.push(c);
        } else {
            comment.push_str(&format!("\\u{:04x}", c as u32));
        }
    }
    comment
}
