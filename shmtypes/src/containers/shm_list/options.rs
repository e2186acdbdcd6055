//! How a list is created or opened.

use super::super::options::{open_or_create, segment_options};
use super::ShmList;
use super::record::{Content, Encoded, MAX_CAPACITY, MIN_CAPACITY, RECORD_WORDS, WORD, exceeds};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, ReadOnly, ReadWrite};
use crate::participants::DEFAULT_SLOTS;
use crate::segment::attach::{attach, attach_descriptor};
use crate::segment::create::{Draft, Plan, file_bytes};
use crate::segment::header::{Container, Header};
use crate::segment::matching;
use crate::segment::options::{Evolve, SegmentOptions, invalid};
use crate::sync::ShmEvent;
use crate::sys::Access;
use core::mem::size_of;
use shmtypes_compat::list::AsValue;
use std::os::fd::OwnedFd;

/// The event, and as in an array room for more.
const MUTABLE_BYTES: u32 = 128;

/// Everything that can be said about a list before it is created or opened.
///
/// ```
/// use shmtypes::ShmList;
///
/// # let name = format!("doc-list-options-{}", std::process::id());
/// # let name = name.as_str();
/// // Whatever is in it now: each slot takes texts of up to 64 bytes.
/// let state = ShmList::options().name(name).mode(0o644).slot_capacity(64).open_or_create([None::<i64>; 10])?;
/// state.set(3, "a text that was not foreseen")?;
/// # Ok::<(), shmtypes::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    segment: SegmentOptions,
    slot_capacity: usize,
    /// What opening must find.
    len: Option<usize>,
}

segment_options!(ListOptions of no type);

/// Creating and opening.
impl ListOptions {
    /// How many bytes each slot of a new list takes at least, whatever is in it at first; else as many as its first value, and
    /// never fewer than 8.
    #[must_use]
    pub fn slot_capacity(mut self, bytes: usize) -> Self {
        self.slot_capacity = bytes;
        self
    }

    /// See [`ShmList::create`].
    ///
    /// # Errors
    /// As there; [`ErrorKind::AlreadyExists`] if the name is taken, unless by an `UntilLastDetach` segment whose
    /// processes were all killed, which makes room; [`ErrorKind::InvalidName`].
    pub fn create<I>(&self, values: I) -> Result<ShmList>
    where
        I: IntoIterator,
        I::Item: AsValue,
    {
        let values: Vec<I::Item> = values.into_iter().collect();
        self.create_from(&values)
    }

    /// See [`ShmList::create_with_capacities`].
    ///
    /// # Errors
    /// As there, and as [`create`](Self::create).
    pub fn create_with_capacities<V: AsValue>(&self, slots: impl IntoIterator<Item = (V, usize)>) -> Result<ShmList> {
        self.create_within(None, &slots.into_iter().collect::<Vec<_>>())
    }

    /// The same, unless these options would not [open](Self::open) the list for its size.
    pub(crate) fn create_to_be_opened<V: AsValue>(&self, slots: &[(V, usize)]) -> Result<ShmList> {
        self.create_within(Some(self.segment.max_bytes), slots)
    }

    fn create_within<V: AsValue>(&self, limit: Option<u64>, slots: &[(V, usize)]) -> Result<ShmList> {
        let encoded = slots.iter().map(|(value, capacity)| (Encoded::new(value.as_value()), *capacity));
        self.build(limit, &encoded.collect::<Vec<_>>())
    }

