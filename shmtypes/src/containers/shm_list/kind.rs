//! The kinds of values, and the word that says kind and length.

use super::record::WORD;
use core::fmt;

/// What kind of value stands in a slot of a [`ShmList`](crate::ShmList).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// Python's `None`
    None,
    /// `int`
    Int,
    /// `float`
    Float,
    /// `bool`
    Bool,
    /// `str`
    Str,
    /// `bytes`
    Bytes,
}

impl ValueKind {
    const fn tag(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Int => 1,
            Self::Float => 2,
            Self::Bool => 3,
            Self::Str => 4,
            Self::Bytes => 5,
        }
    }

    /// The head of a value of this kind that takes so many bytes.
    pub(super) const fn head(self, bytes: usize) -> u64 {
        self.tag() | (bytes as u64) << 32
    }

    /// Python's name of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Str => "str",
            Self::Bytes => "bytes",
        }
    }

    /// The format that Python's `struct` has for it in a slot of so many bytes, as `ShareableList.format` shows it.
    pub(super) fn write_format(self, f: &mut impl fmt::Write, capacity: usize) -> fmt::Result {
        match self {
            Self::None => f.write_str("xxxxxx?x"),
            Self::Int => f.write_str("q"),
            Self::Float => f.write_str("d"),
            Self::Bool => f.write_str("xxxxxxx?"),
            Self::Str | Self::Bytes => write!(f, "{capacity}s"),
        }
    }
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[inline(always)]
pub(super) const fn length_of(head: u64) -> usize {
    (head >> 32) as usize
}

#[inline(always)]
pub(super) const fn is_text(head: u64) -> bool {
    matches!(head as u32, 4 | 5)
}

/// The kind that a head says, if it is one that is written, in a slot of so many bytes.
#[inline(always)]
pub(super) const fn kind_of(head: u64, capacity: usize) -> Option<ValueKind> {
    let (kind, least, most) = match head as u32 {
        0 => (ValueKind::None, 0, 0),
        1 => (ValueKind::Int, WORD, WORD),
        2 => (ValueKind::Float, WORD, WORD),
        3 => (ValueKind::Bool, WORD, WORD),
        4 => (ValueKind::Str, 0, capacity),
        5 => (ValueKind::Bytes, 0, capacity),
        _ => return None,
    };
    if least <= length_of(head) && length_of(head) <= most { Some(kind) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_say_kind_and_length_and_nothing_else_is_one() {
        for (kind, bytes) in [
            (ValueKind::None, 0),
            (ValueKind::Int, 8),
            (ValueKind::Float, 8),
            (ValueKind::Bool, 8),
            (ValueKind::Str, 0),
            (ValueKind::Str, 16),
            (ValueKind::Bytes, 15),
        ] {
            let head = kind.head(bytes);
            assert_eq!((kind_of(head, 16), length_of(head)), (Some(kind), bytes));
            assert_eq!(is_text(head), matches!(kind, ValueKind::Str | ValueKind::Bytes));
            for bit in 8..32 {
                assert_eq!(kind_of(head | 1 << bit, 16), None, "{kind}, bit {bit}");
            }
        }
        let wrong = [6, 255, ValueKind::None.head(1), ValueKind::Int.head(7), ValueKind::Bool.head(1)];
        for head in wrong.into_iter().chain([ValueKind::Str.head(17), ValueKind::Bytes.head(u32::MAX as usize)]) {
            assert_eq!(kind_of(head, 16), None, "{head:#x}");
        }
    }
}
