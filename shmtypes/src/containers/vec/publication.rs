//! How elements come into sight, and go out of it: one word that says how many there are, and since which truncation.
//!
//! ```text
//! bit  63        40 39                0
//!      epoch        len
//! ```
//!
//! 1. The appender stores elements behind `len`, where nobody looks, and then the word: one store shows them all. A kill at
//!    any instruction leaves the old word or the new one.
//! 2. A truncation stores a shorter `len` and the next epoch at once, and a fence stands between that and every later store
//!    of an element. So who has copied bytes that came after a truncation finds another epoch when it looks again.
//! 3. Who reads copies, looks again, and keeps the copy only if the epoch is the one of before.
//!
//! Written against the trait below, so that `publication_tests` runs the code that ships over loom's atomics. What it does not
//! promise: that a reader which sleeps through exactly 2^24 truncations between two looks notices them.

use core::sync::atomic::Ordering::{self, Acquire, Relaxed, Release};

const LEN_BITS: u32 = 40;
const LEN_MASK: u64 = (1 << LEN_BITS) - 1;

/// The most elements that a vector can have room for.
pub(super) const MAX_CAPACITY: u64 = LEN_MASK;

/// The word.
pub(super) trait StateWord: Copy {
    fn load(self, order: Ordering) -> u64;
    fn fence(order: Ordering);
}

/// The word, for whoever holds the lease.
pub(super) trait OwnStateWord: StateWord {
    fn store(self, bits: u64, order: Ordering);
}

/// What the word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State(u64);

impl State {
    pub(super) fn new(epoch: u64, len: usize) -> Self {
        Self(epoch << LEN_BITS | len as u64 & LEN_MASK)
    }

    /// How many truncations there were; wraps.
    pub(super) fn epoch(self) -> u64 {
        self.0 >> LEN_BITS
    }

    /// The number of elements in sight, whatever a peer wrote.
    #[inline(always)]
    pub(super) fn len(self, capacity: usize) -> usize {
        (self.0 & LEN_MASK).min(capacity as u64) as usize
    }

    pub(super) fn bits(self) -> u64 {
        self.0
    }
}

/// What there is now.
#[inline(always)]
pub(super) fn look(word: impl StateWord) -> State {
    // Pairs with the release in `append` and `truncate`: the elements in sight are there to be read.
    State(word.load(Acquire))
}

/// What a new holder of the lease starts from.
pub(super) fn begin<W: OwnStateWord>(word: W, capacity: usize) -> State {
    // Relaxed: the lease was taken with acquire ordering, and only its holder stores here.
    let found = State(word.load(Relaxed));
    // Before every store of an element by this holder: pairs with the fence in `look_again`. The last truncation may be a
    // predecessor's, whose own fence orders only his stores.
    W::fence(Release);
    State::new(found.epoch(), found.len(capacity))
}

/// Stores `count` elements behind the last one, and then shows them. `false` if there is no room, or if `store` refuses.
#[inline(always)]
pub(super) fn append(
    word: impl OwnStateWord,
    state: &mut State,
    capacity: usize,
    count: usize,
    store: impl FnOnce(usize) -> bool,
) -> bool {
    // Not clamped: a holder's own state never is beyond the capacity, from `begin` on. No overflow: a slice has fewer than 2^63
    // elements.
    let len = state.0 & LEN_MASK;
    if len + count as u64 > capacity as u64 || !store(len as usize) {
        return false;
    }
    // `len + count <= capacity`, so nothing is carried into the epoch.
    state.0 += count as u64;
    // Pairs with the acquire in `look`.
    word.store(state.0, Release);
    true
}

/// Takes all elements from `len` on out of sight.
pub(super) fn truncate<W: OwnStateWord>(word: W, state: &mut State, len: usize) {
    *state = State::new(state.epoch().wrapping_add(1), len);
    // Pairs with the acquire in `look`: whoever sees this word has not seen those that showed the elements which stay.
    word.store(state.0, Release);
    // Before every later store of an element: pairs with the fence in `look_again`.
    W::fence(Release);
}

/// After a copy: the word as it is now, `Err` if there was a truncation since `known`, and the copy may be a mix.
#[inline(always)]
pub(super) fn look_again<W: StateWord>(word: W, known: State) -> Result<State, State> {
    // After every load of an element: pairs with the fences in `truncate` and `begin`.
    W::fence(Acquire);
    // As in `look`, because the reader goes on from here.
    let now = State(word.load(Acquire));
    if now.epoch() == known.epoch() { Ok(now) } else { Err(now) }
}

/// Copies with `copy`, which is told what is in sight, until there was no truncation meanwhile, or `go_on` says no.
#[inline(always)]
pub(super) fn read<W: StateWord, R>(
    word: W,
    mut go_on: impl FnMut() -> bool,
    mut copy: impl FnMut(State) -> R,
) -> Option<R> {
    let mut known = look(word);
    loop {
        let copied = copy(known);
        match look_again(word, known) {
            Ok(_) => return Some(copied),
            Err(now) => known = now,
        }
        if !go_on() {
            return None;
        }
    }
}

/// What a follower has seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    /// The word when it looked last: the elements in sight then can be copied without looking before.
    known: State,
    /// The next element.
    position: usize,
}

/// What [`Cursor::take`] finds.
pub(super) enum Taken<R> {
    Nothing,
    /// There was a truncation. The cursor stands at the first element again.
    Reset,
    Copied(R),
}

impl Cursor {
    pub(super) fn new(known: State, position: usize) -> Self {
        Self { known, position }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The truncation that it knows of.
    pub(super) fn epoch(&self) -> u64 {
        self.known.epoch()
    }

    /// Whether there was a truncation between the last look and this one.
    pub(super) fn is_before_truncation(&self, now: State) -> bool {
        self.known.epoch() != now.epoch()
    }

    /// Whether [`take`](Self::take) would find something.
    pub(super) fn is_ready(&mut self, word: impl StateWord, capacity: usize) -> bool {
        !matches!(self.in_sight(word, capacity), Ok(0))
    }

    /// Copies with `copy`, which is told the position and how many elements are in sight there, and says how many of them
    /// are taken. What it copies counts only if there was no truncation meanwhile.
    #[inline(always)]
    pub(super) fn take<R>(
        &mut self,
        word: impl StateWord,
        capacity: usize,
        copy: impl FnOnce(usize, usize) -> (R, usize),
    ) -> Taken<R> {
        let count = match self.in_sight(word, capacity) {
            Err(now) => return self.reset(now),
            Ok(0) => return Taken::Nothing,
            Ok(count) => count,
        };
        let (copied, taken) = copy(self.position, count);
        match look_again(word, self.known) {
            Err(now) => self.reset(now),
            Ok(now) => {
                self.known = now;
                self.position += taken;
                Taken::Copied(copied)
            }
        }
    }

    /// How many elements from the position on are in sight, looking only if none was; the word if there was a truncation.
    #[inline(always)]
    fn in_sight(&mut self, word: impl StateWord, capacity: usize) -> Result<usize, State> {
        if self.position >= self.known.len(capacity) {
            let now = look(word);
            if now.epoch() != self.known.epoch() {
                return Err(now);
            }
            self.known = now;
        }
        Ok(self.known.len(capacity).saturating_sub(self.position))
    }

    #[cold]
    fn reset<R>(&mut self, now: State) -> Taken<R> {
        *self = Self::new(now, 0);
        Taken::Reset
    }
}
