//! Tests of the protocol: CPython's bytes, both ends against each other and against all that is wrong, and properties.

use super::handshake::{respond, verify};
use super::*;
use crate::pickle::PickleErrorKind as K;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;
use serde_json::Value as Json;

fn bytes(json: &Json) -> Vec<u8> {
    hex::decode(json.as_str().unwrap()).unwrap()
}

mod messages {
    use super::*;
    use sha2::Digest as _;

    fn untyped(json: &Json) -> Object {
        let all = |items: &Json| items.as_array().unwrap().iter().map(untyped).collect();
        match json {
            Json::Null => Object::None,
            Json::Bool(value) => Object::Bool(*value),
            Json::String(text) => Object::Str(text.clone()),
            Json::Object(map) => match map.iter().next().unwrap() {
                (kind, value) if kind == "int" => Object::Int(value.as_str().unwrap().parse().unwrap()),
                (kind, value) if kind == "bytes" => Object::Bytes(bytes(value)),
                (kind, value) if kind == "list" => Object::List(all(value)),
                (_, value) => Object::Tuple(all(value)),
            },
            other => panic!("{other}"),
        }
    }

    #[derive(Clone, Debug, PartialEq)]
    enum Message {
        Request(Request),
        Reply(Reply),
    }

    impl Message {
        fn encode(&self) -> Vec<u8> {
            match self {
                Self::Request(request) => request.encode().unwrap(),
                Self::Reply(reply) => reply.encode().unwrap(),
            }
        }

        fn parse_alike(&self, pickle: &[u8]) -> Result<Self, MessageError> {
            match self {
                Self::Request(_) => Request::parse(pickle).map(Self::Request),
                Self::Reply(_) => Reply::parse(pickle).map(Self::Reply),
            }
        }
    }

    /// By way of the pickle's value, which knows nothing of this crate.
    fn message(row: &Json) -> Message {
        let Object::Tuple(parts) = untyped(&row["value"]) else { panic!("{row}") };
        let text = |object: &Object| match object {
            Object::Str(text) => text.clone(),
            other => panic!("{other:?}"),
        };
        if row["kind"] == "reply" {
            return Message::Reply(match text(&parts[0]).as_str() {
                "#RETURN" => Reply::Return(parts[1].clone()),
                "#TRACEBACK" => Reply::Traceback(text(&parts[1])),
                _ => Reply::Unserializable(text(&parts[1])),
            });
        }
        let (method, Object::Tuple(args)) = (text(&parts[1]), &parts[2]) else { panic!("{row}") };
        Message::Request(match method.as_str() {
            "dummy" => Request::Dummy,
            "track_segment" => Request::TrackSegment(text(&args[0])),
            "release_segment" => Request::ReleaseSegment(text(&args[0])),
            "list_segments" => Request::ListSegments,
            "shutdown" => Request::Shutdown,
            "number_of_objects" => Request::NumberOfObjects,
            "debug_info" => Request::DebugInfo,
            _ => Request::Other { method, args: args.clone() },
        })
    }

    fn file() -> Json {
        serde_json::from_str(include_str!("../../tests-data/messages.json")).unwrap()
    }

    /// `{}` in the file's tuples is `kwargs`, which has no type there.
    fn rows() -> Vec<(Json, Message)> {
        let rows = file()["messages"].as_array().unwrap().clone();
        let rows = rows.into_iter().map(|mut row| {
            if row["kind"] == "request" {
                row["value"]["tuple"][3] = Json::Null;
            }
            let message = message(&row);
            (row, message)
        });
        rows.collect()
    }

    #[test]
    fn messages_of_cpython_read_as_what_they_are() {
        let mut checked = 0;
        for (row, message) in rows() {
            for pickle in [&row["dumps"]].into_iter().chain(row["others"].as_array().unwrap()) {
                assert_eq!(message.parse_alike(&bytes(pickle)).as_ref(), Ok(&message), "{pickle}");
                checked += 1;
            }
        }
        assert!(checked > 300, "only {checked}");
    }

