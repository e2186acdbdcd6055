//! A process that spawns children all the time leaks no name past the next reap.

use super::{numbers, start};
use shmtypes_tests::life::{Folder, rounds};

#[test]
fn ghosts_of_children_being_spawned_leave_no_name_past_the_next_reap() {
    let folder = Folder::new();
    let rounds = rounds(2000);
    let mut peer = start(&["spawn-and-create", folder.arg(), &rounds.to_string()]);
    let [removed, ghosts, spawned, left] = numbers(&mut peer);
    let [reaped, names] = numbers(&mut peer);
    assert!(peer.wait().success());
    println!(
        "{rounds} segments, {spawned} spawned: {removed} removed at once, {ghosts} ghosts, {left} left, {reaped} reaped"
    );
    assert_eq!(removed + ghosts, rounds as u64);
    // What looked attached for a moment is tried again at later creations and detaches; only the last ones may be left.
    assert!(left <= 2 + ghosts / 4, "{left} of {ghosts} left without a reap");
    assert_eq!(names, 0, "names after the reap");
    assert_eq!(folder.left(), [""; 0]);
    assert!(spawned > 10, "only {spawned} spawned");
}
