//! CPython's own tests of `SharedMemoryManager` and of what it stands on, in Rust, each under its name there
//! (Lib/test/_test_multiprocessing.py of 3.13 and 3.15).
#![allow(non_snake_case, reason = "the names are CPython's")]

use super::{KEY, Place, dispatch, exception};
use crate::with_each;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shmtypes::ErrorKind;
use shmtypes::compat::{ShareableList, SharedMemory};
use shmtypes::manager::SharedMemoryManager;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

#[test]
fn test_shared_memory_SharedMemoryServer_ignores_sigint() {
    let mut place = Place::new();
    let manager = place.options(place.socket()).start().unwrap();
    let process = Pid::from_raw(i32::try_from(manager.process_id().unwrap()).unwrap());
    let sl = manager.shareable_list(&[0; 10]).unwrap();
    place.adopt(sl.name());
    kill(process, Signal::SIGINT).unwrap();
    // As in CPython's test, what it owns is there, and it makes more.
    let sl2 = manager.shareable_list(&[0; 10]).unwrap();
    place.adopt(sl2.name());
    assert_eq!(manager.segments().unwrap(), [sl.name(), sl2.name()]);
    drop(manager);
    place.assert_clean();
}

#[test]
fn test_shared_memory_SharedMemoryManager_reuses_resource_tracker() {
    // There is no tracker to be reused. What CPython's test looks at holds: not a word on standard error.
    let output = Command::new(env!("CARGO_BIN_EXE_shmtypes-peer")).arg("manage").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{said}");
    let name = String::from_utf8(output.stdout).unwrap();
    let mut place = Place::new();
    place.adopt(name.trim_end());
    assert!(name.starts_with("psm_"), "{name:?}");
    place.assert_clean();
}

#[test]
fn test_shared_memory_SharedMemoryManager_basics() {
    let mut place = Place::new();
    // There is no manager that is not started: what CPython's test finds at the first use, is found here.
    let error = SharedMemoryManager::options().authkey(KEY).connect().unwrap_err();
    assert_eq!(error.python_exception(), "ValueError");
    let error = SharedMemoryManager::connect(place.folder.file("none"), KEY).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ManagerUnreachable { .. }), "{error:?}");

    let smm1 = place.options(place.socket()).start().unwrap();
    let lol: Vec<ShareableList> = (5..10).map(|i| smm1.shareable_list(&vec![0; i]).unwrap()).collect();
    lol.iter().for_each(|list| drop(place.adopt(list.name())));
    let doppleganger_list0 = ShareableList::open(lol[0].name()).unwrap();
    assert_eq!(doppleganger_list0.len(), 5);
    let doppleganger_shm0 = SharedMemory::open(lol[0].name()).unwrap();
    assert!(doppleganger_shm0.size() >= 32);
    let held_name = lol[0].name();
    smm1.shutdown().unwrap();
    assert!(matches!(SharedMemory::open(held_name).unwrap_err().kind(), ErrorKind::NotFound));

    // With a scope in the place of the `with` block.
    let (sl, held) = {
        let smm2 = place.options(place.socket()).start().unwrap();
        let sl = smm2.shareable_list(&[5.0, 6.5]).unwrap();
        let shm = smm2.shared_memory(128).unwrap();
        let held = [place.adopt(sl.name()), place.adopt(shm.name())];
        assert_eq!(sl.len(), 2);
        assert!(SharedMemory::open(&held[1]).is_ok());
        (sl, held)
    };
    assert_eq!(sl.len(), 2);
    for name in &held {
        assert_eq!(SharedMemory::open(name).unwrap_err().python_exception(), "FileNotFoundError");
    }
    place.assert_clean();
}

#[test]
fn test_rapid_restart() {
    let place = Place::new();
    let tcp = "127.0.0.1:0".parse::<shmtypes::manager::Address>().unwrap();
    let first = place.options(tcp).start().unwrap();
    let address = first.address().clone();
    let client = SharedMemoryManager::connect(&address, KEY).unwrap();
    client.segments().unwrap();
    first.shutdown().unwrap();
    // At once, and at the same port.
    let second = place.options(&address).start().unwrap();
    client.segments().unwrap();
    assert_eq!(second.address(), &address);
    drop(second);
    place.assert_clean();
}

#[test]
fn test_dispatch() {
    with_each(|interpreter| {
        let place = Place::new();
        let manager = place.options(place.socket()).start().unwrap();
        let mut python = place.client(interpreter, manager.address());
        let answer = dispatch(&mut python, "foo", &[]);
        let (class, text) = exception(&answer);
        assert_eq!(class, "multiprocessing.managers.RemoteError");
        assert!(text.contains("AssertionError: 'foo' unrecognized"), "{text}");
        drop(manager);
        python.end();
        place.assert_clean();
    });
}

/// Sends one frame of up to 255 bytes.
fn send(stream: &mut UnixStream, message: &[u8]) {
    stream.write_all(&[0, 0, 0, u8::try_from(message.len()).unwrap()]).unwrap();
    stream.write_all(message).unwrap();
}

/// What a client makes of a server that sends `frames`, whatever it is sent.
fn outcome_with(frames: &[&[u8]]) -> ErrorKind {
    let place = Place::new();
    let path = place.folder.file("socket");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = listener.accept().unwrap().0;
            frames.iter().for_each(|frame| send(&mut stream, frame));
            // Until the client has heard enough.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let error = SharedMemoryManager::connect(path.clone(), KEY).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        error.kind().clone()
    })
}

const CHALLENGE: &[u8] = b"#CHALLENGE#{sha256}0123456789012345678901234567890123456789";

#[test]
fn test_answer_challenge_auth_failure() {
    // A bogus challenge, and something bogus in the place of a welcome.
    assert!(matches!(outcome_with(&[b"something bogus"]), ErrorKind::ManagerProtocol(_)));
    assert!(matches!(outcome_with(&[CHALLENGE, b"something bogus"]), ErrorKind::ManagerProtocol(_)));
    assert!(matches!(outcome_with(&[CHALLENGE, b"#FAILURE#"]), ErrorKind::AuthenticationFailed { .. }));
}

#[test]
fn test_deliver_challenge_auth_failure() {
    // A bogus answer to our challenge: no digest at all, and one that is another key's.
    let outcome = outcome_with(&[CHALLENGE, b"#WELCOME#", b"something bogus"]);
    assert!(matches!(outcome, ErrorKind::ManagerProtocol(_)), "{outcome:?}");
    for digest in [&b"{sha256}01234567890123456789012345678901"[..], b"0123456789012345"] {
        let outcome = outcome_with(&[CHALLENGE, b"#WELCOME#", digest]);
        assert!(matches!(outcome, ErrorKind::AuthenticationFailed { .. }), "{outcome:?}");
    }
}