    #[test]
    fn messages_are_written_as_cpython_writes_them() {
        let mut checked = 0;
        for (row, message) in rows().iter().filter(|(row, _)| row["protocol"] == 4) {
            assert_eq!(hex::encode(message.encode()), row["dumps"].as_str().unwrap(), "{message:?}");
            checked += 1;
        }
        assert!(checked > 50, "only {checked}");
    }

    #[test]
    fn no_beginning_of_a_message_is_a_message() {
        for (row, message) in rows() {
            let pickle = bytes(&row["dumps"]);
            for length in 0..pickle.len() {
                assert!(message.parse_alike(&pickle[..length]).is_err(), "{length} bytes of {pickle:?}");
            }
        }
    }

    /// Several frames, strings between them, batches of a list.
    #[test]
    fn long_replies_are_those_of_cpython() {
        for row in file()["large"].as_array().unwrap() {
            let reply = match (row["names"].as_u64(), row["text"].as_u64()) {
                (Some(count), _) => Reply::names((0..count).map(|number| format!("psm_{number:08x}"))),
                (_, Some(length)) => Reply::Traceback("t".repeat(length as usize)),
                _ => {
                    let text = |letter: &str| Object::Str(letter.repeat(row["pair"].as_u64().unwrap() as usize));
                    Reply::Return(Object::Tuple(vec![text("t"), text("u")]))
                }
            };
            let pickle = reply.encode().unwrap();
            assert_eq!(Reply::parse(&pickle).as_ref(), Ok(&reply), "{row}");
            if row["protocol"] == 4 {
                assert_eq!(pickle.len() as u64, row["length"].as_u64().unwrap(), "{row}");
                assert_eq!(hex::encode(sha2::Sha256::digest(&pickle)), row["sha256"].as_str().unwrap(), "{row}");
            }
        }
    }

    #[test]
    fn other_requests_and_replies_are_refused_with_their_place() {
        let wrong = |expected, found| K::WrongValue { expected, found };
        let count = |expected, found| K::WrongArguments { expected, found };
        let import = |module: &str, name: &str| K::UnknownGlobal { module: module.into(), name: name.into() };
        for (pickle, opcode, kind) in [
            (&b"(N\x8c\x05dummycos\nsystem\n}t."[..], Some(b'c'), import("os", "system")),
            (b"\x8c\x02os\x8c\x06system\x93", Some(0x93), import("os", "system")),
            (b"(N\x8c\x05dummy)R", Some(b'R'), K::UnknownOpcode),
            (b"(N\x8c\x05dummy)}b", Some(b'b'), K::UnknownOpcode),
            (b"(ios\nsystem\n", Some(b'i'), K::UnknownOpcode),
            (b"(N\x8c\x05dummy)}\x8c\x01kNs", Some(b's'), K::UnknownOpcode),
            (b"(\x8c\x0212\x8c\x05dummy)}t.", Some(b'.'), wrong("None", "a string")),
            (b"(NN)}t.", Some(b'.'), wrong("a string", "None")),
            (b"(N\x8c\x05dummyN}t.", Some(b'.'), wrong("a tuple", "None")),
            (b"(N\x8c\x05dummy))t.", Some(b'.'), wrong("an empty dict", "an empty tuple")),
            (b"(N\x8c\x05dummy)t.", Some(b'.'), count("the four parts of a request", 3)),
            (b"(N\x8c\x05dummyN\x85}t.", Some(b'.'), count("no arguments", 1)),
            (b"(N\x8c\x0dtrack_segment)}t.", Some(b'.'), count("one name", 0)),
            (b"(N\x8c\x0dtrack_segmentNN\x86}t.", Some(b'.'), count("one name", 2)),
            (b"(N\x8c\x0drelease_segmen\x8c\x01xN\x86}t.", Some(b'n'), K::UnknownOpcode),
            (b"(N\x8c\x0dtrack_segmentN\x85}t.", Some(b'.'), wrong("a string", "None")),
            (
                b"(N\x8c\x03fly}\x85}t.",
                Some(b'.'),
                wrong("None, a bool, an int, a string, bytes, a list or a tuple", "an empty dict"),
            ),
            (b"N.", Some(b'.'), wrong("a tuple", "None")),
            (b"NNa", Some(b'a'), wrong("a list", "None")),
            (b"]C\x05abc", Some(b'C'), K::Truncated),
            (
                b"]\x8e\xff\xff\xff\xff\xff\xff\xff\xff",
                Some(0x8e),
                K::StringTooLong { bytes: usize::MAX, limit: MAX_REQUEST_BYTES },
            ),
            (b"Nr\x40\0\0\0", Some(b'r'), K::MemoIndex { index: 64, limit: 64 }),
            (b"j\xff\xff\xff\xff", Some(b'j'), K::MemoIndex { index: 0xffff_ffff, limit: 4104 }),
        ] {
            let error = Request::parse(pickle).unwrap_err();
            assert_eq!((error.opcode(), error.kind()), (opcode, &kind), "{}", pickle.escape_ascii());
            assert!(!error.to_string().contains("SharedMemory"), "{error}");
        }
        let exception = b"\x80\x04\x8c\x06#ERROR\x8c\x08builtins\x8c\x08KeyError\x93)R\x86.";
        assert_eq!(*Reply::parse(exception).unwrap_err().kind(), import("builtins", "KeyError"));
        assert_eq!(*Reply::parse(b"NNN\x87.").unwrap_err().kind(), count("the two parts of a reply", 3));
        let kind = wrong("#RETURN, #TRACEBACK or #UNSERIALIZABLE", "another string");
        assert_eq!(*Reply::parse(b"\x8c\x06#PROXYN\x86.").unwrap_err().kind(), kind);
    }

