//! Managers with few descriptors: they do not start and say why, or they always answer.

use super::wire::{authenticated, connect, connection, flush, receive};
use super::{MANAGER, World, is_gone, pid, until};
use shmtypes::compat::manager::{Reply, Request};
use shmtypes::manager::SharedMemoryManager;
use shmtypes::{ErrorKind, ShmArray};
use shmtypes_tests::trace::{describe, injected, run};
use shmtypes_tests::world;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

/// What a manager has for itself: three standard ones, its end of the pair, its owner, its signals, its socket, and four for
/// what is asked of it.
const OWN: usize = 11;

fn with_descriptors(world: &World, limit: usize) -> shmtypes::Result<SharedMemoryManager> {
    // Without those that whoever started the tests has left open.
    let script = format!(
        "for fd in /proc/self/fd/*; do n=${{fd##*/}}; if ((n > 2)); then eval \"exec $n>&-\"; fi; done; \
         exec prlimit --nofile={limit}:{limit} \"$0\""
    );
    world.under(&["bash", "-c", &script]).start()
}

/// Everything that one client at a time can ask for.
fn use_it(manager: &SharedMemoryManager) {
    // The registry needs a second part.
    let blocks: Vec<_> = (0..300).map(|_| manager.shared_memory(8).unwrap()).collect();
    let array = manager.array::<u64>(8).unwrap();
    assert_eq!(manager.segments().unwrap().len(), 301);
    blocks.iter().for_each(|block| manager.release(block.name()).unwrap());
    manager.release(array.name()).unwrap();
}

#[test]
fn a_manager_with_too_few_descriptors_does_not_start_and_one_with_enough_serves() {
    for limit in 4..=OWN + 3 {
        let world = World::new();
        match with_descriptors(&world, limit) {
            Ok(manager) => {
                assert!(limit > OWN, "{limit}");
                use_it(&manager);
                manager.shutdown().unwrap();
            }
            Err(error) => {
                assert!(limit <= OWN, "{limit}: {error}");
                let ErrorKind::ManagerDidNotStart { reason } = error.kind() else { panic!("{limit}: {error:?}") };
                let expected = format!("may have {limit} in all (RLIMIT_NOFILE): raise `ulimit -n`");
                assert!(reason.contains(&expected), "{limit}: {reason}");
            }
        }
        world.assert_empty(&format!("{limit} descriptors"));
    }
}

/// The manager's descriptors, all of them with clients who have proved the key and ask for nothing.
fn crowded(world: &World, clients: usize) -> (SharedMemoryManager, Vec<UnixStream>) {
    let manager = with_descriptors(world, OWN + clients).unwrap();
    let idle = (0..clients).map(|_| authenticated(&manager)).collect();
    (manager, idle)
}

#[track_caller]
fn assert_names_the_limit(error: &shmtypes::Error, limit: usize) {
    let ErrorKind::ManagerRefused { traceback } = error.kind() else { panic!("{error:?}") };
    let expected = format!(
        "OSError: [Errno 24] Too many open files: the manager may have {limit} in all (RLIMIT_NOFILE): raise `ulimit -n`"
    );
    assert_eq!(traceback.lines().last(), Some(&*expected));
}

#[test]
fn clients_who_take_all_descriptors_leave_room_for_asking_and_for_the_end() {
    let world = World::new();
    let array = {
        let (manager, mut idle) = crowded(&world, 8);
        for _ in 0..3 {
            assert_names_the_limit(&manager.shared_memory(100).unwrap_err(), OWN + 8);
            // It keeps no descriptor.
            let array = manager.array::<u64>(100).unwrap();
            assert_eq!(manager.segments().unwrap(), [array.name()]);
            manager.release(array.name()).unwrap();
        }
        // Of the others, one goes.
        idle.pop();
        until("there is room", || manager.shared_memory(100).is_ok());
        idle.push(authenticated(&manager));
        // Strangers, who have what is lent for a moment.
        let strangers: Vec<_> = (0..20).map(|_| connect(&manager)).collect();
        let array = manager.array::<u64>(100).unwrap();
        drop(strangers);
        manager.shutdown().unwrap();
        array
    };
    world.assert_empty("shut down");
    drop::<ShmArray<u64>>(array);
}

#[test]
fn a_client_of_a_crowded_manager_that_is_told_of_the_limit_has_made_nothing() {
    let world = World::new();
    let (manager, _idle) = crowded(&world, 1);
    assert_names_the_limit(&manager.shared_memory(100).unwrap_err(), OWN + 1);
    assert_eq!(world.names(), [""; 0]);
    assert_eq!(manager.segments().unwrap(), [""; 0]);
}

