//! A fork in the middle of a section: whose lock it is, and what the child may do.

use super::{ask, board, talker};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;

/// Forks, and hears from both, in either order.
fn fork(peer: &mut Peer) {
    peer.tell("fork");
    let mut lines = [peer.line(), peer.line()].map(Option::unwrap_or_default);
    lines.sort();
    assert_eq!(lines, ["child forked", "forked"]);
}

#[test]
fn a_child_does_not_keep_the_lock_of_its_dead_parent() {
    for (take, told) in [("lock", "OwnerDied"), ("write", "OwnerDied")] {
        let scratch = Scratch::new();
        let board = board(&scratch);
        let mut owner = talker(&board);
        ask(&mut owner, take, "Ok");
        fork(&mut owner);
        owner.kill();
        let mut next = talker(&board);
        ask(&mut next, take, told);
        ask(&mut next, "recover", "recovered");
        // The child lives, and has a copy of the guard, which does nothing to whoever holds the lock now.
        ask(&mut owner, "drop", "child dropped");
        let held = format!("child TimedOut 1 {}", next.id());
        assert_eq!(ask_any(&mut owner, &format!("{take} 30")), held, "the dead parent's slot is the next one's");
        ask(&mut next, "drop", "dropped");
        ask(&mut owner, take, "child Ok");
        let mut last = talker(&board);
        assert!(ask_any(&mut last, &format!("try-{take}")).starts_with("Held 2 "));
        ask(&mut owner, "drop", "child dropped");
        ask(&mut last, take, "Ok");
    }
}

fn ask_any(peer: &mut Peer, order: &str) -> String {
    peer.tell(order);
    peer.line().unwrap_or_default()
}

#[test]
fn a_child_does_not_keep_its_dead_parent_reading() {
    let scratch = Scratch::new();
    let board = board(&scratch);
    let mut owner = talker(&board);
    ask(&mut owner, "read", "Ok");
    fork(&mut owner);
    let mut writer = talker(&board);
    assert_eq!(ask_any(&mut writer, "try-write"), format!("Held 1 {}", owner.id()));
    owner.kill();
    ask(&mut writer, "try-write", "Ok");
    ask(&mut owner, "drop", "child dropped");
    assert!(ask_any(&mut owner, "try-read").starts_with("child Held "));
    ask(&mut writer, "drop", "dropped");
    ask(&mut owner, "read", "child Ok");
}

#[test]
fn the_lock_stays_the_parent_s_and_the_child_waits_for_it() {
    for (take, again) in [("lock", "lock"), ("write", "read"), ("write", "write"), ("read", "write")] {
        let scratch = Scratch::new();
        let board = board(&scratch);
        let mut parent = talker(&board);
        ask(&mut parent, take, "Ok");
        fork(&mut parent);
        let held = format!("1 {}", parent.id());
        // With the copy of the guard, and without it.
        ask(&mut parent, "child drop", "child dropped");
        for _ in 0..2 {
            ask(&mut parent, &format!("child try-{again}"), &format!("child Held {held}"));
            ask(&mut parent, &format!("child {again} 30"), &format!("child TimedOut {held}"));
        }
        let mut other = talker(&board);
        ask(&mut other, &format!("try-{again}"), &format!("Held {held}"));
        ask(&mut parent, "get", "Some([0, 0])");
        ask(&mut parent, "drop", "dropped");
        ask(&mut parent, &format!("child {again}"), "child Ok");
        // In a slot of its own: the parent's death does not touch its child's lock.
        let probe = if take == "lock" { "try-lock" } else { "try-write" };
        let child = ask_any(&mut other, probe);
        assert!(child.starts_with("Held 2 "), "{child}");
        parent.kill();
        ask(&mut other, probe, &child);
        ask(&mut parent, "drop", "child dropped");
        ask(&mut other, probe, "Ok");
    }
}

#[test]
fn a_child_does_not_update_what_its_parent_has_locked() {
    let scratch = Scratch::new();
    let board = board(&scratch);
    for take in ["lock", "write"] {
        let mut parent = talker(&board);
        ask(&mut parent, take, "Ok");
        fork(&mut parent);
        ask(&mut parent, "child update", "child refused");
        ask(&mut parent, "get", "Some([0, 0])");
        ask(&mut parent, "update", "updated");
        ask(&mut parent, "get", "Some([1, 1])");
        // With a slot of its own, the copy is still its parent's.
        ask(&mut parent, "child update", "child refused");
        ask(&mut parent, "drop", "dropped");
        ask(&mut parent, &format!("child {take}"), "child Ok");
        ask(&mut parent, "child update", "child updated");
    }
}

#[test]
fn a_child_that_panics_with_its_copy_of_a_guard_poisons_nothing() {
    let scratch = Scratch::new();
    let board = board(&scratch);
    for take in ["lock", "write", "read"] {
        let mut parent = talker(&board);
        ask(&mut parent, take, "Ok");
        fork(&mut parent);
        ask(&mut parent, "child panic", "child panicked");
        ask(&mut parent, "drop", "dropped");
        ask(&mut parent, take, "Ok");
        ask(&mut parent, "drop", "dropped");
    }
}
