//! What strangers, clients and broken clients send to a manager: it goes on serving.

use super::{World, pid};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use shmtypes::compat::manager::{AuthKey, ClientConnection, ConnectionError, Object, Options, Reply, Request, frame};
use shmtypes::manager::{Address, SharedMemoryManager};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

const NONCE: [u8; 40] = [7; 40];

/// Longer than any deadline of the manager's. No test waits for this time to pass.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn connect(manager: &SharedMemoryManager) -> UnixStream {
    let Address::Unix(path) = manager.address() else { panic!("{:?}", manager.address()) };
    let socket = UnixStream::connect(path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

pub(super) fn connection(manager: &SharedMemoryManager) -> ClientConnection {
    ClientConnection::new(&AuthKey::new(manager.authkey().as_bytes()), NONCE, Options::default())
}

/// Writes what is pending.
pub(super) fn flush(socket: &mut UnixStream, connection: &mut ClientConnection) {
    socket.write_all(connection.pending_output()).unwrap();
    connection.advance_output(connection.pending_output().len());
}

pub(super) fn receive(
    socket: &mut UnixStream,
    connection: &mut ClientConnection,
) -> Result<Option<Reply>, ConnectionError> {
    let mut buffer = [0; 4096];
    let count = socket.read(&mut buffer).unwrap();
    assert!(count > 0, "the manager hung up");
    connection.receive(&buffer[..count])
}

/// A connection that has proved the key.
pub(super) fn authenticated(manager: &SharedMemoryManager) -> UnixStream {
    let (mut socket, mut connection) = (connect(manager), connection(manager));
    while !connection.is_authenticated() {
        receive(&mut socket, &mut connection).unwrap();
        flush(&mut socket, &mut connection);
    }
    socket
}

/// All that comes until the manager hangs up.
fn rest(mut socket: UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match socket.read_to_end(&mut bytes) {
        Ok(_) => bytes,
        // It hung up with bytes of this client's unread.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => bytes,
        Err(error) => panic!("{error}: the manager neither answers nor hangs up"),
    }
}

/// Sends bytes, as far as the manager takes them, and ends the sending side.
fn send(socket: &mut UnixStream, bytes: &[u8]) {
    match socket.write_all(bytes).and_then(|()| socket.shutdown(std::net::Shutdown::Write)) {
        Ok(()) => {}
        Err(error)
            if [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset, ErrorKind::NotConnected].contains(&error.kind()) => {
        }
        Err(error) => panic!("{error}"),
    }
}

/// What the manager makes of bytes after the handshake.
fn answer(manager: &SharedMemoryManager, bytes: &[u8]) -> Option<Reply> {
    let mut socket = authenticated(manager);
    send(&mut socket, bytes);
    let said = rest(socket);
    let mut decoder = frame::Decoder::new(1 << 24);
    let payload = decoder.feed(&mut &*said).unwrap()?;
    Some(Reply::parse(&payload).unwrap())
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(payload, &mut bytes);
    bytes
}

#[track_caller]
fn traceback(reply: Option<Reply>) -> String {
    let Some(Reply::Traceback(text)) = reply else { panic!("{reply:?}") };
    text
}

/// A good client is served, by the process that served before.
#[track_caller]
fn assert_serves(manager: &SharedMemoryManager, process: i32, after: &str) {
    assert_eq!(manager.segments().unwrap_or_else(|error| panic!("{after}: {error}")), [""; 0], "{after}");
    assert!(!super::is_gone(process), "{after}");
}

/// Headers of every kind, with what follows them.
#[expect(clippy::big_endian_bytes, reason = "CPython's frames are")]
fn frames() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for length in [0, 1, 8, 16, 40, 255, 256, 257, 65535, 65536, 65537, i32::MAX, -1, -2, i32::MIN] {
        let header = length.to_be_bytes();
        for body in [0, 1, 8, 9, 16, 256, 70_000] {
            frames.push([&header[..], &vec![0x41; body]].concat());
        }
        for size in [0, 1, 257, u64::from(u32::MAX), u64::MAX >> 1, u64::MAX] {
            frames.push([&header[..], &size.to_be_bytes(), b"AAAA"].concat());
        }
        frames.push(header[..2].to_vec());
    }
    frames
}

