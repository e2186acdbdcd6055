//! `#[shm(...)]` on types, fields and variants.
//!
//! Every key is judged by itself, so that one wrong key does not hide the next, and each error stands under the key or
//! the value that is wrong.

use crate::ctxt::Ctxt;
use proc_macro2::Span;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, Ident, Lit, LitStr, Meta, Path, Token};

/// What stands in `#[shm(...)]` on the type.
#[derive(Default)]
pub(crate) struct TypeAttrs {
    /// `crate = "path"`. `None` in the outer option if it was given and is no path.
    pub(crate) krate: Given<Path>,
    /// `rename = "…"`
    pub(crate) rename: Option<LitStr>,
    /// `version = N`
    pub(crate) version: u32,
    /// `view = "Name"`
    pub(crate) view: Option<Ident>,
    /// The place of `bytemuck`.
    pub(crate) bytemuck: Option<Span>,
}

/// Whether a key was given, and rightly.
#[derive(Default)]
pub(crate) enum Given<T> {
    #[default]
    No,
    Wrong,
    Yes(T),
}

/// What stands in `#[shm(...)]` on a field.
#[derive(Default)]
pub(crate) struct FieldAttrs {
    /// `rename = "…"`
    pub(crate) rename: Option<LitStr>,
    /// `bytemuck = "name"`
    pub(crate) bytemuck: Option<LitStr>,
}

/// What stands in `#[shm(...)]` on a variant.
#[derive(Default)]
pub(crate) struct VariantAttrs {
    /// `rename = "…"`
    pub(crate) rename: Option<LitStr>,
}

const TYPE_KEYS: &[&str] = &["crate", "rename", "version", "view", "bytemuck"];
const FIELD_KEYS: &[&str] = &["rename", "bytemuck"];
const VARIANT_KEYS: &[&str] = &["rename"];

impl TypeAttrs {
    pub(crate) fn parse(cx: &mut Ctxt, attributes: &[Attribute]) -> Self {
        let mut attrs = Self::default();
        for (key, meta) in entries(cx, attributes, TYPE_KEYS, "a type") {
            match key {
                "crate" => {
                    attrs.krate = match crate_path(cx, &meta) {
                        Some(path) => Given::Yes(path),
                        None => Given::Wrong,
                    }
                }
                "rename" => attrs.rename = name(cx, &meta),
                "version" => attrs.version = version(cx, &meta).unwrap_or(0),
                "view" => attrs.view = view(cx, &meta),
                _ => attrs.bytemuck = flag(cx, &meta),
            }
        }
        attrs
    }
}

impl FieldAttrs {
    pub(crate) fn parse(cx: &mut Ctxt, attributes: &[Attribute]) -> Self {
        let mut attrs = Self::default();
        for (key, meta) in entries(cx, attributes, FIELD_KEYS, "a field") {
            match key {
                "rename" => attrs.rename = name(cx, &meta),
                _ => attrs.bytemuck = name(cx, &meta),
            }
        }
        attrs
    }
}

impl VariantAttrs {
    pub(crate) fn parse(cx: &mut Ctxt, attributes: &[Attribute]) -> Self {
        let mut attrs = Self::default();
        for (_, meta) in entries(cx, attributes, VARIANT_KEYS, "a variant") {
            attrs.rename = name(cx, &meta);
        }
        attrs
    }
}

/// The entries with keys that may stand here, each key once.
fn entries(
    cx: &mut Ctxt,
    attributes: &[Attribute],
    allowed: &'static [&'static str],
    place: &str,
) -> Vec<(&'static str, Meta)> {
    let mut found: Vec<(&'static str, Meta)> = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("shm")) {
        if !matches!(attribute.meta, Meta::List(_)) {
            cx.refuse(&attribute.meta, format_args!("expected `#[shm(...)]` with one of {}", listed(allowed)));
            continue;
        }
        let metas = match attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated) {
            Ok(metas) => metas,
            Err(error) => {
                cx.push(error);
                continue;
            }
        };
        for meta in metas {
            let path = meta.path();
            let key = path.get_ident().map(Ident::to_string).unwrap_or_default();
            let Some(known) = allowed.iter().copied().find(|allowed| *allowed == key) else {
                let places = elsewhere(&key, place);
                if places.is_empty() {
                    cx.refuse(path, format_args!("unknown key; {place} takes {}", listed(allowed)));
                } else {
                    cx.refuse(path, format_args!("`{key}` belongs on {places}; {place} takes {}", listed(allowed)));
                }
                continue;
            };
            if found.iter().any(|(key, _)| *key == known) {
                cx.refuse(path, format_args!("`{known}` is given twice; remove one"));
            } else {
                found.push((known, meta));
            }
        }
    }
    found
}