    /// See [`ShmList::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(&self) -> Result<ShmList> {
        self.attach::<ReadWrite>(Access::ReadWrite)
    }

    /// See [`ShmList::open_read_only`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_read_only(&self) -> Result<ShmList<ReadOnly>> {
        self.attach::<ReadOnly>(Access::ReadOnly)
    }

    /// See [`ShmList::open_or_create`].
    ///
    /// # Errors
    /// As there.
    pub fn open_or_create<I>(&self, values: I) -> Result<ShmList>
    where
        I: IntoIterator,
        I::Item: AsValue,
    {
        let values: Vec<I::Item> = values.into_iter().collect();
        let expected = Self { len: Some(values.len()), ..self.clone() };
        open_or_create(|| expected.open(), || self.create_from(&values))
    }

    /// See [`ShmList::from_fd`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_fd(&self, descriptor: OwnedFd) -> Result<ShmList> {
        ShmList::adopt(attach_descriptor(&self.segment, descriptor, &|header, schema| self.check(header, schema))?)
    }

    fn attach<M: AccessMode>(&self, access: Access) -> Result<ShmList<M>> {
        ShmList::adopt(attach(&self.segment, access, &|header, schema| self.check(header, schema))?)
    }

    fn check(&self, header: &Header, schema: &[u8]) -> Result<()> {
        matching::check::<u64>(Container::List, Evolve::Never, header, schema)?;
        let corrupt = |field, value| Err(Error::new(ErrorKind::Corrupt { field, value }));
        if header.slot_table().is_none() {
            return corrupt("slot count", 0);
        }
        if header.own_mutable_bytes() < size_of::<ShmEvent>() as u64 {
            return corrupt("mutable length", header.mutable_bytes.into());
        }
        let len = header.parameters[0];
        if len.checked_mul(RECORD_WORDS as u64).is_none_or(|words| words > header.capacity) {
            return corrupt("number of values", len);
        }
        match self.len {
            Some(expected) if expected as u64 != len => {
                // No truncation: not more than there are words.
                Err(Error::new(ErrorKind::LengthMismatch { given: expected, found: len as usize }))
            }
            _ => Ok(()),
        }
    }

    fn create_from<V: AsValue>(&self, values: &[V]) -> Result<ShmList> {
        let encoded = values.iter().map(|value| {
            let value = Encoded::new(value.as_value());
            (value, self.slot_capacity.max(value.len()))
        });
        self.build(None, &encoded.collect::<Vec<_>>())
    }

    /// The values are asked for once, before: a caller's `AsValue` may say something else the next time, and these are sized first
    /// and stored later.
    fn build(&self, limit: Option<u64>, slots: &[(Encoded<'_>, usize)]) -> Result<ShmList> {
        let len = slots.len();
        // Cannot overflow: the values stand in memory.
        let mut words = len * RECORD_WORDS;
        for &(ref value, capacity) in slots {
            let overflow = || Error::new(ErrorKind::SizeOverflow { elements: len, element_size: capacity });
            words = words.checked_add(2 * (rounded(value, capacity)? / WORD)).ok_or_else(overflow)?;
        }
        let plan = Plan {
            container: Container::List,
            shape: &[words],
            mutable_bytes: MUTABLE_BYTES,
            slots: self.segment.slots.unwrap_or(DEFAULT_SLOTS),
            filled: true,
        };
        if let Some(limit) = limit {
            let bytes = file_bytes::<u64>(&self.segment, &plan)?;
            if bytes > limit {
                return Err(Error::new(ErrorKind::TooLarge { bytes, limit }));
            }
        }
        let mut draft = Draft::new::<u64>(&self.segment, &plan)?;
        draft.set_parameters([len as u64, 0, 0, 0, 0, 0, 0, 0]);
        draft.elements::<u64>().lend(|words| fill(words, len, slots))??;
        ShmList::adopt(draft.publish()?)
    }
}

/// The size of an area, as it is for a slot that is to take `capacity` bytes.
fn rounded(value: &Encoded<'_>, capacity: usize) -> Result<usize> {
    if capacity > MAX_CAPACITY {
        return Err(invalid(&format!("{capacity} bytes for one value, which may have up to {MAX_CAPACITY}")));
    }
    let capacity = capacity.max(MIN_CAPACITY).next_multiple_of(WORD);
    if value.len() > capacity { Err(exceeds(value.len(), capacity)) } else { Ok(capacity) }
}

/// Makes zeros a list: values as store number 0, in the first areas.
fn fill(words: &mut [u64], len: usize, slots: &[(Encoded<'_>, usize)]) -> Result<()> {
    let (records, areas) = words.split_at_mut(len * RECORD_WORDS);
    let (records, _) = records.as_chunks_mut();
    let mut area = 0;
    for ([_lock, _current, _version, _next_version, head, _next_head, room, offset], &(ref value, capacity)) in
        records.iter_mut().zip(slots)
    {
        let capacity = rounded(value, capacity)?;
        *head = value.head;
        *room = capacity as u64;
        *offset = (len * RECORD_WORDS + area) as u64;
        match value.content {
            Content::Nothing => {}
            Content::Number(word) => areas[area] = word,
            Content::Text(text) => {
                bytemuck::cast_slice_mut(&mut areas[area..area + capacity / WORD])[..text.len()].copy_from_slice(text);
            }
        }
        area += 2 * (capacity / WORD);
    }
    Ok(())
}
