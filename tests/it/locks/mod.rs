//! Locks between processes that are killed, stopped, forked, and scribbled on.

mod forks;
mod hostile;
mod killed;
#[cfg(target_arch = "x86_64")]
mod single_step;
mod slots;
mod soak;
mod stopped;

use shmtypes::ShmBox;
use shmtypes_tests::locks::Board;
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;
use std::time::{Duration, Instant};

/// The program that plays the other process.
const LOCKS: &str = env!("CARGO_BIN_EXE_shmtypes-locks");

/// Longer than anything here takes, and shorter than a peer may be silent.
const LONG: Duration = Duration::from_secs(50);

/// Ends a wait for what does not come.
fn watchdog(start: Instant, what: &str) {
    assert!(start.elapsed() < LONG, "{what} does not come");
    std::thread::yield_now();
}

/// A new board, in which this process has slot 0.
fn board(scratch: &Scratch) -> ShmBox<Board> {
    ShmBox::options().name(scratch.name("board")).create().unwrap()
}

/// A peer that does as it is told.
fn talker(board: &ShmBox<Board>) -> Peer {
    let mut peer = Peer::start(LOCKS, &["talk", board.name()]);
    peer.expect_line("ready");
    peer
}

/// Several of them, in slots 1, 2, ….
fn talkers<const N: usize>(board: &ShmBox<Board>) -> [Peer; N] {
    std::array::from_fn(|_| talker(board))
}

/// Tells a peer something and hears the answer.
#[track_caller]
fn ask(peer: &mut Peer, order: &str, answer: &str) {
    peer.tell(order);
    assert_eq!(peer.line().as_deref(), Some(answer), "what peer {} says to {order:?}", peer.id());
}

/// Tells a peer to take a lock that somebody holds, and waits until it waits.
#[track_caller]
fn make_wait(peer: &mut Peer, order: &str) {
    peer.tell(order);
    peer.until_it_sleeps();
    assert_eq!(peer.said(), None, "peer {} should wait", peer.id());
}

/// The next one of several peers that says something, and what.
fn first_to_speak(peers: &mut [Peer], silent: &mut Vec<usize>) -> (usize, String) {
    let start = Instant::now();
    loop {
        for at in 0..silent.len() {
            if let Some(line) = peers[silent[at]].said() {
                return (silent.remove(at), line);
            }
        }
        watchdog(start, "a word of the peers");
    }
}
