//! Frozen renderings.
//!
//! These, and those of 300 generated layouts, were compiled as Rust (without the attributes of the derive), with
//! `gcc -std=c11 -Wall -Wextra -pedantic`, and run with NumPy 2.4, which agreed on every size and offset. So were those of
//! 176 generated layouts with locks and cells, but for Rust.

use super::Layout;
use super::tests::{BODY, LEGS, ODD};
use crate::layout::guarded::tests::{Account, Cell, Line, Mutex, RwLock};
use crate::layout::{Field, Kind, Scalar, Schema, ShmLayout};
use core::sync::atomic::AtomicU16;

#[repr(C, align(64))]
pub(super) struct Rare([u8; 64]);

const PAIR: Schema = Schema::of::<[u32; 2]>(Kind::Struct {
    name: "Pair",
    version: 0,
    fields: &[
        Field { name: "0", offset: 0, schema: &u32::SCHEMA },
        Field { name: "1", offset: 4, schema: &Schema::of::<f32>(Kind::Opaque { name: "a foreign */ type" }) },
    ],
});

/// What [`BODY`] has not: alignment, keywords, a tuple struct, types that C lacks.
pub(super) const RARE: Schema = Schema::of::<Rare>(Kind::Struct {
    name: "Rare",
    version: 0,
    fields: &[
        Field { name: "type", offset: 0, schema: &<[u128; 1]>::SCHEMA },
        Field { name: "double", offset: 16, schema: &PAIR },
        Field { name: "pairs", offset: 24, schema: &Schema::of::<[u64; 1]>(Kind::Array { element: &PAIR, length: 1 }) },
        Field { name: "z", offset: 32, schema: &Schema::of::<[f32; 2]>(Kind::Scalar(Scalar::Complex32)) },
        Field { name: "port", offset: 40, schema: &zerocopy::byteorder::big_endian::U16::SCHEMA },
        Field { name: "half", offset: 42, schema: &Schema::of::<u16>(Kind::Scalar(Scalar::F16)) },
        Field { name: "a-b", offset: 44, schema: &AtomicU16::SCHEMA },
        Field { name: "a_b", offset: 46, schema: &u16::SCHEMA },
        Field { name: "id", offset: 48, schema: &Schema::of::<[u8; 16]>(Kind::Scalar(Scalar::Uuid)) },
    ],
});

