//! Telling others that the elements have changed.

use super::ShmArray;
use crate::error::Result;
use crate::layout::{AccessMode, ShmLayout, ShmRef, Writable};
use crate::sync::{Deadline, ShmEvent};

impl<T: ShmLayout, M: AccessMode> ShmArray<T, M> {
    fn event(&self) -> ShmRef<'_, ShmEvent, M> {
        self.elements.mutable(0).expect("the mutable block of an array holds an event: checked when attaching")
    }

    /// Waits for a [`notify`](Self::notify) of any process that this handle has not seen yet, and marks all that there
    /// were as seen. Needs only read access.
    ///
    /// Returns at once if there was one since this handle waited the last time; the first time, if there was ever one. A
    /// clone goes on from what its original has seen. Threads that wait on one handle share what it has seen, and may be told
    /// of a change twice: give each a clone.
    ///
    /// ```
    /// use shmtypes::ShmArray;
    /// use std::time::Duration;
    ///
    /// let prices = ShmArray::<f64>::create(100)?;
    /// // In another process:
    /// let reader = ShmArray::<f64>::open_read_only(prices.name())?;
    ///
    /// prices.set(0, 9.75)?;
    /// prices.notify();
    ///
    /// reader.wait_changed(Duration::from_secs(10))?;
    /// assert_eq!(reader.get(0)?, 9.75);
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # If a peer dies or misbehaves
    ///
    /// A writer that is killed before it notifies wakes nobody: wait with a deadline. One that is killed in the middle of
    /// [`notify`](Self::notify) delays the others by up to 50 ms. A hostile one may wake them for nothing, delay them by
    /// 50 ms, or set the count back, so that they wait until their deadline.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut) at the deadline; a deadline that has passed asks once.
    /// [`ErrorKind::Truncated`](crate::ErrorKind::Truncated) under the guard of [`sigbus`](crate::sigbus).
    pub fn wait_changed(&self, deadline: impl Into<Deadline>) -> Result<()> {
        // At every look: the zeros in the place of a count that was cut off never change.
        let waited = self.seen.wait_changed(self.event(), deadline, || self.check_whole());
        waited.map_err(|error| error.in_segment(self.name()))
    }

    /// Tells everybody who [waits](Self::wait_changed) that the elements have changed. Who wakes sees what this process
    /// wrote before. Costs a system call, about half a microsecond and more for each one who sleeps, so call it once per
    /// batch.
    ///
    /// Returns how many threads, of all processes, were asleep and have been woken: a hint, because others may be just about
    /// to look.
    pub fn notify(&self) -> usize
    where
        M: Writable,
    {
        self.event().notify()
    }
}
