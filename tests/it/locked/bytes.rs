//! Nobody comes to the elements as mere bytes: slices of them may be lent.

use super::array;
use shmtypes::compat::{NdArray, ShareableList, SharedMemory};
use shmtypes::{Error, ErrorKind, ShmArray};
use shmtypes_tests::scratch::{SHM, Scratch};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Where the required features stand in a header (docs/format.md).
const FEATURES: u64 = 16;

/// Every call of this crate that maps a file by its name without being told a type of segment.
fn opened_as_bytes(name: &str) -> [(&'static str, Result<(), Error>); 7] {
    // Pickled by Python: the class, and the name that it is called with.
    let pickle =
        [b"cmultiprocessing.shared_memory\nSharedMemory\n(V".as_slice(), name.as_bytes(), b"\nI00\nI1\ntR."].concat();
    [
        ("SharedMemory", SharedMemory::open(name).map(drop)),
        ("a slash before the name", SharedMemory::open(&format!("/{name}")).map(drop)),
        ("a pickle", SharedMemory::options().from_pickle(&pickle).map(drop)),
        ("ShareableList", ShareableList::open(name).map(drop)),
        ("NdArray", NdArray::<u64>::open(name, &[2]).map(drop)),
        ("NdArray for reading", NdArray::<u64>::open_read_only(name, &[2]).map(drop)),
        ("NdArray or a new one", NdArray::<u64>::open_or_create(name, &[2]).map(drop)),
    ]
}

#[test]
fn no_block_list_or_bare_array_opens_a_locked_array() {
    let scratch = Scratch::new();
    let array = array(&scratch, 2);
    for (call, outcome) in opened_as_bytes(array.name()) {
        let error = outcome.expect_err(call);
        assert_eq!(
            (error.kind(), error.hint(), error.python_exception()),
            (&ErrorKind::NeedsLock, Some("open it as a `LockedArray`"), "ValueError"),
            "{call}"
        );
    }
    assert_eq!(array.to_vec().unwrap(), [0, 0]);
}

#[test]
fn segments_with_features_of_the_future_are_no_bytes_either() {
    let scratch = Scratch::new();
    let array = ShmArray::<u64>::options().name(scratch.name("future")).create(2).unwrap();
    File::options().write(true).open(scratch.path("future")).unwrap().write_all_at(&[0, 1, 0, 0], FEATURES).unwrap();
    let bits = u32::from_ne_bytes([0, 1, 0, 0]);
    for (call, outcome) in opened_as_bytes(array.name()) {
        assert_eq!(*outcome.expect_err(call).kind(), ErrorKind::UnknownFeatures { bits }, "{call}");
    }
}

#[test]
fn other_segments_are_bytes_for_those_who_want_them() {
    let scratch = Scratch::new();
    let array = ShmArray::<u64>::options().name(scratch.name("plain")).create_from_slice(&[7, 8]).unwrap();
    let bytes = SharedMemory::open(array.name()).unwrap();
    assert_eq!(bytes.to_vec().unwrap()[..8], *b"SHMTYPES");
    // A block shorter than what is looked at.
    let short = SharedMemory::create_named(&scratch.name("short"), 8).unwrap();
    short.copy_from_slice(0, b"SHMTYPES").unwrap();
    assert_eq!(SharedMemory::open(short.name()).unwrap().to_vec().unwrap(), b"SHMTYPES");
    short.unlink().unwrap();
}

/// A file without the test's prefix, which is there only if the test fails.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Its maker writes the header last, and until then nothing shows that it is to have a lock.
#[test]
fn a_file_that_is_to_become_a_segment_is_nobody_s_block() {
    let scratch = Scratch::new();
    let random = &scratch.prefix()[1..17];
    let hidden = format!(".shmtypes-{random}{random}.tmp");
    let of_other_kind = format!(".shmtypes-{random}.tmp");
    let _removed = Removed(PathBuf::from(SHM).join(&hidden));
    let mut block = SharedMemory::create_named(&scratch.name("block"), 1).unwrap();
    let outcomes = [
        ("create", SharedMemory::create_named(&hidden, 1).map(drop)),
        ("rename", block.rename(&hidden, shmtypes::compat::Rename::NoReplace)),
    ];
    for (call, outcome) in outcomes.into_iter().chain(opened_as_bytes(&hidden)) {
        assert!(matches!(outcome.expect_err(call).kind(), ErrorKind::InvalidOptions { .. }), "{call}");
    }
    let absent = SharedMemory::open(&of_other_kind).map(drop).unwrap_err();
    assert_eq!(*absent.kind(), ErrorKind::NotFound);
    block.unlink().unwrap();
}
