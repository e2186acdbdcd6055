//! Slots that one process after the other has.

use super::{LOCKS, ask};
use shmtypes::sync::LockError;
use shmtypes::{ErrorKind, Persist, ShmBox};
use shmtypes_tests::locks::{Board, slot_table};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;
use std::fs::File;
use std::os::unix::fs::FileExt;

const REUSES: usize = 60;

/// A board with two slots, of which this process has the first.
fn small_board(scratch: &Scratch) -> ShmBox<Board> {
    ShmBox::options().name(scratch.name("board")).slots(2).create().unwrap()
}

/// A peer in slot 1, once that is free.
fn talker(board: &ShmBox<Board>) -> Peer {
    let mut peer = Peer::start(LOCKS, &["talk", board.name()]);
    peer.expect_line("ready");
    peer
}

#[test]
fn the_next_owner_of_a_slot_is_not_taken_for_the_dead_one() {
    let scratch = Scratch::new();
    let board = small_board(&scratch);
    let mut found = "Ok";
    for _ in 0..REUSES {
        // In the slot that the word names: it must not take itself for the holder.
        let mut peer = talker(&board);
        ask(&mut peer, "try-lock", found);
        ask(&mut peer, "recover", "recovered");
        peer.kill();
        // An heir, alive, does not keep what the dead one held.
        let mut heir = talker(&board);
        match board.view().mutex().try_lock() {
            Err(LockError::OwnerDied(guard)) => drop(guard.recover()),
            other => panic!("{other:?}"),
        }
        // What it takes itself, it keeps.
        ask(&mut heir, "try-lock", "Ok");
        match board.view().mutex().try_lock() {
            Err(LockError::Held(holder)) => {
                assert_eq!((holder.slot, holder.pid, holder.is_own), (1, heir.id(), false));
                assert_eq!(holder.segment(), Some(board.name()));
            }
            other => panic!("{other:?}"),
        }
        heir.kill();
        found = "OwnerDied";
    }
}

#[test]
fn the_next_owner_of_a_slot_does_not_keep_its_predecessor_reading() {
    let scratch = Scratch::new();
    let board = small_board(&scratch);
    for round in 0..REUSES {
        let mut reader = talker(&board);
        ask(&mut reader, "read", "Ok");
        assert!(matches!(board.view().rwlock().try_write(), Err(LockError::Held(holder)) if holder.slot == 1));
        reader.kill();
        let mut heir = talker(&board);
        if round % 2 == 0 {
            drop(board.view().rwlock().try_write().unwrap());
        }
        ask(&mut heir, "read", "Ok");
        match board.view().rwlock().try_write() {
            Err(LockError::Held(holder)) => assert_eq!((holder.slot, holder.pid), (1, heir.id())),
            other => panic!("{other:?}"),
        }
        ask(&mut heir, "drop", "dropped");
        drop(board.view().rwlock().try_write().unwrap());
    }
}

#[test]
fn a_living_holder_is_not_taken_for_dead_after_the_generation_has_wrapped() {
    let scratch = Scratch::new();
    let board = small_board(&scratch);
    // Where the slots' table stands: behind the mutable block, whose end the header says (docs/format.md).
    let file = File::options().read(true).write(true).open(scratch.path("board")).unwrap();
    let generation = slot_table(&file) + 16;
    for before in [u32::MAX - 1, u32::MAX] {
        file.write_all_at(&before.to_ne_bytes(), generation).unwrap();
        let mut peer = talker(&board);
        let mut now = [0; 4];
        file.read_exact_at(&mut now, generation).unwrap();
        assert_eq!(u32::from_ne_bytes(now), before.checked_add(1).unwrap_or(1), "0 is nobody's");
        ask(&mut peer, "lock", "Ok");
        let held = board.view().mutex().try_lock();
        assert!(
            matches!(held, Err(LockError::Held(ref holder)) if holder.pid == peer.id() && !holder.is_own),
            "{held:?}"
        );
        ask(&mut peer, "drop", "dropped");
    }
}

/// A header that says so in all of its fields: by itself it is a good one.
#[test]
fn a_segment_with_locks_and_without_slots_is_refused() {
    let scratch = Scratch::new();
    let board = ShmBox::<Board>::options().name(scratch.name("board")).persist(Persist::Keep).create().unwrap();
    drop(board);
    let file = File::options().read(true).write(true).open(scratch.path("board")).unwrap();
    let mut mutable_bytes = [0; 4];
    file.read_exact_at(&mut mutable_bytes, 176).unwrap();
    let without_table = u32::from_ne_bytes(mutable_bytes) - 64 * 16;
    for (offset, number) in [(16, 0), (176, without_table), (180, 0)] {
        file.write_all_at(&number.to_ne_bytes(), offset).unwrap();
    }
    let options = || ShmBox::<Board>::options().name(scratch.name("board"));
    for error in [options().open().unwrap_err(), options().open_read_only().unwrap_err()] {
        assert_eq!(*error.kind(), ErrorKind::Corrupt { field: "slot count", value: 0 });
    }
}
