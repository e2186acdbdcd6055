//! Many processes that want one name at once get one segment.

use super::{numbers, start};
use shmtypes_tests::life::{Folder, rounds};
use shmtypes_tests::peer::Peer;

#[test]
fn processes_that_race_with_open_or_create_get_one_segment() {
    let folder = Folder::new();
    let parties = 8;
    let mut peers: Vec<Peer> = (0..parties).map(|_| start(&["open-or-create", folder.arg(), "name"])).collect();
    for peer in &mut peers {
        peer.expect_line("ready");
    }
    let rounds = rounds(100);
    for round in 0..rounds {
        for peer in &mut peers {
            peer.tell("go");
        }
        // Each counts in its array and stays: one array has counted them all, and it was created empty.
        let mut tickets: Vec<u64> = peers.iter_mut().map(|peer| numbers::<1>(peer)[0]).collect();
        tickets.sort_unstable();
        assert_eq!(tickets, (0..parties).collect::<Vec<_>>(), "round {round}");
        assert_eq!(folder.left(), ["name"]);
        for peer in &mut peers {
            peer.tell("leave");
        }
        for peer in &mut peers {
            peer.expect_line("left");
        }
        assert_eq!(folder.left(), [""; 0], "round {round}");
    }
    for peer in &mut peers {
        assert!(peer.wait().success());
    }
    println!("{rounds} rounds of {parties} processes: one segment each, 0 names left");
}
