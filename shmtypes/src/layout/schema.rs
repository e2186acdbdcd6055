//! The schema: a type's layout as a constant.
//!
//! A [`Schema`] is a tree of constants that the derive writes. The segment's header carries it as canonical JSON
//! ([`describe`](super::describe)), so that programs without the type can read the segment, and a program with another
//! type can say what differs.

use super::Guard;
use core::mem::{align_of, size_of};
use std::borrow::Cow;

/// The layout of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    size: usize,
    align: usize,
    kind: Kind,
}

/// What a type is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A number, `bool`, `char` or another leaf of fixed width.
    Scalar(Scalar),
    /// An atomic integer or `bool`.
    Atomic(Scalar),
    /// A [`ShmEvent`](crate::ShmEvent): a count that processes wait for.
    Event,
    /// An integer that is never 0.
    NonZero(Scalar),
    /// An integer where 0 means `None`.
    OptionNonZero(Scalar),
    /// [`ShmStr`](super::ShmStr) with room for this many bytes of UTF-8.
    Text {
        /// The greatest length in bytes.
        capacity: usize,
    },
    /// [`ShmBytes`](super::ShmBytes) with room for this many bytes.
    Bytes {
        /// The greatest length in bytes.
        capacity: usize,
    },
    /// A fixed number of equal elements.
    Array {
        /// The element's layout.
        element: &'static Schema,
        /// How many there are.
        length: usize,
    },
    /// A struct.
    Struct {
        /// The type's name, for people: it is not part of the fingerprint or of the stored schema.
        name: &'static str,
        /// `#[shm(version = N)]`, 0 unless given.
        version: u32,
        /// The fields by offset.
        fields: &'static [Field],
    },
    /// A fieldless enum.
    Enum {
        /// The type's name, for people: it is not part of the fingerprint or of the stored schema.
        name: &'static str,
        /// `#[shm(version = N)]`, 0 unless given.
        version: u32,
        /// The integer that stores it.
        repr: Scalar,
        /// The variants in the order of their declaration.
        variants: &'static [Variant],
    },
    /// A foreign type without padding or invalid bit patterns, known by a name that the user gave.
    Opaque {
        /// The name, part of the fingerprint.
        name: &'static str,
    },
    /// A value behind a lock, or in a cell.
    Guarded {
        /// What guards it.
        guard: Guard,
        /// The value's layout.
        value: &'static Schema,
    },
}

/// A field of a struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The field's name, or its index in a tuple struct.
    pub name: &'static str,
    /// Where it starts, in bytes from the start of the struct.
    pub offset: usize,
    /// Its layout.
    pub schema: &'static Schema,
}

/// A variant of an enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The variant's name.
    pub name: &'static str,
    /// Its discriminant.
    pub value: i128,
}

impl Schema {
    /// The layout of `T`, which is of this kind.
    #[doc(hidden)]
    #[must_use]
    pub const fn of<T>(kind: Kind) -> Self {
        Self { size: size_of::<T>(), align: align_of::<T>(), kind }
    }

    /// The size in bytes.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// The alignment in bytes.
    #[must_use]
    pub const fn align(&self) -> usize {
        self.align
    }

    /// What the type is made of.
    #[must_use]
    pub const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Where field `index` starts.
    ///
    /// # Panics
    /// If there is no such field, or if its layout is not `field`: at compile time, where this is used.
    pub(crate) const fn offset_of(&self, index: usize, field: &Schema) -> usize {
        let Kind::Struct { fields, .. } = self.kind else { panic!("a type that is no struct has no fields") };
        assert!(index < fields.len(), "the struct has no field of this number");
        assert!(fields[index].schema.has_leaves_of(field), "the field has another layout");
        fields[index].offset
    }

