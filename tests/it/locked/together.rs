//! Processes that write and read at once.

use super::{LOCKED, array, cooperative};
use shmtypes::LockedArray;
use shmtypes_tests::life::rounds;
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;

const WORDS: usize = 64;
const ROUNDS: usize = 100_000;

#[track_caller]
fn whole(values: &[u64]) {
    assert!(values.iter().all(|value| *value == values[0]), "half of a change: {values:?}");
}

/// Runs `look` until it was called so often and the peer, which counts all elements up by slices, has ended.
fn beside_a_writer(array: &LockedArray<u64>, mut look: impl FnMut(usize)) {
    let rounds = rounds(ROUNDS);
    let mut writer = Peer::start(LOCKED, &["work", array.name(), &rounds.to_string()]);
    writer.expect_line("ready");
    let (mut looks, mut is_done) = (0, false);
    while !is_done || looks < rounds {
        look(looks);
        looks += 1;
        if !is_done && let Some(line) = writer.said() {
            assert_eq!(line, "done");
            is_done = true;
        }
    }
    assert!(writer.wait().success());
    println!("{looks} looks beside {rounds} changes");
}

#[test]
fn safe_calls_never_see_half_of_what_a_process_does_with_slices() {
    let scratch = Scratch::new();
    let array = array(&scratch, WORDS);
    let mut seen = 0;
    beside_a_writer(&array, |look| {
        let values = match look % 3 {
            0 => array.to_vec().unwrap(),
            1 => {
                let guard = array.read().unwrap();
                vec![guard.get(0).unwrap(), guard.at(WORDS - 1).get(), guard.max().unwrap().unwrap()]
            }
            // A write that changes nothing, if nobody else is in between.
            _ => {
                let guard = array.write().unwrap();
                let values = guard.to_vec().unwrap();
                guard.copy_from_slice(0, &values).unwrap();
                values
            }
        };
        whole(&values);
        assert!(values[0] >= seen, "a change is lost");
        seen = values[0];
    });
    assert_eq!(array.get(0).unwrap(), rounds(ROUNDS) as u64);
}

#[test]
fn slices_never_show_half_of_what_a_process_does_with_slices() {
    let scratch = Scratch::new();
    let array = cooperative(&scratch, WORDS);
    let mut added = 0;
    beside_a_writer(&array, |look| {
        if look % 2 == 0 {
            whole(&array.read().unwrap());
        } else {
            let mut guard = array.write().unwrap();
            whole(&guard);
            guard.iter_mut().for_each(|value| *value += 1);
            added += 1;
        }
    });
    assert_eq!(array.get(WORDS - 1).unwrap(), rounds(ROUNDS) as u64 + added);
}
