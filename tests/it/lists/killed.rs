//! Writers that are killed in the middle of a store.

use super::LISTS;
use shmtypes::ErrorKind;
use shmtypes::compat::{ListError, ShareableList, Value};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;
use shmtypes_tests::stores::churned;

const KILLS: u64 = 300;

#[test]
fn a_killed_writer_leaves_a_value_of_its_or_busy_and_a_store_repairs_it() {
    let scratch = Scratch::new();
    let values = churned();
    let list = ShareableList::options().name(scratch.name("list")).create(&[Value::from("x".repeat(4000))]).unwrap();
    let mut busy = 0;
    for kill in 0..KILLS {
        list.set_ref(0, values[0].as_ref()).unwrap();
        let mut peer = Peer::start(LISTS, &["churn", list.name()]);
        peer.expect_line("ready");
        // Until its stores are seen, and some reads more, another number each time: the instant is any.
        while list.get(0).is_ok_and(|value| value == values[0]) {}
        for _ in 0..kill * 37 % 101 {
            let _ = list.get(0);
        }
        peer.kill();
        match list.get(0) {
            Ok(value) => assert!(values.contains(&value), "{value:?}"),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::List(ListError::Busy { index: 0 })), "{error}");
                busy += 1;
            }
        }
        let repaired = &values[kill as usize % values.len()];
        list.set_ref(0, repaired.as_ref()).unwrap();
        assert_eq!(&list.get(0).unwrap(), repaired);
    }
    println!("{KILLS} kills, {busy} busy");
    assert!(0 < busy && busy < KILLS, "{busy} of {KILLS} were busy: the kills no longer hit all sides");
}

/// Each value would be waited for as long as one is, if they were not shown together.
#[test]
fn a_list_of_values_that_killed_writers_left_can_be_shown() {
    let scratch = Scratch::new();
    let list = ShareableList::options().name(scratch.name("list")).create(&[1_i64; 3_000]).unwrap();
    let block = list.shared_memory();
    for at in block.size() - list.len()..block.size() {
        block.set(at, 0xff).unwrap();
    }
    let shown = list.to_string();
    assert_eq!(shown.matches("is being written").count(), 100);
    assert!(shown.ends_with("<2900 more, of which not all are readable>]"), "{shown}");
}
