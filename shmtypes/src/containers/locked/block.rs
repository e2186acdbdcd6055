//! The lock's words in the segment's mutable block.
//!
//! ```text
//! offset  size
//!      0     4  changed   an event, as in every array
//!      4    60  0
//!     64     8  writer    the word of an exclusive lock
//!     72    56  0         the rest of the line, which readers look at
//!    128   512  counts    of the readers of each slot, 64 of 8 bytes
//! ```

use crate::layout::{READERS, ReadWrite, ShmRef};
use crate::participants::Participant;
use crate::sync::ShmEvent;
use crate::sync::lock::shared::Words;
use crate::sync::lock::word::{DIED, POISONED};
use core::sync::atomic::{AtomicU64, Ordering};
use shmtypes_derive::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
pub(super) struct Block {
    changed: ShmEvent,
    changed_line: [u8; 60],
    writer: AtomicU64,
    writer_line: [u8; 56],
    counts: [AtomicU64; READERS],
}

impl Block {
    pub(super) const BYTES: u32 = size_of::<Self>() as u32;
}

const _: () = assert!(Block::BYTES == 640);

/// The parts, by name.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a>(pub(super) ShmRef<'a, Block, ReadWrite>);

impl<'a> Parts<'a> {
    pub(super) fn changed(self) -> ShmRef<'a, ShmEvent, ReadWrite> {
        self.0.field::<ShmEvent, 0>()
    }

    pub(super) fn is_poisoned(self) -> bool {
        // Relaxed: nothing is read on the strength of it.
        self.writer().load(Ordering::Relaxed) & (POISONED | DIED) != 0
    }

    #[inline(always)]
    fn writer(self) -> ShmRef<'a, AtomicU64, ReadWrite> {
        self.0.field::<AtomicU64, 2>()
    }

    #[inline(always)]
    pub(super) fn lock(self, participant: &Participant) -> LockWords<'a> {
        LockWords { parts: self, slots: participant.slots().min(READERS as u32) }
    }
}

/// The words of the lock, and how many of the counts belong to slots.
pub(super) struct LockWords<'a> {
    parts: Parts<'a>,
    slots: u32,
}

impl<'a> Words for LockWords<'a> {
    type Word = ShmRef<'a, AtomicU64, ReadWrite>;

    #[inline(always)]
    fn writer(&self) -> Self::Word {
        self.parts.writer()
    }

    #[inline(always)]
    fn count(&self, slot: u32) -> Option<Self::Word> {
        self.parts.0.field::<[AtomicU64; READERS], 4>().try_at(slot as usize)
    }

    #[inline(always)]
    fn slots(&self) -> u32 {
        self.slots
    }
}
