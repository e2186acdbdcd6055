//! A 128-bit digest of a schema, computed at compile time.
//!
//! FNV-1a with the 128-bit parameters (draft-eastlake-fnv, "The FNV Non-Cryptographic Hash Algorithm", section 5)
//! over an encoding in which every text and list is preceded by its length, so that no two schemas share one. It
//! detects mistakes, not attackers: attaching also compares the schemas themselves.

use super::Guard;
use super::schema::{Field, Kind, Scalar, Schema, Variant};

/// The digest of a type's layout. Names of fields and variants count, names of types do not.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub(crate) u128);

const OFFSET_BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// The kinds' tags. They are part of the format.
const SCALAR: u64 = 1;
const ATOMIC: u64 = 2;
const NON_ZERO: u64 = 3;
const OPTION_NON_ZERO: u64 = 4;
const TEXT: u64 = 5;
const BYTES: u64 = 6;
const ARRAY: u64 = 7;
const STRUCT: u64 = 8;
const ENUM: u64 = 9;
const OPAQUE: u64 = 10;
const EVENT: u64 = 11;
const MUTEX: u64 = 12;
const RW_LOCK: u64 = 13;
const CELL: u64 = 14;

impl Fingerprint {
    /// The digest of `schema`.
    #[must_use]
    pub const fn of(schema: &Schema) -> Self {
        Self(Digest(OFFSET_BASIS).schema(schema).0)
    }

    /// The digest as it stands in a segment's header.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_ne_bytes()
    }
}

impl core::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl core::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[derive(Clone, Copy)]
struct Digest(u128);

impl Digest {
    const fn byte(self, byte: u8) -> Self {
        Self((self.0 ^ byte as u128).wrapping_mul(PRIME))
    }

    /// Least significant byte first, on every machine.
    const fn number(self, number: u128, bytes: u32) -> Self {
        let mut digest = self;
        let mut index = 0;
        while index < bytes {
            digest = digest.byte((number >> (8 * index)) as u8);
            index += 1;
        }
        digest
    }

    const fn count(self, count: usize) -> Self {
        self.number(count as u128, 8)
    }

    const fn tag(self, tag: u64) -> Self {
        self.number(tag as u128, 8)
    }

    const fn text(self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut digest = self.count(bytes.len());
        let mut index = 0;
        while index < bytes.len() {
            digest = digest.byte(bytes[index]);
            index += 1;
        }
        digest
    }

    const fn scalar(self, tag: u64, scalar: Scalar) -> Self {
        self.tag(tag).text(scalar.name())
    }

    const fn schema(self, schema: &Schema) -> Self {
        let digest = self.count(schema.size()).count(schema.align());
        match *schema.kind() {
            Kind::Scalar(scalar) => digest.scalar(SCALAR, scalar),
            Kind::Atomic(scalar) => digest.scalar(ATOMIC, scalar),
            Kind::NonZero(scalar) => digest.scalar(NON_ZERO, scalar),
            Kind::OptionNonZero(scalar) => digest.scalar(OPTION_NON_ZERO, scalar),
            Kind::Text { capacity } => digest.tag(TEXT).count(capacity),
            Kind::Bytes { capacity } => digest.tag(BYTES).count(capacity),
            Kind::Array { element, length } => digest.tag(ARRAY).count(length).schema(element),
            Kind::Struct { version, fields, .. } => digest.tag(STRUCT).number(version as u128, 4).fields(fields),
            Kind::Enum { version, repr, variants, .. } => {
                digest.tag(ENUM).number(version as u128, 4).text(repr.name()).variants(variants)
            }
            Kind::Opaque { name } => digest.tag(OPAQUE).text(name),
            Kind::Event => digest.tag(EVENT),
            Kind::Guarded { guard: Guard::Mutex, value } => digest.tag(MUTEX).schema(value),
            Kind::Guarded { guard: Guard::RwLock, value } => digest.tag(RW_LOCK).schema(value),
            Kind::Guarded { guard: Guard::Cell { buffers }, value } => digest.tag(CELL).count(buffers).schema(value),
        }
    }

    const fn fields(self, fields: &[Field]) -> Self {
        let mut digest = self.count(fields.len());
        let mut index = 0;
        while index < fields.len() {
            let field = &fields[index];
            digest = digest.text(field.name).count(field.offset).schema(field.schema);
            index += 1;
        }
        digest
    }

    const fn variants(self, variants: &[Variant]) -> Self {
        let mut digest = self.count(variants.len());
        let mut index = 0;
        while index < variants.len() {
            digest = digest.text(variants[index].name).number(variants[index].value as u128, 16);
            index += 1;
        }
        digest
    }
}
