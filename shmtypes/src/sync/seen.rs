//! What a handle has seen of an event or a cell.

use super::{Deadline, ShmEvent};
use crate::error::Result;
use crate::layout::{AccessMode, ShmRef};
use core::sync::atomic::{AtomicU64, Ordering};

/// The count that a handle has seen last. Private memory, which only the threads of this process share.
#[derive(Debug, Default)]
pub(crate) struct Seen(AtomicU64);

impl Clone for Seen {
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.load()))
    }
}

impl Seen {
    fn load(&self) -> u64 {
        // Pairs with the release in `wait`: what another thread has seen, this one must not see older.
        self.0.load(Ordering::Acquire)
    }

    /// Waits for a count that this handle has not seen yet: `wait` is given the one that it has seen, and returns another one. Of
    /// two threads that wait on one handle, the slower one may set it back: then the next wait ends without cause, and none is
    /// missed.
    pub(crate) fn wait(&self, wait: impl FnOnce(u64) -> Result<u64>) -> Result<()> {
        let count = wait(self.load())?;
        // Pairs with the acquire in `load`.
        self.0.store(count, Ordering::Release);
        Ok(())
    }

    /// Waits for a notification that this handle has not seen yet. Ends with the error of `whole`, if it has one.
    pub(crate) fn wait_changed<M: AccessMode>(
        &self,
        event: ShmRef<'_, ShmEvent, M>,
        deadline: impl Into<Deadline>,
        whole: impl Fn() -> Result<()>,
    ) -> Result<()> {
        // No truncation: it is always a count of an event.
        self.wait(|seen| event.wait_changed_while(seen as u32, deadline.into(), whole).map(u64::from))
    }
}
