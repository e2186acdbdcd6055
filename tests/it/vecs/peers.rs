//! Vectors beside living processes.

use super::PEER;
use shmtypes::{ErrorKind, Followed, ShmVec};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;
use std::time::Instant;

#[test]
fn two_processes_append_in_turns() {
    const TURNS: usize = 300;
    let scratch = Scratch::new();
    let vec = ShmVec::<u64>::options().name(scratch.name("vec")).create(2 * TURNS * 5).unwrap();
    let turns = TURNS.to_string();
    let mut peers = ["1", "2"].map(|own| Peer::start(PEER, &["take-turns", vec.name(), own, &turns]));
    peers.iter_mut().for_each(|peer| peer.expect_line("ready"));
    peers.iter_mut().for_each(|peer| peer.tell("go"));
    for peer in &mut peers {
        peer.expect_line("done");
        assert!(peer.wait().success());
    }
    let all = vec.snapshot().unwrap();
    assert_eq!(all.len(), vec.capacity());
    assert!(all.chunks(5).all(|turn| turn == [turn[0]; 5]), "{all:?}");
    assert_eq!(all.iter().filter(|&&own| own == 1).count(), TURNS * 5);
}

#[test]
fn an_appender_does_nothing_for_a_forked_child() {
    let scratch = Scratch::new();
    let vec = ShmVec::<u64>::options().name(scratch.name("vec")).create(10).unwrap();
    let mut peer = Peer::start(PEER, &["fork", vec.name()]);
    for line in ["LeaseLost", "LeaseLost", "LeaseLost", "true", "true", "true"] {
        peer.expect_line(&format!("child: {line}"));
    }
    peer.expect_line("parent: [1, 2, 3, 4]");
    assert!(peer.wait().success());
    assert!(!vec.appender_until(Instant::now()).unwrap().took_over());
}

#[test]
fn a_vector_without_a_name_is_shared_by_its_descriptor() {
    let vec = ShmVec::<u64>::options().unnamed().create_from_slice(10, &[1, 2]).unwrap();
    let descriptor = vec.as_fd().unwrap().try_clone_to_owned().unwrap();
    let same = ShmVec::<u64>::from_fd(descriptor).unwrap();
    let mut follower = vec.follow_from_end();
    same.push(3).unwrap();
    assert_eq!((vec.name(), vec.snapshot().unwrap()), ("", vec![1, 2, 3]));
    assert_eq!(follower.next(Instant::now()).unwrap(), Followed::Item(3));
    let appender = vec.appender().unwrap();
    assert!(matches!(
        same.appender_until(Instant::now()).unwrap_err().kind(),
        ErrorKind::LockTimedOut { pid, .. } if *pid == std::process::id()
    ));
    drop(appender);
}
