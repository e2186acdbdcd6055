//! Properties of the manager's protocol over arbitrary bytes: the bodies of the fuzz targets.

use crate::props::Input;
use shmtypes::compat::manager::frame::{self, Decoder};
use shmtypes::compat::manager::handshake::{respond, verify};
use shmtypes::compat::manager::{
    AuthKey, ClientConnection, ConnectionError, Digest, MAX_AUTH_FRAME, MAX_REPLY_BYTES, NONCE_BYTES, Nonce, Options,
    Reply, Request, ServerConnection,
};

/// Any bytes as a stream of frames, cut by its own first bytes: the frames of a decoder that sees the whole, again in a
/// stream that gives the same frames, and no more memory than arrived.
///
/// # Panics
/// If the property does not hold.
pub fn frame_bytes(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (piece, limit) = (usize::from(input.byte() % 16) + 1, usize::from(input.byte()) * 3);
    let stream = bytes.get(2..).unwrap_or_default();
    let whole = decoded(stream.chunks(stream.len().max(1)), limit);
    assert_eq!(decoded(stream.chunks(piece), limit), whole, "in pieces of {piece}");
    let (frames, outcome) = whole;
    let mut again = Vec::new();
    for payload in &frames {
        assert!(payload.len() <= limit && payload.capacity() <= limit, "{} for a limit of {limit}", payload.capacity());
        frame::encode(payload, &mut again);
    }
    assert!(again.len() <= stream.len(), "the short header is no longer than the long one");
    assert_eq!(decoded(again.chunks(piece), limit), (frames, Ok(true)));
    if let Err(error) = outcome {
        assert!(!error.to_string().is_empty());
    }
}

/// The frames, and whether the stream ends between two of them.
fn decoded<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    limit: usize,
) -> (Vec<Vec<u8>>, Result<bool, frame::FrameError>) {
    let (mut decoder, mut frames) = (Decoder::new(limit), Vec::new());
    for mut piece in pieces {
        while !piece.is_empty() {
            match decoder.feed(&mut piece) {
                Ok(frame) => frames.extend(frame),
                Err(error) => return (frames, Err(error)),
            }
        }
    }
    (frames, Ok(decoder.is_between_frames()))
}

const KEY: &[u8] = b"sekrit";
const OWN: Nonce = [0x5a; NONCE_BYTES];

/// What one end of a connection made of a stream.
#[derive(Debug, PartialEq)]
struct End<T> {
    outcome: Result<Option<T>, ConnectionError>,
    output: Vec<u8>,
    authenticated: bool,
    closing: bool,
}

/// Any bytes as what a peer sends to either end, cut by the first of them. A part of them may be the right response, or a
/// right one to another challenge: the end authenticates only whoever sent the first. However they are cut, the end is the same.
///
/// # Panics
/// If the property does not hold.
pub fn handshake_bytes(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let piece = usize::from(input.byte() % 32) + 1;
    let choice = input.byte();
    let options = Options::default()
        .digest(Digest::ALL[usize::from(choice % 5)])
        .allow_legacy(choice & 0x40 == 0)
        .limit(usize::from(input.byte()) * 8);
    let key = AuthKey::new(KEY);
    let challenge = ServerConnection::new(&key, OWN, options).pending_output()[15..].to_vec();
    let stream = script(&mut input, &key, &challenge);

    let whole = server(&key, options, &[&stream]);
    assert_eq!(server(&key, options, &stream.chunks(piece).collect::<Vec<_>>()), whole, "in pieces of {piece}");
    holds(&key, &challenge, &stream, &whole, 0);
    let (sends, whole) = (stream.as_slice(), client(&key, options, &[&stream]));
    assert_eq!(client(&key, options, &sends.chunks(piece).collect::<Vec<_>>()), whole, "in pieces of {piece}");
    holds(&key, &challenge, sends, &whole, 2);
}