#[test]
#[cfg(all(target_endian = "little", target_pointer_width = "64"))]
fn a_parsed_struct_of_everything_is_rendered() {
    let layout = Layout::parse(BODY.to_json().as_bytes()).expect("our own");
    assert_eq!(
        layout.to_rust("Thing"),
        r##"#[derive(Clone, Copy, shmtypes::ShmLayout)]
#[repr(u8)]
#[shm(version = 1)]
pub enum ThingKind {
    Rock = 0,
    Ship = 1,
}

#[derive(Clone, Copy, shmtypes::ShmLayout)]
#[repr(C)]
pub struct ThingLegs {
    pub side: u8,
    pub joints: [u8; 3],
    pub length: f32,
}

#[derive(shmtypes::ShmLayout)]
#[repr(C)]
#[shm(version = 7)]
pub struct Thing {
    pub id: u64,
    pub position: [f64; 3],
    pub mass: f32,
    pub kind: ThingKind,
    pub awake: core::sync::atomic::AtomicBool,
    // 6 bytes, alignment 1
    #[shm(bytemuck = "mac::Address")]
    pub tag: mac::Address,
    pub legs: [[ThingLegs; 2]; 3],
    pub name: shmtypes::ShmStr<12>,
    pub digest: shmtypes::ShmBytes<4>,
    pub serial: Option<core::num::NonZero<u32>>,
    pub hits: core::sync::atomic::AtomicU64,
}
"##
    );
    assert_eq!(
        layout.to_c("Thing"),
        r##"#include <stddef.h>
#include <stdint.h>

/* version 1 */
typedef uint8_t ThingKind;
#define ThingKind_Rock ((ThingKind)0u)
#define ThingKind_Ship ((ThingKind)1u)

typedef struct ThingLegs {
    uint8_t side;
    uint8_t joints[3];
    float length;
} ThingLegs;
_Static_assert(sizeof(ThingLegs) == 8, "size of ThingLegs");
_Static_assert(_Alignof(ThingLegs) == 4, "alignment of ThingLegs");
_Static_assert(offsetof(ThingLegs, side) == 0, "offset of ThingLegs.side");
_Static_assert(offsetof(ThingLegs, joints) == 1, "offset of ThingLegs.joints");
_Static_assert(offsetof(ThingLegs, length) == 4, "offset of ThingLegs.length");

/* version 7 */
typedef struct Thing {
    uint64_t id;
    double position[3];
    float mass;
    ThingKind kind;
    _Atomic _Bool awake;
    unsigned char tag[6] /* mac::Address */;
    ThingLegs legs[3][2];
    struct { unsigned char len[4]; char text[12]; } name;
    struct { unsigned char len[4]; unsigned char bytes[4]; } digest;
    uint32_t serial;
    _Atomic uint64_t hits;
} Thing;
_Static_assert(sizeof(Thing) == 128, "size of Thing");
_Static_assert(_Alignof(Thing) == 8, "alignment of Thing");
_Static_assert(offsetof(Thing, id) == 0, "offset of Thing.id");
_Static_assert(offsetof(Thing, position) == 8, "offset of Thing.position");
_Static_assert(offsetof(Thing, mass) == 32, "offset of Thing.mass");
_Static_assert(offsetof(Thing, kind) == 36, "offset of Thing.kind");
_Static_assert(offsetof(Thing, awake) == 37, "offset of Thing.awake");
_Static_assert(offsetof(Thing, tag) == 38, "offset of Thing.tag");
_Static_assert(offsetof(Thing, legs) == 44, "offset of Thing.legs");
_Static_assert(offsetof(Thing, name) == 92, "offset of Thing.name");
_Static_assert(offsetof(Thing, digest) == 108, "offset of Thing.digest");
_Static_assert(offsetof(Thing, serial) == 116, "offset of Thing.serial");
_Static_assert(offsetof(Thing, hits) == 120, "offset of Thing.hits");
"##
    );
    assert_eq!(
        layout.to_numpy("Thing"),
        r##"import numpy as np

Thing = np.dtype({
    "names": ["id", "position", "mass", "kind", "awake", "tag", "legs", "name", "digest", "serial", "hits"],
    "formats": ["<u8", "(3,)<f8", "<f4", "|u1", "|b1", "|V6", ({
        "names": ["side", "joints", "length"],
        "formats": ["|u1", "(3,)|u1", "<f4"],
        "offsets": [0, 1, 4],
        "itemsize": 8,
    }, (3, 2)), {
        "names": ["len", "text"],
        "formats": ["<u4", "|S12"],
        "offsets": [0, 4],
        "itemsize": 16,
    }, {
        "names": ["len", "bytes"],
        "formats": ["<u4", "|V4"],
        "offsets": [0, 4],
        "itemsize": 8,
    }, "<u4", "<u8"],
    "offsets": [0, 8, 32, 36, 37, 38, 44, 92, 108, 116, 120],
    "itemsize": 128,
})
"##
    );
}

