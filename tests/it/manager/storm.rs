//! Managers that end beside clients which create without a pause: nothing is left that nobody finds.
//!
//! Five rounds of each kind; `SHMTYPES_SOAK=80` makes 400.

use super::{MANAGER, Owner, World, is_gone, signal, until};
use nix::sys::signal::Signal;
use shmtypes_tests::life::rounds;
use shmtypes_tests::peer::Peer;
use shmtypes_tests::python::hex;

const CLIENTS: usize = 4;

/// Processes that join a manager and create through it, over and over, and say so.
struct Storm {
    clients: Vec<Peer>,
    created: usize,
}

impl Storm {
    fn new(world: &World, owner: &Owner) -> Self {
        let key = hex(&owner.key);
        let start = |_| Peer::start(MANAGER, &["churn", world.folder(), &owner.address, &key]);
        Self { clients: (0..CLIENTS).map(start).collect(), created: 0 }
    }

    /// Waits until one of them has created so much, while the others go on as they like.
    fn go_on(&mut self, count: usize) {
        for _ in 0..count {
            self.clients[0].expect_line("created");
        }
        self.created += count;
    }

    /// Lets the clients end by themselves. Whatever they did, they neither fail nor hang.
    fn end(&mut self) {
        for client in &mut self.clients {
            client.close_input();
        }
        for client in &mut self.clients {
            while let Some(line) = client.line() {
                assert_eq!(line, "created");
                self.created += 1;
            }
            assert!(client.wait().success());
        }
    }
}

fn storms(end: impl Fn(&World, Owner, &mut Storm)) {
    let mut created = 0;
    let count = rounds(5);
    for round in 0..count {
        let world = World::new();
        let owner = world.owner();
        let mut storm = Storm::new(&world, &owner);
        storm.go_on(1 + round * 7 % 31);
        end(&world, owner, &mut storm);
        world.assert_empty(&format!("round {round}"));
        created += storm.created;
    }
    println!("{count} storms, {created} creations");
}

#[test]
fn a_manager_that_is_dropped_in_a_storm_leaves_nothing() {
    storms(|_, mut owner, storm| {
        owner.run("drop");
        storm.end();
    });
}

#[test]
fn a_manager_whose_owner_is_killed_in_a_storm_leaves_nothing() {
    storms(|_, mut owner, storm| {
        owner.peer.kill();
        owner.until_the_manager_has_ended();
        storm.end();
    });
}

#[test]
fn a_manager_that_is_killed_in_a_storm_leaves_nothing_that_reap_does_not_find() {
    storms(|world, owner, storm| {
        signal(owner.manager, Signal::SIGKILL);
        owner.until_the_manager_has_ended();
        storm.end();
        world.folder.segments().reap().unwrap();
    });
}

#[test]
fn a_manager_that_is_killed_with_its_clients_leaves_nothing_that_reap_does_not_find() {
    storms(|world, owner, storm| {
        signal(owner.manager, Signal::SIGKILL);
        for client in &mut storm.clients {
            client.kill();
        }
        owner.until_the_manager_has_ended();
        world.folder.segments().reap().unwrap();
    });
}

#[test]
fn clients_that_are_killed_in_a_storm_leave_nothing_when_the_manager_ends() {
    storms(|world, mut owner, storm| {
        for client in &mut storm.clients[1..] {
            client.kill();
        }
        storm.go_on(1);
        owner.run("drop");
        storm.clients.truncate(1);
        storm.end();
        // A typed segment that its client was about to hand over ended with that client: its name is for whoever reaps.
        world.folder.segments().reap().unwrap();
        until("the manager has ended", || is_gone(owner.manager));
    });
}
