//! Cells that another process stores into, until it is killed.

mod killed;
#[cfg(target_arch = "x86_64")]
mod steps;

use shmtypes::ShmCell;
use shmtypes_tests::cells::{Snapshot, number, snapshot};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;

/// The program that plays the other process.
const CELLS: &str = env!("CARGO_BIN_EXE_shmtypes-cells");

#[test]
fn a_process_that_waits_is_woken_by_each_store() {
    let scratch = Scratch::new();
    let cell = ShmCell::<Snapshot>::options().name(scratch.name("cell")).create().unwrap();
    let mut peer = Peer::start(CELLS, &["follow", cell.name(), "20"]);
    peer.expect_line("ready");
    for round in 1..=20 {
        cell.store(snapshot(round)).unwrap();
        peer.expect_line(&round.to_string());
    }
    assert!(peer.wait().success());
    assert_eq!(number(&cell.load().unwrap()), 20);
}

#[test]
fn the_child_of_a_fork_inside_an_update_neither_stores_nor_lets_go_of_the_lock() {
    let scratch = Scratch::new();
    let cell = ShmCell::<Snapshot>::options().name(scratch.name("cell")).create_from(snapshot(4)).unwrap();
    let mut peer = Peer::start(CELLS, &["fork-inside", cell.name()]);
    let ended = peer.line().expect("what became of the child");
    assert!(ended.starts_with("Exited(") && ended.ends_with(", 7)"), "{ended}");
    peer.expect_line("true");
    peer.expect_line("Ok(())");
    assert_eq!((number(&cell.load().unwrap()), cell.version()), (5, 1));
    assert!(peer.wait().success());
}
