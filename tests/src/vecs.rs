//! What the tests of vectors and their peer processes agree on.

/// The last element that followers get.
pub const END: u64 = u64::MAX;

/// How many elements are appended at once.
pub const BATCH: usize = 5;

/// An element of a vector that only grows: says where it stands, and what must come before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grown {
    /// Its position.
    pub index: usize,
    /// Its place in its batch, from 1 on; 0 for one that was pushed alone.
    pub place: usize,
}

impl Grown {
    /// As it stands in the vector.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        (self.index as u64) << 8 | self.place as u64
    }

    /// The other way round.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self { index: (bits >> 8) as usize, place: (bits & 0xff) as usize }
    }

    /// Whether it may come right after `last`: the next one, and batches as a whole.
    #[must_use]
    pub fn follows(self, last: Option<Self>) -> bool {
        let (index, within) = match last {
            None => (0, 0),
            Some(last) => (last.index + 1, last.place % BATCH),
        };
        let place = if within > 0 { self.place == within + 1 } else { self.place <= 1 };
        self.index == index && place
    }
}

/// An element of a vector that is filled again and again. Wider than a word, so that torn ones show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// The filling that it belongs to.
    pub generation: u64,
    /// Its position.
    pub index: usize,
}

impl Renewed {
    /// As it stands in the vector.
    #[must_use]
    pub fn to_words(self) -> [u64; 4] {
        let index = self.index as u64;
        [self.generation, index, self.generation ^ index, !self.generation]
    }

    /// The other way round.
    ///
    /// # Panics
    /// If the words do not belong together.
    #[must_use]
    pub fn from_words(words: [u64; 4]) -> Self {
        let item = Self { generation: words[0], index: words[1] as usize };
        assert_eq!(item.to_words(), words, "a torn element");
        item
    }
}