#[test]
fn no_frame_of_a_stranger_is_obeyed_and_none_stops_the_manager() {
    let world = World::new();
    let manager = world.start();
    let process = pid(&manager);
    let mut cases = frames();
    for payload in [
        b"#WELCOME#" as &[u8],
        b"#FAILURE#",
        b"#CHALLENGE#{sha256}0123456789012345678901234567890123456789",
        b"#CHALLENGE#",
        b"{sha256}01234567890123456789012345678901",
        b"{md5}0123456789012345",
        b"{sha9}0123456789012345",
        b"0123456789012345",
        &Request::Shutdown.encode().unwrap(),
    ] {
        cases.push(framed(payload));
        // Three messages at once, as those of a whole handshake.
        cases.push(framed(payload).repeat(3));
    }
    for (index, bytes) in cases.iter().enumerate() {
        let mut socket = connect(&manager);
        send(&mut socket, bytes);
        let said = rest(socket);
        assert!(said.starts_with(b"\0\0\0\x3b#CHALLENGE#{sha256}"), "case {index}: {}", said.escape_ascii());
        let behind = &said[4 + 59..];
        assert!(behind.is_empty() || behind == b"\0\0\0\x09#FAILURE#", "case {index}: {}", behind.escape_ascii());
        assert_serves(&manager, process, &format!("case {index}"));
    }
    let strategy = proptest::collection::vec(any::<u8>(), 0..400);
    TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() })
        .run(&strategy, |bytes| {
            let mut socket = connect(&manager);
            send(&mut socket, &bytes);
            let said = rest(socket);
            prop_assert!(said.len() <= 63 + 13);
            Ok(())
        })
        .unwrap();
    assert_serves(&manager, process, "any bytes");
}

#[test]
fn no_frame_of_a_client_stops_the_manager() {
    let world = World::new();
    let manager = world.start();
    let process = pid(&manager);
    for (index, bytes) in frames().iter().enumerate() {
        match answer(&manager, bytes) {
            None => {}
            Some(reply) => assert!(!traceback(Some(reply)).is_empty()),
        }
        assert_serves(&manager, process, &format!("case {index}"));
    }
    let strategy = proptest::collection::vec(any::<u8>(), 0..400);
    let mut runner = TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() });
    runner
        .run(&strategy, |bytes| {
            answer(&manager, &bytes);
            traceback(answer(&manager, &framed(&bytes)));
            Ok(())
        })
        .unwrap();
    // A request with one byte changed.
    let request = Request::TrackSegment("absent".into()).encode().unwrap();
    for at in 0..request.len() {
        for with in [0, 1, 0x80, 0xff] {
            let mut changed = request.clone();
            changed[at] ^= with;
            if Request::parse(&changed) != Ok(Request::Shutdown) {
                answer(&manager, &framed(&changed));
            }
        }
    }
    assert_serves(&manager, process, "any bytes");
}

