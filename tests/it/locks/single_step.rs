//! A process that is killed after each instruction of taking a lock, changing what it protects, and letting go.
//!
//! Only the memory of the segment and the death count for those who come later. So one run steps through all
//! instructions and looks where the memory changes; the kills come right before and right after these, and at some
//! fifty places between; after every single instruction if `SHMTYPES_SOAK` is set, which takes minutes.

use super::{LOCKS, LONG};
use shmtypes::ShmBox;
use shmtypes::sync::{LockError, LockResult};
use shmtypes_tests::life::rounds;
use shmtypes_tests::locks::{Board, CHANGED, data, outcome};
use shmtypes_tests::scratch::Scratch;
use shmtypes_tests::single_step::Stepped;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// More instructions than a piece of work has.
const TOO_MANY: usize = 100_000;

/// A process that stands before the first instruction of its work.
fn stepped(board: &ShmBox<Board>, what: &str) -> Stepped {
    Stepped::start(LOCKS, &["step", board.name(), what])
}

/// What the locks and the values look like.
fn image(file: &File) -> Vec<u8> {
    let (start, bytes) = data(file);
    let mut image = vec![0; bytes as usize];
    file.read_exact_at(&mut image, start).unwrap();
    image
}

/// After how many instructions to kill, and how many there are.
fn places(board: &ShmBox<Board>, file: &File, what: &str) -> (BTreeSet<usize>, usize) {
    let mut stepped = stepped(board, what);
    let (mut places, mut before, mut count) = (BTreeSet::new(), image(file), 0);
    while stepped.step() {
        count += 1;
        assert!(count < TOO_MANY, "{what} comes to no end");
        let now = image(file);
        if now != before {
            places.extend([count - 1, count]);
            before = now;
        }
    }
    let stride = if rounds(1) > 1 { 1 } else { count.div_ceil(50) };
    places.extend((0..=count).step_by(stride));
    (places, count)
}

/// What a call must find, from the word that the dead process left; and makes the value whole again.
fn expect<G>(result: LockResult<G>, names_the_dead: bool, context: &str) -> G {
    let expected = if names_the_dead { "OwnerDied" } else { "Ok" };
    assert_eq!(outcome(&result), expected, "{context}");
    result.map_or_else(LockError::into_guard, Some).unwrap()
}

fn killed_everywhere(works: &[&str]) {
    let scratch = Scratch::new();
    // Few slots: a writer looks at the count of each.
    let board = ShmBox::<Board>::options().name(scratch.name("board")).slots(4).create().unwrap();
    let file = File::options().read(true).write(true).open(scratch.path("board")).unwrap();
    for &what in works {
        let (places, count) = places(&board, &file, what);
        settle(&board, &image(&file), what);
        let mut deaths = 0;
        for &place in &places {
            let mut stepped = stepped(&board, what);
            for _ in 0..place {
                assert!(stepped.step(), "{what}: the work is shorter than before");
            }
            stepped.kill();
            deaths += usize::from(settle(&board, &image(&file), &format!("{what}, killed after {place} of {count}")));
        }
        println!("{what}: {count} instructions, {} kills, {deaths} of them inside", places.len());
    }
}

/// Takes both locks after a death, checks what they tell and what they protect, and makes all as it was. Whether somebody
/// died inside.
fn settle(board: &ShmBox<Board>, left: &[u8], context: &str) -> bool {
    let named = [0, 24].map(|word| left[word] != 0 || left[word + 1] & 3 != 0);
    let mut mutex = expect(board.view().mutex().lock_until(LONG), named[0], context);
    let mut writer = expect(board.view().rwlock().write_until(LONG), named[1], context);
    for value in [mutex.get().unwrap(), writer.get().unwrap()] {
        let is_old_or_new = |&byte: &u8| byte == 0 || byte == CHANGED[0].to_ne_bytes()[0];
        assert!(value.iter().all(|number| number.to_ne_bytes().iter().all(is_old_or_new)), "{context}: {value:x?}");
        let inside = named.contains(&true);
        assert!(inside || value == [0; 2] || value == CHANGED, "{context}: half changed, and nobody is told");
    }
    mutex.set([0; 2]);
    writer.set([0; 2]);
    drop((mutex.recover(), writer.recover()));
    assert!(board.view().mutex().try_lock().is_ok() && board.view().rwlock().try_write().is_ok(), "{context}");
    assert!(board.view().rwlock().try_read().is_ok(), "{context}");
    named.contains(&true)
}

#[test]
fn a_mutex_can_be_taken_whichever_instruction_was_its_holder_s_last() {
    killed_everywhere(&["lock", "change", "unlock"]);
}

#[test]
fn a_reader_writer_lock_can_be_taken_whichever_instruction_was_its_holder_s_last() {
    killed_everywhere(&["read", "end-read", "write", "end-write"]);
}
