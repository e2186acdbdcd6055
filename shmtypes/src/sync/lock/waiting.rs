//! How long a call waits for a lock.

use super::super::Deadline;
use super::word::Patience;
use crate::participants::Participant;
use std::time::Duration;

/// How long a waiter sleeps before it asks whether the holder is alive, and looks by itself.
const SLICE: Duration = Duration::from_millis(10);

/// How often to look at a word before sleeping, with 1, 2, 4, … pauses in between.
const LOOKS: u32 = 7;

/// How long a call waits. No clock is read before it has to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Waiting {
    /// Not at all.
    Not,
    /// So long from the first look at the clock on; `None` for ever.
    AtMost(Option<Duration>),
    Until(Deadline),
}

impl Waiting {
    /// As long as the segment's creator said.
    pub(crate) fn as_the_segment_says(participant: &Participant) -> Self {
        Self::AtMost(participant.lock_timeout())
    }
}

impl Patience for Waiting {
    fn slice(&mut self) -> Option<Duration> {
        if let Self::AtMost(time) = *self {
            *self = Self::Until(time.map_or(Deadline::NEVER, Deadline::from));
        }
        match self {
            Self::Until(deadline) => match deadline.remaining() {
                None => Some(SLICE),
                Some(Duration::ZERO) => None,
                Some(remaining) => Some(remaining.min(SLICE)),
            },
            _ => None,
        }
    }

    fn looks(&self) -> u32 {
        if matches!(self, Self::Not) { 0 } else { LOOKS }
    }
}