#[test]
fn requests_that_are_none_get_a_traceback_and_end_the_connection() {
    let world = World::new();
    let manager = world.start();
    let process = pid(&manager);
    let other = |method: &str, args: Vec<Object>| Request::Other { method: method.into(), args };
    let text = |text: &str| Object::Str(text.into());
    // Each of them twice: what follows the first request is not read.
    for (request, end) in [
        (other("fly", vec![]), "AssertionError: 'fly' unrecognized\n"),
        (other("", vec![Object::None]), "AssertionError: '' unrecognized\n"),
        (other("create", vec![text("SharedMemory"), Object::Int(8)]), "AssertionError: 'create' unrecognized\n"),
        (other("incref", vec![text("0")]), "AssertionError: 'incref' unrecognized\n"),
        (other("track_segment", vec![]), ""),
        (other("track_segment", vec![Object::Int(7)]), ""),
        (other("list_segments", vec![Object::None]), ""),
        (other("shutdown", vec![Object::None]), ""),
        (other("reserve_segment", vec![]), ""),
        (other("reserve_segment", vec![text("a"), text("b"), Object::None]), ""),
        (other("reserve_segment", vec![text("../a"), Object::Int(1), Object::Int(1)]), ""),
        (
            Request::TrackSegment("absent".into()),
            "FileNotFoundError: [Errno 2] No such file or directory: \"absent\"\n",
        ),
        (Request::ReleaseSegment("absent".into()), "ValueError: list.remove(x): x not in list (\"absent\")\n"),
        (Request::TrackSegment("../absent".into()), ""),
        (Request::TrackSegment("x".repeat(60_000)), ""),
        (Request::ReleaseSegment("x".repeat(60_000)), ""),
    ] {
        let bytes = framed(&request.encode().unwrap()).repeat(2);
        let traceback = traceback(answer(&manager, &bytes));
        assert!(traceback.ends_with(end), "{request:?}: {traceback}");
        assert_serves(&manager, process, &format!("{request:?}"));
    }
    // The longest request that there can be, and one byte more.
    let longest = framed(&vec![b'x'; 64 << 10]);
    assert!(traceback(answer(&manager, &longest)).contains("UnpicklingError"));
    let longer = framed(&vec![b'x'; (64 << 10) + 1]);
    assert!(traceback(answer(&manager, &longer)).contains("bad message length"));
    // Keywords, an import, and a call of it.
    for pickle in [
        b"\x80\x02(NX\x05\0\0\0dummy)}X\x01\0\0\0aNst." as &[u8],
        b"\x80\x02cos\nsystem\n.",
        b"\x80\x02cos\nsystem\n)R.",
    ] {
        assert!(traceback(answer(&manager, &framed(pickle))).contains("UnpicklingError"));
    }
    assert_serves(&manager, process, "all of them");
}

#[test]
fn a_client_that_vanishes_at_any_byte_costs_nothing() {
    let world = World::new();
    let manager = world.start();
    let process = pid(&manager);
    // From now on it has all that it needs.
    assert_serves(&manager, process, "at first");
    let descriptors = || std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    let before = descriptors();
    let mut cut = 0;
    loop {
        let (mut socket, mut connection) = (connect(&manager), connection(&manager));
        connection.request(&Request::ListSegments).unwrap();
        let mut left = cut;
        let done = loop {
            let pending = connection.pending_output().len();
            let now = pending.min(left);
            socket.write_all(&connection.pending_output()[..now]).unwrap();
            connection.advance_output(now);
            left -= now;
            if now < pending {
                break false;
            }
            if receive(&mut socket, &mut connection).unwrap().is_some() {
                break true;
            }
        };
        drop(socket);
        if done {
            break;
        }
        cut += 1;
    }
    assert!(cut > 100, "only {cut} bytes: is it still a whole conversation?");
    assert_serves(&manager, process, "vanished");
    super::until("their descriptors are closed", || descriptors() <= before);
}

#[test]
fn a_client_that_sends_a_byte_at_a_time_is_served() {
    let world = World::new();
    let manager = world.start();
    let (mut socket, mut connection) = (connect(&manager), connection(&manager));
    connection.request(&Request::ListSegments).unwrap();
    let reply = loop {
        while !connection.pending_output().is_empty() {
            socket.write_all(&connection.pending_output()[..1]).unwrap();
            connection.advance_output(1);
            // Others are served meanwhile.
            assert_eq!(manager.segments().unwrap(), [""; 0]);
        }
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        if let Some(reply) = connection.receive(&byte).unwrap() {
            break reply;
        }
    };
    assert_eq!(reply, Reply::names([""; 0]));
    assert_eq!(rest(socket), b"");
}