    /// Each level holds the level below twice: a hundred bytes stand for more than there are atoms.
    #[test]
    fn what_is_used_again_and_again_is_limited() {
        let levels =
            |shape: &[u8], count| [b"\x8c\x07#RETURN" as &[u8], b"NN\x86q\0", &shape.repeat(count), b"\x86."].concat();
        // Tuples beyond the depth.
        let error = Reply::parse(&levels(b"h\0\x86q\0", 60)).unwrap_err();
        assert_eq!(*error.kind(), K::TooDeep { limit: MAX_DEPTH });
        // Three lists, each of which holds the one below two hundred times.
        let list = [b"](" as &[u8], &b"h\0".repeat(200), b"eq\0"].concat();
        let pickle = [b"\x8c\x07#RETURN(]q\0" as &[u8], &list.repeat(3), b"t\x86."].concat();
        assert_eq!(*Reply::parse(&pickle).unwrap_err().kind(), K::TooManyValues { limit: MAX_REPLY_OBJECTS });
        // A long string, again and again.
        let text = [b"X\0\0\x10\0" as &[u8], &[b'x'; 1 << 20], b"q\0"].concat();
        let pickle = [b"\x8c\x07#RETURN](" as &[u8], &text, &b"h\0".repeat(16), b"e\x86."].concat();
        assert_eq!(*Reply::parse(&pickle).unwrap_err().kind(), K::TooMuchText { limit: MAX_REPLY_BYTES });
        // A list that holds itself has no end.
        let error = Reply::parse(b"\x8c\x07#RETURN]q\0h\0a\x86.").unwrap_err();
        assert_eq!(*error.kind(), K::TooDeep { limit: MAX_DEPTH });
    }

    fn objects() -> impl Strategy<Value = Object> {
        let leaf = prop_oneof![
            Just(Object::None),
            any::<bool>().prop_map(Object::Bool),
            any::<i64>().prop_map(Object::Int),
            (0..64_u32, any::<bool>()).prop_map(|(bit, down)| Object::Int((1_i64 << bit).wrapping_sub(down.into()))),
            ".{0,300}".prop_map(Object::Str),
            prop::collection::vec(any::<u8>(), 0..300).prop_map(Object::Bytes),
        ];
        leaf.prop_recursive(MAX_DEPTH as u32, 64, 6, |inner| {
            let items = prop::collection::vec(inner, 0..6);
            prop_oneof![items.clone().prop_map(Object::List), items.prop_map(Object::Tuple)]
        })
    }

