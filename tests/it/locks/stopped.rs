//! Holders that are stopped, and live.

use super::{ask, board, make_wait, talkers};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;

fn process(peer: &Peer) -> Pid {
    Pid::from_raw(peer.id().cast_signed())
}

fn stop(peer: &Peer) {
    kill(process(peer), Signal::SIGSTOP).unwrap();
    let status = waitpid(process(peer), Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert_eq!(status, WaitStatus::Stopped(process(peer), Signal::SIGSTOP));
}

fn go_on(peer: &Peer) {
    kill(process(peer), Signal::SIGCONT).unwrap();
}

/// `take` is taken by the one that is stopped, `wait` is what the others then want.
#[track_caller]
fn keeps(take: &str, wait: &str) {
    let scratch = Scratch::new();
    let board = board(&scratch);
    let [mut holder, mut other, mut patient] = talkers(&board);
    ask(&mut holder, take, "Ok");
    stop(&holder);
    for _ in 0..3 {
        // Long enough for several looks at who holds it.
        ask(&mut other, &format!("{wait} 60"), &format!("TimedOut 1 {}", holder.id()));
    }
    make_wait(&mut patient, wait);
    // Now a writer that waits for readers may be in the way, too.
    other.tell(&format!("{wait} 60"));
    assert!(other.line().unwrap_or_default().starts_with("TimedOut "));
    assert_eq!(patient.said(), None, "nothing is taken from a holder that is stopped");
    go_on(&holder);
    // It still has the lock: what it does with it is seen, by one that waits or comes later.
    if take != "read" {
        ask(&mut holder, "set 0 5", "set");
    }
    ask(&mut holder, "drop", "dropped");
    patient.expect_line("Ok");
    ask(&mut patient, "get", if take == "read" { "Some([0, 0])" } else { "Some([5, 0])" });
    ask(&mut patient, "drop", "dropped");
    ask(&mut other, wait, "Ok");
}

#[test]
fn a_holder_that_is_stopped_keeps_the_mutex() {
    keeps("lock", "lock");
}

#[test]
fn a_reader_that_is_stopped_keeps_writers_out() {
    keeps("read", "write");
}

#[test]
fn a_writer_that_is_stopped_keeps_the_lock() {
    keeps("write", "read");
    keeps("write", "write");
}

#[test]
fn calls_that_do_not_wait_name_the_one_that_is_stopped() {
    let scratch = Scratch::new();
    let board = board(&scratch);
    let [mut mutex, mut reader, mut other] = talkers(&board);
    ask(&mut mutex, "lock", "Ok");
    ask(&mut reader, "read", "Ok");
    stop(&mutex);
    stop(&reader);
    ask(&mut other, "try-lock", &format!("Held 1 {}", mutex.id()));
    ask(&mut other, "try-write", &format!("Held 2 {}", reader.id()));
    ask(&mut other, "try-read", "Ok");
}
