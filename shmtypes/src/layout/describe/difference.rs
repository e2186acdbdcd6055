//! What differs between the layout in a segment and the one in this program, in words.
//!
//! Fields and variants are matched by name, so that a field more at the front is one difference and a shift, not a
//! difference in every name. Structs, enums, and arrays and guards of them are entered; `legs[].side` is a field of every
//! element, `account.value.balance` one behind a lock.

use super::text::shown;
use super::{Layout, LayoutField, LayoutKind, LayoutVariant};
use crate::layout::Guard;
use std::collections::HashMap;

/// How many differences are told; of the others, how many there are.
const MOST: usize = 20;

pub(super) fn differences(segment: &Layout, program: &Layout) -> Vec<String> {
    let mut differences = Differences { found: Vec::new(), more: 0 };
    if is_entered(segment, program) {
        if arrays_differ(segment, program) {
            differences.whole(segment, program);
        }
        differences.inside("", segment, program);
    } else if segment != program {
        differences.whole(segment, program);
    }
    // Only two schemas that no derive writes get here: a name twice in one struct, say.
    if segment != program && differences.found.is_empty() {
        differences.push(|| "the schemas differ in the names or the order of their parts".to_owned());
    }
    if differences.more > 0 {
        differences.found.push(format!("and {} more", differences.more));
    }
    differences.found
}

struct Differences {
    found: Vec<String>,
    more: usize,
}

impl Differences {
    fn push(&mut self, sentence: impl FnOnce() -> String) {
        if self.found.len() < MOST { self.found.push(sentence()) } else { self.more += 1 }
    }

    fn count(&self) -> usize {
        self.found.len() + self.more
    }

    fn whole(&mut self, segment: &Layout, program: &Layout) {
        self.push(|| format!("{} in the segment, {} in this program", words(segment), words(program)));
    }

    /// Two layouts that [`is_entered`] accepts.
    fn inside(&mut self, path: &str, segment: &Layout, program: &Layout) {
        let before = self.count();
        match (&segment.kind, &program.kind) {
            (LayoutKind::Array { element: ours, .. }, LayoutKind::Array { element: theirs, .. }) => {
                return self.inside(&format!("{path}[]"), ours, theirs);
            }
            (LayoutKind::Guarded { guard, value: ours }, LayoutKind::Guarded { value: theirs, .. }) => {
                let value = if let Guard::Cell { .. } = guard { "buffers[].value" } else { "value" };
                return self.inside(&join(path, value), ours, theirs);
            }
            (
                LayoutKind::Struct { version: ours, fields: our_fields },
                LayoutKind::Struct { version: theirs, fields: their_fields },
            ) => {
                self.versions(path, *ours, *theirs);
                self.fields(path, our_fields, their_fields);
            }
            (
                LayoutKind::Enum { version: ours, repr: our_repr, variants: our_variants },
                LayoutKind::Enum { version: theirs, repr: their_repr, variants: their_variants },
            ) => {
                self.versions(path, *ours, *theirs);
                if our_repr != their_repr {
                    let [ours, theirs] = [our_repr, their_repr].map(|repr| repr.name());
                    self.push(|| format!("{}the enum is {ours} in the segment, {theirs} in this program", at(path)));
                }
                self.variants(path, our_variants, their_variants);
            }
            _ => {}
        }
        if self.count() == before && segment.align != program.align {
            let (ours, theirs) = (segment.align, program.align);
            self.push(|| format!("{}the alignment is {ours} in the segment, {theirs} in this program", at(path)));
        }
    }

    fn versions(&mut self, path: &str, segment: u32, program: u32) {
        if segment != program {
            self.push(|| format!("{}version {segment} in the segment, {program} in this program", at(path)));
        }
    }

    fn fields(&mut self, path: &str, segment: &[LayoutField], program: &[LayoutField]) {
        let in_segment: HashMap<&str, usize> = indices(segment.iter().map(|field| field.name.as_str()));
        let in_program: HashMap<&str, usize> = indices(program.iter().map(|field| field.name.as_str()));
        for (index, ours) in segment.iter().enumerate() {
            match in_program.get(ours.name.as_str()) {
                Some(theirs) => self.field(path, index, ours, &program[*theirs]),
                None => match program.get(index).filter(|theirs| !in_segment.contains_key(theirs.name.as_str())) {
                    Some(theirs) if theirs.offset == ours.offset && theirs.layout == ours.layout => self.push(|| {
                        let (ours, theirs) = (join(path, &ours.name), join(path, &theirs.name));
                        format!("field {index} is `{ours}` in the segment, `{theirs}` in this program")
                    }),
                    _ => self.push(|| format!("the segment also has {}", field_words(path, ours))),
                },
            }
        }
        for (index, theirs) in program.iter().enumerate() {
            let renamed = segment.get(index).is_some_and(|ours| {
                !in_program.contains_key(ours.name.as_str())
                    && ours.offset == theirs.offset
                    && ours.layout == theirs.layout
            });
            if !in_segment.contains_key(theirs.name.as_str()) && !renamed {
                self.push(|| format!("this program also has {}", field_words(path, theirs)));
            }
        }
    }