    proptest! {
        #[test]
        fn replies_read_back(object in objects()) {
            let reply = Reply::Return(object);
            prop_assert_eq!(Reply::parse(&reply.encode().unwrap()), Ok(reply));
        }

        #[test]
        fn requests_read_back(method in "[a-z_]{0,300}", args in prop::collection::vec(objects(), 0..4)) {
            let request = match (method.as_str(), args.as_slice()) {
                ("a", _) => Request::TrackSegment(method),
                ("b", _) => Request::ReleaseSegment(method),
                _ => Request::Other { method, args },
            };
            prop_assert_eq!(Request::parse(&request.encode().unwrap()), Ok(request));
        }

        #[test]
        fn changed_messages_are_messages_or_errors(
            object in objects(), place: prop::sample::Index, byte: u8, kind in 0..3,
        ) {
            let mut pickle = Reply::Return(object).encode().unwrap();
            let place = place.index(pickle.len());
            match kind {
                0 => pickle[place] = byte,
                1 => pickle.insert(place, byte),
                _ => drop(pickle.remove(place)),
            }
            if let Ok(reply) = Reply::parse(&pickle) {
                prop_assert_eq!(Reply::parse(&reply.encode().unwrap()), Ok(reply));
            }
            let _ = Request::parse(&pickle);
        }
    }
}

mod conversations {
    use super::*;

    fn key() -> AuthKey {
        AuthKey::new(b"sekrit")
    }

    const OWN: Nonce = [0x11; NONCE_BYTES];
    const PEERS: Nonce = [0x22; NONCE_BYTES];

    fn server(options: Options) -> ServerConnection {
        ServerConnection::new(&key(), OWN, options)
    }

    fn framed(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        frame::encode(payload, &mut out);
        out
    }

    fn taken(server: &mut ServerConnection) -> Vec<u8> {
        let output = server.pending_output().to_vec();
        server.advance_output(output.len());
        output
    }

    #[test]
    fn responses_are_those_of_cpython() {
        let vectors: Json = serde_json::from_str(include_str!("../../tests-data/auth.json")).unwrap();
        let mut checked = 0;
        for vector in vectors.as_array().unwrap() {
            let key = AuthKey::new(&bytes(&vector["authkey"]));
            let (message, response) = (bytes(&vector["message_after_#CHALLENGE#"]), bytes(&vector["response"]));
            verify(&key, &message, &response, true).unwrap();
            // The answer of an old Python to a new challenge is not ours to give.
            if !(response.len() == 16 && message.len() > 20) {
                assert_eq!(respond(&key, &message, true).as_ref(), Ok(&response), "{vector}");
            }
            for at in 0..response.len() {
                let mut changed = response.clone();
                changed[at] ^= 1;
                assert!(verify(&key, &message, &changed, true).is_err(), "{vector} at {at}");
            }
            let error = verify(&AuthKey::new(b"other"), &message, &response, true);
            assert_eq!(error, Err(HandshakeError::WrongKey));
            checked += 1;
        }
        assert_eq!(checked, 7);
    }

    /// Moves bytes between the two in pieces, until neither has any.
    fn talk(
        server: &mut ServerConnection,
        client: &mut ClientConnection,
        piece: usize,
    ) -> (Result<Option<Request>, ConnectionError>, Result<Option<Reply>, ConnectionError>) {
        let (mut request, mut reply) = (Ok(None), Ok(None));
        while !server.pending_output().is_empty() || !client.pending_output().is_empty() {
            let output = server.pending_output();
            let output = output[..output.len().min(piece)].to_vec();
            server.advance_output(output.len());
            match client.receive(&output) {
                Ok(None) => {}
                other => reply = other,
            }
            let output = client.pending_output();
            let output = output[..output.len().min(piece)].to_vec();
            client.advance_output(output.len());
            match server.receive(&output) {
                Ok(None) => {}
                Ok(Some(found)) => {
                    request = Ok(Some(found));
                    server.reply(&Reply::names(["psm_a"])).unwrap();
                }
                other => request = other,
            }
        }
        (request, reply)
    }

