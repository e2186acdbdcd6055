//! The structs and enums inside a layout, in the order in which source code must define them, each with a name.
//!
//! A layout of this program's types knows their names. One from a segment does not; its types are called by the way to
//! them: the type of `legs` in `Body` is `BodyLegs`. Two equal ones are one type.

use super::text::identifier;
use super::{Layout, LayoutKind};
use std::collections::{HashMap, HashSet};

pub(super) struct Definitions<'a> {
    /// Each after those that it contains.
    pub(super) list: Vec<Definition<'a>>,
    places: HashMap<*const Layout, usize>,
    /// Names that are in use.
    pub(super) taken: HashSet<String>,
    reserved: &'static [&'static str],
}

pub(super) struct Definition<'a> {
    pub(super) identifier: String,
    pub(super) layout: &'a Layout,
}

impl<'a> Definitions<'a> {
    /// The definitions that `root` needs, and the identifier that it goes by itself, made from `name`.
    pub(super) fn new(root: &'a Layout, name: &str, reserved: &'static [&'static str]) -> (Self, String) {
        let mut definitions = Self { list: Vec::new(), places: HashMap::new(), taken: HashSet::new(), reserved };
        let identifier = unique(&mut definitions.taken, identifier(name, reserved));
        match root.kind {
            LayoutKind::Struct { .. } | LayoutKind::Enum { .. } => {
                definitions.parts(root, &identifier);
                definitions.define(root, identifier.clone());
            }
            LayoutKind::Guarded { .. } => definitions.collect(root, &format!("{identifier}Value")),
            _ => definitions.collect(root, &format!("{identifier}Element")),
        }
        (definitions, identifier)
    }

    /// The name of a struct or enum inside the root.
    pub(super) fn name_of(&self, layout: &Layout) -> &str {
        &self.list[self.places[&core::ptr::from_ref(layout)]].identifier
    }

    fn collect(&mut self, layout: &'a Layout, suggestion: &str) {
        match layout.kind {
            LayoutKind::Array { element: ref inner, .. } | LayoutKind::Guarded { value: ref inner, .. } => {
                self.collect(inner, suggestion);
            }
            LayoutKind::Struct { .. } | LayoutKind::Enum { .. } => {
                let known = layout.name.0;
                let equal = |other: &Definition<'_>| other.layout.name.0 == known && other.layout == layout;
                if let Some(index) = self.list.iter().position(equal) {
                    self.adopt(layout, index);
                    return;
                }
                let name = identifier(known.unwrap_or(suggestion), self.reserved);
                let name = unique(&mut self.taken, name);
                self.parts(layout, &name);
                self.define(layout, name);
            }
            _ => {}
        }
    }

    fn parts(&mut self, layout: &'a Layout, name: &str) {
        if let LayoutKind::Struct { fields, .. } = &layout.kind {
            for field in fields {
                self.collect(&field.layout, &format!("{name}{}", capitalized(&field.name)));
            }
        }
    }

    fn define(&mut self, layout: &'a Layout, identifier: String) {
        self.places.insert(layout, self.list.len());
        self.list.push(Definition { identifier, layout });
    }

    /// Gives the types inside `layout` the names of those inside its equal, number `index`.
    fn adopt(&mut self, layout: &'a Layout, index: usize) {
        let equal = self.list[index].layout;
        self.places.insert(layout, index);
        if let (LayoutKind::Struct { fields, .. }, LayoutKind::Struct { fields: equals, .. }) =
            (&layout.kind, &equal.kind)
        {
            for (field, equal) in fields.iter().zip(equals) {
                let (part, equal) = (innermost(&field.layout), innermost(&equal.layout));
                if let Some(index) = self.places.get(&core::ptr::from_ref(equal)) {
                    self.adopt(part, *index);
                }
            }
        }
    }
}

/// What arrays and guards around each other are made of.
fn innermost(mut layout: &Layout) -> &Layout {
    while let LayoutKind::Array { element: inner, .. } | LayoutKind::Guarded { value: inner, .. } = &layout.kind {
        layout = inner;
    }
    layout
}

/// An identifier for each name, distinct from the others. A name that is one keeps it.
pub(super) fn distinct<'a>(names: impl Iterator<Item = &'a str>, reserved: &[&str]) -> Vec<String> {
    let pairs: Vec<_> = names.map(|name| (name, identifier(name, reserved))).collect();
    let mut taken = pairs.iter().filter(|(name, own)| name == own).map(|(_, own)| own.clone()).collect();
    let distinct = pairs.into_iter().map(|(name, own)| if name == own { own } else { unique(&mut taken, own) });
    distinct.collect()
}

/// The identifier, or with a number behind it if it is taken.
pub(super) fn unique(taken: &mut HashSet<String>, identifier: String) -> String {
    if taken.insert(identifier.clone()) {
        return identifier;
    }
    let free = (2..).map(|number| format!("{identifier}_{number}")).find(|name| !taken.contains(name));
    let free = free.unwrap_or_default();
    taken.insert(free.clone());
    free
}

/// `front_legs` as `FrontLegs`.
fn capitalized(name: &str) -> String {
    let mut capitalized = String::new();
    for word in name.split(|c: char| !c.is_ascii_alphanumeric()) {
        let mut letters = word.chars();
        capitalized.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        capitalized.extend(letters);
    }
    capitalized
}
