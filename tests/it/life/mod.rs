//! The life cycle of segments with real second processes: killed, forked, racing, out of resources.

mod behind;
mod churn;
mod descriptors;
mod exits;
mod faults;
mod forks;
mod killed;
mod last_out;
mod owners;
mod persist;
mod races;
mod rungs;
mod slots;
mod spawning;
mod spinning;

use shmtypes_tests::peer::Peer;
use shmtypes_tests::world;

/// The program that plays the other processes here.
const PEER: &str = env!("CARGO_BIN_EXE_shmtypes-life");

fn start(arguments: &[&str]) -> Peer {
    Peer::start(PEER, arguments)
}

/// Runs the body of the test `name` in a process of its own. Here, another test may just be starting a process, which
/// holds copies of all mappings for a moment: a last detach would not be the last.
fn alone(name: &str, body: impl FnOnce()) {
    world::inside::<&str>(&[], name, body);
}

/// The numbers of the next line of a peer.
#[track_caller]
fn numbers<const N: usize>(peer: &mut Peer) -> [u64; N] {
    let line = peer.line().unwrap_or_default();
    let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().unwrap_or_else(|_| panic!("peer {} says {line:?}", peer.id()))
}