    /// Whether both have leaves of the same kinds at the same offsets. Names may differ.
    pub(super) const fn has_leaves_of(&self, other: &Schema) -> bool {
        self.size == other.size
            && self.align == other.align
            && match (self.kind, other.kind) {
                (Kind::Scalar(one), Kind::Scalar(two))
                | (Kind::Atomic(one), Kind::Atomic(two))
                | (Kind::NonZero(one), Kind::NonZero(two))
                | (Kind::OptionNonZero(one), Kind::OptionNonZero(two))
                | (Kind::Enum { repr: one, .. }, Kind::Enum { repr: two, .. }) => one as u8 == two as u8,
                (Kind::Text { capacity: one }, Kind::Text { capacity: two })
                | (Kind::Bytes { capacity: one }, Kind::Bytes { capacity: two }) => one == two,
                (Kind::Array { element: one, length }, Kind::Array { element: two, length: other_length }) => {
                    length == other_length && one.has_leaves_of(two)
                }
                (Kind::Struct { fields: one, .. }, Kind::Struct { fields: two, .. }) => {
                    let mut index = 0;
                    while index < one.len() && index < two.len() {
                        let (one, two) = (&one[index], &two[index]);
                        if one.offset != two.offset || !one.schema.has_leaves_of(two.schema) {
                            return false;
                        }
                        index += 1;
                    }
                    one.len() == two.len()
                }
                (Kind::Guarded { guard: one, value }, Kind::Guarded { guard: two, value: other_value }) => {
                    one.equals(two) && value.has_leaves_of(other_value)
                }
                (Kind::Opaque { .. }, Kind::Opaque { .. }) | (Kind::Event, Kind::Event) => true,
                _ => false,
            }
    }

    /// The type's name as people know it, such as `Particle` or `[f64; 3]`.
    pub(crate) fn type_name(&self) -> Cow<'static, str> {
        match *self.kind() {
            Kind::Struct { name, .. } | Kind::Enum { name, .. } | Kind::Opaque { name } => name.into(),
            Kind::Scalar(scalar) => scalar.name().into(),
            Kind::Atomic(scalar) => format!("atomic {}", scalar.name()).into(),
            Kind::Event => "ShmEvent".into(),
            Kind::NonZero(scalar) => format!("NonZero<{}>", scalar.name()).into(),
            Kind::OptionNonZero(scalar) => format!("Option<NonZero<{}>>", scalar.name()).into(),
            Kind::Text { capacity } => format!("ShmStr<{capacity}>").into(),
            Kind::Bytes { capacity } => format!("ShmBytes<{capacity}>").into(),
            Kind::Array { element, length } => format!("[{}; {length}]", element.type_name()).into(),
            Kind::Guarded { guard, value } => guard.type_name(&value.type_name()).into(),
        }
    }

    /// The path of the leaf at `offset`, such as `legs[2].side`; empty if the type itself is a leaf.
    pub(crate) fn path_at(&self, offset: usize) -> String {
        let mut path = String::new();
        let (mut schema, mut rest) = (self, offset);
        let push = |path: &mut String, name: &str| {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(name);
        };
        loop {
            match *schema.kind() {
                Kind::Struct { fields, .. } => {
                    let Some(field) = fields.iter().rfind(|field| field.offset <= rest) else { return path };
                    push(&mut path, field.name);
                    (schema, rest) = (field.schema, rest - field.offset);
                }
                Kind::Guarded { guard, value } => {
                    let Some((copy, inside)) = guard.place_in_value(value, rest) else { return path };
                    if let Guard::Cell { .. } = guard {
                        push(&mut path, &format!("buffers[{copy}]"));
                    }
                    push(&mut path, "value");
                    (schema, rest) = (value, inside);
                }
                Kind::Array { element, .. } => {
                    path.push_str(&format!("[{}]", rest / element.size()));
                    (schema, rest) = (element, rest % element.size());
                }
                _ => return path,
            }
        }
    }
}

macro_rules! scalars {
    ($($variant:ident $name:literal $size:literal $align:expr;)*) => {
        /// A leaf of fixed width.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Scalar { $( #[doc = concat!("`", $name, "`")] $variant, )* }

        impl Scalar {
            /// All of them.
            pub const ALL: &'static [Scalar] = &[ $( Scalar::$variant, )* ];

            /// The name in schemas, such as `f64` or `u32be`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Scalar::$variant => $name, )* }
            }

            /// The size in bytes.
            #[must_use]
            pub const fn size(self) -> usize {
                match self { $( Scalar::$variant => $size, )* }
            }

            /// The alignment in bytes.
            #[must_use]
            pub const fn align(self) -> usize {
                match self { $( Scalar::$variant => $align, )* }
            }
        }
    };
}