/// Frames that the bytes choose: of their own, or what a peer says that knows the key.
fn script(input: &mut Input<'_>, key: &AuthKey, challenge: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    while !input.is_empty() && stream.len() < 4096 {
        let mut payload = match input.byte() % 11 {
            0 => respond(key, challenge, true).expect("a challenge of our own"),
            1 => respond(key, &[challenge, b"!"].concat(), true).expect("nearly a challenge of our own"),
            2 => respond(&AuthKey::new(b"other"), challenge, true).expect("a challenge of our own"),
            3 => b"#WELCOME#".to_vec(),
            4 => b"#FAILURE#".to_vec(),
            5 => [b"#CHALLENGE#", challenge].concat(),
            6 => [b"#CHALLENGE#{sha256}" as &[u8], &[0x77; NONCE_BYTES]].concat(),
            7 => [b"#CHALLENGE#" as &[u8], &[0x77; 20]].concat(),
            8 => Request::Dummy.encode().expect("a short request"),
            9 => Reply::names(["psm_0123abcd"]).encode().expect("a short reply"),
            _ => {
                // No frame: whatever comes next.
                for _ in 0..input.byte() % 64 {
                    stream.push(input.byte());
                }
                continue;
            }
        };
        let change = input.byte();
        if change & 0x80 != 0 {
            let at = usize::from(change & 0x7f) % payload.len();
            payload[at] ^= input.byte();
        }
        frame::encode(&payload, &mut stream);
    }
    stream
}

fn server(key: &AuthKey, options: Options, pieces: &[&[u8]]) -> End<Request> {
    let mut server = ServerConnection::new(key, OWN, options);
    let outcome = fed(pieces, |piece| server.receive(piece));
    End {
        outcome,
        output: server.pending_output().to_vec(),
        authenticated: server.is_authenticated(),
        closing: server.is_closing(),
    }
}

fn client(key: &AuthKey, options: Options, pieces: &[&[u8]]) -> End<Reply> {
    let mut client = ClientConnection::new(key, OWN, options);
    client.request(&Request::ListSegments).expect("the first request");
    let outcome = fed(pieces, |piece| client.receive(piece));
    End {
        outcome,
        output: client.pending_output().to_vec(),
        authenticated: client.is_authenticated(),
        closing: client.is_closing(),
    }
}

/// The one thing that an end says of a stream.
fn fed<T>(
    pieces: &[&[u8]],
    mut receive: impl FnMut(&[u8]) -> Result<Option<T>, ConnectionError>,
) -> Result<Option<T>, ConnectionError> {
    let mut outcome = Ok(None);
    for piece in pieces {
        match receive(piece) {
            Ok(None) => {}
            said => {
                assert!(matches!(outcome, Ok(None)), "one request, one reply or one error");
                outcome = said;
            }
        }
    }
    outcome
}

/// An end that is authenticated got, as its frame number `at`, a response that proves the key.
fn holds<T>(key: &AuthKey, challenge: &[u8], stream: &[u8], end: &End<T>, at: usize) {
    let (frames, _) = decoded(std::iter::once(stream), MAX_AUTH_FRAME);
    let proved = frames.get(at).is_some_and(|response| verify(key, challenge, response, true).is_ok());
    assert!(proved || !end.authenticated, "in without the key");
    assert!(end.authenticated || !matches!(end.outcome, Ok(Some(_))), "a message before the handshake");
    assert!(end.closing || end.outcome.is_ok(), "an error is the end");
    // A challenge, a response, a welcome and a failure.
    assert!(end.output.len() <= 160 || end.authenticated, "{} bytes for a stranger", end.output.len());
}

/// Any bytes as the pickle of a request and of a reply: a message that is written to a pickle of itself, or an error. No
/// beginning of a message is one.
///
/// # Panics
/// If the property does not hold.
pub fn message_bytes(bytes: &[u8]) {
    match Request::parse(bytes) {
        Ok(request) => {
            // What a pickle uses again is written in full, which may be too much.
            if let Ok(again) = request.encode() {
                assert_eq!(Request::parse(&again).as_ref(), Ok(&request));
            }
            assert!(!request.method().contains('\0') || matches!(request, Request::Other { .. }));
            assert!(beginnings(bytes).all(|beginning| Request::parse(beginning).is_err()));
        }
        Err(error) => assert!(error.offset() <= bytes.len() && !error.to_string().is_empty()),
    }
    match Reply::parse(bytes) {
        Ok(reply) => {
            if let Ok(again) = reply.encode() {
                assert!(again.len() <= MAX_REPLY_BYTES);
                assert_eq!(Reply::parse(&again).as_ref(), Ok(&reply));
            }
            assert!(beginnings(bytes).all(|beginning| Reply::parse(beginning).is_err()));
        }
        Err(error) => assert!(error.offset() <= bytes.len() && !error.to_string().is_empty()),
    }
}

/// Those of a pickle that is short enough to try them all.
fn beginnings(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let tried = if bytes.len() <= 80 { bytes.len() } else { 0 };
    (0..tried).map(|end| &bytes[..end])
}
