//! Golden texts, round trips over generated layouts, hostile bytes, and what differs.

use super::{Layout, LayoutField, LayoutKind, LayoutVariant, TypeName, json_matches};
use crate::layout::{Field, Guard, Kind, Scalar, Schema, ShmBytes, ShmLayout, ShmStr, Variant};
use core::mem::offset_of;
use core::num::NonZero;
use core::sync::atomic::{AtomicBool, AtomicU64};
use proptest::prelude::*;

const KIND: Schema = Schema::of::<u8>(Kind::Enum {
    name: "BodyKind",
    version: 1,
    repr: Scalar::U8,
    variants: &[Variant { name: "Rock", value: 0 }, Variant { name: "Ship", value: 1 }],
});

#[repr(C)]
pub(super) struct Leg {
    side: u8,
    joints: [u8; 3],
    length: f32,
}

const LEG: Schema = Schema::of::<Leg>(Kind::Struct {
    name: "Leg",
    version: 0,
    fields: &[
        Field { name: "side", offset: offset_of!(Leg, side), schema: &u8::SCHEMA },
        Field { name: "joints", offset: offset_of!(Leg, joints), schema: &<[u8; 3]>::SCHEMA },
        Field { name: "length", offset: offset_of!(Leg, length), schema: &f32::SCHEMA },
    ],
});

#[repr(C)]
pub(super) struct Body {
    id: u64,
    position: [f64; 3],
    mass: f32,
    kind: u8,
    awake: AtomicBool,
    tag: [u8; 6],
    legs: [[Leg; 2]; 3],
    name: ShmStr<12>,
    digest: ShmBytes<4>,
    serial: Option<NonZero<u32>>,
    hits: AtomicU64,
}

pub(super) const LEGS: Schema = Schema::of::<[[Leg; 2]; 3]>(Kind::Array {
    element: &Schema::of::<[Leg; 2]>(Kind::Array { element: &LEG, length: 2 }),
    length: 3,
});

/// One of everything that a struct can have.
pub(super) const BODY: Schema = Schema::of::<Body>(Kind::Struct {
    name: "Body",
    version: 7,
    fields: &[
        Field { name: "id", offset: offset_of!(Body, id), schema: &u64::SCHEMA },
        Field { name: "position", offset: offset_of!(Body, position), schema: &<[f64; 3]>::SCHEMA },
        Field { name: "mass", offset: offset_of!(Body, mass), schema: &f32::SCHEMA },
        Field { name: "kind", offset: offset_of!(Body, kind), schema: &KIND },
        Field { name: "awake", offset: offset_of!(Body, awake), schema: &AtomicBool::SCHEMA },
        Field { name: "tag", offset: offset_of!(Body, tag), schema: &TAG },
        Field { name: "legs", offset: offset_of!(Body, legs), schema: &LEGS },
        Field { name: "name", offset: offset_of!(Body, name), schema: &ShmStr::<12>::SCHEMA },
        Field { name: "digest", offset: offset_of!(Body, digest), schema: &ShmBytes::<4>::SCHEMA },
        Field { name: "serial", offset: offset_of!(Body, serial), schema: &Option::<NonZero<u32>>::SCHEMA },
        Field { name: "hits", offset: offset_of!(Body, hits), schema: &AtomicU64::SCHEMA },
    ],
});

const TAG: Schema = Schema::of::<[u8; 6]>(Kind::Opaque { name: "mac::Address" });

/// Names that need escapes.
pub(super) const ODD: Schema = Schema::of::<[u16; 3]>(Kind::Struct {
    name: "Odd",
    version: 0,
    fields: &[
        Field { name: "größe", offset: 0, schema: &u16::SCHEMA },
        Field { name: "a \"b\" \\ \u{1b}[31m", offset: 2, schema: &u16::SCHEMA },
        Field { name: "\u{202e}\u{85}type", offset: 4, schema: &u16::SCHEMA },
    ],
});

pub(super) fn golden(schema: &Schema, expected: &str) {
    assert_eq!(schema.to_json(), expected);
    assert_round_trip(&Layout::from(schema));
    assert!(json_matches(schema, expected.as_bytes()));
}

pub(super) fn assert_round_trip(layout: &Layout) {
    let json = layout.to_json();
    let parsed = Layout::parse(json.as_bytes()).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert_eq!(parsed, *layout);
    assert_eq!(parsed.to_json(), json);
}

