//! The manager's protocol against CPython's own ends of it, over sockets: challenges, requests and replies.

use crate::with_each;
use serde_json::{Value as Json, json};
use shmtypes::compat::manager::{
    AuthKey, ClientConnection, ConnectionError, Digest, HandshakeError, Nonce, Object, Options, Reply, Request,
    ServerConnection,
};
use shmtypes_tests::folder::Folder;
use shmtypes_tests::python::{Interpreter, hex};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a peer may be silent before the test fails. No test waits for this time to pass.
const PATIENCE: Duration = Duration::from_secs(60);

fn nonce() -> Nonce {
    let mut nonce = [0; 40];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut nonce).unwrap();
    nonce
}

/// A Python process that plays one end.
struct End {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl End {
    fn start(interpreter: &Interpreter, role: &str, key: &[u8], argument: Json, socket: Stdio) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/protocol.py");
        let mut command = Command::new(&interpreter.program);
        command.args(["-B", script, role, &hex(key), &argument.to_string()]);
        let mut process = command.stdin(socket).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    /// With a socket whose other end the test has.
    fn pair(interpreter: &Interpreter, role: &str, key: &[u8], argument: Json) -> (Self, UnixStream) {
        let (own, theirs) = UnixStream::pair().unwrap();
        own.set_read_timeout(Some(PATIENCE)).unwrap();
        (Self::start(interpreter, role, key, argument, OwnedFd::from(theirs).into()), own)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn result(mut self) -> Json {
        let line = self.line();
        assert!(self.process.wait().unwrap().success());
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a server's end to its end. Reads `piece` bytes at a time, and writes as many.
fn serve(
    mut socket: UnixStream,
    key: &[u8],
    options: Options,
    piece: usize,
    reply: &Reply,
) -> Result<Request, ConnectionError> {
    let mut server = ServerConnection::new(&AuthKey::new(key), nonce(), options);
    let mut outcome = None;
    let mut buffer = vec![0; piece];
    loop {
        while !server.pending_output().is_empty() {
            let pending = server.pending_output();
            let written = socket.write(&pending[..pending.len().min(piece)]).unwrap();
            server.advance_output(written);
        }
        if let Some(outcome) = outcome.filter(|_| server.is_closing()) {
            return outcome;
        }
        outcome = match socket.read(&mut buffer).unwrap() {
            0 => Some(server.receive_end().map(|()| unreachable!("it owes a request"))),
            count => server.receive(&buffer[..count]).transpose(),
        };
        if let Some(Ok(_)) = outcome {
            server.reply(reply).unwrap();
        }
    }
}

/// Runs a client's end to its end.
fn ask(
    mut socket: UnixStream,
    key: &[u8],
    options: Options,
    piece: usize,
    request: &Request,
) -> Result<Reply, ConnectionError> {
    let mut client = ClientConnection::new(&AuthKey::new(key), nonce(), options);
    client.request(request).unwrap();
    let mut buffer = vec![0; piece];
    loop {
        while !client.pending_output().is_empty() {
            let pending = client.pending_output();
            let written = socket.write(&pending[..pending.len().min(piece)]).unwrap();
            client.advance_output(written);
        }
        let count = socket.read(&mut buffer).unwrap();
        if count == 0 {
            client.receive_end()?;
        }
        if let Some(reply) = client.receive(&buffer[..count])? {
            return Ok(reply);
        }
    }
}

const KEYS: [&[u8]; 3] = [b"sekrit", b"", &[0xfe; 200]];

#[test]
fn python_clients_are_served() {
    let names = || Reply::names(["psm_0123abcd", "présent", ""]);
    let long: Vec<String> = (0..3000).map(|number| format!("psm_{number:08x}")).collect();
    with_each(|interpreter| {
        for (round, (method, args, expected, reply, returned)) in [
            ("dummy", json!([]), Request::Dummy, Reply::none(), json!({"ok": null})),
            (
                "track_segment",
                json!(["psm_é"]),
                Request::TrackSegment("psm_é".into()),
                Reply::none(),
                json!({"ok": null}),
            ),
            ("release_segment", json!(["a"]), Request::ReleaseSegment("a".into()), Reply::none(), json!({"ok": null})),
            (
                "list_segments",
                json!([]),
                Request::ListSegments,
                names(),
                json!({"ok": ["psm_0123abcd", "présent", ""]}),
            ),
            ("list_segments", json!([]), Request::ListSegments, Reply::names(long.clone()), json!({"ok": long})),
            (
                "number_of_objects",
                json!([]),
                Request::NumberOfObjects,
                Reply::Return(Object::Int(-7)),
                json!({"ok": -7}),
            ),
            ("debug_info", json!([]), Request::DebugInfo, Reply::Return(Object::Bool(true)), json!({"ok": true})),
            ("shutdown", json!([]), Request::Shutdown, Reply::none(), json!({"ok": null})),
        ]
        .into_iter()
        .enumerate()
        {
            // Every digest, and every key, in all versions: up to 3.11 they answer MD5 to each of them.
            let options = Options::default().digest(Digest::ALL[round % Digest::ALL.len()]);
            let key = KEYS[round % KEYS.len()];
            let argument = json!({"method": method, "args": args});
            let (python, socket) = End::pair(interpreter, "client", key, argument);
            let piece = [1, 7, 4096][round % 3];
            assert_eq!(serve(socket, key, options, piece, &reply), Ok(expected));
            assert_eq!(python.result(), returned, "CPython {:?}, {method}", interpreter.version);
        }
    });
}

#[test]
fn python_raises_what_a_server_says_of_an_unknown_method() {
    with_each(|interpreter| {
        let argument = json!({"method": "fly", "args": ["a", [1, null]]});
        let (python, socket) = End::pair(interpreter, "client", b"sekrit", argument);
        let request = serve(socket, b"sekrit", Options::default(), 4096, &Reply::unrecognized("fly")).unwrap();
        let args = vec![Object::Str("a".into()), Object::List(vec![Object::Int(1), Object::None])];
        assert_eq!(request, Request::Other { method: "fly".into(), args });
        let answer = python.result();
        assert_eq!(answer["type"], "RemoteError");
        // The text needs its newline to stand on lines of its own.
        let line = "-".repeat(75);
        assert_eq!(answer["text"], format!("\n{line}\nAssertionError: 'fly' unrecognized\n{line}"));
    });
}

#[test]
fn python_raises_what_a_server_says_of_a_bad_request() {
    with_each(|interpreter| {
        let argument = json!({"method": "track_segment", "args": []});
        let (python, socket) = End::pair(interpreter, "client", b"sekrit", argument);
        let error = serve(socket, b"sekrit", Options::default(), 4096, &Reply::none()).unwrap_err();
        assert!(matches!(error, ConnectionError::Message(_)), "{error}");
        let answer = python.result();
        assert_eq!(answer["type"], "RemoteError", "{answer}");
        assert!(answer["text"].as_str().unwrap().contains("expected one name, found 0"), "{answer}");
    });
}

#[test]
fn a_python_client_with_another_key_is_refused_and_so_is_old_python_where_md5_is_not_allowed() {
    with_each(|interpreter| {
        let argument = json!({"method": "dummy", "args": []});
        let (python, socket) = End::pair(interpreter, "client", b"other", argument.clone());
        let outcome = serve(socket, b"sekrit", Options::default(), 4096, &Reply::none());
        assert_eq!(outcome, Err(HandshakeError::WrongKey.into()));
        let rejected = json!({"type": "AuthenticationError", "text": "digest sent was rejected"});
        assert_eq!(python.result(), rejected);

        let (python, socket) = End::pair(interpreter, "client", b"sekrit", argument);
        let outcome = serve(socket, b"sekrit", Options::default().allow_legacy(false), 4096, &Reply::none());
        if interpreter.is_at_least(3, 12) {
            assert_eq!((outcome, python.result()), (Ok(Request::Dummy), json!({"ok": null})));
        } else {
            assert_eq!((outcome, python.result()), (Err(HandshakeError::LegacyRefused.into()), rejected));
        }
    });
}

#[test]
fn python_servers_are_asked() {
    with_each(|interpreter| {
        let names = json!(["psm_0123abcd", "psm_é"]);
        let traceback = |reply: Reply, end: &str| {
            let Reply::Traceback(text) = reply else { panic!("{reply:?}") };
            assert!(text.starts_with("Traceback (most recent call last):") && text.ends_with(end), "{text}");
        };
        for (round, request) in [
            Request::Dummy,
            Request::TrackSegment("psm_new".into()),
            Request::ListSegments,
            Request::NumberOfObjects,
            Request::DebugInfo,
            Request::ReleaseSegment("absent".into()),
            Request::Other { method: "fly".into(), args: vec![Object::Tuple(vec![Object::Bytes(vec![0xff])])] },
        ]
        .into_iter()
        .enumerate()
        {
            let key = KEYS[round % KEYS.len()];
            let (python, socket) = End::pair(interpreter, "server", key, json!({"names": names}));
            let piece = [1, 7, 4096][round % 3];
            // Old Python answers MD5 whatever it is asked for, new Python what it is asked for.
            let options = Options::default().digest(Digest::ALL[round % Digest::ALL.len()]);
            let reply = ask(socket, key, options, piece, &request).unwrap();
            let after = python.result()["ok"].clone();
            match &request {
                Request::Dummy => assert_eq!(reply, Reply::none()),
                Request::TrackSegment(_) => {
                    assert_eq!(reply, Reply::none());
                    assert_eq!(after["names"], json!(["psm_0123abcd", "psm_é", "psm_new"]));
                }
                Request::ListSegments => assert_eq!(reply, Reply::names(["psm_0123abcd", "psm_é"])),
                Request::NumberOfObjects => assert_eq!(reply, Reply::Return(Object::Int(0))),
                Request::DebugInfo => assert_eq!(reply, Reply::Return(Object::Str(String::new()))),
                Request::ReleaseSegment(_) => traceback(reply, "ValueError: list.remove(x): x not in list\n"),
                _ => traceback(reply, "AssertionError: 'fly' unrecognized\n"),
            }
            assert_eq!(after["stopped"], json!(false));
        }
    });
}

/// Its server answers twice. One answer is enough to know.
#[test]
fn a_python_server_shuts_down() {
    with_each(|interpreter| {
        let (python, socket) = End::pair(interpreter, "server", b"sekrit", json!({"names": []}));
        let reply = ask(socket, b"sekrit", Options::default(), 4096, &Request::Shutdown);
        assert_eq!(reply, Ok(Reply::none()));
        assert_eq!(python.result(), json!({"ok": {"names": [], "stopped": true}}));
    });
}

#[test]
fn a_python_server_with_another_key_is_told_nothing() {
    with_each(|interpreter| {
        let (python, socket) = End::pair(interpreter, "server", b"other", json!({"names": ["a"]}));
        let reply = ask(socket, b"sekrit", Options::default(), 4096, &Request::TrackSegment("secret".into()));
        assert_eq!(reply, Err(HandshakeError::Rejected.into()));
        assert_eq!(python.result()["ok"]["names"], json!(["a"]));
    });
}

#[test]
fn old_python_servers_are_refused_where_md5_is_not_allowed() {
    with_each(|interpreter| {
        let (python, socket) = End::pair(interpreter, "server", b"sekrit", json!({"names": []}));
        let reply = ask(socket, b"sekrit", Options::default().allow_legacy(false), 4096, &Request::Dummy);
        if interpreter.is_at_least(3, 12) {
            assert_eq!(reply, Ok(Reply::none()));
        } else {
            assert_eq!(reply, Err(HandshakeError::LegacyRefused.into()));
        }
        python.result();
    });
}

#[test]
fn a_python_listener_and_a_python_manager_connect_by_address() {
    with_each(|interpreter| {
        let folder = Folder::below(&std::env::temp_dir());
        let address = folder.path().join("socket");
        let mut python = End::start(interpreter, "listener", b"sekrit", json!({"address": address}), Stdio::null());
        assert_eq!(python.line(), "listening");
        let socket = UnixStream::connect(&address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = Request::Other { method: "echo".into(), args: vec![Object::Int(1 << 40)] };
        // The listener returns what it got, with the keywords, which are none of this crate's objects.
        let error = ask(socket, b"sekrit", Options::default(), 4096, &request).unwrap_err();
        assert!(error.to_string().contains("found an empty dict"), "{error}");
        assert_eq!(python.result(), json!({"ok": null}));

        let address = folder.path().join("other");
        let listener = UnixListener::bind(&address).unwrap();
        let python = End::start(interpreter, "connected", b"sekrit", json!({"address": address}), Stdio::null());
        let (socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(serve(socket, b"sekrit", Options::default(), 4096, &Reply::none()), Ok(Request::Dummy));
        assert_eq!(python.result(), json!({"ok": null}));
    });
}
