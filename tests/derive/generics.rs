//! Type parameters, constant parameters, where clauses, arrays of derived types.

use shmtypes::layout::Kind;
use shmtypes::{Schema, ShmLayout};

#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
struct Pair<A, B> {
    first: A,
    second: B,
}

#[derive(ShmLayout)]
#[repr(C)]
struct Buffer<T: Copy, const N: usize = 4>
where
    T: Into<f64>,
{
    items: [T; N],
    pairs: [Pair<T, T>; 2],
}

#[derive(ShmLayout)]
#[repr(C)]
struct Tuple<T, const N: usize>(pub [T; N], pub T)
where
    T: Default;

trait Unit {
    type Raw;
}

struct Metre;
impl Unit for Metre {
    type Raw = f32;
}

/// Only the projection of the parameter stands in a segment, so only that needs a layout.
#[derive(ShmLayout)]
#[repr(C)]
struct Measured<U: Unit> {
    value: U::Raw,
}

#[derive(ShmLayout)]
#[repr(C)]
struct Constant<const N: usize> {
    bytes: [u8; N],
}

#[derive(ShmLayout)]
#[repr(C)]
struct Foreign<T: Copy> {
    #[shm(bytemuck = "T")]
    value: T,
    values: [T; 2],
}

/// A parameter with the name that a derive may be tempted to use itself.
#[derive(ShmLayout)]
#[repr(C)]
struct Shadowing<M, T> {
    mode: M,
    lifetime: T,
}

fn fields(schema: &Schema) -> Vec<(&str, usize, usize)> {
    let Kind::Struct { fields, .. } = schema.kind() else { panic!("no struct: {schema:?}") };
    fields.iter().map(|field| (field.name, field.offset, field.schema.size())).collect()
}

#[test]
fn parameters_reach_the_schema() {
    assert_eq!(fields(&<Pair<u32, [u8; 4]>>::SCHEMA), [("first", 0, 4), ("second", 4, 4)]);
    assert_eq!(fields(&<Buffer<f32>>::SCHEMA), [("items", 0, 16), ("pairs", 16, 16)]);
    assert_eq!(fields(&<Buffer<u8, 9>>::SCHEMA), [("items", 0, 9), ("pairs", 9, 4)]);
    assert_eq!(fields(&<Tuple<u16, 3>>::SCHEMA), [("0", 0, 6), ("1", 6, 2)]);
    assert_eq!(fields(&<Measured<Metre>>::SCHEMA), [("value", 0, 4)]);
    assert_eq!(fields(&<Constant<5>>::SCHEMA), [("bytes", 0, 5)]);
    assert_eq!(fields(&<Foreign<u16>>::SCHEMA), [("value", 0, 2), ("values", 2, 4)]);
    assert_eq!(fields(&<Shadowing<u8, i8>>::SCHEMA), [("mode", 0, 1), ("lifetime", 1, 1)]);
}

#[test]
fn derived_types_nest() {
    type Inner = Pair<[u16; 2], u32>;
    let outer = <Pair<Inner, [Inner; 3]>>::SCHEMA;
    let Kind::Struct { fields, .. } = outer.kind() else { panic!() };
    assert_eq!(*fields[0].schema, Inner::SCHEMA);
    assert_eq!(*fields[1].schema, <[Inner; 3]>::SCHEMA);
    assert_eq!(outer.size(), 32);
}

#[test]
fn instances_are_told_apart_by_their_arguments() {
    assert_eq!(<Pair<u8, u8>>::FINGERPRINT, <Pair<u8, u8>>::FINGERPRINT);
    assert_ne!(<Pair<u8, u8>>::FINGERPRINT, <Pair<u8, i8>>::FINGERPRINT);
    assert_ne!(<Constant<4>>::FINGERPRINT, <Constant<5>>::FINGERPRINT);
}
