//! Reading what comes, every element once and in order.

use super::ShmVec;
use super::control::Parts;
use super::publication::{Cursor, State, Taken};
use super::read::settled;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, ReadWrite, ShmLayout, ShmValue};
use crate::segment::elements::Elements;
use crate::sync::Deadline;
use core::{fmt, hint};
use std::time::Duration;

/// How long a follower sleeps before it looks by itself: pushes alone wake nobody.
const LOOK: Duration = Duration::from_millis(50);

/// How often it looks before it sleeps for the first time.
const SPINS: u32 = 100;

/// What a [`Follower`] gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Followed<T> {
    /// The next element.
    Item(T),
    /// The vector was truncated: forget what came before. The first element comes next.
    Reset,
}

/// Gets every element of a [`ShmVec`] once and in order, as long as it only grows.
///
/// After a [truncation](super::Appender::truncate) it gets [`Followed::Reset`] once and goes on at the first element, also if
/// elements stayed: it cannot know how short the vector was meanwhile, so that only from the beginning on nothing is missed.
/// Several truncations between two looks are one `Reset`. (Exactly 2^24 of them look like none.)
///
/// ```
/// use shmtypes::{Followed, ShmVec};
/// use std::time::Duration;
///
/// let log = ShmVec::<u64>::create(100)?;
/// let mut follower = log.follow();
/// log.extend_from_slice(&[1, 2])?;
/// assert_eq!(follower.next(Duration::from_secs(10))?, Followed::Item(1));
/// log.clear()?;
/// log.push(3)?;
/// assert_eq!(follower.next(Duration::from_secs(10))?, Followed::Reset);
/// assert_eq!(follower.next(Duration::from_secs(10))?, Followed::Item(3));
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// Needs only read access. It is a handle of its own: the vector stays attached as long as it lives. Nobody waits for a
/// follower, and one that is killed leaves nothing behind. A clone goes on at the same place, and from there on by itself.
pub struct Follower<T: ShmLayout, M: AccessMode = ReadWrite> {
    vec: ShmVec<T, M>,
    cursor: Cursor,
}

impl<T: ShmLayout, M: AccessMode> Clone for Follower<T, M> {
    fn clone(&self) -> Self {
        Self { vec: self.vec.clone(), cursor: self.cursor }
    }
}

/// Where it stands: the number of the next element, and of the truncation since which it has looked.
impl<T: ShmLayout, M: AccessMode> fmt::Debug for Follower<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower")
            .field("name", &self.vec.name())
            .field("position", &self.position())
            .field("epoch", &self.cursor.epoch())
            .finish()
    }
}

/// Following.
impl<T: ShmLayout, M: AccessMode> ShmVec<T, M> {
    /// Follows the vector from its first element on.
    #[must_use]
    pub fn follow(&self) -> Follower<T, M> {
        self.follow_from(0)
    }

    /// Follows the vector from element `position` on, which need not be there yet.
    #[must_use]
    pub fn follow_from(&self, position: usize) -> Follower<T, M> {
        self.follow_at(self.state(), position)
    }

    /// Follows the vector from the elements on that come from now on.
    #[must_use]
    pub fn follow_from_end(&self) -> Follower<T, M> {
        let known = self.state();
        self.follow_at(known, known.len(self.capacity()))
    }

    fn follow_at(&self, known: State, position: usize) -> Follower<T, M> {
        Follower { vec: self.clone(), cursor: Cursor::new(known, position) }
    }
}

impl<T: ShmLayout, M: AccessMode> Follower<T, M> {
    /// The position of the next element.
    #[must_use]
    pub fn position(&self) -> usize {
        self.cursor.position()
    }

