//! The rules that need the whole type, and the field types that can be refused by their names.
//!
//! A name is no type: `Vec` may be the user's own. A container of the standard library is recognised when it is written
//! as one (`Vec<T>`, `std::vec::Vec<T>`), with as many parameters as the real one has. Whatever is missed here, the
//! compiler refuses by the trait, with that trait's message.

use crate::ast::{Record, Shape};
use crate::ctxt::Ctxt;
use proc_macro2::{Ident, Span};
use quote::ToTokens;
use std::collections::HashSet;
use syn::{Expr, ExprLit, GenericArgument, Lit, LitStr, PathArguments, Type, TypePath};

pub(crate) fn check(cx: &mut Ctxt, record: &mut Record<'_>) {
    for lifetime in record.generics.lifetimes() {
        cx.refuse(lifetime, "a segment outlives every borrow; store the value itself in place of a reference");
    }
    match &mut record.shape {
        Shape::Struct(fields) => {
            if fields.is_empty() {
                cx.refuse(record.ident, "a type without fields has no bytes to share; give it a field");
            }
            let mut names = HashSet::new();
            for field in fields.iter_mut() {
                let before = cx.count();
                field_type(cx, field.ty);
                field.refused = cx.count() > before;
                unique(cx, &mut names, "fields", &field.name, field.rename.as_ref(), field.ends().0);
            }
        }
        Shape::Enum(_, variants) => {
            let mut names = HashSet::new();
            for variant in variants.iter() {
                unique(cx, &mut names, "variants", &variant.name, variant.rename.as_ref(), variant.ident.span());
            }
            let parameters = &record.generics.params;
            if !parameters.is_empty() && record.generics.lifetimes().next().is_none() {
                cx.refuse(parameters, "an enum without data takes no parameters; remove them");
            }
            if let Some(span) = record.view_given {
                let message = "an enum has no fields and so no view of its own; remove `view`";
                cx.push(syn::Error::new(span, message));
            }
            if let Some(span) = record.bytemuck {
                let message = "an enum has invalid bit patterns, so it is no `bytemuck::Pod`; remove `bytemuck`, or \
                               store the integer";
                cx.push(syn::Error::new(span, message));
            }
        }
        Shape::Refused => {}
    }
    if let (Shape::Struct(_), Some(span)) = (&record.shape, record.bytemuck)
        && record.is_generic()
    {
        let message = "`bytemuck` needs a type without parameters, whose padding can be judged here; remove it, or \
                       write the type out";
        cx.push(syn::Error::new(span, message));
    }
}

fn unique(cx: &mut Ctxt, names: &mut HashSet<String>, what: &str, name: &str, rename: Option<&LitStr>, span: Span) {
    if !names.insert(name.to_owned()) {
        let span = rename.map_or(span, LitStr::span);
        cx.push(syn::Error::new(span, format_args!("two {what} are called `{name}` in the schema; rename one")));
    }
}

/// Refuses what cannot stand in a segment, under the part of the type that is wrong.
fn field_type(cx: &mut Ctxt, ty: &Type) {
    match ty {
        Type::Array(array) => {
            field_type(cx, &array.elem);
            if let Expr::Lit(ExprLit { lit: Lit::Int(length), .. }) = &array.len
                && length.base10_parse::<u64>().is_ok_and(|length| length == 0)
            {
                cx.refuse(length, "an array without elements has no bytes to share; remove the field");
            }
        }
        Type::Group(group) => field_type(cx, &group.elem),
        Type::Paren(paren) => field_type(cx, &paren.elem),
        Type::Path(path) => path_type(cx, path),
        Type::Reference(_) => cx.refuse(
            ty,
            "a reference means nothing in another process; store the value itself, `ShmStr<N>` for text, or an index",
        ),
        Type::Ptr(_) => cx.refuse(ty, "a pointer means nothing in another process; store an offset or an index"),
        Type::BareFn(_) => {
            cx.refuse(
                ty,
                "a function pointer means nothing in another process; store an enum that selects the function",
            );
        }
        Type::Slice(slice) => cx.refuse(
            ty,
            format_args!(
                "a slice has no fixed size; use `[{}; N]`, or a container of its own",
                slice.elem.to_token_stream()
            ),
        ),
        Type::Tuple(tuple) if tuple.elems.is_empty() => {
            cx.refuse(ty, "`()` has no bytes to share; remove the field");
        }
        Type::Tuple(_) => cx.refuse(
            ty,
            "the layout of a tuple may differ between two builds; use a `#[repr(C)]` struct with \
             `#[derive(ShmLayout)]`",
        ),
        Type::TraitObject(_) | Type::ImplTrait(_) => {
            cx.refuse(ty, "a trait object has no fixed layout; use a concrete type");
        }
        Type::Never(_) => cx.refuse(ty, "`!` has no values; remove the field"),
        _ => {}
    }
}

