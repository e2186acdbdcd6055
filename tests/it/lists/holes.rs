//! Blocks that are longer than all memory.

use shmtypes::ErrorKind;
use shmtypes::compat::{ListError, ShareableList};
use shmtypes_tests::scratch::Scratch;
use std::fs::File;
use std::os::unix::fs::FileExt;

#[test]
fn a_file_with_holes_cannot_ask_for_memory() {
    let scratch = Scratch::new();
    let file = File::create_new(scratch.path("list")).unwrap();
    file.set_len(1 << 42).unwrap();
    // A list of 3.8: its sizes are read when it is attached. The last one is there, or it would be unfinished.
    file.write_all_at(&(1_i64 << 37).to_ne_bytes(), 0).unwrap();
    file.write_all_at(&8_i64.to_ne_bytes(), 8).unwrap();
    file.write_all_at(&8_i64.to_ne_bytes(), 8 << 37).unwrap();
    let error = ShareableList::open(&scratch.name("list")).map(|list| list.len()).unwrap_err();
    let expected = [ListError::TooLarge, ListError::Corrupt { field: "slot size", value: 0 }];
    let found = match error.kind() {
        ErrorKind::List(found) => expected.contains(found),
        kind => matches!(kind, ErrorKind::NoAddressSpace { .. }),
    };
    assert!(found, "{error}");
}