    #[test]
    fn both_ends_understand_each_other_with_every_digest_and_in_any_pieces() {
        for (digest, piece) in Digest::ALL.into_iter().flat_map(|digest| [1, 3, 1000].map(|piece| (digest, piece))) {
            let options = Options::default().digest(digest);
            let (mut server, mut client) = (server(options), ClientConnection::new(&key(), PEERS, options));
            client.request(&Request::ListSegments).unwrap();
            let (request, reply) = talk(&mut server, &mut client, piece);
            assert_eq!((request, reply), (Ok(Some(Request::ListSegments)), Ok(Some(Reply::names(["psm_a"])))));
            assert!(server.is_authenticated() && server.is_closing());
            assert!(client.is_authenticated() && client.is_closing());
            assert_eq!((server.receive_end(), client.receive_end()), (Ok(()), Ok(())));
        }
    }

    #[test]
    fn a_request_may_be_decided_on_once_the_handshake_is_done() {
        let (mut server, mut client) =
            (server(Options::default()), ClientConnection::new(&key(), PEERS, Options::default()));
        assert_eq!(talk(&mut server, &mut client, 7), (Ok(None), Ok(None)));
        assert!(server.is_authenticated() && client.is_authenticated() && !server.is_closing() && !client.is_closing());
        client.request(&Request::TrackSegment("psm_a".into())).unwrap();
        let (request, reply) = talk(&mut server, &mut client, 7);
        assert_eq!(request, Ok(Some(Request::TrackSegment("psm_a".into()))));
        assert!(matches!(reply, Ok(Some(_))));
    }

    #[test]
    fn another_key_is_refused_on_both_sides() {
        let mut server = server(Options::default());
        let mut client = ClientConnection::new(&AuthKey::new(b"other"), PEERS, Options::default());
        client.request(&Request::Shutdown).unwrap();
        let (request, reply) = talk(&mut server, &mut client, 1000);
        assert_eq!(request, Err(HandshakeError::WrongKey.into()));
        assert_eq!(reply, Err(HandshakeError::Rejected.into()));
        for closing in [server.is_closing(), client.is_closing()] {
            assert!(closing);
        }
        assert!(!server.is_authenticated() && !client.is_authenticated());
        assert_eq!(client.request(&Request::Dummy), Err(EncodeError::AlreadySent));
    }

    /// A server that lets everybody in does not know the key.
    #[test]
    fn a_server_without_the_key_gets_no_request() {
        let mut client = ClientConnection::new(&key(), PEERS, Options::default());
        client.request(&Request::TrackSegment("secret".into())).unwrap();
        client.receive(&framed(b"#CHALLENGE#{sha256}0123456789012345678901234567890123456789")).unwrap();
        client.advance_output(client.pending_output().len());
        client.receive(&framed(b"#WELCOME#")).unwrap();
        client.advance_output(client.pending_output().len());
        let error = client.receive(&framed(&[b"{sha256}" as &[u8], &[0; 32]].concat())).unwrap_err();
        assert_eq!(error, HandshakeError::WrongKey.into());
        assert_eq!(client.pending_output(), framed(b"#FAILURE#"));
    }

    /// Everything at once, as a client could send it that knows what it will be asked.
    fn whole_conversation(request: &[u8]) -> Vec<u8> {
        let message = [b"{sha256}" as &[u8], &OWN].concat();
        let mut stream = framed(&respond(&key(), &message, true).unwrap());
        for payload in [[b"#CHALLENGE#{sha256}" as &[u8], &PEERS].concat().as_slice(), b"#WELCOME#", request] {
            frame::encode(payload, &mut stream);
        }
        stream
    }

    #[test]
    fn a_whole_conversation_may_arrive_at_once_and_what_follows_is_ignored() {
        let mut stream = whole_conversation(&Request::Dummy.encode().unwrap());
        stream.extend(framed(&Request::Shutdown.encode().unwrap()));
        stream.extend([0xff; 100_000]);
        let mut server = server(Options::default());
        assert_eq!(server.receive(&stream), Ok(Some(Request::Dummy)));
        assert_eq!(server.receive(&stream), Ok(None));
        assert!(!server.is_closing());
        taken(&mut server);
        server.reply(&Reply::none()).unwrap();
        assert_eq!(taken(&mut server), framed(&Reply::none().encode().unwrap()));
        assert!(server.is_closing());
        assert_eq!(server.reply(&Reply::none()), Err(EncodeError::NoRequest));
        assert_eq!(server.receive_end(), Ok(()));
    }

