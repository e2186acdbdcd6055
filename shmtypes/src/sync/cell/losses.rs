//! How long a reader goes on that stores are faster than.

use super::protocol::{self, Buffers};
use crate::sync::Deadline;
use core::time::Duration;

/// How often a reader may lose whatever time that takes.
const FEW: u32 = 10;

/// The losses of one read: ended by their number, and by the time that large values need for so many. No clock is read before
/// the first one.
#[derive(Clone, Copy, Default)]
pub(super) struct Losses {
    count: u32,
    end: Option<Deadline>,
}

impl Losses {
    /// Counts one more, and waits until another try may succeed; `None` if there were enough. `time` says how much time there is
    /// for all, `None` for ever.
    pub(super) fn one_more<B: Buffers>(self, buffers: B, time: impl FnOnce() -> Option<Duration>) -> Option<Self> {
        let end = self.end.unwrap_or_else(|| time().map_or(Deadline::NEVER, Deadline::from));
        let count = protocol::lose(buffers, self.count)?;
        let is_over = count >= FEW && end.remaining() == Some(Duration::ZERO);
        (!is_over).then_some(Self { count, end: Some(end) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::Ordering;

    /// Each copy takes longer than a round of stores.
    #[derive(Clone, Copy)]
    struct Overtaken;

    impl Buffers for Overtaken {
        type Private = ();
        const COUNT: u64 = 2;

        fn current(self, _: Ordering) -> u64 {
            0
        }

        fn version_of(self, _: usize, _: Ordering) -> u64 {
            0
        }

        fn copy_from_buffer(self, _: usize, (): &mut ()) {}

        fn fence(_: Ordering) {}
    }

    fn tries(time: Option<Duration>) -> usize {
        let next = |losses: &Losses| losses.one_more(Overtaken, || time);
        core::iter::successors(Some(Losses::default()), next).count()
    }

    #[test]
    fn a_reader_that_always_loses_ends_after_a_number_of_tries_or_after_its_time() {
        assert_eq!(tries(None), 1_000);
        assert_eq!(tries(Some(Duration::MAX)), 1_000);
        assert_eq!(tries(Some(Duration::ZERO)), 10, "the time is up, and it has tried a little");
    }
}
