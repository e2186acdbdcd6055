//! The header: the first bytes of every segment.
//!
//! ```text
//! offset  size  field
//!      0     8  magic                "SHMTYPES", written last
//!      8     4  byte order           0x01020304
//!     12     2  format version       1
//!     14     2  header bytes         384
//!     16     4  required features    a reader that does not know a bit must not attach; 1: locked, 2: participant slots
//!     20     4  optional features    1: huge pages granted, 2: huge pages refused
//!     24     4  container            1 array, 2 vec, 3 list, 4 cell, 5 box, 8 registry
//!     28     1  pointer width        in bytes, for people
//!     29     1  persist              0 until last detach, 1 keep
//!     30     2  reserved
//!     32     8  total bytes          length of the file
//!     40     4  schema offset        behind the header
//!     44     4  schema bytes         canonical JSON
//!     48     8  data offset          a multiple of 64; of 4096 when the data have 4096 bytes or more
//!     56     8  data bytes           capacity times element bytes
//!     64    16  fingerprint          of the element's layout, a native 128-bit integer
//!     80     8  element bytes        distance from one element to the next
//!     88     4  element align
//!     92     4  dimensions           1 to 8
//!     96     8  capacity             in elements, the product of the shape
//!    104    64  shape                elements per dimension, row-major; 0 behind the last dimension
//!    168     8  mutable offset       a multiple of 64; all that changes but the data
//!    176     4  mutable bytes        the container's, and then 16 for each slot
//!    180     4  slot count           participant slots, 0 without locks
//!    184     8  lock timeout         in milliseconds, 0 for none
//!    192    16  creation id          unique: random, a count, the time
//!    208    16  boot id
//!    224     8  created              nanoseconds since 1970, for people
//!    232     8  creator start        clock ticks since boot, for people
//!    240     4  creator pid          for people, never for decisions
//!    244     4  creator uid          for people, never for decisions
//!    248    64  parameters           eight numbers whose meaning the container defines
//!    312     8  reserved
//!    320    64  type name            UTF-8, NUL-padded, for people
//! ```
//!
//! Native byte order. Nothing here changes after publication, so one `pread` into private memory is exact, and all
//! later bounds come from that copy ([`parse`](Header::parse) is a pure function of it).

use crate::error::ErrorKind;
use crate::layout::READERS;
use crate::participants::{MAX_SLOTS, SlotRecord};
use core::mem::{offset_of, size_of};
use core::time::Duration;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

pub(crate) const MAGIC: [u8; 8] = *b"SHMTYPES";
const BYTE_ORDER: u32 = 0x0102_0304;
pub(crate) const FORMAT_VERSION: u16 = 1;
pub(crate) const HEADER_BYTES: usize = size_of::<Header>();
/// What offsets of regions are multiples of: a cache line.
pub(crate) const REGION_ALIGN: u64 = 64;
/// What the data's offset is a multiple of when they have at least as many bytes. A constant of the format, whatever
/// the page size of the machine.
pub(crate) const PAGE: u64 = 4096;
pub(crate) const MAX_SCHEMA_BYTES: u32 = 64 << 10;
pub(crate) const MAX_DIMENSIONS: usize = 8;

/// In `required_features`: every access takes the lock in the mutable block.
const LOCKED: u32 = 1;
/// In `required_features`: the segment has participant slots.
pub(crate) const SLOTS: u32 = 2;
/// Bits of `required_features` that this version knows.
const KNOWN_FEATURES: u32 = LOCKED | SLOTS;
pub(crate) const HUGE_PAGES_GRANTED: u32 = 1;
pub(crate) const HUGE_PAGES_REFUSED: u32 = 2;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) magic: [u8; 8],
    pub(crate) byte_order: u32,
    pub(crate) format_version: u16,
    pub(crate) header_bytes: u16,
    pub(crate) required_features: u32,
    pub(crate) optional_features: u32,
    pub(crate) container: u32,
    pub(crate) pointer_width: u8,
    pub(crate) persist: u8,
    pub(crate) reserved: [u8; 2],
    pub(crate) total_bytes: u64,
    pub(crate) schema_offset: u32,
    pub(crate) schema_bytes: u32,
    pub(crate) data_offset: u64,
    pub(crate) data_bytes: u64,
    pub(crate) fingerprint: [u8; 16],
    pub(crate) element_bytes: u64,
    pub(crate) element_align: u32,
    pub(crate) dimensions: u32,
    pub(crate) capacity: u64,
    pub(crate) shape: [u64; MAX_DIMENSIONS],
    pub(crate) mutable_offset: u64,
    pub(crate) mutable_bytes: u32,
    pub(crate) slot_count: u32,
    pub(crate) lock_timeout_ms: u64,
    pub(crate) creation_id: [u8; 16],
    pub(crate) boot_id: [u8; 16],
    pub(crate) created_ns: u64,
    pub(crate) creator_start: u64,
    pub(crate) creator_pid: u32,
    pub(crate) creator_uid: u32,
    pub(crate) parameters: [u64; 8],
    pub(crate) reserved_end: [u8; 8],
    pub(crate) type_name: [u8; 64],
}