    /// The next element, or that there was a truncation, waiting for either.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] at the deadline; one that has passed asks once. [`ErrorKind::InvalidValue`] if a peer left
    /// bytes there that are no `T`; the next call goes on behind them.
    #[inline]
    pub fn next(&mut self, deadline: impl Into<Deadline>) -> Result<Followed<T>>
    where
        T: ShmValue,
    {
        match self.try_next() {
            Ok(None) => self.wait_and_take(deadline.into()),
            Ok(Some(followed)) => Ok(followed),
            Err(error) => Err(error),
        }
    }

    #[cold]
    fn wait_and_take(&mut self, deadline: Deadline) -> Result<Followed<T>>
    where
        T: ShmValue,
    {
        loop {
            self.wait(deadline)?;
            if let Some(followed) = self.try_next()? {
                return Ok(followed);
            }
        }
    }

    /// The next element, or that there was a truncation, if either has come already.
    ///
    /// # Errors
    /// As [`next`](Self::next), but for the time.
    #[inline]
    pub fn try_next(&mut self) -> Result<Option<Followed<T>>>
    where
        T: ShmValue,
    {
        let elements = &self.vec.elements;
        // Goes on behind an invalid one, too, or it would be the last.
        let copy = |position, _| (settled(|| elements.get(position)), 1);
        match self.cursor.take(elements.block().state(), elements.count(), copy) {
            // What is cut off looks like an empty vector.
            Taken::Nothing => self.vec.whole(None),
            Taken::Reset => self.vec.whole(Some(Followed::Reset)),
            Taken::Copied(Ok(item)) => Ok(Some(Followed::Item(item))),
            Taken::Copied(Err(error)) => Err(self.vec.named(error)),
        }
    }

    /// Appends everything that has come already to `items`, and says how many that are. After a truncation it is
    /// [`Followed::Reset`], and `items` stays as it is.
    ///
    /// ```
    /// use shmtypes::{Followed, ShmVec};
    ///
    /// let log = ShmVec::<u64>::create_from_slice(100, &[1, 2, 3])?;
    /// let (mut follower, mut items) = (log.follow(), Vec::new());
    /// assert_eq!(follower.read_available(&mut items)?, Followed::Item(3));
    /// assert_eq!(items, [1, 2, 3]);
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] if the first of them is no `T`; the next call goes on behind it. (If a later one is none,
    /// some of those before it come first.)
    /// [`ErrorKind::NoAddressSpace`] if there is no memory for so many, [`ErrorKind::Strided`] if the segment's type has
    /// further fields.
    pub fn read_available(&mut self, items: &mut Vec<T>) -> Result<Followed<usize>>
    where
        T: ShmValue,
    {
        let (elements, before) = (&self.vec.elements, items.len());
        let copy = |position, count| {
            let copied = append_valid(elements, position, count, items);
            // As in `try_next`.
            let taken = copied.as_ref().copied().unwrap_or(1);
            (copied, taken)
        };
        match self.cursor.take(elements.block().state(), elements.count(), copy) {
            Taken::Nothing => self.vec.whole(Followed::Item(0)),
            Taken::Reset => {
                items.truncate(before);
                self.vec.whole(Followed::Reset)
            }
            Taken::Copied(copied) => copied.map(Followed::Item).map_err(|error| self.vec.named(error)),
        }
    }

    /// Waits until there is something to [read](Self::read_available).
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] at the deadline; one that has passed asks once.
    pub fn wait(&mut self, deadline: impl Into<Deadline>) -> Result<()> {
        let deadline = deadline.into();
        for _ in 0..SPINS {
            if self.is_ready()? {
                return Ok(());
            }
            hint::spin_loop();
        }
        loop {
            // Before the look: what is told after it ends the sleep.
            let count = self.vec.elements.block().changed().count();
            if self.is_ready()? {
                return Ok(());
            }
            let slice = deadline.remaining().map_or(LOOK, |remaining| remaining.min(LOOK));
            if slice.is_zero() {
                return Err(Error::new(ErrorKind::TimedOut { waited_for: "a further element" }).on(self.vec.name()));
            }
            match self.vec.elements.block().changed().wait_changed(count, slice) {
                Err(error) if !matches!(error.kind(), ErrorKind::TimedOut { .. }) => {
                    return Err(self.vec.named(error));
                }
                _ => {}
            }
        }
    }

    /// Everything that comes until the deadline, which ends the iteration; one that has passed gives what has come already.
    pub fn until(&mut self, deadline: impl Into<Deadline>) -> FollowUntil<'_, T, M>
    where
        T: ShmValue,
    {
        FollowUntil { follower: self, deadline: deadline.into(), until_look: 0, end: None }
    }

    /// Fails once the vector was found truncated by a peer: what is cut off never changes.
    fn is_ready(&mut self) -> Result<bool> {
        let elements = &self.vec.elements;
        let is_ready = self.cursor.is_ready(elements.block().state(), elements.count());
        self.vec.whole(is_ready)
    }
}