/// The manager hangs up ten seconds after they have come; the test waits for that, and would fail after a minute.
#[test]
fn clients_that_fall_silent_before_they_have_proved_the_key_are_dropped() {
    let world = World::new();
    let manager = world.start();
    let mut silent = Vec::new();
    for sent in [0, 1, 4, 43] {
        let (mut socket, mut connection) = (connect(&manager), connection(&manager));
        receive(&mut socket, &mut connection).unwrap();
        socket.write_all(&connection.pending_output()[..sent]).unwrap();
        silent.push(socket);
    }
    // The response is right, and the welcome never comes.
    let (mut socket, mut half) = (connect(&manager), connection(&manager));
    receive(&mut socket, &mut half).unwrap();
    flush(&mut socket, &mut half);
    silent.push(socket);
    // One that has proved it may take its time, as Python's do.
    let mut patient = authenticated(&manager);
    for socket in silent {
        rest(socket);
    }
    patient.write_all(&framed(&Request::ListSegments.encode().unwrap())).unwrap();
    assert!(!rest(patient).is_empty());
}

/// Reserves a name for a block that is not there yet, and keeps the connection.
fn reserve(manager: &SharedMemoryManager, world: &World, name: &str) -> UnixStream {
    let file = world.folder.file("unnamed");
    std::fs::write(&file, "x").unwrap();
    let status = std::fs::metadata(&file).unwrap();
    let numbers = [status.dev(), status.ino()].map(|number| Object::Int(number.cast_signed()));
    let args = [Object::Str(name.to_owned())].into_iter().chain(numbers).collect();
    let (mut socket, mut connection) = (connect(manager), connection(manager));
    connection.request(&Request::Other { method: "reserve_segment".to_owned(), args }).unwrap();
    loop {
        flush(&mut socket, &mut connection);
        if let Some(reply) = receive(&mut socket, &mut connection).unwrap() {
            assert_eq!(reply, Reply::none());
            return socket;
        }
    }
}

#[test]
fn what_a_dead_client_has_reserved_is_owned_if_it_is_there_and_else_forgotten() {
    let world = World::new();
    let manager = world.start();
    drop(reserve(&manager, &world, "never"));
    super::until("it is forgotten", || manager.segments().unwrap().is_empty());
    let socket = reserve(&manager, &world, "there");
    assert!(manager.release("there").is_err(), "its client would go on to make it");
    std::fs::rename(world.folder.file("unnamed"), world.folder.file("there")).unwrap();
    drop(socket);
    super::until("it is settled", || manager.release("there").is_ok());
    assert!(!world.exists("there"));
}

#[test]
fn a_manager_that_ends_closes_the_connections_of_those_who_have_reserved_before_it_removes() {
    let world = World::new();
    let manager = world.start();
    let mut made = reserve(&manager, &world, "made");
    std::fs::rename(world.folder.file("unnamed"), world.folder.file("made")).unwrap();
    let mut late = reserve(&manager, &world, "late");
    manager.shutdown().unwrap();
    assert!(!world.exists("made"));
    // So that whoever comes too late knows, and takes the name back.
    for socket in [&mut made, &mut late] {
        assert_eq!(socket.read(&mut [0]).unwrap(), 0);
    }
    std::fs::remove_file(world.folder.file("unnamed")).unwrap();
}

#[test]
fn what_one_client_has_reserved_another_cannot_hand_over() {
    let world = World::new();
    let manager = world.start();
    let mut socket = reserve(&manager, &world, "meant");
    std::fs::write(world.folder.file("meant"), "another's").unwrap();
    let error = manager.track("meant").unwrap_err();
    assert!(error.to_string().contains("FileExistsError"), "{error}");
    std::fs::remove_file(world.folder.file("meant")).unwrap();
    // The first one goes on, and what it made is owned.
    std::fs::rename(world.folder.file("unnamed"), world.folder.file("meant")).unwrap();
    socket.write_all(&[0]).unwrap();
    assert_eq!(socket.read(&mut [0]).unwrap(), 0, "it was understood");
    assert_eq!(manager.segments().unwrap(), ["meant"]);
    manager.shutdown().unwrap();
    world.assert_empty("shut down");
}
