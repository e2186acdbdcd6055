//! A directory of segments for one test, on the file system of /dev/shm, removed with all that is in it.
//!
//! Listing and reaping are about all segments of a directory; a test that asserts on them has one of its own.

use crate::scratch::Scratch;
use shmtypes::{ArrayOptions, Detached, ErrorKind, Persist, SegmentDirectory, ShmArray, ShmLayout};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where the header says at which byte the elements start (docs/format.md).
const DATA_OFFSET: u64 = 48;

/// A directory below /dev/shm, or elsewhere. Dropping it removes it and its contents, also when the test panics.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Folder {
    /// An empty directory below /dev/shm.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        Self::below(Path::new(crate::scratch::SHM))
    }

    /// An empty directory below `parent`.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn below(parent: &Path) -> Self {
        let path = parent.join(Scratch::new().name("folder"));
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of a name.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The directory, to list and reap.
    #[must_use]
    pub fn segments(&self) -> SegmentDirectory {
        SegmentDirectory::new(&self.path)
    }

    /// Options for an array of this name in the directory.
    #[must_use]
    pub fn options<T: ShmLayout>(&self, name: &str) -> ArrayOptions<T> {
        ShmArray::options().dir(&self.path).name(name)
    }

    /// Closes the only attachment of a segment in the directory, whose name must go. A child that another test of this
    /// process is just spawning may hold a copy of the mapping for a moment; then the name goes after that.
    ///
    /// # Panics
    /// If the name stays.
    pub fn close_last<T: ShmLayout>(&self, array: ShmArray<T>) {
        let name = array.name().to_owned();
        let outcome = array.close().expect("an attachment can be closed");
        if outcome == Detached::StillInUse {
            let start = Instant::now();
            while let Err(error) = self.segments().reap_named(&name) {
                if *error.kind() == ErrorKind::NotFound {
                    break;
                }
                assert_eq!(*error.kind(), ErrorKind::InUse, "{error}");
                assert!(start.elapsed() < Duration::from_secs(20), "{name} stays in use");
                std::thread::yield_now();
            }
        } else {
            assert_eq!(outcome, Detached::Removed);
        }
    }

    /// The names in the directory, in order.
    ///
    /// # Panics
    /// If it cannot be listed.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.path).expect("list the folder");
        let mut left: Vec<String> =
            entries.map(|entry| entry.expect("list the folder").file_name().to_string_lossy().into_owned()).collect();
        left.sort();
        left
    }

    /// The bytes of a segment of `n` elements, which nobody is attached to and which has no name any more.
    ///
    /// # Panics
    /// If it cannot be created.
    #[must_use]
    pub fn bytes_of<T: ShmLayout>(&self, n: usize, persist: Persist, value: impl FnMut(usize) -> T) -> Vec<u8> {
        let array = self.options::<T>("template").persist(persist).create_from_fn(n, value).expect("create");
        let bytes = fs::read(self.file("template")).expect("read the segment's file");
        drop(array);
        let _ = fs::remove_file(self.file("template"));
        bytes
    }

    /// Writes bytes over the elements of a segment from outside of every mapping, as any process of the same user may.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn scribble(&self, name: &str, offset: u64, bytes: &[u8]) {
        let file = fs::File::options().read(true).write(true).open(self.file(name)).expect("open the segment's file");
        let mut start = [0; 8];
        file.read_exact_at(&mut start, DATA_OFFSET).expect("read the header");
        file.write_all_at(bytes, u64::from_ne_bytes(start) + offset).expect("write the segment's file");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = fs::remove_dir_all(&self.path);
    }
}
