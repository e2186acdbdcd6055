//! What the tests of locks and their peer processes agree on.

use shmtypes::ShmLayout;
use shmtypes::sync::{LockError, LockResult, ShmMutex, ShmRwLock};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::AtomicU64;

/// What the talking peer uses.
#[derive(ShmLayout)]
#[repr(C)]
pub struct Board {
    /// Starts as zeros, like all of it.
    pub mutex: ShmMutex<[u64; 2]>,
    /// As well.
    pub rwlock: ShmRwLock<[u64; 2]>,
}

/// What a stepped process makes of the zeros: other bytes everywhere.
pub const CHANGED: [u64; 2] = [0x5555_5555_5555_5555; 2];

/// How a lock was taken, or why it was not, in the words that peers print.
#[must_use]
pub fn outcome<G>(result: &LockResult<G>) -> String {
    match result {
        Ok(_) => "Ok".to_owned(),
        Err(LockError::OwnerDied(_)) => "OwnerDied".to_owned(),
        Err(LockError::Poisoned(_)) => "Poisoned".to_owned(),
        Err(LockError::TimedOut(holder)) => format!("TimedOut {} {}", holder.slot, holder.pid),
        Err(LockError::Held(holder)) => format!("Held {} {}", holder.slot, holder.pid),
        Err(other) => format!("{other:?}"),
    }
}

/// How many words belong together in a soak: enough for a kill to hit the change of them.
pub const WORDS: usize = 16;
/// How many processes work at a time.
pub const WORKERS: usize = 4;

/// What the workers of a soak share.
#[derive(ShmLayout)]
#[repr(C)]
pub struct Arena {
    /// Equal words, but in the middle of a section.
    pub mutex: ShmMutex<[u64; WORDS]>,
    /// As well.
    pub rwlock: ShmRwLock<[u64; WORDS]>,
    /// The process that is in a section and may write; 0 for none.
    pub inside: AtomicU64,
    /// Not 0 when the workers shall end.
    pub over: AtomicU64,
    /// What each place has seen, whichever process was in it.
    pub tallies: [Tally; WORKERS],
}

/// What the workers of one place have counted.
#[derive(ShmLayout)]
#[repr(C)]
pub struct Tally {
    /// Calls that came back: the sign of life.
    pub calls: AtomicU64,
    /// Sections that changed the words.
    pub sections: AtomicU64,
    /// Sections that only read them.
    pub reads: AtomicU64,
    /// Calls that found the lock held, or gave up.
    pub refusals: AtomicU64,
    /// Locks taken over from the dead.
    pub takeovers: AtomicU64,
    /// Those of them with half changed words.
    pub repairs: AtomicU64,
    /// Reads that were told of a dead writer.
    pub warnings: AtomicU64,
    /// Sections that found another one inside, or words half changed without a warning.
    pub violations: AtomicU64,
    /// Reads of words that were not equal, without a warning.
    pub torn: AtomicU64,
    /// Outcomes that must not occur.
    pub impossible: AtomicU64,
}

/// The name of the locked array whose slices the workers of an arena take.
#[must_use]
pub fn array_beside(arena: &str) -> String {
    format!("{arena}-array")
}

/// xorshift64 (Marsaglia 2003): any sequence that reaches everything will do.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Another sequence for every seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn next_number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_number() % end
    }
}

/// The number at an offset of a segment's header (docs/format.md).
fn header_number<const N: usize>(file: &File, offset: u64) -> [u8; N] {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, offset).expect("read the header");
    bytes
}

/// Where the records of a segment's slots start: they end its mutable block.
///
/// # Panics
/// If the file cannot be read.
#[must_use]
pub fn slot_table(file: &File) -> u64 {
    let mutable_offset = u64::from_ne_bytes(header_number(file, 168));
    let mutable_bytes = u32::from_ne_bytes(header_number(file, 176));
    let slots = u32::from_ne_bytes(header_number(file, 180));
    mutable_offset + u64::from(mutable_bytes) - 16 * u64::from(slots)
}

/// Where the elements of a segment start, and how many bytes they have.
///
/// # Panics
/// If the file cannot be read.
#[must_use]
pub fn data(file: &File) -> (u64, u64) {
    (u64::from_ne_bytes(header_number(file, 48)), u64::from_ne_bytes(header_number(file, 56)))
}