    #[test]
    fn only_the_welcome_is_a_welcome() {
        let mut client = ClientConnection::new(&key(), PEERS, Options::default());
        client.receive(&framed(b"#CHALLENGE#twenty random bytes.")).unwrap();
        let error = client.receive(&framed(b"#WELCOME?")).unwrap_err();
        let expected = HandshakeError::UnexpectedMessage { expected: "a welcome", found: b"#WELCOME?".to_vec() };
        assert_eq!(error, expected.into());
    }

    #[test]
    fn behind_the_handshake_other_limits_hold() {
        let request = Request::TrackSegment("x".repeat(MAX_REQUEST_BYTES - 100));
        let stream = whole_conversation(&request.encode().unwrap());
        assert_eq!(server(Options::default()).receive(&stream), Ok(Some(request.clone())));
        let length = request.encode().unwrap().len();
        assert_eq!(server(Options::default().limit(length)).receive(&stream), Ok(Some(request)));
        let error = FrameError::TooLong { bytes: length as u64, limit: length - 1 };
        assert_eq!(server(Options::default().limit(length - 1)).receive(&stream), Err(error.into()));
    }

    #[test]
    fn a_reply_that_is_too_large_leaves_the_request_waiting() {
        let mut server = server(Options::default());
        server.receive(&whole_conversation(&Request::ListSegments.encode().unwrap())).unwrap();
        let error = server.reply(&Reply::Traceback("x".repeat(MAX_REPLY_BYTES + 1)));
        assert_eq!(error, Err(EncodeError::TooLong { bytes: MAX_REPLY_BYTES + 1, limit: MAX_REPLY_BYTES }));
        assert!(!server.is_closing());
        server.reply(&Reply::none()).unwrap();
    }

    #[test]
    fn bad_requests_get_a_traceback_and_strangers_a_failure() {
        let ok = b"{sha256}\x11";
        for (stream, error, answer) in [
            (whole_conversation(b"N."), "byte 1", "UnpicklingError: the peer's message is not understood: byte 1"),
            (whole_conversation(b"cos\nsystem\n."), "it imports \"system\" from \"os\"", "it imports"),
            (
                whole_conversation(&vec![0; MAX_REQUEST_BYTES + 1]),
                "a frame of 65537 bytes",
                "OSError: bad message length",
            ),
        ] {
            let mut server = server(Options::default());
            let found = server.receive(&stream).unwrap_err();
            assert!(found.to_string().contains(error), "{found}");
            let output = taken(&mut server);
            let frames = output.windows(9).position(|window| window == b"#WELCOME#").unwrap();
            let last = &output[frames + 9 + 4 + 40 + 4..];
            let Ok(Reply::Traceback(text)) = Reply::parse(last) else { panic!("{}", output.escape_ascii()) };
            assert!(text.contains(answer) && text.ends_with('\n'), "{text}");
            assert!(server.is_closing());
        }
        for payload in [&[0; 300][..], b"", b"#WELCOME#", &[0; 16], ok, &[b'{'; 256]] {
            let mut server = server(Options::default());
            taken(&mut server);
            assert!(matches!(
                server.receive(&framed(payload)),
                Err(ConnectionError::Handshake(_) | ConnectionError::Frame(_))
            ));
            assert_eq!(server.pending_output(), framed(b"#FAILURE#"));
            assert!(server.is_closing());
        }
        let mut server = server(Options::default());
        taken(&mut server);
        assert_eq!(server.receive(&framed(b"#FAILURE#")), Err(HandshakeError::Rejected.into()));
        assert!(server.pending_output().is_empty(), "who refuses us needs no refusal");
    }