const _: () = assert!(HEADER_BYTES == 384 && (HEADER_BYTES as u64).is_multiple_of(REGION_ALIGN));

/// The containers, by their number in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Container {
    /// [`ShmArray`](crate::ShmArray)
    Array,
    /// [`ShmVec`](crate::ShmVec)
    Vec,
    /// [`ShmList`](crate::ShmList)
    List,
    /// [`ShmCell`](crate::ShmCell)
    Cell,
    /// [`ShmBox`](crate::ShmBox)
    Box,
    /// What a [`SharedMemoryManager`](crate::manager::SharedMemoryManager) owns, for [`reap`](crate::reap) to find
    Registry,
    /// A container that this version of the crate does not know.
    Unknown(u32),
}

impl Container {
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::Array => 1,
            Self::Vec => 2,
            Self::List => 3,
            Self::Cell => 4,
            Self::Box => 5,
            Self::Registry => 8,
            Self::Unknown(number) => number,
        }
    }

    pub(crate) const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Array,
            2 => Self::Vec,
            3 => Self::List,
            4 => Self::Cell,
            5 => Self::Box,
            8 => Self::Registry,
            number => Self::Unknown(number),
        }
    }

    /// The container's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Array => "ShmArray",
            Self::Vec => "ShmVec",
            Self::List => "ShmList",
            Self::Cell => "ShmCell",
            Self::Box => "ShmBox",
            Self::Registry => "registry of a manager",
            Self::Unknown(_) => "container unknown to this program",
        }
    }
}

/// When a segment's name goes away. Recorded in the segment by its creator, and binding for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Persist {
    /// When the last process detaches, or at the next [`reap`](crate::reap) if that process was killed.
    #[default]
    UntilLastDetach,
    /// By [`unlink`](crate::unlink), [`reap_named`](crate::reap_named) or `rm` only.
    Keep,
}

impl Header {
    /// A header with the fields that are the same for every segment of this version.
    pub(crate) fn template() -> Box<Self> {
        Box::new(Self {
            magic: MAGIC,
            byte_order: BYTE_ORDER,
            format_version: FORMAT_VERSION,
            header_bytes: HEADER_BYTES as u16,
            pointer_width: size_of::<usize>() as u8,
            ..Self::new_zeroed()
        })
    }

    /// Reads and checks a header. `bytes` is a private copy of the start of a file that has `file_bytes` bytes.
    ///
    /// Safe on any bytes: gives a header whose regions lie inside the file, in order and aligned, or an error.
    pub(crate) fn parse(bytes: &[u8], file_bytes: u64) -> Result<Box<Self>, ErrorKind> {
        if file_bytes == 0 {
            return Err(ErrorKind::NotASegment { found: "an empty file" });
        }
        let header = Self::read(bytes, file_bytes)?;
        header.check_length(file_bytes)?;
        header.check_geometry()?;
        Ok(header)
    }

    /// The same for a file of unknown length: the regions lie inside the length that the header claims.
    pub(crate) fn parse_claims(bytes: &[u8]) -> Result<Box<Self>, ErrorKind> {
        let header = Self::read(bytes, bytes.len() as u64)?;
        header.check_geometry()?;
        Ok(header)
    }

