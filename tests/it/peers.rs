//! Attached peers keep a name alive, and take it with them.

use crate::PEER;
use shmtypes::{Detached, ShmArray};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;
use shmtypes_tests::world::inside;

#[test]
fn the_last_of_two_processes_removes_the_name() {
    // In a process of its own: what another test is just spawning would be seen as attached.
    inside::<&str>(&[], "peers::the_last_of_two_processes_removes_the_name", || {
        let scratch = Scratch::new();
        let name = scratch.name("a");
        let array = ShmArray::<u64>::options().name(&name).create(5).unwrap();
        let mut peer = Peer::start(PEER, &["hold", &name]);
        peer.expect_line("attached 5");
        assert_eq!(array.close().unwrap(), Detached::StillInUse);
        assert_eq!(scratch.left(), [name]);
        peer.close_input();
        peer.expect_line("Removed");
        assert!(peer.wait().success());
        assert!(scratch.left().is_empty());
    });
}