    fn client_on(challenge: &[u8], options: Options) -> Result<Vec<u8>, HandshakeError> {
        let mut client = ClientConnection::new(&key(), PEERS, options);
        match client.receive(&framed(challenge)) {
            Ok(found) => {
                assert_eq!(found, None);
                Ok(client.pending_output()[4..].to_vec())
            }
            Err(ConnectionError::Handshake(error)) => Err(error),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn challenges_are_refused_where_cpython_refuses_them() {
        use HandshakeError as E;
        let strict = Options::default().allow_legacy(false);
        let text = |text: &str| text.as_bytes().to_vec();
        let own = [b"#CHALLENGE#{sha256}" as &[u8], &PEERS].concat();
        // What goes with a response, in its frame.
        const OWN_CHALLENGE: usize = 4 + 59;
        for (challenge, options, expected) in [
            (
                &b"#CHALLENGE#nineteen bytes long"[..],
                Options::default(),
                E::ChallengeTooShort { bytes: 19, minimum: 20 },
            ),
            (
                b"#CHALLENGE#twenty-one bytes long",
                Options::default(),
                E::UnsupportedDigest { found: text("twenty-one bytes long") },
            ),
            (
                b"#CHALLENGE#{sha1}0123456789012345",
                Options::default(),
                E::UnsupportedDigest { found: text("{sha1}0123456789012345") },
            ),
            (
                b"#CHALLENGE#{sha256 0123456789012345",
                Options::default(),
                E::UnsupportedDigest { found: text("{sha256 0123456789012345") },
            ),
            (b"#CHALLENGE#twenty random bytes.", strict, E::LegacyRefused),
            (b"#CHALLENGE#{md5}0123456789012345", strict, E::LegacyRefused),
            (
                b"#WELCOME#",
                Options::default(),
                E::UnexpectedMessage { expected: "a challenge", found: text("#WELCOME#") },
            ),
            (b"#FAILURE#", Options::default(), E::Rejected),
            (&own, Options::default(), E::Reflected),
        ] {
            assert_eq!(client_on(challenge, options), Err(expected), "{}", challenge.escape_ascii());
        }
        assert_eq!(
            client_on(b"#CHALLENGE#twenty random bytes.", Options::default()).map(|found| found.len()),
            Ok(16 + OWN_CHALLENGE)
        );
        assert_eq!(
            client_on(b"#CHALLENGE#{md5}0123456789012345", Options::default()).map(|found| found.len()),
            Ok(21 + OWN_CHALLENGE)
        );
    }

    #[test]
    fn responses_are_refused_where_cpython_refuses_them() {
        use HandshakeError as E;
        let message = [b"{sha256}" as &[u8], &OWN].concat();
        let key = key();
        let digest = |digest: Digest| digest.prefixed(&digest.sign(&key, &message));
        let bare = Digest::Md5.sign(&key, &message);
        assert_eq!(verify(&key, &message, &bare, false), Err(E::LegacyRefused));
        assert_eq!(verify(&key, &message, &digest(Digest::Md5), false), Err(E::LegacyRefused));
        for other in Digest::ALL {
            assert_eq!(verify(&key, &message, &digest(other), true), Ok(()));
        }
        let short = &digest(Digest::Sha384)[..40];
        let error = E::DigestLength { digest: Digest::Sha384, expected: 48, found: 32 };
        assert_eq!(verify(&key, &message, short, true), Err(error));
        let error = E::UnsupportedDigest { found: vec![0; 32] };
        assert_eq!(verify(&key, &message, &[0; 32], true), Err(error));
    }

    #[test]
    fn a_server_that_is_sent_its_own_challenge_gives_no_digest() {
        let mut server = server(Options::default());
        let challenge = taken(&mut server);
        let message = [b"{sha256}" as &[u8], &OWN].concat();
        server.receive(&framed(&respond(&key(), &message, true).unwrap())).unwrap();
        assert_eq!(taken(&mut server), framed(b"#WELCOME#"));
        assert_eq!(server.receive(&challenge), Err(HandshakeError::Reflected.into()));
        assert_eq!(taken(&mut server), framed(b"#FAILURE#"));
    }

    #[test]
    fn a_reply_before_the_request_is_refused() {
        let (mut server, mut client) =
            (server(Options::default()), ClientConnection::new(&key(), PEERS, Options::default()));
        assert_eq!(talk(&mut server, &mut client, 1000), (Ok(None), Ok(None)));
        let error = client.receive(&framed(b"N.")).unwrap_err();
        let expected =
            HandshakeError::UnexpectedMessage { expected: "nothing before it is asked", found: b"N.".to_vec() };
        assert_eq!(error, expected.into());
    }

    /// Found by fuzzing: a request that went out, or did not, depending on whether the server's bytes were read together.
    #[test]
    fn a_request_goes_out_with_the_end_of_the_handshake_whatever_follows_it() {
        let message = [b"{sha256}" as &[u8], &PEERS].concat();
        let mut stream = framed(b"#CHALLENGE#twenty random bytes.");
        for payload in [b"#WELCOME#" as &[u8], &respond(&key(), &message, true).unwrap(), b"no pickle"] {
            frame::encode(payload, &mut stream);
        }
        let outputs = [1, 7, 1000].map(|piece| {
            let mut client = ClientConnection::new(&key(), PEERS, Options::default());
            client.request(&Request::Dummy).unwrap();
            let outcomes: Vec<_> = stream.chunks(piece).filter_map(|part| client.receive(part).err()).collect();
            assert!(matches!(outcomes[..], [ConnectionError::Message(_)]), "{outcomes:?}");
            client.pending_output().to_vec()
        });
        assert!(outputs[0].ends_with(&framed(&Request::Dummy.encode().unwrap())));
        assert!(outputs[1] == outputs[0] && outputs[2] == outputs[0]);
    }

    #[test]
    fn the_end_of_the_stream_says_what_is_missing() {
        let stream = whole_conversation(&Request::Dummy.encode().unwrap());
        let steps = [(0, "a response to the challenge"), (44, "a challenge"), (107, "a welcome"), (120, "a request")];
        for length in 0..stream.len() {
            let mut server = server(Options::default());
            assert_eq!(server.receive(&stream[..length]), Ok(None));
            let (_, awaiting) = steps.iter().rev().find(|(start, _)| length >= *start).unwrap();
            assert_eq!(server.receive_end(), Err(ConnectionError::Ended { awaiting }), "after {length} bytes");
            assert!(server.is_closing());
        }
    }

    #[test]
    fn a_key_does_not_show() {
        let shown = format!("{:?} {:?}", key(), server(Options::default()));
        assert!(!shown.contains("sekrit") && !shown.contains(&format!("{:?}", b"sekrit")), "{shown}");
    }

    #[test]
    #[should_panic(expected = "124 bytes cannot have been written of 123")]
    fn more_than_is_pending_cannot_be_written() {
        let mut client = ClientConnection::new(&key(), PEERS, Options::default());
        client.receive(&framed(b"#CHALLENGE#{sha384}0123456789abcdef")).unwrap();
        client.advance_output(124);
    }

    proptest! {
        /// Any bytes in place of the client's, at any place: the same end however they are cut, and no way in.
        #[test]
        fn no_stream_authenticates_but_the_right_one(
            change in prop::option::of((0_usize..107, 1_u8..)), noise in prop::collection::vec(any::<u8>(), 0..400), at in 0_usize..120,
            piece in 1_usize..50,
        ) {
            let mut stream = whole_conversation(&Request::Dummy.encode().unwrap());
            match change {
                Some((place, bits)) => stream[place] ^= bits,
                None => {
                    stream.truncate(at);
                    stream.extend(noise);
                }
            }
            let whole = {
                let mut server = server(Options::default());
                (server.receive(&stream), server.pending_output().to_vec(), server.is_authenticated())
            };
            let mut server = server(Options::default());
            let mut outcome = Ok(None);
            for part in stream.chunks(piece) {
                match server.receive(part) {
                    Ok(None) => {}
                    other => outcome = other,
                }
            }
            prop_assert_eq!((outcome, server.pending_output().to_vec(), server.is_authenticated()), whole.clone());
            // A changed byte of the client's own challenge is another challenge.
            let (response, _) = stream.split_at(stream.len().min(44));
            let right = response == &whole_conversation(b"")[..44];
            prop_assert!(right || !whole.2, "{}", String::from_utf8_lossy(&stream));
        }
    }
}