#[test]
#[cfg(all(target_endian = "little", target_pointer_width = "64"))]
fn a_schema_with_rare_parts_is_rendered() {
    let layout = Layout::from(&RARE);
    assert_eq!(
        layout.to_rust("Thing"),
        r##"#[derive(Clone, Copy, shmtypes::ShmLayout)]
#[repr(C)]
pub struct Pair(
    pub u32,
    // 4 bytes, alignment 4
    #[shm(bytemuck = "a foreign */ type")]
    pub a_foreign____type,
);

#[derive(shmtypes::ShmLayout)]
#[repr(C, align(64))]
pub struct Thing {
    #[shm(rename = "type")]
    pub type_: [u128; 1],
    pub double: Pair,
    pub pairs: [Pair; 1],
    pub z: num_complex::Complex<f32>,
    pub port: zerocopy::byteorder::big_endian::U16,
    pub half: half::f16,
    #[shm(rename = "a-b")]
    pub a_b_2: core::sync::atomic::AtomicU16,
    pub a_b: u16,
    pub id: uuid::Uuid,
}
"##
    );
    assert_eq!(
        layout.to_c("Thing"),
        r##"#include <stddef.h>
#include <stdint.h>

typedef struct Pair {
    uint32_t _0; /* 0 */
    _Alignas(4) unsigned char _1[4] /* a foreign *\u002f type */; /* 1 */
} Pair;
_Static_assert(sizeof(Pair) == 8, "size of Pair");
_Static_assert(_Alignof(Pair) == 4, "alignment of Pair");
_Static_assert(offsetof(Pair, _0) == 0, "offset of Pair._0");
_Static_assert(offsetof(Pair, _1) == 4, "offset of Pair._1");

typedef struct Thing {
    _Alignas(64)
    _Alignas(16) unsigned char type[1][16] /* u128 */;
    Pair double_; /* double */
    Pair pairs[1];
    float _Complex z;
    unsigned char port[2] /* u16be */;
    uint16_t half;
    _Atomic uint16_t a_b_2; /* a-b */
    uint16_t a_b;
    unsigned char id[16] /* uuid */;
} Thing;
_Static_assert(sizeof(Thing) == 64, "size of Thing");
_Static_assert(_Alignof(Thing) == 64, "alignment of Thing");
_Static_assert(offsetof(Thing, type) == 0, "offset of Thing.type");
_Static_assert(offsetof(Thing, double_) == 16, "offset of Thing.double_");
_Static_assert(offsetof(Thing, pairs) == 24, "offset of Thing.pairs");
_Static_assert(offsetof(Thing, z) == 32, "offset of Thing.z");
_Static_assert(offsetof(Thing, port) == 40, "offset of Thing.port");
_Static_assert(offsetof(Thing, half) == 42, "offset of Thing.half");
_Static_assert(offsetof(Thing, a_b_2) == 44, "offset of Thing.a_b_2");
_Static_assert(offsetof(Thing, a_b) == 46, "offset of Thing.a_b");
_Static_assert(offsetof(Thing, id) == 48, "offset of Thing.id");
"##
    );
    assert_eq!(
        layout.to_numpy("Thing"),
        r##"import numpy as np

Thing = np.dtype({
    "names": ["type", "double", "pairs", "z", "port", "half", "a-b", "a_b", "id"],
    "formats": ["(1,)|V16", {
        "names": ["0", "1"],
        "formats": ["<u4", "|V4"],
        "offsets": [0, 4],
        "itemsize": 8,
    }, ({
        "names": ["0", "1"],
        "formats": ["<u4", "|V4"],
        "offsets": [0, 4],
        "itemsize": 8,
    }, (1,)), "<c8", ">u2", "<f2", "<u2", "<u2", "|V16"],
    "offsets": [0, 16, 24, 32, 40, 42, 44, 46, 48],
    "itemsize": 64,
})
"##
    );
}

#[test]
#[cfg(all(target_endian = "little", target_pointer_width = "64"))]
fn an_array_of_structs_is_rendered() {
    let layout = Layout::from(&LEGS);
    assert_eq!(
        layout.to_rust("Thing"),
        r##"#[derive(Clone, Copy, shmtypes::ShmLayout)]
#[repr(C)]
pub struct Leg {
    pub side: u8,
    pub joints: [u8; 3],
    pub length: f32,
}

pub type Thing = [[Leg; 2]; 3];
"##
    );
    assert_eq!(
        layout.to_c("Thing"),
        r##"#include <stddef.h>
#include <stdint.h>

typedef struct Leg {
    uint8_t side;
    uint8_t joints[3];
    float length;
} Leg;
_Static_assert(sizeof(Leg) == 8, "size of Leg");
_Static_assert(_Alignof(Leg) == 4, "alignment of Leg");
_Static_assert(offsetof(Leg, side) == 0, "offset of Leg.side");
_Static_assert(offsetof(Leg, joints) == 1, "offset of Leg.joints");
_Static_assert(offsetof(Leg, length) == 4, "offset of Leg.length");

typedef struct Thing {
    Leg value[3][2];
} Thing;
_Static_assert(sizeof(Thing) == 48, "size of Thing");
_Static_assert(_Alignof(Thing) == 4, "alignment of Thing");
_Static_assert(offsetof(Thing, value) == 0, "offset of Thing.value");
"##
    );
    assert_eq!(
        layout.to_numpy("Thing"),
        r##"import numpy as np

Thing = np.dtype(({
    "names": ["side", "joints", "length"],
    "formats": ["|u1", "(3,)|u1", "<f4"],
    "offsets": [0, 1, 4],
    "itemsize": 8,
}, (3, 2)))
"##
    );
}

