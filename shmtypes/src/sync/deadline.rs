//! Until when a call may wait.

use std::time::{Duration, Instant};

/// Until when a call may wait: a [`Duration`] from now, an [`Instant`], or [`NEVER`](Self::NEVER).
///
/// ```
/// use shmtypes::{Deadline, ErrorKind, ShmArray};
/// use std::time::Duration;
///
/// let array = ShmArray::<u64>::create(3)?;
/// let error = array.wait_changed(Duration::from_millis(1)).unwrap_err();
/// assert!(matches!(error.kind(), ErrorKind::TimedOut { .. }));
///
/// array.notify();
/// array.wait_changed(Deadline::NEVER)?;
/// # Ok::<(), shmtypes::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// Waits for ever.
    pub const NEVER: Self = Self(None);

    /// How much time is left; nothing after the deadline, `None` for ever.
    pub(crate) fn remaining(self) -> Option<Duration> {
        self.0.map(|end| end.saturating_duration_since(Instant::now()))
    }
}

impl From<Instant> for Deadline {
    fn from(end: Instant) -> Self {
        Self(Some(end))
    }
}

impl From<Duration> for Deadline {
    /// So long from now; for ever if no clock counts that far.
    fn from(time: Duration) -> Self {
        Self(Instant::now().checked_add(time))
    }
}
