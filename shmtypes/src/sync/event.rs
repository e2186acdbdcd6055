//! A counter of notifications that processes wait for.
//!
//! 1. Who changes something writes first, then counts up (Release), then wakes all sleepers.
//! 2. Who waits loads the count (Acquire): what was written before the notification is there to be read.
//! 3. The kernel puts a waiter to sleep only if the count is still the one that it has seen, so that no notification is
//!    missed, and needs no write access for that. Nobody registers: a killed waiter leaves nothing behind, and the
//!    notifier pays for a system call whether anybody waits or not.
#![allow(unsafe_code, reason = "implements the unsafe layout traits, and hands the word's address to the kernel")]

use super::Deadline;
use super::lock::hold;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, Kind, Schema, ShmLayout, ShmRef, ShmZero, Writable};
use crate::sys::futex;
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
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct ShmEvent {
    count: AtomicU32,
}

impl ShmEvent {
    /// An event without notifications, for structs that are [created from a value](crate::ShmBox::create_from).
    #[must_use]
    pub const fn new() -> Self {
        Self { count: AtomicU32::new(0) }
    }
}

// SAFETY: transparent over an atomic integer: no padding, no pointers, no drop glue. `Schema::of` records the size and
// alignment.
#[diagnostic::do_not_recommend]
unsafe impl ShmLayout for ShmEvent {
    const SCHEMA: Schema = Schema::of::<Self>(Kind::Event);
    type View<'a, M: AccessMode> = ShmRef<'a, Self, M>;
}

// SAFETY: zero is a count.
#[diagnostic::do_not_recommend]
unsafe impl ShmZero for ShmEvent {}

impl<'a, M: AccessMode> ShmRef<'a, ShmEvent, M> {
    #[inline(always)]
    fn word(self) -> ShmRef<'a, AtomicU32, M> {
        // SAFETY: the event is transparent over the atomic, so the invariant carries over; a place with this kind of schema
        // is accessed as an atomic of four bytes by everybody.
        unsafe { self.part(0) }
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
    /// [`ErrorKind::TimedOut`] at the deadline. A deadline that has passed asks once. [`ErrorKind::Truncated`] as the
    /// [guard](crate::sigbus) says, through a handle that may write to a segment with locks or cells.
    pub fn wait_changed(self, seen: u32, deadline: impl Into<Deadline>) -> Result<u32> {
        self.wait_changed_while(seen, deadline.into(), || hold::check_whole(self.participant()))
    }

    /// The same, unless `whole` fails: after each look at the count it is asked whether that look was one at the segment.
    pub(crate) fn wait_changed_while(
        self,
        seen: u32,
        deadline: Deadline,
        whole: impl Fn() -> Result<()>,
    ) -> Result<u32> {
        loop {
            let count = self.count();
            whole()?;
            if count != seen {
                return Ok(count);
            }
            let remaining = deadline.remaining().unwrap_or(SLICE);
            if remaining.is_zero() {
                let error = Error::new(ErrorKind::TimedOut { waited_for: "a notification" });
                return Err(hold::named(self.participant(), error));
            }
            // SAFETY: aligned and mapped by the invariant of `ShmRef`, whose lifetime this call is inside of.
            let slept = unsafe { futex::wait(self.word().as_ptr().cast(), seen, remaining.min(SLICE)) };
            if let Err(failure) = slept {
                whole()?;
                return Err(failure.into());
            }
        }
    }
}

impl<M: Writable> ShmRef<'_, ShmEvent, M> {
    /// Tells all who wait that something has changed. Costs a system call: about half a microsecond if nobody sleeps, and
    /// more for each one who does.
    ///
    /// Returns how many threads, of all processes, were asleep and have been woken: a hint, because others may be just about
    /// to look.
    pub fn notify(self) -> usize {
        // Pairs with the acquire in `count`.
        self.word().fetch_add(1, Ordering::Release);
        // SAFETY: aligned and mapped by the invariant of `ShmRef`.
        unsafe { futex::wake(self.word().as_ptr().cast(), i32::MAX) }
    }
}

#[cfg(test)]
mod tests;