#[test]
#[cfg(all(target_endian = "little", target_pointer_width = "64"))]
fn names_that_are_no_identifiers_is_rendered() {
    let layout = Layout::from(&ODD);
    assert_eq!(
        layout.to_rust("Thing"),
        r##"#[derive(Clone, Copy, shmtypes::ShmLayout)]
#[repr(C)]
pub struct Thing {
    #[shm(rename = "größe")]
    pub gr__e: u16,
    #[shm(rename = "a \"b\" \\ \u{1b}[31m")]
    pub a__b______31m: u16,
    #[shm(rename = "\u{202e}\u{85}type")]
    pub __type: u16,
}
"##
    );
    assert_eq!(
        layout.to_numpy("Thing"),
        r##"import numpy as np

Thing = np.dtype({
    "names": ["größe", "a \"b\" \\ \u001b[31m", "\u202e\u0085type"],
    "formats": ["<u2", "<u2", "<u2"],
    "offsets": [0, 2, 4],
    "itemsize": 6,
})
"##
    );
}

#[test]
#[cfg(all(target_endian = "little", target_pointer_width = "64"))]
fn locks_and_cells_are_rendered() {
    let layout = Layout::from(&Account::SCHEMA);
    assert_eq!(
        layout.to_rust("Thing"),
        r##"#[derive(Clone, Copy, shmtypes::ShmLayout)]
#[repr(C)]
pub struct Balance {
    pub amount: f64,
    pub currency: [u8; 3],
    pub is_open: bool,
    pub cents: u32,
}

#[derive(shmtypes::ShmLayout)]
#[repr(C)]
pub struct Thing {
    pub id: u32,
    pub branch: u32,
    pub open: shmtypes::sync::ShmMutex<bool>,
    pub rates: [shmtypes::sync::ShmRwLock<f32>; 2],
    pub latest: shmtypes::sync::SeqCell<shmtypes::sync::ShmMutex<u8>, 2>,
    pub balance: shmtypes::sync::ShmMutex<Balance>,
}
"##
    );
    assert_eq!(
        layout.to_c("Thing"),
        r##"#include <stddef.h>
#include <stdint.h>

typedef struct ShmMutex {
    _Atomic uint64_t lock;
    _Bool value;
} ShmMutex;
_Static_assert(sizeof(ShmMutex) == 16, "size of ShmMutex");
_Static_assert(_Alignof(ShmMutex) == 8, "alignment of ShmMutex");
_Static_assert(offsetof(ShmMutex, lock) == 0, "offset of ShmMutex.lock");
_Static_assert(offsetof(ShmMutex, value) == 8, "offset of ShmMutex.value");

typedef struct ShmRwLock {
    _Atomic uint64_t lock;
    _Atomic uint64_t readers[64];
    float value;
} ShmRwLock;
_Static_assert(sizeof(ShmRwLock) == 528, "size of ShmRwLock");
_Static_assert(_Alignof(ShmRwLock) == 8, "alignment of ShmRwLock");
_Static_assert(offsetof(ShmRwLock, lock) == 0, "offset of ShmRwLock.lock");
_Static_assert(offsetof(ShmRwLock, readers) == 8, "offset of ShmRwLock.readers");
_Static_assert(offsetof(ShmRwLock, value) == 520, "offset of ShmRwLock.value");

typedef struct ShmMutex_2 {
    _Atomic uint64_t lock;
    uint8_t value;
} ShmMutex_2;
_Static_assert(sizeof(ShmMutex_2) == 16, "size of ShmMutex_2");
_Static_assert(_Alignof(ShmMutex_2) == 8, "alignment of ShmMutex_2");
_Static_assert(offsetof(ShmMutex_2, lock) == 0, "offset of ShmMutex_2.lock");
_Static_assert(offsetof(ShmMutex_2, value) == 8, "offset of ShmMutex_2.value");

typedef struct SeqCellBuffer {
    _Atomic uint64_t version;
    ShmMutex_2 value;
} SeqCellBuffer;
_Static_assert(sizeof(SeqCellBuffer) == 24, "size of SeqCellBuffer");
_Static_assert(_Alignof(SeqCellBuffer) == 8, "alignment of SeqCellBuffer");
_Static_assert(offsetof(SeqCellBuffer, version) == 0, "offset of SeqCellBuffer.version");
_Static_assert(offsetof(SeqCellBuffer, value) == 8, "offset of SeqCellBuffer.value");

typedef struct SeqCell {
    _Atomic uint64_t lock;
    _Atomic uint64_t current;
    _Atomic uint32_t changed;
    uint32_t reserved;
    SeqCellBuffer buffers[2];
} SeqCell;
_Static_assert(sizeof(SeqCell) == 72, "size of SeqCell");
_Static_assert(_Alignof(SeqCell) == 8, "alignment of SeqCell");
_Static_assert(offsetof(SeqCell, lock) == 0, "offset of SeqCell.lock");
_Static_assert(offsetof(SeqCell, current) == 8, "offset of SeqCell.current");
_Static_assert(offsetof(SeqCell, changed) == 16, "offset of SeqCell.changed");
_Static_assert(offsetof(SeqCell, reserved) == 20, "offset of SeqCell.reserved");
_Static_assert(offsetof(SeqCell, buffers) == 24, "offset of SeqCell.buffers");

typedef struct Balance {
    double amount;
    uint8_t currency[3];
    _Bool is_open;
    uint32_t cents;
} Balance;
_Static_assert(sizeof(Balance) == 16, "size of Balance");
_Static_assert(_Alignof(Balance) == 8, "alignment of Balance");
_Static_assert(offsetof(Balance, amount) == 0, "offset of Balance.amount");
_Static_assert(offsetof(Balance, currency) == 8, "offset of Balance.currency");
_Static_assert(offsetof(Balance, is_open) == 11, "offset of Balance.is_open");
_Static_assert(offsetof(Balance, cents) == 12, "offset of Balance.cents");

typedef struct ShmMutex_3 {
    _Atomic uint64_t lock;
    Balance value;
} ShmMutex_3;
_Static_assert(sizeof(ShmMutex_3) == 24, "size of ShmMutex_3");
_Static_assert(_Alignof(ShmMutex_3) == 8, "alignment of ShmMutex_3");
_Static_assert(offsetof(ShmMutex_3, lock) == 0, "offset of ShmMutex_3.lock");
_Static_assert(offsetof(ShmMutex_3, value) == 8, "offset of ShmMutex_3.value");

typedef struct Thing {
    uint32_t id;
    uint32_t branch;
    ShmMutex open;
    ShmRwLock rates[2];
    SeqCell latest;
    ShmMutex_3 balance;
} Thing;
_Static_assert(sizeof(Thing) == 1176, "size of Thing");
_Static_assert(_Alignof(Thing) == 8, "alignment of Thing");
_Static_assert(offsetof(Thing, id) == 0, "offset of Thing.id");
_Static_assert(offsetof(Thing, branch) == 4, "offset of Thing.branch");
_Static_assert(offsetof(Thing, open) == 8, "offset of Thing.open");
_Static_assert(offsetof(Thing, rates) == 24, "offset of Thing.rates");
_Static_assert(offsetof(Thing, latest) == 1080, "offset of Thing.latest");
_Static_assert(offsetof(Thing, balance) == 1152, "offset of Thing.balance");
"##
    );
    assert_eq!(
        layout.to_numpy("Thing"),
        r##"import numpy as np

Thing = np.dtype({
    "names": ["id", "branch", "open", "rates", "latest", "balance"],
    "formats": ["<u4", "<u4", {
        "names": ["lock", "value"],
        "formats": ["<u8", "|b1"],
        "offsets": [0, 8],
        "itemsize": 16,
    }, ({
        "names": ["lock", "readers", "value"],
        "formats": ["<u8", "(64,)<u8", "<f4"],
        "offsets": [0, 8, 520],
        "itemsize": 528,
    }, (2,)), {
        "names": ["lock", "current", "changed", "buffers"],
        "formats": ["<u8", "<u8", "<u4", ({
            "names": ["version", "value"],
            "formats": ["<u8", {
                "names": ["lock", "value"],
                "formats": ["<u8", "|u1"],
                "offsets": [0, 8],
                "itemsize": 16,
            }],
            "offsets": [0, 8],
            "itemsize": 24,
        }, (2,))],
        "offsets": [0, 8, 16, 24],
        "itemsize": 72,
    }, {
        "names": ["lock", "value"],
        "formats": ["<u8", {
            "names": ["amount", "currency", "is_open", "cents"],
            "formats": ["<f8", "(3,)|u1", "|b1", "<u4"],
            "offsets": [0, 8, 11, 12],
            "itemsize": 16,
        }],
        "offsets": [0, 8],
        "itemsize": 24,
    }],
    "offsets": [0, 4, 8, 24, 1080, 1152],
    "itemsize": 1176,
})
"##
    );
}

