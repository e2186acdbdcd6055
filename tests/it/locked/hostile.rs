//! Whatever stands in the words of the lock, calls come back.

use super::{LOCKED, array};
use shmtypes::sync::{LockError, LockResult};
use shmtypes::{ErrorKind, LockedArray};
use shmtypes_tests::life::rounds;
use shmtypes_tests::locks::slot_table;
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// Whether the lock was taken; it is let go of again.
fn is_taken<G>(result: LockResult<G>) -> bool {
    match result {
        Ok(_) => true,
        Err(error @ (LockError::TimedOut(_) | LockError::Held(_))) => error.into_guard().is_some(),
        Err(LockError::Failed(error)) => panic!("{error}"),
        Err(other) => other.into_guard().is_some(),
    }
}

#[test]
fn every_single_word_means_something() {
    let scratch = Scratch::new();
    let array = array(&scratch, 2);
    let file = File::options().read(true).write(true).open(scratch.path("array")).unwrap();
    let block = slot_table(&file) - 640;
    let own = 1 << 32 | 1_u64;
    let words = (0..64).flat_map(|bit| [1 << bit, !(1 << bit), own | 1 << bit, own & !(1 << bit)]).chain([
        0,
        u64::MAX,
        own,
        u64::from(u32::MAX),
    ]);
    let soon = Duration::from_millis(1);
    for word in words {
        let put = |place: u64, word: u64| file.write_all_at(&word.to_ne_bytes(), block + place).unwrap();
        // Only this process's own name keeps it out: it is the only one that lives.
        let mine = word & 0xffff_ffff_0000_03ff == own;
        for call in 0..4 {
            put(64, word);
            let taken = match call {
                0 => is_taken(array.try_read()),
                1 => is_taken(array.try_write()),
                2 => is_taken(array.read_until(soon)),
                _ => is_taken(array.write_until(soon)),
            };
            assert_eq!(taken, !mine, "{word:#x}, call {call}");
        }
        put(64, 0);
        // A count of slot 0, which is this process's, and of slot 5, which is nobody's.
        for slot in [0, 5] {
            put(128 + 8 * slot, word);
            let taken = is_taken(array.write_until(soon));
            assert_eq!(taken, !(slot == 0 && word >> 32 == 1 && word & 0x7fff_ffff != 0), "count {word:#x}");
            put(128 + 8 * slot, 0);
        }
    }
    array.set(0, 1).unwrap();
    assert_eq!(array.to_vec().unwrap(), [1, 0]);
}

#[test]
fn every_call_comes_back_beside_a_process_that_scribbles_on_the_words() {
    let scratch = Scratch::new();
    // For calls without a deadline of their own.
    let timeout = Some(Duration::from_millis(20));
    let array: LockedArray<u64> =
        LockedArray::options().name(scratch.name("array")).lock_timeout(timeout).create(4).unwrap();
    let rounds = rounds(40);
    let path = scratch.path("array");
    let mut scribbler = Peer::start(LOCKED, &["scribble", path.to_str().unwrap(), "7"]);
    scribbler.expect_line("ready");
    let mut user = Peer::start(LOCKED, &["exercise", array.name(), &rounds.to_string()]);
    user.expect_line("ready");
    for round in 0..rounds {
        user.expect_line(&format!("round {round}"));
    }
    assert!(user.wait().success());
    scribbler.kill();
    // Zeros make it a free lock again.
    let file = File::options().read(true).write(true).open(path).unwrap();
    file.write_all_at(&[0; 576], slot_table(&file) - 576).unwrap();
    assert!(array.try_write().is_ok());
}

#[test]
fn a_locked_array_without_its_words_is_refused() {
    let scratch = Scratch::new();
    let array = array(&scratch, 2);
    let file = File::options().read(true).write(true).open(scratch.path("array")).unwrap();
    // 64 bytes less.
    let bytes = 640 + 64 * 16 - 64_u32;
    file.write_all_at(&bytes.to_ne_bytes(), 176).unwrap();
    let error = LockedArray::<u64>::open(array.name()).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Corrupt { field: "mutable length", value: bytes.into() });
}
