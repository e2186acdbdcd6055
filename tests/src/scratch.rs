//! Names for one test, cleaned up behind it.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

/// The directory that segments stand in unless told otherwise.
pub const SHM: &str = "/dev/shm";

/// A random prefix for the names of one test. Dropping it removes every file in /dev/shm that carries the prefix, also
/// when the test panics.
#[derive(Debug)]
pub struct Scratch {
    prefix: String,
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    /// A prefix that no other test has.
    ///
    /// # Panics
    /// If the system has no random numbers.
    #[must_use]
    pub fn new() -> Self {
        let mut random = [0; 8];
        fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random)).expect("read random bytes");
        Self { prefix: format!("t{:016x}-", u64::from_ne_bytes(random)) }
    }

    /// The prefix.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A name with the prefix.
    #[must_use]
    pub fn name(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.prefix)
    }

    /// The file of a name with the prefix.
    #[must_use]
    pub fn path(&self, suffix: &str) -> PathBuf {
        PathBuf::from(SHM).join(self.name(suffix))
    }

    /// The names with the prefix that exist, in order.
    ///
    /// # Panics
    /// If /dev/shm cannot be listed.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(SHM).expect("list /dev/shm");
        let names = entries.map(|entry| entry.expect("list /dev/shm").file_name().to_string_lossy().into_owned());
        let mut left: Vec<String> = names.filter(|name| name.starts_with(&self.prefix)).collect();
        left.sort();
        left
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Ok(entries) = fs::read_dir(SHM) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(&self.prefix) {
                // A file, a FIFO, a link or an empty directory; what another process removed meanwhile is fine.
                let _ = fs::remove_file(entry.path()).or_else(|_| fs::remove_dir(entry.path()));
            }
        }
    }
}