/// The members are checked in C by its own assertions: these are what they assert.
#[test]
fn every_value_stands_where_its_alignment_puts_it() {
    fn c<T: ShmLayout>(declaration: &str, members: &str, offset: &str, size: usize, align: usize) {
        let source = T::SCHEMA.to_c("Thing");
        for expected in [
            format!("typedef struct Thing {{\n{members}}} Thing;\n"),
            format!("_Static_assert(sizeof(Thing) == {size}, "),
            format!("_Static_assert(_Alignof(Thing) == {align}, "),
            format!("_Static_assert(offsetof({offset}, "),
        ] {
            assert!(source.contains(&expected), "{expected} in {source}");
        }
        assert!(T::SCHEMA.to_rust("Thing").ends_with(&format!("pub type Thing = shmtypes::sync::{declaration};\n")));
    }
    let lock = "    _Atomic uint64_t lock;\n";
    let mutex = |value: &str| format!("{lock}    {value};\n");
    c::<Mutex<bool>>("ShmMutex<bool>", &mutex("_Bool value"), "Thing, value) == 8", 16, 8);
    c::<Mutex<u32>>("ShmMutex<u32>", &mutex("uint32_t value"), "Thing, value) == 8", 16, 8);
    c::<Mutex<f64>>("ShmMutex<f64>", &mutex("double value"), "Thing, value) == 8", 16, 8);
    c::<Mutex<[f64; 3]>>("ShmMutex<[f64; 3]>", &mutex("double value[3]"), "Thing, value) == 8", 32, 8);
    let wide = mutex("_Alignas(16) unsigned char value[16] /* u128 */");
    c::<Mutex<u128>>("ShmMutex<u128>", &wide, "Thing, value) == 16", 32, 16);
    c::<Mutex<Line>>("ShmMutex<Line>", &mutex("Line value"), "Thing, value) == 64", 128, 64);

    let rwlock = |value: &str| format!("{lock}    _Atomic uint64_t readers[64];\n    {value};\n");
    c::<RwLock<bool>>("ShmRwLock<bool>", &rwlock("_Bool value"), "Thing, value) == 520", 528, 8);
    c::<RwLock<u32>>("ShmRwLock<u32>", &rwlock("uint32_t value"), "Thing, value) == 520", 528, 8);
    c::<RwLock<f64>>("ShmRwLock<f64>", &rwlock("double value"), "Thing, value) == 520", 528, 8);
    c::<RwLock<[f64; 3]>>("ShmRwLock<[f64; 3]>", &rwlock("double value[3]"), "Thing, value) == 520", 544, 8);
    c::<RwLock<Line>>("ShmRwLock<Line>", &rwlock("Line value"), "Thing, value) == 576", 640, 64);

    let cell = |buffers: &str| {
        let words = "    _Atomic uint64_t current;\n    _Atomic uint32_t changed;\n    uint32_t reserved;\n";
        format!("{lock}{words}    SeqCellBuffer buffers[{buffers}];\n")
    };
    c::<Cell<bool, 2>>("SeqCell<bool, 2>", &cell("2"), "SeqCellBuffer, value) == 8", 56, 8);
    c::<Cell<u32, 4>>("SeqCell<u32, 4>", &cell("4"), "Thing, buffers) == 24", 88, 8);
    c::<Cell<f64, 4>>("SeqCell<f64, 4>", &cell("4"), "Thing, buffers) == 24", 88, 8);
    c::<Cell<[f64; 3], 64>>("SeqCell<[f64; 3], 64>", &cell("64"), "Thing, buffers) == 24", 2072, 8);
    c::<Cell<u128, 2>>("SeqCell<u128, 2>", &cell("2"), "Thing, buffers) == 32", 96, 16);
    c::<Cell<Line, 4>>("SeqCell<Line, 4>", &cell("4"), "SeqCellBuffer, value) == 64", 576, 64);
}
