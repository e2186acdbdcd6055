//! Waiting for what another process does, and what its death does to the waiters.

use crate::PEER;
use shmtypes::{ErrorKind, ShmArray};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;
use shmtypes_tests::trace::injected;
use std::time::Instant;

fn array(scratch: &Scratch) -> ShmArray<u64> {
    ShmArray::options().name(scratch.name("array")).create(1).unwrap()
}

#[test]
fn a_process_that_may_only_read_is_woken_and_sees_what_was_written_before() {
    let scratch = Scratch::new();
    let array = array(&scratch);
    let mut peers: Vec<Peer> = (0..3).map(|_| Peer::start(PEER, &["follow", array.name(), "50"])).collect();
    for peer in &mut peers {
        peer.expect_line("ready");
    }
    for value in 1..=50 {
        array.set(0, value).unwrap();
        array.notify();
        for peer in &mut peers {
            peer.expect_line(&value.to_string());
        }
    }
    for mut peer in peers {
        assert!(peer.wait().success());
    }
}

#[test]
fn one_notification_wakes_all_sleepers_of_other_processes() {
    let scratch = Scratch::new();
    let array = array(&scratch);
    let mut peers: Vec<Peer> = (0..3).map(|_| Peer::start(PEER, &["follow", array.name(), "1000"])).collect();
    for peer in &mut peers {
        peer.expect_line("ready");
    }
    // They wake by themselves now and then, and may be awake just at that instant: one of many times they are not.
    let mut most = 0;
    for value in 1..=100 {
        peers.iter().for_each(Peer::until_it_sleeps);
        array.set(0, value).unwrap();
        most = most.max(array.notify());
        if most == peers.len() {
            return;
        }
        for peer in &mut peers {
            peer.expect_line(&value.to_string());
        }
    }
    panic!("at most {most} of {} sleepers were woken", peers.len());
}

#[test]
fn a_notifier_that_is_killed_before_its_wake_up_keeps_nobody_asleep() {
    let scratch = Scratch::new();
    let array = array(&scratch);
    let mut waiter = Peer::start(PEER, &["follow", array.name(), "1"]);
    waiter.expect_line("ready");
    waiter.until_it_sleeps();
    // The wake-up is its only futex call, and is not carried out.
    let mut notifier = Peer::spawn(injected(&["futex:error=ENOSYS:signal=KILL"], PEER, &["notify", array.name()]));
    assert_eq!(notifier.line(), None, "it must not get to its end");
    assert!(!notifier.wait().success());
    waiter.expect_line("1");
    assert!(waiter.wait().success());
}

#[test]
fn killed_waiters_are_in_nobodys_way() {
    let scratch = Scratch::new();
    let array = array(&scratch);
    for _ in 0..5 {
        let mut peer = Peer::start(PEER, &["follow", array.name(), "9"]);
        peer.expect_line("ready");
        peer.until_it_sleeps();
        peer.kill();
    }
    let mut peer = Peer::start(PEER, &["follow", array.name(), "9"]);
    peer.expect_line("ready");
    array.set(0, 9).unwrap();
    array.notify();
    peer.expect_line("9");
    assert!(peer.wait().success());
    array.wait_changed(Instant::now()).unwrap();
    let error = array.wait_changed(Instant::now()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TimedOut { .. }), "{error}");
}
