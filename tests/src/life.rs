//! What the tests of the life cycle and their peer processes agree on.

use crate::scratch::Scratch;
use shmtypes::{AccessMode, ArrayOptions, SegmentDirectory, ShmArray, ShmLayout, Trust};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

/// The elements of a test's array: several pages of them, so that a half-made one can show.
pub const ELEMENTS: usize = 1000;

/// How many rounds a test runs: `base`, times the number in `SHMTYPES_SOAK` if that is set.
///
/// ```text
/// SHMTYPES_SOAK=100 cargo test -p shmtypes-tests --test it life:: -- --nocapture
/// ```
///
/// # Panics
/// If the variable is no number.
#[must_use]
pub fn rounds(base: usize) -> usize {
    match std::env::var("SHMTYPES_SOAK") {
        Ok(factor) => base * factor.parse::<usize>().expect("SHMTYPES_SOAK is a number"),
        Err(_) => base,
    }
}

/// Writes a pattern that can be recognised: whole, or not there.
pub fn fill(slots: &mut [u64]) {
    let seed = u64::from(std::process::id()) << 1 | 1;
    for (index, slot) in slots.iter_mut().enumerate() {
        *slot = expected(seed, index);
    }
}

/// Whether the array holds all of the pattern, whoever wrote it.
#[must_use]
pub fn is_complete<M: AccessMode>(array: &ShmArray<u64, M>) -> bool {
    let values = array.to_vec().unwrap_or_default();
    let seed = values.first().copied().unwrap_or(0);
    seed != 0 && values.len() == ELEMENTS && values.iter().enumerate().all(|(i, &value)| value == expected(seed, i))
}

/// The elements of an array of the kind `small`, a page with its header, which is published with zeros.
const SMALL: usize = 400;

/// How many elements an array of this kind has.
#[must_use]
pub fn elements_of(kind: &str) -> usize {
    if kind == "small" { SMALL } else { ELEMENTS }
}

/// Whether an array of this kind is as its creator published it.
#[must_use]
pub fn is_as_published(kind: &str, array: &ShmArray<u64>) -> bool {
    if kind == "small" { array.to_vec().is_ok_and(|values| values == [0; SMALL]) } else { is_complete(array) }
}

fn expected(seed: u64, index: usize) -> u64 {
    seed.wrapping_add((index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// The options of an array in a test's folder, whoever owns it.
#[must_use]
pub fn options<T: ShmLayout>(folder: impl AsRef<Path>, name: &str) -> ArrayOptions<T> {
    ShmArray::options().dir(folder.as_ref()).name(name).trust(Trust::Anyone)
}

/// A directory of its own in /dev/shm, so that a test can reap and count without touching those of others. Removed with
/// all that is in it when dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    #[expect(dead_code, reason = "held for its drop")]
    scratch: Scratch,
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Folder {
    /// An empty directory.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let scratch = Scratch::new();
        let path = scratch.path("life");
        fs::create_dir(&path).expect("make a directory in /dev/shm");
        Self { path, scratch }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory, as an argument of a peer.
    ///
    /// # Panics
    /// Never: the path is ASCII.
    #[must_use]
    pub fn arg(&self) -> &str {
        self.path.to_str().expect("the path is ASCII")
    }

    /// The directory, as the library sees it.
    #[must_use]
    pub fn segments(&self) -> SegmentDirectory {
        SegmentDirectory::new(&self.path)
    }

    /// The options of an array in it.
    #[must_use]
    pub fn options<T: ShmLayout>(&self, name: &str) -> ArrayOptions<T> {
        options(&self.path, name)
    }

    /// All names in it, hidden ones too, in order.
    ///
    /// # Panics
    /// If it cannot be listed.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.path).expect("list the directory");
        let names = entries.map(|entry| entry.expect("list the directory").file_name().to_string_lossy().into_owned());
        let mut left: Vec<String> = names.collect();
        left.sort();
        left
    }

    /// Asserts that a reap leaves nothing.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn assert_reaped(&self, context: &str) {
        let reaped = self.segments().reap().unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(self.left(), [""; 0], "{context}: left after {reaped:?}");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed was removed by somebody else.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Lets several processes start at one instant: a counter in shared memory that they all watch.
#[derive(Debug)]
pub struct Barrier {
    arrivals: ShmArray<AtomicU64>,
    parties: u64,
    round: u64,
}

impl Barrier {
    /// Takes part in the barrier of this folder, with as many `parties` altogether.
    ///
    /// # Panics
    /// If the barrier cannot be made.
    #[must_use]
    pub fn join(folder: &Path, parties: u64) -> Self {
        let arrivals = options(folder, "barrier").open_or_create(1).expect("join the barrier");
        Self { arrivals, parties, round: 0 }
    }

    /// Waits until all parties have come as far.
    pub fn wait(&mut self) {
        self.round += 1;
        let arrivals = self.arrivals.at(0);
        arrivals.fetch_add(1, SeqCst);
        while arrivals.load(SeqCst) < self.round * self.parties {
            std::thread::yield_now();
        }
    }
}
