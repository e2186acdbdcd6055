//! A counter of notifications that processes wait for.
//!
//! 1. Who changes something writes first, then counts up (Release), then wakes all sleepers.
//! 2. Who waits loads the count (Acquire): what was written before the notification is there to be read.
//! 3. The kernel puts a waiter to sleep only if the count is still the one that it has seen, so that no notification is
//!    missed, and needs no write access for that. Nobody registers: a killed waiter leaves nothing behind, and the
//!    notifier pays for a system call whether anybody waits or not.
#![allow(unsafe_code, reason = "implements the unsafe layout traits, and hands the word's address to the kernel")]

use super::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, Field, Kind, Schema, ShmLayout, ShmRef, ShmZero, Writable};
use crate::sys::futex;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long a waiter sleeps before it looks at the count by itself: a notifier may be killed between counting and
/// waking.
const SLICE: Duration = Duration::from_millis(50);

/// Something that processes wait for: a field of a `#[derive(ShmLayout)]` struct, reached through its view.
///
/// ```
/// use shmtypes::{ShmArray, ShmEvent, ShmLayout};
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use std::time::Duration;
///
/// #[derive(ShmLayout)]
/// #[repr(C)]
/// struct Progress {
///     finished: AtomicU64,
///     changed: ShmEvent,
///     unused: [u8; 4],
/// }
///
/// let progress = ShmArray::<Progress>::create(1)?;
/// let (seen, name) = (progress.at(0).changed().count(), progress.name().to_owned());
/// // In another process, or here in a thread:
/// let worker = std::thread::spawn(move || -> shmtypes::Result<()> {
///     let progress = ShmArray::<Progress>::open(&name)?;
///     progress.at(0).finished().store(7, Relaxed);
///     progress.at(0).changed().notify();
///     Ok(())
/// });
/// progress.at(0).changed().wait_changed(seen, Duration::from_secs(10))?;
/// assert_eq!(progress.at(0).finished().load(Relaxed), 7);
/// # worker.join().unwrap()?;
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// What was written before [`notify`](ShmRef::notify) is seen by whoever has waited for it. All waiters are woken. A
/// waiter that is killed leaves nothing behind. If the notifier is killed before it could wake the others, they wake by
/// themselves within 50 ms. A peer that writes nonsense into the count causes a wait to return early, or not before its
/// deadline.
///
/// The count wraps after 2^32 notifications; a waiter that sleeps through exactly as many would miss them.
#[derive(Debug)]
#[repr(C)]
pub struct ShmEvent {
    count: AtomicU32,
}

// SAFETY: `repr(C)` with one field, which is a layout; no padding, no pointers, no drop glue. The schema records the size
// and alignment, and the field where it is.
unsafe impl ShmLayout for ShmEvent {
    const SCHEMA: Schema = Schema::of::<Self>(Kind::Struct {
        name: "ShmEvent",
        version: 0,
        fields: &[Field { name: "count", offset: offset_of!(ShmEvent, count), schema: &AtomicU32::SCHEMA }],
    });
    type View<'a, M: AccessMode> = ShmRef<'a, Self, M>;
}

// SAFETY: zero is a count.
unsafe impl ShmZero for ShmEvent {}

impl<'a, M: AccessMode> ShmRef<'a, ShmEvent, M> {
    #[inline(always)]
    fn word(self) -> ShmRef<'a, AtomicU32, M> {
        self.field::<AtomicU32, 0>()
    }

    /// How many notifications there have been, to be given to [`wait_changed`](Self::wait_changed).
    #[must_use]
    pub fn count(self) -> u32 {
        // Pairs with the release in `notify`.
        self.word().load(Ordering::Acquire)
    }

    /// Waits until the count is another one than `seen`, and returns it. Needs only read access.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] at the deadline. A deadline that has passed asks once.
    pub fn wait_changed(self, seen: u32, deadline: impl Into<Deadline>) -> Result<u32> {
        let deadline = deadline.into();
        loop {
            let count = self.count();
            if count != seen {
                return Ok(count);
            }
            let remaining = deadline.remaining().unwrap_or(SLICE);
            if remaining.is_zero() {
                return Err(Error::new(ErrorKind::TimedOut { waited_for: "a notification" }));
            }
            // SAFETY: aligned and mapped by the invariant of `ShmRef`, whose lifetime this call is inside of.
            unsafe { futex::wait(self.word().as_ptr().cast(), seen, remaining.min(SLICE)) }?;
        }
    }
}

impl<M: Writable> ShmRef<'_, ShmEvent, M> {
    /// Tells all who wait that something has changed. Costs a system call, about half a microsecond.
    pub fn notify(self) {
        // Pairs with the acquire in `count`.
        self.word().fetch_add(1, Ordering::Release);
        // SAFETY: aligned and mapped by the invariant of `ShmRef`.
        unsafe { futex::wake(self.word().as_ptr().cast(), u32::MAX) };
    }
}

/// The count that a handle has seen last. Private memory.
#[derive(Debug, Default)]
pub(crate) struct Seen(AtomicU32);

impl Clone for Seen {
    fn clone(&self) -> Self {
        Self(AtomicU32::new(self.load()))
    }
}

impl Seen {
    fn load(&self) -> u32 {
        // Relaxed: orders nothing; the count in shared memory does.
        self.0.load(Ordering::Relaxed)
    }

    /// Waits for a notification that this handle has not seen yet.
    pub(crate) fn wait_changed<M: AccessMode>(
        &self,
        event: ShmRef<'_, ShmEvent, M>,
        deadline: impl Into<Deadline>,
    ) -> Result<()> {
        let count = event.wait_changed(self.load(), deadline)?;
        self.0.store(count, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
