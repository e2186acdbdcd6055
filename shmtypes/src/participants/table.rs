//! The slots' records in shared memory.
//!
//! ```text
//! offset  size
//!      0     4  generation   how often the slot was taken, without 0
//!      4     4  pid          of who took it last, for people
//!      8     8  start        when that process started, in clock ticks since boot, for people
//! ```

use super::Identity;
use crate::access::atomic::with;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The shared record of one slot.
#[repr(C)]
pub(crate) struct SlotRecord {
    generation: AtomicU32,
    pid: AtomicU32,
    start: AtomicU64,
}

impl SlotRecord {
    pub(crate) const BYTES: usize = size_of::<Self>();

    /// The process id in a private copy of a record.
    pub(crate) fn pid_of(copy: &[u8; Self::BYTES]) -> u32 {
        let at = offset_of!(Self, pid);
        u32::from_ne_bytes([copy[at], copy[at + 1], copy[at + 2], copy[at + 3]])
    }
}

const _: () = assert!(SlotRecord::BYTES == 16 && align_of::<SlotRecord>() == 8);

/// All of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlotTable {
    // Invariant: `count` records from `first` on are aligned and mapped for writing.
    first: *mut SlotRecord,
    count: u32,
}

// SAFETY: the mapping belongs to the process, not to a thread; the records are reached by atomics only.
unsafe impl Send for SlotTable {}
// SAFETY: as above.
unsafe impl Sync for SlotTable {}

impl SlotTable {
    /// # Safety
    /// `count` records from `first` on are aligned and mapped for writing as long as the table is used.
    pub(super) unsafe fn new(first: *mut SlotRecord, count: u32) -> Self {
        Self { first, count }
    }

    pub(super) fn count(self) -> u32 {
        self.count
    }

    fn record(self, slot: u32) -> Option<*mut SlotRecord> {
        (slot < self.count).then(|| self.first.wrapping_add(slot as usize))
    }

    /// The generation of a slot, if there is one.
    pub(super) fn generation(self, slot: u32) -> Option<u32> {
        let generation = self.record(slot)?.wrapping_byte_add(offset_of!(SlotRecord, generation));
        // SAFETY: inside the table by `record`, aligned and mapped by the invariant.
        // Relaxed: the caller's fence orders it.
        Some(unsafe { with(generation.cast::<AtomicU32>(), |word| word.load(Ordering::Relaxed)) })
    }

    /// A new generation for a slot that the caller holds: the next one, but never 0, so that no identity of a table that
    /// nobody has used yet could be taken for a holder's.
    pub(super) fn count_up(self, slot: u32) -> u32 {
        let next = self.generation(slot).unwrap_or(0).checked_add(1).unwrap_or(1);
        if let Some(record) = self.record(slot) {
            let generation = record.wrapping_byte_add(offset_of!(SlotRecord, generation));
            // SAFETY: inside the table by `record`, aligned and mapped for writing by the invariant.
            // Only the slot's holder writes here, so nothing is lost between the load and the store.
            // Relaxed: the lock word carries it, see `Participant::is_dead`.
            unsafe { with(generation.cast::<AtomicU32>(), |word| word.store(next, Ordering::Relaxed)) };
        }
        next
    }

    /// Says for people who holds a slot, after its generation was counted up.
    pub(super) fn describe(self, slot: u32, pid: u32, start: u64) {
        let Some(record) = self.record(slot) else { return };
        let start_place = record.wrapping_byte_add(offset_of!(SlotRecord, start));
        // SAFETY: inside the table by `record`, aligned and mapped for writing by the invariant.
        // Relaxed: for people.
        unsafe { with(start_place.cast::<AtomicU64>(), |word| word.store(start, Ordering::Relaxed)) };
        let pid_place = record.wrapping_byte_add(offset_of!(SlotRecord, pid));
        // SAFETY: as above.
        // Pairs with the acquire in `pid`.
        unsafe { with(pid_place.cast::<AtomicU32>(), |word| word.store(pid, Ordering::Release)) };
    }

    /// The process id of a holder, or 0 if the slot is another one's by now.
    pub(super) fn pid(self, holder: Identity) -> u32 {
        let Some(record) = self.record(holder.slot()) else { return 0 };
        let pid_place = record.wrapping_byte_add(offset_of!(SlotRecord, pid));
        // SAFETY: inside the table by `record`, aligned and mapped by the invariant.
        // Pairs with the release in `describe`: with a successor's process id, the successor's generation is found.
        let pid = unsafe { with(pid_place.cast::<AtomicU32>(), |word| word.load(Ordering::Acquire)) };
        if self.generation(holder.slot()) == Some(holder.generation()) { pid } else { 0 }
    }

    /// Whether a holder is the process that has this id and started then: process ids alone are several processes' where
    /// several namespaces share a segment.
    pub(super) fn is_of(self, holder: Identity, pid: u32, start: u64) -> bool {
        if self.pid(holder) != pid {
            return false;
        }
        let Some(record) = self.record(holder.slot()) else { return false };
        let start_place = record.wrapping_byte_add(offset_of!(SlotRecord, start));
        // SAFETY: inside the table by `record`, aligned and mapped by the invariant.
        // Relaxed: after the acquire in `pid`.
        start == unsafe { with(start_place.cast::<AtomicU64>(), |word| word.load(Ordering::Relaxed)) }
    }
}
