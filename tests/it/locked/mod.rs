//! Locked arrays between processes: killed, stopped, and scribbled on.

mod bytes;
mod hostile;
mod killed;
mod together;

use shmtypes::{Cooperative, LockedArray};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;

/// The program that plays the other process.
const LOCKED: &str = env!("CARGO_BIN_EXE_shmtypes-locked");

/// A new array, in which this process has slot 0.
fn array(scratch: &Scratch, len: usize) -> LockedArray<u64> {
    LockedArray::options().name(scratch.name("array")).create(len).unwrap()
}

/// The same, for slices.
#[allow(unsafe_code, reason = "makes the promise that these tests keep")]
fn cooperative(scratch: &Scratch, len: usize) -> Cooperative<u64> {
    // SAFETY: the name is random, and the peers of these tests go through the lock.
    unsafe { array(scratch, len).assume_cooperative() }
}

/// A peer that does as it is told, by slices.
fn talker(array: &LockedArray<u64>) -> Peer {
    let mut peer = Peer::start(LOCKED, &["talk", array.name()]);
    peer.expect_line("ready");
    peer
}

/// Tells a peer something and hears the answer.
#[track_caller]
fn ask(peer: &mut Peer, order: &str, answer: &str) {
    peer.tell(order);
    assert_eq!(peer.line().as_deref(), Some(answer), "what peer {} says to {order:?}", peer.id());
}