/// Appends copies of the elements up to the first one that is no `T`, or says what is wrong with that if it is the first of all.
fn append_valid<T: ShmValue, M: AccessMode>(
    elements: &Elements<T, M>,
    position: usize,
    count: usize,
    items: &mut Vec<T>,
) -> Result<usize> {
    let mut valid = count;
    loop {
        let copied = match valid {
            1 => settled(|| elements.append_range(position, 1, items)),
            _ => elements.append_range(position, valid, items),
        };
        match copied {
            Ok(()) => return Ok(valid),
            Err(error) => match *error.kind() {
                // Less than before, so that this ends whatever a peer writes meanwhile; and by half at least.
                ErrorKind::InvalidValue { element: Some(element), .. } if valid > 1 => {
                    valid = (element - position).min(valid / 2).max(1);
                }
                _ => return Err(error),
            },
        }
    }
}

/// What comes until a deadline. Made by [`Follower::until`].
#[derive(Debug)]
pub struct FollowUntil<'a, T: ShmLayout, M: AccessMode = ReadWrite> {
    follower: &'a mut Follower<T, M>,
    deadline: Deadline,
    /// How many elements may come before the next look at the clock.
    until_look: u32,
    /// Once the time is up: what was in sight then, of which the rest is still given.
    end: Option<End>,
}

#[derive(Clone, Copy, Debug)]
struct End {
    position: usize,
    /// Whether a truncation had come that is still to be told; the position is one behind it.
    awaits_reset: bool,
}

/// An iteration over what is there already must end beside a writer that never does.
const LOOK_EVERY: u32 = 64;

impl<T: ShmValue, M: AccessMode> FollowUntil<'_, T, M> {
    #[cold]
    fn look_at_clock(&mut self) {
        self.until_look = LOOK_EVERY;
        if self.deadline.remaining().is_some_and(|remaining| remaining.is_zero()) {
            let (now, vec) = (self.follower.vec.state(), &self.follower.vec);
            let awaits_reset = self.follower.cursor.is_before_truncation(now);
            self.end = Some(End { position: now.len(vec.capacity()), awaits_reset });
        }
    }

    #[cold]
    fn last(&mut self, end: End) -> Option<Result<Followed<T>>> {
        if !end.awaits_reset && self.follower.position() >= end.position {
            return None;
        }
        let outcome = self.follower.try_next().transpose();
        if let Some(Ok(Followed::Reset)) = outcome {
            // One that came later is told, and is the last.
            let position = if end.awaits_reset { end.position } else { 0 };
            self.end = Some(End { position, awaits_reset: false });
        }
        outcome
    }
}

impl<T: ShmValue, M: AccessMode> Iterator for FollowUntil<'_, T, M> {
    type Item = Result<Followed<T>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.until_look == 0 && self.end.is_none() {
            self.look_at_clock();
        }
        if let Some(end) = self.end {
            return self.last(end);
        }
        self.until_look -= 1;
        match self.follower.next(self.deadline) {
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut { .. }) => None,
            outcome => Some(outcome),
        }
    }
}
