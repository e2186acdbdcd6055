//! Lists whose data a hostile peer writes.

use super::SHM_LISTS;
use proptest::prelude::*;
use shmtypes::ShmList;
use shmtypes::compat::Value;
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;
use shmtypes_tests::shm_lists::{any_bytes, exercise, write};
use shmtypes_tests::world;
use std::time::Duration;

const ROUNDS: u32 = 300;

// In a process of its own, so that a signal ends no other test.
#[test]
fn every_call_gives_a_value_or_an_error_beside_a_process_that_scribbles() {
    let test = "shm_lists::hostile::every_call_gives_a_value_or_an_error_beside_a_process_that_scribbles";
    world::inside::<&str>(&[], test, || {
        let scratch = Scratch::new();
        let slots = (0..20).map(|index| match index % 4 {
            0 => (Value::Int(index), 8),
            1 => (Value::from("t\u{fc}xt of some length, ".repeat(5)), 200),
            2 => (Value::from([7; 90]), 90),
            _ => (Value::None, 40),
        });
        let options = ShmList::options().name(scratch.name("list")).lock_timeout(Some(Duration::from_millis(1)));
        let list = options.create_with_capacities(slots).unwrap();
        let bytes = std::fs::metadata(scratch.path("list")).unwrap().len() as usize;
        let path = scratch.path("list");
        let path = path.to_str().expect("plain ASCII");
        let mut peers: Vec<Peer> = ["1", "99"].map(|seed| Peer::start(SHM_LISTS, &["scribble", path, seed])).into();
        for peer in &mut peers {
            peer.expect_line("ready");
        }
        for _ in 0..ROUNDS {
            exercise(&list, bytes);
            exercise(&ShmList::open_read_only(list.name()).unwrap(), bytes);
            write(&list);
        }
        for peer in &mut peers {
            assert!(peer.wait().success());
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    /// What the fuzz target does.
    #[test]
    fn any_bytes_are_edits_or_hostile_words(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        any_bytes(&bytes);
    }
}