#[test]
#[cfg(target_endian = "little")]
fn leaves_have_the_documented_json() {
    golden(&f64::SCHEMA, r#"{"layout":"f64","numpy":"<f8"}"#);
    golden(&u8::SCHEMA, r#"{"layout":"u8","numpy":"|u1"}"#);
    golden(&bool::SCHEMA, r#"{"layout":"bool","numpy":"|b1"}"#);
    golden(&char::SCHEMA, r#"{"layout":"char","numpy":"<u4"}"#);
    golden(&u128::SCHEMA, r#"{"layout":"u128","numpy":"|V16"}"#);
    golden(&AtomicU64::SCHEMA, r#"{"layout":{"atomic":"u64"},"numpy":"<u8"}"#);
    golden(&crate::ShmEvent::SCHEMA, r#"{"layout":{"event":"u32"},"numpy":"<u4"}"#);
    golden(&NonZero::<u32>::SCHEMA, r#"{"layout":{"nonzero":"u32"},"numpy":"<u4"}"#);
    golden(&Option::<NonZero<i128>>::SCHEMA, r#"{"layout":{"option_nonzero":"i128"},"numpy":"|V16"}"#);
    golden(&zerocopy::byteorder::big_endian::F32::SCHEMA, r#"{"layout":"f32be","numpy":">f4"}"#);
    golden(
        &ShmStr::<32>::SCHEMA,
        r#"{"layout":{"str":32},"numpy":{"names":["len","text"],"formats":["<u4","|S32"],"offsets":[0,4],"itemsize":36}}"#,
    );
    golden(
        &ShmBytes::<16>::SCHEMA,
        r#"{"layout":{"bytes":16},"numpy":{"names":["len","bytes"],"formats":["<u4","|V16"],"offsets":[0,4],"itemsize":20}}"#,
    );
    golden(&TAG, r#"{"layout":{"opaque":"mac::Address","itemsize":6,"align":1},"numpy":"|V6"}"#);
    golden(&KIND, r#"{"layout":{"enum":"u8","version":1,"variants":[["Rock",0],["Ship",1]]},"numpy":"|u1"}"#);
}

#[test]
#[cfg(target_endian = "little")]
fn arrays_have_the_documented_json() {
    golden(&<[f64; 3]>::SCHEMA, r#"{"layout":{"array":"f64","length":3},"numpy":"(3,)<f8"}"#);
    golden(
        &<[[f64; 4]; 3]>::SCHEMA,
        r#"{"layout":{"array":{"array":"f64","length":4},"length":3},"numpy":"(3,4)<f8"}"#,
    );
    golden(
        &<[ShmStr<4>; 3]>::SCHEMA,
        r#"{"layout":{"array":{"str":4},"length":3},"numpy":[{"names":["len","text"],"formats":["<u4","|S4"],"offsets":[0,4],"itemsize":8},[3]]}"#,
    );
    golden(
        &LEGS,
        concat!(
            r#"{"layout":{"array":{"array":{"names":["side","joints","length"],"types":["u8",{"array":"u8","length":3},"f32"],"#,
            r#""offsets":[0,1,4],"itemsize":8,"align":4},"length":2},"length":3},"#,
            r#""numpy":[{"names":["side","joints","length"],"formats":["|u1","(3,)|u1","<f4"],"offsets":[0,1,4],"itemsize":8},[3,2]]}"#
        ),
    );
}

#[test]
#[cfg(all(target_endian = "little", target_pointer_width = "64"))]
fn a_struct_of_everything_has_the_documented_json() {
    golden(
        &BODY,
        concat!(
            r#"{"layout":{"version":7,"names":["id","position","mass","kind","awake","tag","legs","name","digest","serial","hits"],"#,
            r#""types":["u64",{"array":"f64","length":3},"f32",{"enum":"u8","version":1,"variants":[["Rock",0],["Ship",1]]},"#,
            r#"{"atomic":"bool"},{"opaque":"mac::Address","itemsize":6,"align":1},{"array":{"array":{"names":["side","joints","length"],"#,
            r#""types":["u8",{"array":"u8","length":3},"f32"],"offsets":[0,1,4],"itemsize":8,"align":4},"length":2},"length":3},"#,
            r#"{"str":12},{"bytes":4},{"option_nonzero":"u32"},{"atomic":"u64"}],"#,
            r#""offsets":[0,8,32,36,37,38,44,92,108,116,120],"itemsize":128,"align":8},"#,
            r#""numpy":{"names":["id","position","mass","kind","awake","tag","legs","name","digest","serial","hits"],"#,
            r#""formats":["<u8","(3,)<f8","<f4","|u1","|b1","|V6",[{"names":["side","joints","length"],"#,
            r#""formats":["|u1","(3,)|u1","<f4"],"offsets":[0,1,4],"itemsize":8},[3,2]],"#,
            r#"{"names":["len","text"],"formats":["<u4","|S12"],"offsets":[0,4],"itemsize":16},"#,
            r#"{"names":["len","bytes"],"formats":["<u4","|V4"],"offsets":[0,4],"itemsize":8},"<u4","<u8"],"#,
            r#""offsets":[0,8,32,36,37,38,44,92,108,116,120],"itemsize":128}}"#
        ),
    );
}

#[test]
#[cfg(target_endian = "little")]
fn names_are_escaped() {
    golden(
        &ODD,
        concat!(
            r#"{"layout":{"names":["größe","a \"b\" \\ \u001b[31m","\u202e\u0085type"],"types":["u16","u16","u16"],"#,
            r#""offsets":[0,2,4],"itemsize":6,"align":2},"numpy":{"names":["größe","a \"b\" \\ \u001b[31m","\u202e\u0085type"],"#,
            r#""formats":["<u2","<u2","<u2"],"offsets":[0,2,4],"itemsize":6}}"#
        ),
    );
}

#[test]
fn every_scalar_goes_round() {
    for scalar in Scalar::ALL {
        let layout = leaf(scalar.size(), scalar.align(), LayoutKind::Scalar(*scalar));
        assert_round_trip(&layout);
    }
}

#[test]
fn only_the_whole_json_matches() {
    let json = BODY.to_json().into_bytes();
    assert!(json_matches(&BODY, &json));
    for at in 0..json.len() {
        let mut other = json.clone();
        other[at] ^= 1;
        assert!(!json_matches(&BODY, &other), "byte {at} changed");
        assert!(!json_matches(&BODY, &json[..at]), "cut at {at}");
        assert!(Layout::parse(&json[..at]).is_err(), "cut at {at}");
    }
    assert!(!json_matches(&BODY, &[&json[..], b"\0"].concat()));
    assert!(!json_matches(&LEG, &json));
}

/// Each with the place of the mistake.
#[test]
fn what_no_derive_writes_is_refused() {
    let cases: &[(&str, &str)] = &[
        (r#"^ {"layout":"f64","numpy":"<f8"}"#, "a schema"),
        (r#"{"layout":^"f65","numpy":"<f8"}"#, "a scalar that may stand here"),
        (r#"{"layout":^["f64"],"numpy":"<f8"}"#, "a layout"),
        (r#"{"layout":"f64",^ "numpy":"<f8"}"#, "the canonical form"),
        (r#"{"layout":"f64","numpy":"<f8"}^ "#, "the canonical form"),
        (r#"{"layout":"f64","numpy":"<f^4"}"#, "the canonical form"),
        (r#"{"layout":{"atomic":^"f64"},"numpy":"<f8"}"#, "a scalar that may stand here"),
        (r#"{"layout":{"atomic":^"u128"},"numpy":"|V16"}"#, "a scalar that may stand here"),
        (r#"{"layout":{"nonzero":^"u16be"},"numpy":">u2"}"#, "a scalar that may stand here"),
        (r#"{"layout":{"str":^0},"numpy":"#, "a number above 0"),
        (r#"{"layout":{"str":^4294967296},"numpy":"#, "a capacity of 32 bits"),
        (r#"{"layout":{"str":1844674407370955161^6},"numpy":"#, "a smaller number"),
        (r#"{"layout":{"str":^-1},"numpy":"#, "a number"),
        (r#"{"layout":{"str":^007},"numpy":"#, "the canonical form"),
        (r#"{"layout":{"array":"u8","length":^0},"numpy":"(0,)|u1"}"#, "a number above 0"),
        (r#"{"layout":{"array":"u64","length":^2305843009213693952},"numpy":"#, "a length that can be addressed"),
        (r#"{"layout":{"opaque":"a","itemsize":12,"align":^3},"numpy":"|V12"}"#, "an alignment that fits"),
        (r#"{"layout":{"opaque":"a","itemsize":12,"align":^8},"numpy":"|V12"}"#, "an alignment that fits"),
        (r#"{"layout":{"opaque":"a","itemsize":1073741824,"align":^1073741824},"numpy":"#, "an alignment that fits"),
        (r#"{"layout":{"enum":^"u128","variants":[["A",0]]},"numpy":"|V16"}"#, "a scalar that may stand here"),
        (r#"{"layout":{"enum":"u8","variants":[^]},"numpy":"|u1"}"#, "a variant"),
        (r#"{"layout":{"enum":"u8","variants":[["A",^256]]},"numpy":"|u1"}"#, "a value of the enum's integer"),
        (r#"{"layout":{"enum":"u8","variants":[^["A",0],["A",1]]},"numpy":"|u1"}"#, "distinct variants"),
        (r#"{"layout":{"enum":"u8","variants":[^["A",1],["B",1]]},"numpy":"|u1"}"#, "distinct variants"),
        (r#"{"layout":{"enum":"u8","version":^4294967296,"variants":[["A",0]]}"#, "a version of 32 bits"),
        (r#"{"layout":{"enum":"u8","v^ersion":0,"variants":[["A",0]]},"numpy":"|u1"}"#, "the canonical form"),
        (r#"{"layout":{"names":[^],"types":[],"offsets":[],"itemsize":0,"align":1}"#, "a text"),
        (
            r#"{"layout":{"names":[^"a","a"],"types":["u8","u8"],"offsets":[0,1],"itemsize":2,"align":1}"#,
            "distinct names",
        ),
        (r#"{"layout":{"names":[^""],"types":["u8"],"offsets":[0],"itemsize":1,"align":1}"#, "distinct names"),
        (
            r#"{"layout":{"names":["a","b"],"types":[^"u8"],"offsets":[0],"itemsize":1,"align":1}"#,
            "as many types as names",
        ),
        (
            r#"{"layout":{"names":["a","b"],"types":["u8","u8"],"offsets":[0^],"itemsize":2,"align":1}"#,
            "as many offsets as names",
        ),
        (r#"{"layout":{"names":["a"],"types":["u8"],"offsets":[0^,1],"itemsize":2,"align":1}"#, "the size"),
        (
            r#"{"layout":{"names":["a"],"types":["u8"],"offsets":[^1],"itemsize":2,"align":1}"#,
            "the end of the field before it",
        ),
        (
            r#"{"layout":{"names":["a","b"],"types":["u8","u8"],"offsets":[0,^0],"itemsize":2,"align":1}"#,
            "the end of the field before it",
        ),
        (
            r#"{"layout":{"names":["a","b"],"types":["u8","u16"],"offsets":[0,^1],"itemsize":3,"align":2}"#,
            "the end of the field before it",
        ),
        (
            r#"{"layout":{"names":["a","b"],"types":["u8","u16"],"offsets":[0,^2],"itemsize":4,"align":2}"#,
            "the end of the field before it",
        ),
        (
            r#"{"layout":{"names":["a"],"types":["u16"],"offsets":[0],"itemsize":^4,"align":2}"#,
            "the end of the last field",
        ),
        (
            r#"{"layout":{"names":["a"],"types":["u16"],"offsets":[0],"itemsize":2,"align":^1}"#,
            "an alignment that fits",
        ),
        (
            r#"{"layout":{"names":["a"],"types":["u16"],"offsets":[0],"itemsize":2,"align":^4}"#,
            "an alignment that fits",
        ),
        (
            r#"{"layout":{"names":["a","b"],"types":["u16","u8"],"offsets":[0,2],"itemsize":3,"align":^2}"#,
            "an alignment that fits",
        ),
        (r#"{"layout":{"names":["^a"#, "a text that ends"),
        (
            r#"{"layout":{"names":["^a\n"],"types":["u8"],"offsets":[0],"itemsize":1,"align":1}"#,
            "a text with valid escapes",
        ),
        (
            r#"{"layout":{"names":["^\u0061"],"types":["u8"],"offsets":[0],"itemsize":1,"align":1}"#,
            "the canonical form",
        ),
        (
            r#"{"layout":{"names":["\u001^B"],"types":["u8"],"offsets":[0],"itemsize":1,"align":1}"#,
            "the canonical form",
        ),
        (
            "{\"layout\":{\"names\":[\"^\x1b\"],\"types\":[\"u8\"],\"offsets\":[0],\"itemsize\":1,\"align\":1}",
            "the canonical form",
        ),
        (
            r#"{"layout":{"names":["^\ud800"],"types":["u8"],"offsets":[0],"itemsize":1,"align":1}"#,
            "a text with valid escapes",
        ),
        (
            r#"{"layout":{"names":["^\u00"],"types":["u8"],"offsets":[0],"itemsize":1,"align":1}"#,
            "a text with valid escapes",
        ),
    ];
    for (case, expected) in cases {
        let offset = case.find('^').expect("a mark");
        let error = Layout::parse(case.replacen('^', "", 1).as_bytes()).expect_err(case);
        assert_eq!((error.offset, error.expected), (offset, *expected), "{case}");
    }
    let error = Layout::parse(b"{\"layout\":{\"opaque\":\"a\xff\"").expect_err("no UTF-8");
    assert_eq!((error.offset, error.expected), (22, "UTF-8"));
    assert_eq!(crate::Error::from(error).kind(), &crate::ErrorKind::Corrupt { field: "schema", value: 22 });
}

#[test]
fn depth_and_length_are_limited() {
    let nested = |depth| (0..depth).fold(leaf(1, 1, LayoutKind::Scalar(Scalar::U8)), |inner, _| array(inner, 1));
    assert_round_trip(&nested(Layout::MAX_DEPTH));
    let error = Layout::parse(nested(Layout::MAX_DEPTH + 1).to_json().as_bytes()).expect_err("too deep");
    assert_eq!((error.offset, error.expected), (10 + 9 * Layout::MAX_DEPTH, "fewer levels"));

    let opaque = |length: usize| leaf(1, 1, LayoutKind::Opaque { name: "x".repeat(length) });
    let most = Layout::MAX_LEN - opaque(0).to_json().len();
    assert_round_trip(&opaque(most));
    let error = Layout::parse(opaque(most + 1).to_json().as_bytes()).expect_err("too long");
    assert_eq!((error.offset, error.expected), (Layout::MAX_LEN, "the end"));
}

/// Without a depth limit this would end the process.
#[test]
fn a_tower_of_brackets_does_not_overflow_the_stack() {
    for brick in [r#"{"array":"#, r#"{"names":["a"],"types":["#, "[", "{", "\"", "\\"] {
        let tower = format!("{{\"layout\":{}", brick.repeat((Layout::MAX_LEN - 10) / brick.len()));
        assert!(Layout::parse(tower.as_bytes()).is_err());
    }
}

pub(super) fn leaf(size: usize, align: usize, kind: LayoutKind) -> Layout {
    Layout { size, align, name: TypeName(None), kind }
}

pub(super) fn array(element: Layout, length: usize) -> Layout {
    leaf(element.size * length, element.align, LayoutKind::Array { element: Box::new(element), length })
}

pub(super) fn guarded(value: Layout, guard: Guard) -> Layout {
    let geometry = guard.geometry(value.size, value.align).expect("small");
    leaf(geometry.size, geometry.align, LayoutKind::Guarded { guard, value: Box::new(value) })
}

/// Size and alignment by the algorithm of `repr(C)`, padding included: a second opinion.
fn repr_c(layout: &Layout) -> (usize, usize) {
    match &layout.kind {
        LayoutKind::Scalar(scalar) | LayoutKind::NonZero(scalar) | LayoutKind::OptionNonZero(scalar) => {
            (scalar.size(), scalar.align())
        }
        LayoutKind::Atomic(scalar) => (scalar.size(), scalar.size()),
        LayoutKind::Event => (4, 4),
        LayoutKind::Text { capacity } | LayoutKind::Bytes { capacity } => (capacity + 4, 1),
        LayoutKind::Enum { repr, .. } => (repr.size(), repr.align()),
        LayoutKind::Opaque { .. } => (layout.size, layout.align),
        LayoutKind::Array { element, length } => {
            let (size, align) = repr_c(element);
            (size * length, align)
        }
        LayoutKind::Struct { fields, .. } => {
            // More than the fields need is `align(N)`.
            let (mut end, mut most) = (0_usize, layout.align);
            for field in fields {
                let (size, align) = repr_c(&field.layout);
                end = end.next_multiple_of(align);
                assert_eq!(field.offset, end);
                (end, most) = (end + size, most.max(align));
            }
            (end.next_multiple_of(most), most)
        }
        LayoutKind::Guarded { guard, value } => {
            let (size, align) = repr_c(value);
            let place = |members: &[(usize, usize)]| {
                let (mut end, mut most) = (0_usize, 1);
                for (size, align) in members {
                    (end, most) = (end.next_multiple_of(*align) + size, most.max(*align));
                }
                (end.next_multiple_of(most), most)
            };
            match *guard {
                Guard::Mutex => place(&[(8, 8), (size, align)]),
                Guard::RwLock => place(&[(8, 8), (512, 8), (size, align)]),
                Guard::Cell { buffers } => {
                    let (size, align) = place(&[(8, 8), (size, align)]);
                    place(&[(8, 8), (8, 8), (4, 4), (4, 4), (size * buffers, align)])
                }
            }
        }
    }
}

fn names(count: usize) -> impl Strategy<Value = Vec<String>> {
    let name = prop_oneof![
        4 => "[a-z][a-z0-9_]{0,6}",
        1 => "[\"\\\\/\u{1b}\u{7f}\u{85}\u{202e}ßé日🦀 '*]{1,4}",
    ];
    proptest::collection::hash_set(name, count).prop_map(|names| names.into_iter().collect())
}

/// Fields in the order of falling alignment, and bytes at the end, make a struct without padding.
fn structure(mut parts: Vec<Layout>, mut names: Vec<String>, version: u32) -> Layout {
    parts.sort_by_key(|part| core::cmp::Reverse(part.align));
    let (size, align) = (parts.iter().map(|part| part.size).sum::<usize>(), parts[0].align);
    names.truncate(parts.len());
    if !size.is_multiple_of(align) {
        parts.push(array(leaf(1, 1, LayoutKind::Scalar(Scalar::U8)), align - size % align));
        names.push("the padding".to_owned());
    }
    let mut end = 0;
    let fields: Vec<_> = parts
        .into_iter()
        .zip(names)
        .map(|(layout, name)| {
            let offset = end;
            end += layout.size;
            LayoutField { name, offset, layout }
        })
        .collect();
    leaf(end, align, LayoutKind::Struct { version, fields })
}

pub(super) fn layouts() -> impl Strategy<Value = Layout> {
    use Scalar as S;
    let scalar = proptest::sample::select(Scalar::ALL);
    let integer = proptest::sample::select(vec![S::U8, S::I16, S::U32, S::I64]);
    let repr = proptest::sample::select(vec![S::U8, S::I8, S::U16, S::I16, S::U32, S::I32, S::U64, S::I64]);
    let leaves = prop_oneof![
        4 => scalar.prop_map(|s| leaf(s.size(), s.align(), LayoutKind::Scalar(s))),
        1 => integer.clone().prop_map(|s| leaf(s.size(), s.size(), LayoutKind::Atomic(s))),
        1 => Just(leaf(4, 4, LayoutKind::Event)),
        1 => integer.clone().prop_map(|s| leaf(s.size(), s.align(), LayoutKind::NonZero(s))),
        1 => integer.prop_map(|s| leaf(s.size(), s.align(), LayoutKind::OptionNonZero(s))),
        1 => (1..99_usize).prop_map(|capacity| leaf(capacity + 4, 1, LayoutKind::Text { capacity })),
        1 => (1..99_usize).prop_map(|capacity| leaf(capacity + 4, 1, LayoutKind::Bytes { capacity })),
        1 => (names(1), 1..9_usize, 0..5_u32).prop_map(|(names, units, shift)| {
            leaf(units << shift, 1 << shift, LayoutKind::Opaque { name: names[0].clone() })
        }),
        1 => (repr, 0..3_u32, names(3), 1..4_usize).prop_map(|(repr, version, names, count)| {
            let lowest = if repr.name().starts_with('i') { -128 } else { 0 };
            let variants = names.into_iter().take(count).zip([127, lowest, 7]);
            let variants = variants.map(|(name, value)| LayoutVariant { name, value }).collect();
            leaf(repr.size(), repr.align(), LayoutKind::Enum { version, repr, variants })
        }),
    ];
    leaves.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            1 => (inner.clone(), 1..5_usize).prop_map(|(element, length)| array(element, length)),
            1 => (inner.clone(), 0..67_usize).prop_map(|(value, kind)| guarded(value, match kind {
                0 => Guard::Mutex,
                1 => Guard::RwLock,
                more => Guard::Cell { buffers: more.min(64) },
            })),
            3 => (proptest::collection::vec(inner, 1..6), names(5), 0..3_u32)
                .prop_map(|(parts, names, version)| structure(parts, names, version)),
        ]
    })
}

/// Changes the part number `part`, counted from the outside.
fn change(layout: &mut Layout, part: &mut usize, by: usize) {
    let mut turn = || {
        *part = part.wrapping_sub(1);
        *part == usize::MAX
    };
    match &mut layout.kind {
        LayoutKind::Scalar(_) if turn() => {
            let scalar = Scalar::ALL[by];
            *layout = leaf(scalar.size(), scalar.align(), LayoutKind::Scalar(scalar));
        }
        LayoutKind::Text { capacity } | LayoutKind::Bytes { capacity } if turn() => {
            *capacity += by;
            layout.size += by;
        }
        LayoutKind::Opaque { name } if turn() => name.push('x'),
        LayoutKind::Opaque { .. } if turn() => layout.align = by,
        LayoutKind::Opaque { .. } if turn() => layout.size = by,
        LayoutKind::Array { element, length } => {
            if turn() {
                *length += by;
            } else {
                change(element, part, by);
            }
            (layout.size, layout.align) = (element.size * *length, element.align);
        }
        LayoutKind::Guarded { guard, value } => {
            if turn() {
                *guard = match guard {
                    Guard::Mutex => Guard::RwLock,
                    Guard::RwLock => Guard::Cell { buffers: by + 1 },
                    Guard::Cell { buffers } => Guard::Cell { buffers: *buffers + by },
                };
            } else {
                change(value, part, by);
            }
            let geometry = guard.geometry(value.size, value.align);
            (layout.size, layout.align) = geometry.map_or((by, 1), |geometry| (geometry.size, geometry.align));
        }
        LayoutKind::Struct { version, .. } | LayoutKind::Enum { version, .. } if turn() => *version += 1,
        LayoutKind::Struct { .. } if turn() => layout.size += by,
        LayoutKind::Struct { .. } if turn() => layout.align *= by,
        LayoutKind::Struct { fields, .. } if turn() => fields.reverse(),
        LayoutKind::Struct { fields, .. } if turn() => drop(fields.pop()),
        LayoutKind::Struct { fields, .. } => {
            for field in fields {
                let mut turn = || {
                    *part = part.wrapping_sub(1);
                    *part == usize::MAX
                };
                if turn() {
                    field.offset = field.offset.abs_diff(by);
                } else if turn() {
                    field.name.push('x');
                } else {
                    change(&mut field.layout, part, by);
                }
            }
        }
        LayoutKind::Enum { repr, .. } if turn() => {
            *repr = Scalar::ALL[2 * (by % 3)];
            (layout.size, layout.align) = (repr.size(), repr.align());
        }
        LayoutKind::Enum { variants, .. } if turn() => variants.reverse(),
        LayoutKind::Enum { variants, .. } if turn() => variants[0].value += by as i128,
        LayoutKind::Enum { variants, .. } if turn() => variants[0].name.push('x'),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: if cfg!(miri) { 8 } else { 256 }, ..ProptestConfig::default() })]

    #[test]
    fn any_layout_goes_round(layout in layouts()) {
        assert_round_trip(&layout);
        prop_assert_eq!(repr_c(&layout), (layout.size(), layout.align()));
    }

    #[test]
    fn damaged_json_is_refused_or_means_what_it_says(
        layout in layouts(),
        other in layouts(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<proptest::sample::Index>(), 0..5_u8, 0..8_u32), 1..3),
    ) {
        let mut json = layout.to_json().into_bytes();
        let other = other.to_json().into_bytes();
        for (at, from, what, bit) in damage {
            let (at, from) = (at.index(json.len()), from.index(other.len()));
            match what {
                0 => json[at] ^= 1 << bit,
                1 => json.truncate(at.max(1)),
                2 => drop(json.splice(at.., other[from..].iter().copied())),
                3 => json.insert(at, other[from]),
                _ => drop(json.remove(at)),
            }
            if json.is_empty() {
                json.push(b'{');
            }
        }
        if let Ok(parsed) = Layout::parse(&json) {
            prop_assert_eq!(parsed.to_json().into_bytes(), json);
            prop_assert_eq!(repr_c(&parsed), (parsed.size(), parsed.align()));
        }
    }

    /// A damaged first half, with the second half that belongs to it: here much is accepted.
    #[test]
    fn a_digit_changed_in_the_layout_is_found(layout in layouts(), at in any::<proptest::sample::Index>(), digit in b'0'..=b'9') {
        let mut json = layout.to_json().into_bytes();
        let digits: Vec<usize> = (0..json.len()).filter(|at| json[*at].is_ascii_digit()).collect();
        json[digits[at.index(digits.len())]] = digit;
        if let Ok(parsed) = Layout::parse(&json) {
            prop_assert_eq!(parsed.to_json().into_bytes(), json);
            prop_assert_eq!(repr_c(&parsed), (parsed.size(), parsed.align()));
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200), head in any::<bool>()) {
        let bytes = if head { [b"{\"layout\":", &bytes[..]].concat() } else { bytes };
        if let Ok(parsed) = Layout::parse(&bytes) {
            prop_assert_eq!(parsed.to_json().into_bytes(), bytes);
        }
    }

    #[test]
    fn there_are_differences_if_and_only_if_layouts_differ(a in layouts(), b in layouts()) {
        prop_assert_eq!(a.differences(&b).is_empty(), a == b);
        prop_assert_eq!(a.differences(&a), Vec::<String>::new());
        prop_assert_eq!(a == b, a.to_json() == b.to_json());
        prop_assert!(a.differences(&b).len() <= 21);
    }

    /// One number or name changed somewhere: nearly equal layouts, most of which no derive could have made.
    #[test]
    fn a_changed_part_is_told_and_refused_where_it_cannot_be(layout in layouts(), part in 0..60_usize, by in 1..9_usize) {
        let mut changed = layout.clone();
        change(&mut changed, &mut part.clone(), by);
        prop_assert_eq!(layout.differences(&changed).is_empty(), layout == changed);
        prop_assert_eq!(changed.differences(&layout).is_empty(), layout == changed);
        let json = changed.to_json();
        prop_assert_eq!(json == layout.to_json(), layout == changed);
        if let Ok(parsed) = Layout::parse(json.as_bytes()) {
            prop_assert_eq!(&parsed, &changed);
            prop_assert_eq!(repr_c(&parsed), (parsed.size(), parsed.align()));
        }
    }

    #[test]
    fn what_is_shown_has_no_control_characters(a in layouts(), b in layouts(), name in ".{0,9}") {
        let mut shown = a.differences(&b);
        shown.extend([a.to_json(), a.to_rust(&name), a.to_numpy(&name), a.to_c(&name)]);
        for text in shown {
            prop_assert!(text.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{text:?}");
        }
    }
}

/// `schema` with its fields changed.
pub(super) fn fields_of(schema: &Schema, edit: impl FnOnce(&mut Vec<LayoutField>)) -> Layout {
    let mut layout = Layout::from(schema);
    let LayoutKind::Struct { fields, .. } = &mut layout.kind else { panic!("no struct") };
    edit(fields);
    layout
}

fn field(name: &str, offset: usize, schema: &Schema) -> LayoutField {
    LayoutField { name: name.to_owned(), offset, layout: schema.into() }
}

#[test]
fn a_type_that_grew_is_told_in_the_words_of_the_manual() {
    let start = [field("id", 0, &u64::SCHEMA), field("position", 8, &<[f64; 3]>::SCHEMA)];
    let old = fields_of(&LEG, |fields| *fields = [&start[..], &[field("mass", 32, &f32::SCHEMA)]].concat());
    let new = fields_of(&LEG, |fields| {
        *fields = [&start[..], &[field("mass", 32, &f64::SCHEMA), field("charge", 40, &f64::SCHEMA)]].concat();
    });
    assert_eq!(
        new.differences(&old),
        [
            "field 2 `mass` is f64 at 32 in the segment, f32 at 32 in this program",
            "the segment also has `charge` f64 at 40"
        ]
    );
    assert_eq!(
        old.differences(&new),
        [
            "field 2 `mass` is f32 at 32 in the segment, f64 at 32 in this program",
            "this program also has `charge` f64 at 40"
        ]
    );
}

#[test]
fn differences_are_told_part_by_part() {
    let body = Layout::from(&BODY);
    let told = |edit: fn(&mut Vec<LayoutField>)| fields_of(&BODY, edit).differences(&body);
    fn leg(fields: &mut [LayoutField]) -> &mut Layout {
        let LayoutKind::Array { element, .. } = &mut fields[6].layout.kind else { panic!("no array") };
        let LayoutKind::Array { element, .. } = &mut element.kind else { panic!("no array") };
        element
    }
    fn variants(fields: &mut [LayoutField]) -> &mut Vec<LayoutVariant> {
        let LayoutKind::Enum { variants, .. } = &mut fields[3].layout.kind else { panic!("no enum") };
        variants
    }

    assert_eq!(
        told(|fields| *leg(fields) = fields_of(&LEG, |leg| leg[0].layout = Layout::from(&i8::SCHEMA))),
        ["field 0 `legs[][].side` is i8 at 0 in the segment, u8 at 0 in this program"]
    );
    assert_eq!(
        told(|fields| fields[1].layout = array(Layout::from(&f64::SCHEMA), 4)),
        ["field 1 `position` is [f64; 4] at 8 in the segment, [f64; 3] at 8 in this program"]
    );
    assert_eq!(
        told(|fields| fields[6].layout = array(Layout::from(&LEGS), 9)),
        ["field 6 `legs` is [[[a struct of 8 bytes; 2]; 3]; 9] at 44 in the segment, \
          [[a struct of 8 bytes; 2]; 3] at 44 in this program"]
    );
    assert_eq!(
        told(|fields| fields[0].name = "key".to_owned()),
        ["field 0 is `key` in the segment, `id` in this program"]
    );
    assert_eq!(
        told(|fields| fields[10].layout = Layout::from(&u64::SCHEMA)),
        ["field 10 `hits` is u64 at 120 in the segment, atomic u64 at 120 in this program"]
    );
    assert_eq!(
        told(|fields| {
            variants(fields)[1].value = 2;
            variants(fields).push(LayoutVariant { name: "Moon\u{1b}".to_owned(), value: 9 });
        }),
        [
            "`kind`: variant `Ship` is 2 in the segment, 1 in this program",
            "`kind`: the segment also has variant `Moon\\u001b` = 9"
        ]
    );
    assert_eq!(told(|fields| variants(fields).reverse()), ["`kind`: the variants are declared in another order"]);
    assert_eq!(
        Layout::from(&f64::SCHEMA).differences(&Layout::from(&f32::SCHEMA)),
        ["f64 in the segment, f32 in this program"]
    );
    assert_eq!(
        Layout::from(&<[f64; 3]>::SCHEMA).differences(&body),
        ["[f64; 3] in the segment, a struct of 128 bytes in this program"]
    );
    let mut newer = body.clone();
    let LayoutKind::Struct { version, .. } = &mut newer.kind else { panic!("no struct") };
    *version = 8;
    assert_eq!(newer.differences(&body), ["version 8 in the segment, 7 in this program"]);
    let mut wider = body.clone();
    wider.align = 64;
    assert_eq!(wider.differences(&body), ["the alignment is 64 in the segment, 8 in this program"]);
}

#[test]
fn of_many_differences_the_first_twenty_are_told() {
    let fields = |prefix| {
        let field = |index| field(&format!("{prefix}{index}"), index, &u8::SCHEMA);
        fields_of(&LEG, |fields| *fields = (0..30).map(field).collect())
    };
    let mut other = fields("b");
    let LayoutKind::Struct { fields: others, .. } = &mut other.kind else { panic!("no struct") };
    others.iter_mut().for_each(|field| field.offset += 1);
    let differences = fields("a").differences(&other);
    assert_eq!(differences.len(), 21);
    assert_eq!(differences[0], "the segment also has `a0` u8 at 0");
    assert_eq!(differences[20], "and 40 more");
}

#[test]
fn values_of_enums_fit_their_integers_exactly() {
    let enumeration = |repr: &str, value: &str, numpy: &str| {
        format!(r#"{{"layout":{{"enum":"{repr}","variants":[["A",{value}]]}},"numpy":"{numpy}"}}"#)
    };
    let little = cfg!(target_endian = "little");
    let (u64_format, i64_format) = if little { ("<u8", "<i8") } else { (">u8", ">i8") };
    for (repr, value, numpy, fits) in [
        ("u8", "255", "|u1", true),
        ("u8", "256", "|u1", false),
        ("u8", "-1", "|u1", false),
        ("i8", "-128", "|i1", true),
        ("i8", "-129", "|i1", false),
        ("i8", "-0", "|i1", false),
        ("i8", "128", "|i1", false),
        ("u64", "18446744073709551615", u64_format, true),
        ("i64", "-9223372036854775808", i64_format, true),
        ("i64", "-9223372036854775809", i64_format, false),
        ("i64", "9223372036854775808", i64_format, false),
        ("f32", "0", "<f4", false),
        ("u128", "0", "|V16", false),
    ] {
        let json = enumeration(repr, value, numpy);
        let layout = Layout::parse(json.as_bytes());
        assert_eq!(layout.is_ok(), fits, "{json}");
        if let Ok(layout) = layout {
            assert_eq!(layout.to_json(), json);
        }
    }
}
