//! Many clients at once, and very many one after the other.

use super::wire::{connect, connection, flush, receive};
use super::{World, pid};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use shmtypes::compat::manager::{Reply, Request};
use shmtypes::manager::SharedMemoryManager;
use shmtypes_tests::life::rounds;
use shmtypes_tests::world;
use std::io::Write;
use std::os::unix::net::UnixStream;

const CROWD: usize = 1000;

/// Runs a test that needs many descriptors in a process of its own.
fn with_descriptors(name: &str, body: impl FnOnce()) {
    world::inside::<&str>(&[], name, || {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert!(most > 2 * CROWD as u64, "this test needs 2,000 descriptors: raise the hard limit (`ulimit -Hn`)");
        setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
        body();
    });
}

fn half_open(manager: &SharedMemoryManager, count: usize) -> Vec<UnixStream> {
    (0..count)
        .map(|number| {
            let mut socket = connect(manager);
            // Some say nothing, some the beginning of a frame.
            socket.write_all(&[0; 4][..number % 4]).unwrap();
            socket
        })
        .collect()
}

#[test]
fn a_good_client_is_served_beside_a_thousand_half_open_connections() {
    with_descriptors("manager::crowd::a_good_client_is_served_beside_a_thousand_half_open_connections", || {
        let world = World::new();
        let manager = world.start();
        let crowd = half_open(&manager, CROWD);
        let block = manager.shared_memory(100).unwrap();
        let array = manager.array::<u64>(100).unwrap();
        assert_eq!(manager.segments().unwrap(), [block.name(), array.name()]);
        drop(crowd);
        drop(manager);
        world.assert_empty("dropped");
    });
}

#[test]
fn a_thousand_good_clients_at_once_are_all_served() {
    with_descriptors("manager::crowd::a_thousand_good_clients_at_once_are_all_served", || {
        let world = World::new();
        let manager = world.start();
        let block = manager.shared_memory(100).unwrap();
        let mut clients: Vec<_> = (0..CROWD)
            .map(|_| {
                let mut connection = connection(&manager);
                connection.request(&Request::ListSegments).unwrap();
                (connect(&manager), connection)
            })
            .collect();
        let mut served = 0;
        // Each of them comes as far as all others before any goes on.
        while !clients.is_empty() {
            clients.retain_mut(|(socket, connection)| {
                let reply = receive(socket, connection).unwrap();
                flush(socket, connection);
                let is_served = reply.is_some_and(|reply| reply == Reply::names([block.name()]));
                served += usize::from(is_served);
                !is_served
            });
        }
        assert_eq!(served, CROWD);
    });
}

#[test]
fn strangers_that_take_all_descriptors_do_not_keep_out_who_knows_the_key() {
    let world = World::new();
    let manager = world.under(&["prlimit", "--nofile=64:64"]).start().unwrap();
    let mut crowd = half_open(&manager, 60);
    for _ in 0..10 {
        crowd.extend(half_open(&manager, 20));
        // Whose file the manager must open.
        let array = manager.array::<u64>(100).unwrap();
        let block = manager.shared_memory(100).unwrap();
        manager.release(array.name()).unwrap();
        manager.release(block.name()).unwrap();
    }
    assert_eq!(manager.segments().unwrap(), [""; 0]);
    // Told to end by nobody who needs a descriptor.
    let block = manager.shared_memory(100).unwrap();
    crowd.extend(half_open(&manager, 20));
    super::until("they have all descriptors", || descriptors(pid(&manager)) >= 64);
    super::signal(pid(&manager), nix::sys::signal::Signal::SIGTERM);
    super::until("the manager has ended", || super::is_gone(pid(&manager)));
    assert!(!world.exists(block.name()));
    drop(manager);
    world.assert_empty("dropped");
}

/// The pages that a process has in memory.
fn pages(process: i32) -> usize {
    let text = std::fs::read_to_string(format!("/proc/{process}/statm")).unwrap();
    text.split(' ').nth(1).unwrap().parse().unwrap()
}

fn descriptors(process: i32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

#[test]
fn a_manager_does_not_grow_with_the_requests_it_has_served() {
    let world = World::new();
    let manager = world.start();
    let process = pid(&manager);
    let stranger = SharedMemoryManager::options().dir(world.folder.path()).address(manager.address()).authkey(b"wrong");
    let round = || {
        let block = manager.shared_memory(8).unwrap();
        manager.release(block.name()).unwrap();
        manager.track("absent").unwrap_err();
        let array = manager.array::<u8>(8).unwrap();
        manager.release(array.name()).unwrap();
        assert_eq!(manager.segments().unwrap(), [""; 0]);
        stranger.connect().unwrap_err();
        drop(connect(&manager));
    };
    (0..100).for_each(|_| round());
    let before = (pages(process), descriptors(process));
    let rounds = rounds(400);
    (0..rounds).for_each(|_| round());
    let after = (pages(process), descriptors(process));
    println!("{} requests: from {before:?} to {after:?} pages and descriptors", rounds * 7);
    assert!(after.0 <= before.0 + 16, "pages from {} to {}", before.0, after.0);
    super::until("its descriptors are closed", || descriptors(process) <= before.1);
    drop(manager);
    world.assert_empty("dropped");
}
