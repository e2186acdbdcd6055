//! Others scribble on lock words and on the table of slots while every call is made.

use super::{LOCKS, board};
use shmtypes::sync::{LockError, LockResult, ShmMutex, ShmRwLock};
use shmtypes::{ShmBox, ShmRef};
use shmtypes_tests::life::rounds;
use shmtypes_tests::locks::{Board, data};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// Runs every call in a process of its own, which is killed if it hangs, while as many others scribble.
fn beside(what: &str, scribblers: u64, base: usize) {
    let scratch = Scratch::new();
    // For calls without a deadline of their own.
    let timeout = Some(Duration::from_millis(50));
    let board = ShmBox::options().name(scratch.name("board")).lock_timeout(timeout);
    let board: ShmBox<Board> = board.create().unwrap();
    let rounds = rounds(base);
    let mut user = Peer::start(LOCKS, &["exercise", board.name(), &rounds.to_string()]);
    user.expect_line("ready");
    let path = scratch.path("board");
    let path = path.to_str().unwrap();
    let mut peers: Vec<Peer> =
        (1..=scribblers).map(|seed| Peer::start(LOCKS, &["scribble", path, what, &seed.to_string()])).collect();
    peers.iter_mut().for_each(|peer| peer.expect_line("ready"));
    user.tell("go");
    for round in 0..rounds {
        user.expect_line(&format!("round {round}"));
    }
    println!("{what}, {scribblers}: {}", user.line().unwrap_or_default());
    user.expect_line("done");
    assert!(user.wait().success());

    // Whatever is left in the words, zeros make it a free lock again.
    peers.iter_mut().for_each(Peer::kill);
    let file = File::options().read(true).write(true).open(path).unwrap();
    let (start, bytes) = data(&file);
    file.write_all_at(&vec![0; bytes as usize], start).unwrap();
    assert!(board.view().mutex().try_lock().is_ok());
    assert!(board.view().rwlock().try_write().is_ok());
    assert!(board.view().rwlock().try_read().is_ok());
}

#[test]
fn every_call_comes_back_beside_a_process_that_scribbles_on_the_words() {
    beside("words", 1, 40);
}

#[test]
fn every_call_comes_back_beside_a_process_that_scribbles_on_the_table_of_slots() {
    beside("slots", 1, 2_000);
}

#[test]
fn every_call_comes_back_beside_two_processes_that_scribble_on_both() {
    beside("all", 2, 40);
}

/// Words that no lock writes, each one for itself: what they mean, not how fast they change.
#[test]
fn every_single_word_means_something() {
    let scratch = Scratch::new();
    let board = board(&scratch);
    let file = File::options().read(true).write(true).open(scratch.path("board")).unwrap();
    let (start, _) = data(&file);
    let own = 1 << 32 | 1_u64;
    let words = (0..64).flat_map(|bit| [1 << bit, !(1 << bit), own | 1 << bit, own & !(1 << bit)]).chain([
        0,
        u64::MAX,
        own,
        u64::from(u32::MAX),
        u64::from(u32::MAX) << 32,
    ]);
    let soon = Duration::from_millis(1);
    for word in words {
        for lock in [0, 24] {
            file.write_all_at(&word.to_ne_bytes(), start + lock).unwrap();
            let view = board.view();
            let free = if lock == 0 { take_all(view.mutex(), soon) } else { take_all_of(view.rwlock(), soon) };
            // Only this process's own name keeps it out: it is the only one that lives.
            let mine = word & 0xffff_ffff_0000_03ff == own;
            assert_eq!(free, !mine, "{word:#x} at {lock}");
            file.write_all_at(&[0; 8], start + lock).unwrap();
        }
        // A count of slot 0, which is this process's, and of slot 5, which is nobody's.
        for (slot, place) in [(0, 32), (5, 32 + 5 * 8)] {
            file.write_all_at(&word.to_ne_bytes(), start + place).unwrap();
            let taken = board.view().rwlock().write_until(soon).is_ok();
            let mine = slot == 0 && word >> 32 == 1 && word & 0x7fff_ffff != 0;
            assert_eq!(taken, !mine, "count {word:#x} of slot {slot}");
            file.write_all_at(&[0; 8], start + place).unwrap();
        }
    }
}

fn take_all(mutex: ShmRef<'_, ShmMutex<[u64; 2]>>, soon: Duration) -> bool {
    let calls = [is_taken(mutex.try_lock()), is_taken(mutex.lock_until(soon))];
    assert_eq!(calls[0], calls[1]);
    calls[0]
}

fn take_all_of(lock: ShmRef<'_, ShmRwLock<[u64; 2]>>, soon: Duration) -> bool {
    let calls = [is_taken(lock.try_read()), is_taken(lock.try_write())];
    let waiting = [is_taken(lock.read_until(soon)), is_taken(lock.write_until(soon))];
    assert_eq!((calls, calls[0]), (waiting, calls[1]));
    calls[0]
}

/// Whether a lock was taken, which is let go of again.
fn is_taken<G>(result: LockResult<G>) -> bool {
    result.map_or_else(LockError::into_guard, Some).is_some()
}
