//! What the tests of cells and their peer processes agree on.

/// A value of 512 bytes, which no instruction moves at once.
pub type Snapshot = [u64; 64];

/// A value that is whole if all its words are equal.
#[must_use]
pub const fn snapshot(number: u64) -> Snapshot {
    [number; 64]
}

/// The number of a whole value.
///
/// # Panics
/// If it is torn.
#[must_use]
pub fn number(value: &Snapshot) -> u64 {
    assert!(value.iter().all(|word| *word == value[0]), "torn: {value:?}");
    value[0]
}