    fn read(bytes: &[u8], file_bytes: u64) -> Result<Box<Self>, ErrorKind> {
        if !bytes.starts_with(&MAGIC) {
            return Err(ErrorKind::NotASegment { found: "a file without its magic" });
        }
        let Ok((header, _)) = Self::read_from_prefix(bytes) else {
            return Err(ErrorKind::Truncated { expected: HEADER_BYTES as u64, found: file_bytes });
        };
        // Moved as a pointer from here on.
        let header = Box::new(header);
        match header.byte_order {
            BYTE_ORDER => {}
            order if order == BYTE_ORDER.swap_bytes() => return Err(ErrorKind::ForeignByteOrder),
            order => return Err(ErrorKind::Corrupt { field: "byte order", value: order.into() }),
        }
        if header.format_version != FORMAT_VERSION {
            return Err(ErrorKind::UnknownFormat { found: header.format_version, supported: FORMAT_VERSION });
        }
        let unknown = header.required_features & !KNOWN_FEATURES;
        if unknown != 0 {
            return Err(ErrorKind::UnknownFeatures { bits: unknown });
        }
        Ok(header)
    }

    /// Whether the file has the length that the header says.
    pub(crate) fn check_length(&self, file_bytes: u64) -> Result<(), ErrorKind> {
        if self.total_bytes > file_bytes {
            return Err(ErrorKind::Truncated { expected: self.total_bytes, found: file_bytes });
        }
        check("total length", self.total_bytes, self.total_bytes == file_bytes)
    }

    fn check_geometry(&self) -> Result<(), ErrorKind> {
        let header_bytes = u64::from(self.header_bytes);
        check("header length", header_bytes, header_bytes >= HEADER_BYTES as u64 && aligned(header_bytes))?;
        check("persist policy", self.persist.into(), self.persist <= 1)?;

        let schema = self.schema_range();
        check("schema offset", schema.0, schema.0 >= header_bytes)?;
        check("schema length", schema.1, schema.1 <= MAX_SCHEMA_BYTES.into())?;
        let mutable = (self.mutable_offset, u64::from(self.mutable_bytes));
        let mutable_fits = aligned(mutable.0) && end(schema).is_some_and(|end| end <= mutable.0);
        check("mutable offset", mutable.0, mutable_fits)?;
        let slots = self.slot_count;
        let has_slots = self.required_features & SLOTS != 0;
        check("slot count", slots.into(), slots <= MAX_SLOTS && has_slots == (slots > 0))?;
        let lock_fits = has_slots && slots <= READERS as u32 && self.container() == Container::Array;
        check("required features", self.required_features.into(), !self.is_locked() || lock_fits)?;
        let own = mutable.1.checked_sub(slot_bytes(slots));
        check("mutable length", mutable.1, !has_slots || own.is_some_and(aligned))?;
        let data_fits = aligned(self.data_offset) && end(mutable).is_some_and(|end| end <= self.data_offset);
        check("data offset", self.data_offset, data_fits)?;
        let data_end = end((self.data_offset, self.data_bytes));
        check("data length", self.data_bytes, data_end.is_some_and(|end| end <= self.total_bytes))?;

        let align = self.element_align;
        let align_fits = align.is_power_of_two() && self.data_offset.is_multiple_of(align.into());
        check("element alignment", align.into(), align_fits)?;
        let size = self.element_bytes;
        check("element size", size, size > 0 && size.is_multiple_of(align.into()))?;
        check("capacity", self.capacity, self.capacity.checked_mul(size) == Some(self.data_bytes))?;
        let dimensions = self.dimensions as usize;
        check("number of dimensions", dimensions as u64, (1..=MAX_DIMENSIONS).contains(&dimensions))?;
        let (used, unused) = self.shape.split_at(dimensions);
        let elements = used.iter().try_fold(1_u64, |product, &length| product.checked_mul(length));
        // Also of an array without elements: strides are products of lengths.
        let extent = extent(used.iter().copied(), size);
        let shape_fits =
            elements == Some(self.capacity) && extent.is_some() && unused.iter().all(|&length| length == 0);
        check("shape", used[0], shape_fits)
    }

    /// Offset and length of the schema.
    pub(crate) fn schema_range(&self) -> (u64, u64) {
        (self.schema_offset.into(), self.schema_bytes.into())
    }

    /// Where the table of slots starts in the file, and how many there are.
    pub(crate) fn slot_table(&self) -> Option<(u64, u32)> {
        (self.slot_count > 0).then(|| (self.mutable_offset + self.own_mutable_bytes(), self.slot_count))
    }

    /// The length of the mutable block without the table of slots that ends it.
    pub(crate) fn own_mutable_bytes(&self) -> u64 {
        u64::from(self.mutable_bytes) - slot_bytes(self.slot_count)
    }