scalars! {
    U8 "u8" 1 1;
    I8 "i8" 1 1;
    U16 "u16" 2 align_of::<u16>();
    I16 "i16" 2 align_of::<i16>();
    U32 "u32" 4 align_of::<u32>();
    I32 "i32" 4 align_of::<i32>();
    U64 "u64" 8 align_of::<u64>();
    I64 "i64" 8 align_of::<i64>();
    U128 "u128" 16 align_of::<u128>();
    I128 "i128" 16 align_of::<i128>();
    F16 "f16" 2 2;
    Bf16 "bf16" 2 2;
    F32 "f32" 4 align_of::<f32>();
    F64 "f64" 8 align_of::<f64>();
    Complex32 "complex<f32>" 8 align_of::<f32>();
    Complex64 "complex<f64>" 16 align_of::<f64>();
    Bool "bool" 1 1;
    Char "char" 4 align_of::<char>();
    Uuid "uuid" 16 1;
    U16Le "u16le" 2 1;
    U32Le "u32le" 4 1;
    U64Le "u64le" 8 1;
    U128Le "u128le" 16 1;
    I16Le "i16le" 2 1;
    I32Le "i32le" 4 1;
    I64Le "i64le" 8 1;
    I128Le "i128le" 16 1;
    F32Le "f32le" 4 1;
    F64Le "f64le" 8 1;
    U16Be "u16be" 2 1;
    U32Be "u32be" 4 1;
    U64Be "u64be" 8 1;
    U128Be "u128be" 16 1;
    I16Be "i16be" 2 1;
    I32Be "i32be" 4 1;
    I64Be "i64be" 8 1;
    I128Be "i128be" 16 1;
    F32Be "f32be" 4 1;
    F64Be "f64be" 8 1;
}

#[cfg(test)]
mod tests {
    use super::Schema;
    use crate::ShmLayout;
    use crate::layout::{ForeignPod, ShmBytes, ShmStr};
    use core::num::NonZero;
    use core::sync::atomic::{AtomicI32, AtomicU32};

    #[derive(ShmLayout)]
    #[repr(C)]
    struct Pair<A, B> {
        first: A,
        second: B,
    }

    #[derive(ShmLayout)]
    #[repr(C)]
    struct Named {
        other: u16,
        names: i16,
    }

    #[derive(ShmLayout)]
    #[repr(u32)]
    enum Wide {
        One = 1,
    }

    #[derive(ShmLayout)]
    #[repr(i32)]
    enum Signed {
        One = 1,
    }

    /// All of them have four bytes, and most an alignment of 4, so that size and alignment alone tell few apart.
    #[test]
    fn types_of_one_size_are_told_apart_by_their_leaves() {
        const SCHEMAS: &[Schema] = &[
            u32::SCHEMA,
            i32::SCHEMA,
            AtomicU32::SCHEMA,
            AtomicI32::SCHEMA,
            <NonZero<u32>>::SCHEMA,
            <Option<NonZero<u32>>>::SCHEMA,
            Wide::SCHEMA,
            Signed::SCHEMA,
            <ForeignPod<u32>>::SCHEMA,
            <[u32; 1]>::SCHEMA,
            <[AtomicU32; 1]>::SCHEMA,
            <Pair<u16, u16>>::SCHEMA,
            <Pair<u16, i16>>::SCHEMA,
            <Pair<u16, [i16; 1]>>::SCHEMA,
            <[u16; 2]>::SCHEMA,
            <[i16; 2]>::SCHEMA,
            <Pair<[u8; 1], [u8; 3]>>::SCHEMA,
            <Pair<[u8; 3], [u8; 1]>>::SCHEMA,
            <ShmStr<4>>::SCHEMA,
            <ShmBytes<4>>::SCHEMA,
            <ShmStr<5>>::SCHEMA,
        ];
        for (index, one) in SCHEMAS.iter().enumerate() {
            for (other_index, other) in SCHEMAS.iter().enumerate() {
                assert_eq!(one.has_leaves_of(other), index == other_index, "{one:?} and {other:?}");
            }
        }
        assert!(Named::SCHEMA.has_leaves_of(&<Pair<u16, i16>>::SCHEMA), "names are no leaves");
    }

    #[test]
    #[should_panic = "the field has another layout"]
    fn a_field_has_no_offset_as_another_type() {
        assert_eq!(<Pair<u32, AtomicU32>>::SCHEMA.offset_of(1, &AtomicU32::SCHEMA), 4);
        <Pair<u32, AtomicU32>>::SCHEMA.offset_of(1, &u32::SCHEMA);
    }
}
