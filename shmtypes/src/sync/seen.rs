//! What a handle has seen of an event.

use super::{Deadline, ShmEvent};
use crate::error::Result;
use crate::layout::{AccessMode, ShmRef};
use core::sync::atomic::{AtomicU32, Ordering};

/// The count that a handle has seen last. Private memory, which only the threads of this process share.
#[derive(Debug, Default)]
pub(crate) struct Seen(AtomicU32);

impl Clone for Seen {
    fn clone(&self) -> Self {
        Self(AtomicU32::new(self.load()))
    }
}

impl Seen {
    fn load(&self) -> u32 {
        // Pairs with the release in `wait_changed`: what another thread has seen, this one must not see older.
        self.0.load(Ordering::Acquire)
    }

    /// Waits for a notification that this handle has not seen yet. Of two threads that wait on one handle, the slower one may
    /// set it back: then the next wait ends without cause, and none is missed. Ends with the error of `whole`, if it has one.
    pub(crate) fn wait_changed<M: AccessMode>(
        &self,
        event: ShmRef<'_, ShmEvent, M>,
        deadline: impl Into<Deadline>,
        whole: impl Fn() -> Result<()>,
    ) -> Result<()> {
        let count = event.wait_changed_while(self.load(), deadline.into(), whole)?;
        // Pairs with the acquire in `load`.
        self.0.store(count, Ordering::Release);
        Ok(())
    }
}
