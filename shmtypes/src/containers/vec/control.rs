//! What a vector has in its segment's mutable block.
//!
//! ```text
//! offset  size
//!      0     8  lease     who may append: the word of an exclusive lock
//!      8    56  0         the rest of the line that only appenders touch
//!     64     8  state     epoch and length, see `publication`
//!     72     4  changed   an event, told when a batch of changes is complete
//!     76    52  0
//! ```

use super::publication::{OwnStateWord, StateWord};
use crate::layout::{AccessMode, ShmRef, Writable};
use crate::sync::ShmEvent;
use core::sync::atomic::{AtomicU64, Ordering, fence};
use shmtypes_derive::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
pub(super) struct Control {
    lease: AtomicU64,
    lease_line: [u8; 56],
    state: AtomicU64,
    changed: ShmEvent,
    state_line: [u8; 52],
}

impl Control {
    pub(super) const BYTES: u32 = size_of::<Self>() as u32;

    /// That of a vector which has its first elements already.
    pub(super) fn with_state(bits: u64) -> Self {
        Self {
            lease: AtomicU64::new(0),
            lease_line: [0; 56],
            state: AtomicU64::new(bits),
            changed: ShmEvent::new(),
            state_line: [0; 52],
        }
    }
}

const _: () = assert!(Control::BYTES == 128);

/// The parts, by name.
pub(super) trait Parts<'a, M> {
    fn lease(self) -> ShmRef<'a, AtomicU64, M>;
    fn state(self) -> ShmRef<'a, AtomicU64, M>;
    fn changed(self) -> ShmRef<'a, ShmEvent, M>;
}

impl<'a, M: AccessMode> Parts<'a, M> for ShmRef<'a, Control, M> {
    fn lease(self) -> ShmRef<'a, AtomicU64, M> {
        self.field::<AtomicU64, 0>()
    }

    #[inline(always)]
    fn state(self) -> ShmRef<'a, AtomicU64, M> {
        self.field::<AtomicU64, 2>()
    }

    fn changed(self) -> ShmRef<'a, ShmEvent, M> {
        self.field::<ShmEvent, 3>()
    }
}

impl<M: AccessMode> StateWord for ShmRef<'_, AtomicU64, M> {
    #[inline(always)]
    fn load(self, order: Ordering) -> u64 {
        self.load(order)
    }

    #[inline(always)]
    fn fence(order: Ordering) {
        fence(order);
    }
}

impl<M: Writable> OwnStateWord for ShmRef<'_, AtomicU64, M> {
    #[inline(always)]
    fn store(self, bits: u64, order: Ordering) {
        self.store(bits, order);
    }
}