/// Where `key` may stand, other than on `place`.
fn elsewhere(key: &str, place: &str) -> String {
    [("a type", TYPE_KEYS), ("a field", FIELD_KEYS), ("a variant", VARIANT_KEYS)]
        .iter()
        .filter(|(other, keys)| *other != place && keys.contains(&key))
        .map(|(other, _)| other.replace("a type", "the type"))
        .collect::<Vec<_>>()
        .join(" or ")
}

fn listed(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

/// The text in `key = "text"`.
fn text(cx: &mut Ctxt, meta: &Meta, example: &str) -> Option<LitStr> {
    let key = meta.path().get_ident().map(Ident::to_string).unwrap_or_default();
    match meta {
        Meta::NameValue(pair) => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => return Some(text.clone()),
            other => cx.refuse(other, format_args!("expected text in quotes, as in `{key} = \"{example}\"`")),
        },
        _ => cx.refuse(meta, format_args!("`{key}` takes a value, as in `{key} = \"{example}\"`")),
    }
    None
}

/// A name for the schema.
fn name(cx: &mut Ctxt, meta: &Meta) -> Option<LitStr> {
    let text = text(cx, meta, "name")?;
    if text.value().is_empty() {
        cx.refuse(&text, "a name in the schema must not be empty");
        return None;
    }
    Some(text)
}

fn view(cx: &mut Ctxt, meta: &Meta) -> Option<Ident> {
    let text = text(cx, meta, "Name")?;
    match text.parse::<Ident>() {
        Ok(ident) => Some(ident),
        Err(_) => {
            cx.refuse(&text, "expected the name of a type, as in `view = \"Name\"`");
            None
        }
    }
}

fn version(cx: &mut Ctxt, meta: &Meta) -> Option<u32> {
    let wrong = "expected a number from 0 to 4294967295, as in `version = 2`";
    match meta {
        Meta::NameValue(pair) => {
            if let Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) = &pair.value
                && number.suffix().is_empty()
                && let Ok(version) = number.base10_parse()
            {
                return Some(version);
            }
            cx.refuse(&pair.value, wrong);
        }
        _ => cx.refuse(meta, wrong),
    }
    None
}

fn flag(cx: &mut Ctxt, meta: &Meta) -> Option<Span> {
    match meta {
        Meta::Path(path) => Some(path.span()),
        Meta::NameValue(pair) => {
            cx.refuse(&pair.value, "on a type `bytemuck` takes no value; a foreign type's name belongs on the field");
            None
        }
        Meta::List(list) => {
            cx.refuse(list, "on a type `bytemuck` takes no value");
            None
        }
    }
}

fn crate_path(cx: &mut Ctxt, meta: &Meta) -> Option<Path> {
    let text = text(cx, meta, "::shmtypes")?;
    match text.parse_with(Path::parse_mod_style).ok().and_then(absolute) {
        Some(path) => Some(path),
        None => {
            cx.refuse(&text, "expected the path of the crate `shmtypes`, as in `crate = \"::shmtypes\"`");
            None
        }
    }
}

/// The path, made to mean the same in every module; `None` if it means nothing as the path of a crate.
///
/// `crate`, `self` and `super` may only begin a path, `super` also after `self` or `super`; `Self` is no module.
pub(crate) fn absolute(mut path: Path) -> Option<Path> {
    let mut may_climb = path.leading_colon.is_none();
    let mut first = may_climb;
    for segment in &path.segments {
        match segment.ident.to_string().as_str() {
            "Self" => return None,
            "crate" if !first => return None,
            "crate" => may_climb = false,
            "self" if !first => return None,
            "super" if !may_climb => return None,
            "self" | "super" => {}
            _ => may_climb = false,
        }
        first = false;
    }
    let starts_here = matches!(path.segments.first()?.ident.to_string().as_str(), "crate" | "self" | "super");
    if !starts_here {
        path.leading_colon.get_or_insert_with(Default::default);
    }
    Some(path)
}
