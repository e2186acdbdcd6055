//! The representation: only those that say the layout completely can be expressed.

use crate::ctxt::Ctxt;
use proc_macro2::Span;
use syn::punctuated::Punctuated;
use syn::{Attribute, Ident, Meta, Token};

/// The integer that stores an enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Integer {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
}

impl Integer {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "u8" => Self::U8,
            "i8" => Self::I8,
            "u16" => Self::U16,
            "i16" => Self::I16,
            "u32" => Self::U32,
            "i32" => Self::I32,
            "u64" => Self::U64,
            "i64" => Self::I64,
            _ => return None,
        })
    }

    /// Its own name, the unsigned type of the same width, and the name in `Scalar`.
    pub(crate) fn names(self) -> (Ident, Ident, Ident) {
        let (own, word, scalar) = match self {
            Self::U8 => ("u8", "u8", "U8"),
            Self::I8 => ("i8", "u8", "I8"),
            Self::U16 => ("u16", "u16", "U16"),
            Self::I16 => ("i16", "u16", "I16"),
            Self::U32 => ("u32", "u32", "U32"),
            Self::I32 => ("i32", "u32", "I32"),
            Self::U64 => ("u64", "u64", "U64"),
            Self::I64 => ("i64", "u64", "I64"),
        };
        let ident = |name| Ident::new(name, Span::call_site());
        (ident(own), ident(word), ident(scalar))
    }
}

/// Checks the representation of a struct.
pub(crate) fn of_struct(cx: &mut Ctxt, ident: &Ident, attributes: &[Attribute]) {
    let before = cx.count();
    let mut fixed = false;
    for meta in hints(cx, attributes) {
        match key(&meta).as_str() {
            "C" | "transparent" => fixed = true,
            "align" => {}
            "packed" => cx.refuse(
                &meta,
                "a packed struct has fields at unaligned addresses; remove `packed`, and order the fields so that no \
                 padding is left",
            ),
            "Rust" => cx.refuse(&meta, "the layout of `repr(Rust)` may differ between two builds; write `repr(C)`"),
            _ => cx.refuse(&meta, "this representation is not for structs; write `repr(C)`"),
        }
    }
    if !fixed && cx.count() == before {
        cx.refuse(ident, "the default layout may differ between two builds; add `#[repr(C)]`");
    }
}

/// Checks the representation of an enum and returns its integer.
pub(crate) fn of_enum(cx: &mut Ctxt, ident: &Ident, attributes: &[Attribute]) -> Option<Integer> {
    let before = cx.count();
    let mut integer = None;
    for meta in hints(cx, attributes) {
        let key = key(&meta);
        match key.as_str() {
            "C" => cx.refuse(
                &meta,
                "the width of a `repr(C)` enum is the C compiler's choice; write `repr(u8)` or another fixed width",
            ),
            "Rust" | "transparent" => {
                cx.refuse(&meta, format_args!("`repr({key})` gives an enum no fixed width; write `repr(u8)`"));
            }
            "usize" | "isize" => {
                cx.refuse(&meta, format_args!("the width of `{key}` differs between programs; write `{}`", wider(&key)))
            }
            "u128" | "i128" => {
                cx.refuse(&meta, format_args!("an enum is stored in at most 8 bytes; write `{}`", wider(&key)))
            }
            "align" => cx.refuse(
                &meta,
                "`align` leaves padding after the integer of an enum; write a wider integer, or align the struct",
            ),
            name => match Integer::parse(name) {
                Some(width) => integer = Some(width),
                None => cx.refuse(&meta, "this representation is not for enums; write `repr(u8)`"),
            },
        }
    }
    if integer.is_none() && cx.count() == before {
        cx.refuse(ident, "the width of this enum may differ between two builds; add `#[repr(u8)]`");
    }
    integer
}

fn wider(name: &str) -> &'static str {
    if name.starts_with('u') { "u64" } else { "i64" }
}

fn key(meta: &Meta) -> String {
    meta.path().get_ident().map(Ident::to_string).unwrap_or_default()
}

/// All entries of all `#[repr(...)]` attributes.
fn hints(cx: &mut Ctxt, attributes: &[Attribute]) -> Vec<Meta> {
    let mut hints = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("repr")) {
        match attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated) {
            Ok(metas) => hints.extend(metas),
            Err(error) => cx.push(error),
        }
    }
    hints
}