fn limit(process: i32, limit: usize) {
    let output = Command::new("prlimit")
        .args(["--pid", &process.to_string(), &format!("--nofile={limit}:{limit}")])
        .output()
        .expect("prlimit is installed");
    assert!(output.status.success(), "{output:?}");
}

/// poll(2) takes no more descriptors than the limit is.
#[test]
fn a_manager_whose_limit_is_lowered_below_its_clients_serves_them() {
    let world = World::new();
    let manager = world.start();
    let block = manager.shared_memory(100).unwrap();
    let array = manager.array::<u64>(100).unwrap();
    let mut clients: Vec<_> = (0..30).map(|_| (authenticated(&manager), connection(&manager))).collect();
    limit(pid(&manager), 9);
    for (socket, _) in &mut clients {
        // A connection of its own state, whose handshake is over.
        let mut bytes = Vec::new();
        shmtypes::compat::manager::frame::encode(&Request::ListSegments.encode().unwrap(), &mut bytes);
        std::io::Write::write_all(socket, &bytes).unwrap();
        let mut decoder = shmtypes::compat::manager::frame::Decoder::new(1 << 20);
        let mut buffer = [0; 4096];
        let count = std::io::Read::read(socket, &mut buffer).unwrap();
        let reply = decoder.feed(&mut &buffer[..count]).unwrap().expect("a whole reply");
        assert_eq!(Reply::parse(&reply).unwrap(), Reply::names([block.name(), array.name()]));
    }
    // They have gone, and others come.
    assert_eq!(manager.segments().unwrap(), [block.name(), array.name()]);
    manager.shutdown().unwrap();
    world.assert_empty("shut down");
}

#[test]
fn a_manager_that_may_have_no_descriptor_ends_when_it_is_told_to() {
    let world = World::new();
    let manager = world.start();
    manager.shared_memory(100).unwrap();
    // Attached all the time: else this process would remove the name once the manager has ended.
    let array = manager.array::<u64>(100).unwrap();
    limit(pid(&manager), 3);
    super::signal(pid(&manager), nix::sys::signal::Signal::SIGTERM);
    until("it has ended", || is_gone(pid(&manager)));
    // What takes none is gone, and the rest is found.
    assert_eq!(world.names(), [array.name()]);
    world.folder.segments().reap().unwrap();
    world.assert_empty("reaped");
}

#[test]
fn a_client_without_descriptors_says_so() {
    let name = "manager::scarce::a_client_without_descriptors_says_so";
    world::inside::<&str>(&[], name, || {
        let world = World::new();
        let manager = world.start();
        let (_, most) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
        let mut taken = Vec::new();
        nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, 40, most).unwrap();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            taken.push(file);
        }
        for error in [manager.segments().unwrap_err(), world.options().start().unwrap_err()] {
            assert_eq!(*error.kind(), ErrorKind::TooManyFiles, "{error:?}");
        }
        drop(taken);
        manager.shutdown().unwrap();
        world.assert_empty("shut down");
    });
}

/// Where there are no descriptors of processes, a manager does without; that there is just none left is said.
#[test]
fn an_owner_that_gets_no_descriptor_of_itself_says_so_where_there_are_any() {
    let world = World::new();
    for (errno, starts) in [("ENOSYS", true), ("EPERM", true), ("EMFILE", false), ("ENFILE", false)] {
        let injection = format!("pidfd_open:error={errno}");
        let mut command = injected(&[&injection], MANAGER, &["own", world.folder()]);
        let output = run(command.env("TMPDIR", world.temp.path()).stdin(Stdio::null()));
        let said = describe(&output);
        assert_eq!(output.status.success(), starts, "{errno}: {said}");
        assert_eq!(said.contains("too many open files"), !starts, "{errno}: {said}");
        world.assert_empty(errno);
    }
}

/// As many at once as come, each of them served in its turn, although none has a descriptor but what is lent.
#[test]
fn many_clients_of_a_crowded_manager_are_all_answered() {
    let world = World::new();
    let (manager, _idle) = crowded(&world, 2);
    let mut clients: Vec<_> = (0..40)
        .map(|_| {
            let mut connection = connection(&manager);
            connection.request(&Request::ListSegments).unwrap();
            (connect(&manager), connection)
        })
        .collect();
    for (socket, connection) in &mut clients {
        let reply = loop {
            if let Some(reply) = receive(socket, connection).unwrap() {
                break reply;
            }
            flush(socket, connection);
        };
        assert_eq!(reply, Reply::names([""; 0]));
    }
}