    /// How long to wait for a lock; `None` for ever.
    pub(crate) fn lock_timeout(&self) -> Option<Duration> {
        (self.lock_timeout_ms > 0).then(|| Duration::from_millis(self.lock_timeout_ms))
    }

    /// Gives the segment slots. Its mutable block is complete but for them.
    pub(crate) fn add_slots(&mut self, slots: u32, lock_timeout: Option<Duration>) {
        self.required_features |= SLOTS;
        self.slot_count = slots;
        let bytes = u64::from(self.mutable_bytes).next_multiple_of(REGION_ALIGN) + slot_bytes(slots);
        self.mutable_bytes = bytes as u32;
        // 0 means for ever, so that a shorter time than a millisecond becomes one.
        let milliseconds =
            |time: Duration| u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).max(1);
        self.lock_timeout_ms = lock_timeout.map_or(0, milliseconds);
    }

    /// Whether every access takes the segment's lock.
    pub(crate) fn is_locked(&self) -> bool {
        self.required_features & LOCKED != 0
    }

    /// Says that every access takes the segment's lock, for whose words the mutable block has room.
    pub(crate) fn set_locked(&mut self) {
        self.required_features |= LOCKED;
    }

    pub(crate) fn container(&self) -> Container {
        Container::from_number(self.container)
    }

    pub(crate) fn persist(&self) -> Persist {
        if self.persist == 0 { Persist::UntilLastDetach } else { Persist::Keep }
    }

    /// The lengths of the dimensions.
    pub(crate) fn shape(&self) -> &[u64] {
        &self.shape[..self.dimensions as usize]
    }

    pub(crate) fn set_type_name(&mut self, name: &str) {
        let mut end = name.len().min(self.type_name.len());
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        self.type_name[..end].copy_from_slice(&name.as_bytes()[..end]);
    }

    /// The type's name, with everything replaced that could disturb a terminal.
    pub(crate) fn type_name(&self) -> String {
        let end = self.type_name.iter().position(|&byte| byte == 0).unwrap_or(self.type_name.len());
        let name = String::from_utf8_lossy(&self.type_name[..end]);
        name.chars()
            .map(|c| if c.is_alphanumeric() || c.is_ascii_punctuation() || c == ' ' { c } else { '\u{fffd}' })
            .collect()
    }
}

/// The bytes of a run with these lengths, the zeros among them counted as ones, if a program can address them.
pub(crate) fn extent(lengths: impl Iterator<Item = u64>, element_bytes: u64) -> Option<u64> {
    let mut lengths = lengths.filter(|&length| length != 0);
    lengths.try_fold(element_bytes, u64::checked_mul).filter(|&bytes| isize::try_from(bytes).is_ok())
}

/// How much of a file [`check_open_to_all`] looks at.
pub(crate) const FRONT_BYTES: usize = offset_of!(Header, container);

/// Refuses files that nobody may come to as mere bytes: segments whose every access takes their lock, because slices of them
/// may be lent; and those with features unknown to this version, which may ask for the like. Sees what is no segment as bytes.
pub(crate) fn check_open_to_all(front: &[u8; FRONT_BYTES]) -> Result<(), ErrorKind> {
    const PLACE: usize = offset_of!(Header, required_features);
    let Some(bits) = front[PLACE..].first_chunk().filter(|_| front.starts_with(&MAGIC)) else { return Ok(()) };
    let required = u32::from_ne_bytes(*bits);
    let unknown = required & !KNOWN_FEATURES;
    if required & LOCKED != 0 {
        Err(ErrorKind::NeedsLock)
    } else if unknown != 0 {
        Err(ErrorKind::UnknownFeatures { bits: unknown })
    } else {
        Ok(())
    }
}

fn check(field: &'static str, value: u64, holds: bool) -> Result<(), ErrorKind> {
    if holds { Ok(()) } else { Err(ErrorKind::Corrupt { field, value }) }
}

fn slot_bytes(slots: u32) -> u64 {
    u64::from(slots) * SlotRecord::BYTES as u64
}

fn aligned(offset: u64) -> bool {
    offset.is_multiple_of(REGION_ALIGN)
}

fn end((offset, bytes): (u64, u64)) -> Option<u64> {
    offset.checked_add(bytes)
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