    /// Two fields of one name.
    fn field(&mut self, path: &str, index: usize, ours: &LayoutField, theirs: &LayoutField) {
        let same = ours.layout == theirs.layout;
        let entered = is_entered(&ours.layout, &theirs.layout);
        if ours.offset != theirs.offset || !same && (!entered || arrays_differ(&ours.layout, &theirs.layout)) {
            self.push(|| {
                let (path, ours_words, theirs_words) =
                    (join(path, &ours.name), words(&ours.layout), words(&theirs.layout));
                let (from, to) = (ours.offset, theirs.offset);
                format!("field {index} `{path}` is {ours_words} at {from} in the segment, {theirs_words} at {to} in this program")
            });
        }
        if !same && entered {
            self.inside(&join(path, &ours.name), &ours.layout, &theirs.layout);
        }
    }

    fn variants(&mut self, path: &str, segment: &[LayoutVariant], program: &[LayoutVariant]) {
        let before = self.count();
        let in_segment: HashMap<&str, usize> = indices(segment.iter().map(|variant| variant.name.as_str()));
        let in_program: HashMap<&str, usize> = indices(program.iter().map(|variant| variant.name.as_str()));
        for ours in segment {
            match in_program.get(ours.name.as_str()).map(|theirs| &program[*theirs]) {
                Some(theirs) if theirs.value == ours.value => {}
                Some(theirs) => self.push(|| {
                    let (name, from, to) = (shown(&ours.name), ours.value, theirs.value);
                    format!("{}variant `{name}` is {from} in the segment, {to} in this program", at(path))
                }),
                None => self.push(|| {
                    format!("{}the segment also has variant `{}` = {}", at(path), shown(&ours.name), ours.value)
                }),
            }
        }
        for theirs in program.iter().filter(|theirs| !in_segment.contains_key(theirs.name.as_str())) {
            self.push(|| {
                format!("{}this program also has variant `{}` = {}", at(path), shown(&theirs.name), theirs.value)
            });
        }
        if self.count() == before && segment != program {
            self.push(|| format!("{}the variants are declared in another order", at(path)));
        }
    }
}

/// Whether the difference between two layouts is told part by part.
fn is_entered(segment: &Layout, program: &Layout) -> bool {
    match (&segment.kind, &program.kind) {
        (LayoutKind::Struct { .. }, LayoutKind::Struct { .. }) | (LayoutKind::Enum { .. }, LayoutKind::Enum { .. }) => {
            true
        }
        (LayoutKind::Array { element: ours, .. }, LayoutKind::Array { element: theirs, .. }) => {
            is_entered(ours, theirs)
        }
        (
            LayoutKind::Guarded { guard: our_guard, value: ours },
            LayoutKind::Guarded { guard: their_guard, value: theirs },
        ) => core::mem::discriminant(our_guard) == core::mem::discriminant(their_guard) && is_entered(ours, theirs),
        _ => false,
    }
}

/// Whether two layouts that are entered are arrays of different lengths, or cells of different numbers of buffers.
fn arrays_differ(segment: &Layout, program: &Layout) -> bool {
    match (&segment.kind, &program.kind) {
        (LayoutKind::Array { element: ours, length }, LayoutKind::Array { element: theirs, length: their_length }) => {
            length != their_length || arrays_differ(ours, theirs)
        }
        (LayoutKind::Guarded { guard, value: ours }, LayoutKind::Guarded { guard: their_guard, value: theirs }) => {
            guard != their_guard || arrays_differ(ours, theirs)
        }
        _ => false,
    }
}

fn indices<'a>(names: impl Iterator<Item = &'a str>) -> HashMap<&'a str, usize> {
    names.enumerate().map(|(index, name)| (name, index)).collect()
}

/// A path in front of a sentence; nothing for the type itself.
fn at(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("`{path}`: ") }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { shown(name) } else { format!("{path}.{}", shown(name)) }
}

fn field_words(path: &str, field: &LayoutField) -> String {
    format!("`{}` {} at {}", join(path, &field.name), words(&field.layout), field.offset)
}

/// A type in a few words, as Rust writes it where Rust has a name for it.
fn words(layout: &Layout) -> String {
    match &layout.kind {
        LayoutKind::Scalar(scalar) => scalar.name().to_owned(),
        LayoutKind::Atomic(scalar) => format!("atomic {}", scalar.name()),
        LayoutKind::Event => "ShmEvent".to_owned(),
        LayoutKind::NonZero(scalar) => format!("NonZero<{}>", scalar.name()),
        LayoutKind::OptionNonZero(scalar) => format!("Option<NonZero<{}>>", scalar.name()),
        LayoutKind::Text { capacity } => format!("ShmStr<{capacity}>"),
        LayoutKind::Bytes { capacity } => format!("ShmBytes<{capacity}>"),
        LayoutKind::Array { element, length } => format!("[{}; {length}]", words(element)),
        LayoutKind::Guarded { guard, value } => guard.type_name(&words(value)),
        LayoutKind::Struct { .. } => format!("a struct of {} bytes", layout.size),
        LayoutKind::Enum { repr, .. } => format!("an enum of {}", repr.name()),
        LayoutKind::Opaque { name } => {
            format!("{} ({} bytes, alignment {})", shown(name), layout.size, layout.align)
        }
    }
}