fn path_type(cx: &mut Ctxt, ty: &TypePath) {
    let before = cx.count();
    let Some(last) = ty.path.segments.last() else { return };
    let arguments: Vec<&Type> = match &last.arguments {
        PathArguments::AngleBracketed(list) => list
            .args
            .iter()
            .filter_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    if ty.qself.is_none() && is_standard(ty) {
        standard_type(cx, ty, &last.ident, &arguments);
    }
    if cx.count() == before {
        for argument in arguments {
            // What a parameter of the user's own type means is not known here, except where it cannot be right.
            if matches!(argument, Type::Reference(_) | Type::Ptr(_) | Type::BareFn(_)) || is_word(argument) {
                field_type(cx, argument);
            }
        }
    }
}

/// Whether the path may be one of the standard library: a bare name, or one that begins with the library's.
fn is_standard(ty: &TypePath) -> bool {
    let segments = &ty.path.segments;
    segments.len() == 1
        || segments.first().is_some_and(|first| ["std", "core", "alloc"].iter().any(|krate| first.ident == krate))
}

/// `usize` or `isize`.
fn is_word(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.is_ident("usize") || path.path.is_ident("isize"))
}

fn standard_type(cx: &mut Ctxt, ty: &TypePath, ident: &Ident, arguments: &[&Type]) {
    let name = ident.to_string();
    let first = arguments.first().map(|first| first.to_token_stream().to_string().replace(' ', ""));
    let instead = match (name.as_str(), arguments.len()) {
        ("usize" | "AtomicUsize" | "NonZeroUsize", 0) => {
            let instead = name.replace("usize", "u64").replace("Usize", "U64");
            return cx.refuse(ty, format_args!("the width of `{name}` differs between programs; use `{instead}`"));
        }
        ("isize" | "AtomicIsize" | "NonZeroIsize", 0) => {
            let instead = name.replace("isize", "i64").replace("Isize", "I64");
            return cx.refuse(ty, format_args!("the width of `{name}` differs between programs; use `{instead}`"));
        }
        ("AtomicPtr", 1) | ("NonNull", 1) => {
            let message = format!("`{name}` holds a pointer, which means nothing in another process; use an index");
            return cx.refuse(ty, message);
        }
        ("PhantomData", 1) => {
            return cx.refuse(ty, "`PhantomData` has no bytes to share; remove the field");
        }
        ("str", 0) => return cx.refuse(ty, "`str` has no fixed size; use `ShmStr<N>`"),
        ("Self", _) => return cx.refuse(ty, "a type cannot contain itself; store an index"),
        ("String" | "PathBuf" | "OsString" | "CString", 0) => {
            "`ShmStr<N>`, or `ShmBytes<N>` where it may not be UTF-8".into()
        }
        ("Vec" | "VecDeque" | "LinkedList" | "BinaryHeap", 1) => match first.as_deref() {
            Some("u8") => "`ShmBytes<N>`, or `[u8; N]`".into(),
            element => format!("`[{}; N]`, or a container of its own", element.unwrap_or("T")),
        },
        ("Box" | "Rc" | "Arc" | "Cow", 1) => match first.as_deref() {
            Some("str") => "`ShmStr<N>`".into(),
            Some("[u8]") => "`ShmBytes<N>`".into(),
            Some(value) if !value.starts_with("dyn") && !value.starts_with('[') => format!("`{value}` itself"),
            _ => "the value itself".into(),
        },
        ("HashMap" | "BTreeMap", 2 | 3) | ("HashSet" | "BTreeSet", 1 | 2) => {
            "a sorted array of keys and values, or a `ShmArchive` beside the segment".into()
        }
        _ => return,
    };
    cx.refuse(ty, format_args!("`{name}` keeps its content on the heap of one process; use {instead}"));
}
