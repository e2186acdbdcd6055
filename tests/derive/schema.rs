//! What the derive writes into `SCHEMA`.

use core::sync::atomic::{AtomicBool, AtomicU32};
use shmtypes::layout::{Kind, Scalar, Schema};
use shmtypes::{ShmBytes, ShmLayout, ShmStr};

#[derive(ShmLayout, Clone, Copy)]
#[repr(i16)]
enum Signed {
    Below = -300,
    Zero = 0,
    Above = 1 + (7 << 3),
    Next,
}

#[derive(ShmLayout, Clone, Copy)]
#[repr(u8)]
#[shm(version = 3, rename = "side")]
enum Side {
    Buy = b'b',
    #[shm(rename = "sell")]
    Sell = b's',
}

#[derive(ShmLayout)]
#[repr(u64)]
enum Wide {
    Last = u64::MAX,
}

#[derive(ShmLayout)]
#[repr(C)]
#[shm(version = 7, rename = "market.Quote")]
struct Quote {
    symbol: ShmStr<12>,
    price: f64,
    #[shm(rename = "size")]
    volume: u32,
    side: Side,
    r#type: bool,
    _pad: [u8; 2],
    history: [[f32; 2]; 3],
}

#[derive(ShmLayout)]
#[repr(C, align(64))]
struct Aligned(AtomicU32, AtomicBool, [u8; 59]);

#[derive(ShmLayout)]
#[repr(transparent)]
struct Wrapper {
    inner: ShmBytes<6>,
}

#[derive(bytemuck::Pod, bytemuck::Zeroable, Clone, Copy)]
#[repr(C)]
struct Foreign {
    x: f32,
    y: f32,
}

#[derive(ShmLayout)]
#[repr(C)]
struct WithForeign {
    #[shm(bytemuck = "Point", rename = "at")]
    point: Foreign,
    weight: f32,
}

/// Name, version, and for each field its name, offset and size.
#[track_caller]
fn shape(schema: &Schema) -> (&str, u32, Vec<(&str, usize, usize)>) {
    let Kind::Struct { name, version, fields } = schema.kind() else { panic!("no struct: {schema:?}") };
    (name, *version, fields.iter().map(|field| (field.name, field.offset, field.schema.size())).collect())
}

#[track_caller]
fn variants(schema: &Schema) -> (&str, u32, Scalar, Vec<(&str, i128)>) {
    let Kind::Enum { name, version, repr, variants } = schema.kind() else { panic!("no enum: {schema:?}") };
    (name, *version, *repr, variants.iter().map(|variant| (variant.name, variant.value)).collect())
}

#[test]
fn a_struct_lists_its_fields_by_offset() {
    let fields = vec![
        ("symbol", 0, 16),
        ("price", 16, 8),
        ("size", 24, 4),
        ("side", 28, 1),
        ("type", 29, 1),
        ("_pad", 30, 2),
        ("history", 32, 24),
    ];
    assert_eq!(shape(&Quote::SCHEMA), ("market.Quote", 7, fields));
    assert_eq!((Quote::SCHEMA.size(), Quote::SCHEMA.align()), (56, 8));
}

#[test]
fn a_field_has_the_schema_of_its_type() {
    let Kind::Struct { fields, .. } = Quote::SCHEMA.kind() else { panic!() };
    assert_eq!(*fields[0].schema, <ShmStr<12>>::SCHEMA);
    assert_eq!(*fields[3].schema, Side::SCHEMA);
    let Kind::Array { element, length: 3 } = fields[6].schema.kind() else { panic!() };
    assert_eq!(**element, <[f32; 2]>::SCHEMA);
}

#[test]
fn an_enum_lists_its_variants_in_the_order_of_declaration() {
    assert_eq!(variants(&Side::SCHEMA), ("side", 3, Scalar::U8, vec![("Buy", 98), ("sell", 115)]));
    let signed = vec![("Below", -300), ("Zero", 0), ("Above", 57), ("Next", 58)];
    assert_eq!(variants(&Signed::SCHEMA), ("Signed", 0, Scalar::I16, signed));
    assert_eq!(variants(&Wide::SCHEMA), ("Wide", 0, Scalar::U64, vec![("Last", i128::from(u64::MAX))]));
    assert_eq!((Signed::SCHEMA.size(), Signed::SCHEMA.align()), (2, 2));
}

#[test]
fn fields_of_a_tuple_struct_are_called_by_their_index() {
    assert_eq!(shape(&Aligned::SCHEMA), ("Aligned", 0, vec![("0", 0, 4), ("1", 4, 1), ("2", 5, 59)]));
    assert_eq!((Aligned::SCHEMA.size(), Aligned::SCHEMA.align()), (64, 64));
}

#[test]
fn a_transparent_struct_is_a_struct_with_one_field() {
    assert_eq!(shape(&Wrapper::SCHEMA), ("Wrapper", 0, vec![("inner", 0, 10)]));
    assert_eq!(Wrapper::SCHEMA.align(), 1);
}

#[test]
fn a_foreign_field_is_opaque_under_the_name_that_the_user_gave() {
    assert_eq!(shape(&WithForeign::SCHEMA), ("WithForeign", 0, vec![("at", 0, 8), ("weight", 8, 4)]));
    let Kind::Struct { fields, .. } = WithForeign::SCHEMA.kind() else { panic!() };
    assert_eq!(*fields[0].schema.kind(), Kind::Opaque { name: "Point" });
    assert_eq!((fields[0].schema.size(), fields[0].schema.align()), (8, 4));
}

#[test]
fn a_type_may_be_derived_inside_a_function() {
    const LENGTH: usize = 3;
    #[derive(ShmLayout)]
    #[repr(C)]
    struct Local {
        bytes: [u8; LENGTH],
    }
    assert_eq!(shape(&Local::SCHEMA), ("Local", 0, vec![("bytes", 0, 3)]));
}

#[test]
fn a_field_type_may_come_from_a_macro() {
    macro_rules! record {
        ($name:ident { $($field:ident: $ty:ty),* }) => {
            #[derive(ShmLayout)]
            #[repr(C)]
            struct $name { $($field: $ty),* }
        };
    }
    record!(Made { first: [u8; 4], second: u32 });
    assert_eq!(shape(&Made::SCHEMA), ("Made", 0, vec![("first", 0, 4), ("second", 4, 4)]));
}

#[test]
fn self_in_a_field_type_means_the_type() {
    #[derive(ShmLayout)]
    #[repr(C)]
    struct Sized {
        bytes: [u8; Self::LENGTH],
    }
    impl Sized {
        const LENGTH: usize = 5;
    }
    assert_eq!(shape(&Sized::SCHEMA), ("Sized", 0, vec![("bytes", 0, 5)]));
}
