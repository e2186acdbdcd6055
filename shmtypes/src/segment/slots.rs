//! The participant slots of a segment: what its header says of them, who has one, and taking one.
#![allow(unsafe_code, reason = "hands the mapped table of slots to the participant")]

use super::attachment::Location;
use super::header::Header;
use super::liveness::{self, Rung};
use crate::error::{Error, ErrorKind, Result};
use crate::participants::{Holder, Participant, SlotRecord};
use crate::sys::{Access, File, FileId, Lock, LockBytes, Map, Status};
use std::time::Duration;

/// The participant slots of a segment with locks: each attachment that may write has one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Slots {
    /// How many there are.
    pub count: u32,
    /// Those that are taken, by the kernel's word, and by whom, by that of the process.
    pub taken: Vec<Holder>,
    /// How long a lock is waited for; `None` for ever.
    pub lock_timeout: Option<Duration>,
}

impl Slots {
    /// The slots of an open segment, if it has any. Takes no lock.
    pub(super) fn examine(file: &File, header: &Header, rung: Rung) -> Result<Option<Self>> {
        let Some((offset, count)) = header.slot_table() else { return Ok(None) };
        let mut slots = Self { count, taken: Vec::new(), lock_timeout: header.lock_timeout() };
        if !rung.keeps_descriptor() && file.locked(LockBytes::slots(count))?.is_some() {
            for slot in 0..count {
                if file.locked(LockBytes::slot(slot))? == Some(Lock::Exclusive) {
                    let mut record = [0; SlotRecord::BYTES];
                    // What the file has no bytes for stays 0.
                    file.read_at(&mut record, offset + u64::from(slot) * SlotRecord::BYTES as u64)?;
                    slots.taken.push(Holder { slot, pid: SlotRecord::pid_of(&record) });
                }
            }
        }
        Ok(Some(slots))
    }
}

/// Whether an attachment takes a slot.
pub(super) fn needs_slot(header: &Header, access: Access) -> bool {
    access == Access::ReadWrite && header.slot_table().is_some()
}

/// Refuses file systems where a mapping does not keep a lock: there a forked child would keep its dead parent's slot.
pub(super) fn check_rung(rung: Rung) -> Result<()> {
    if rung.keeps_descriptor() {
        return Err(Error::new(ErrorKind::Unsupported {
            what: "locks on this file system: a mapping does not keep the kernel's lock on its file",
        }));
    }
    Ok(())
}

/// The same for a file to attach to.
pub(super) fn check_file(file: &File, status: &Status, location: Option<&Location>) -> Result<()> {
    check_rung(match location {
        Some(location) => location.rung,
        None => liveness::rung(file, status)?,
    })
}

/// What an attachment has open of its file.
#[derive(Debug)]
pub(super) enum Open {
    Plain(File),
    /// Its locks are asked for through the descriptor.
    Participant(Box<Participant>),
}

impl Open {
    /// Takes a slot if the segment has some and is mapped for writing. `map` must live longer than what is returned.
    ///
    /// # Safety
    /// The mapping outlives what is returned, and has the header's length and the access that is named.
    pub(super) unsafe fn new(file: File, id: FileId, map: &Map, header: &Header, access: Access) -> Result<Self> {
        let table = header.slot_table().filter(|_| access == Access::ReadWrite);
        let Some((offset, count)) = table else { return Ok(Self::Plain(file)) };
        let first = map.start().wrapping_add(offset as usize).cast::<SlotRecord>();
        assert!(first.is_aligned() && offset as usize + count as usize * SlotRecord::BYTES <= map.bytes());
        // SAFETY: aligned and inside the mapping by the assertion, which is for writing and lives long enough by the
        // caller's word.
        let participant = unsafe { Participant::join(file, id, first, count, header.lock_timeout(), map.watch()) }?;
        Ok(Self::Participant(Box::new(participant)))
    }

    pub(super) fn file(&self) -> &File {
        match self {
            Self::Plain(file) => file,
            Self::Participant(participant) => participant.file(),
        }
    }

    /// Closes the file unless something needs it: the locks, an unnamed segment, or a life lock that the mapping does not
    /// keep.
    pub(super) fn kept(self, location: Option<&Location>) -> Option<Self> {
        let needed = location.is_none_or(|location| location.rung.keeps_descriptor());
        (needed || matches!(self, Self::Participant(_))).then_some(self)
    }
}
