//! Python processes that go without a word, and what stays.

use super::{KEY, Place, address, manager_command, spelt};
use crate::with_each;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use shmtypes::ErrorKind;
use shmtypes::compat::Value;
use shmtypes::manager::{Address, SharedMemoryManager};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::python::{Python, hex, typed};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long a manager may take to notice. Nobody waits for this time to pass.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many descriptors a manager has when it is done with all that has happened so far: it has ended a connection that
/// came after.
fn descriptors(manager: &SharedMemoryManager) -> usize {
    let Address::Unix(path) = manager.address() else { panic!("{}", manager.address()) };
    let mut stream = UnixStream::connect(path).unwrap();
    // A frame of two gigabytes, which it hangs up on.
    stream.write_all(&[0x7f, 0xff, 0xff, 0xff]).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    std::fs::read_dir(format!("/proc/{}/fd", manager.process_id().unwrap())).unwrap().count()
}

#[test]
fn a_python_client_that_vanishes_costs_a_rust_manager_nothing() {
    with_each(|interpreter| {
        let place = Place::new();
        let manager = place.options(place.socket()).start().unwrap();
        let owned = manager.blocks().name(place.name("owned")).create(8).unwrap();
        let before = descriptors(&manager);
        for stage in ["connected", "answered", "authenticated", "half a request"] {
            let mut python = place.python(interpreter);
            let address = spelt(manager.address());
            python.run(&json!({"op": "vanish at", "stage": stage, "address": address, "authkey": hex(KEY)}));
            // Nobody waits for it, and it is one descriptor.
            assert_eq!(manager.segments().unwrap(), [owned.name()], "{stage}");
            assert_eq!(descriptors(&manager), before + 1, "{stage}");
            python.peer().kill();
            assert_eq!(descriptors(&manager), before, "{stage}");
            assert_eq!(manager.segments().unwrap(), [owned.name()], "{stage}");
            python.end_family();
        }
        drop(manager);
        place.assert_clean();
    });
}

/// A Python process that owns a manager, the manager's process, and a Rust client of it.
fn owner(place: &Place, python: &mut Python) -> (i32, SharedMemoryManager) {
    python.run(&manager_command(&place.socket(), KEY));
    let answer = python.run(&json!({"op": "start"}));
    let process = answer["pid"].as_i64().and_then(|process| i32::try_from(process).ok()).unwrap();
    (process, SharedMemoryManager::connect(address(&answer), KEY).unwrap())
}

#[test]
fn a_python_manager_outlives_its_killed_owner_and_ends_when_rust_asks() {
    with_each(|interpreter| {
        let place = Place::new();
        let mut python = place.python(interpreter);
        let (_, manager) = owner(&place, &mut python);
        let block = manager.blocks().name(place.name("block")).create(8).unwrap();
        let answer = python.run(&json!({"op": "managed block", "size": 8}));
        let theirs = answer["name"].as_str().unwrap();
        python.peer().kill();
        // Python's manager does not look after its owner (gh-81158), so all of it stays, and it still serves.
        assert_eq!(manager.segments().unwrap(), [block.name(), theirs]);
        assert_eq!(place.scratch.left().len(), 2);
        manager.shutdown().unwrap();
        assert!(place.scratch.left().is_empty());
        python.end_family();
    });
}

#[test]
fn of_a_killed_python_manager_what_rust_made_stays_and_what_python_made_goes_with_python() {
    with_each(|interpreter| {
        let place = Place::new();
        let mut python = place.python(interpreter);
        let (process, manager) = owner(&place, &mut python);
        let block = manager.blocks().name(place.name("block")).create(8).unwrap();
        let answer = python.run(&json!({"op": "managed block", "size": 8}));
        kill(Pid::from_raw(process), Signal::SIGKILL).unwrap();
        let start = Instant::now();
        // Until the kernel has closed its socket.
        let error = loop {
            match manager.segments() {
                Err(error) => break error,
                Ok(_) => assert!(start.elapsed() < PATIENCE),
            }
        };
        assert!(matches!(error.kind(), ErrorKind::ManagerUnreachable { .. }), "{error:?}");
        let mut left = vec![answer["name"].as_str().unwrap(), block.name()];
        left.sort_unstable();
        assert_eq!(place.scratch.left(), left);
        // The family's resource tracker knows of its own.
        python.end_family();
        assert_eq!(place.scratch.left(), [block.name()]);
        block.unlink().unwrap();
    });
}

#[test]
fn what_python_made_goes_when_the_owner_of_a_rust_manager_is_killed() {
    with_each(|interpreter| {
        let place = Place::new();
        let socket = place.folder.file("socket");
        let arguments = ["own-manager", socket.to_str().unwrap(), &hex(KEY)];
        let mut owner = Peer::start(env!("CARGO_BIN_EXE_shmtypes-peer"), &arguments);
        owner.expect_line("ready");
        let mut python = place.client(interpreter, &socket.clone().into());
        python.run(&json!({"op": "managed block", "size": 8}));
        assert_eq!(place.scratch.left().len(), 1);
        owner.kill();
        let start = Instant::now();
        while !place.scratch.left().is_empty() || socket.exists() {
            if start.elapsed() > PATIENCE {
                // Not even a test that fails leaves it behind.
                let asked = SharedMemoryManager::connect(socket, KEY).and_then(|manager| manager.shutdown());
                panic!("it goes on without its owner; asked to end: {asked:?}");
            }
            std::thread::yield_now();
        }
        // Who is attached goes on.
        python.run(&json!({"op": "write", "start": 0, "hex": hex(b"still")}));
        python.end();
        place.assert_clean();
    });
}

#[test]
fn what_python_made_goes_when_the_owner_of_a_killed_rust_manager_lets_go_of_it() {
    with_each(|interpreter| {
        let place = Place::new();
        let manager = place.options(place.socket()).start().unwrap();
        let mut python = place.client(interpreter, manager.address());
        let answer = python.run(&json!({"op": "managed list", "values": [typed(Value::None.as_ref())]}));
        kill(Pid::from_raw(i32::try_from(manager.process_id().unwrap()).unwrap()), Signal::SIGKILL).unwrap();
        assert_eq!(place.scratch.left(), [answer["name"].as_str().unwrap()]);
        drop(manager);
        assert!(place.scratch.left().is_empty());
        python.end();
    });
}
