//! Challenge and response: both sides prove that they know the key, and neither shows it.
//!
//! ```text
//!  server                                             client
//!    | "#CHALLENGE#" "{sha256}" + 40 random bytes  ---> |
//!    | <--- "{sha256}" + HMAC of all after "#CHALLENGE#" |
//!    | "#WELCOME#", or "#FAILURE#" and the end     ---> |
//!    |                                                  |
//!    | <--- "#CHALLENGE#" "{sha256}" + 40 random bytes   |
//!    | "{sha256}" + HMAC                           ---> |
//!    | <--- "#WELCOME#", or "#FAILURE#" and the end      |
//! ```
//!
//! A client of this crate does not wait for the welcome: its challenge goes with its response, and the server finds it when it
//! looks for it.
//!
//! Each line is a [frame](super::frame) of at most [`MAX_AUTH_FRAME`](super::MAX_AUTH_FRAME) bytes. This is CPython 3.13,
//! Lib/multiprocessing/connection.py: `deliver_challenge`, `answer_challenge`, `_create_response`, `_verify_challenge`; the
//! order is that of `managers.py`, `Server._handle_request`, and of `connection.py`, `Client`. A server answers nothing before the client
//! has proved itself, so a stranger gets no digest from it.
//!
//! # Python up to 3.11
//!
//! It sends 20 random bytes without a digest's name, and knows HMAC-MD5 alone: it answers any challenge with the 16 bytes of
//! that, also one that asks for SHA-256, and takes nothing else. [`Options::allow_legacy`](super::Options::allow_legacy)
//! decides whether that is good enough. Nobody in between can ask for a weaker digest in our name: the name is part of what is
//! signed.
//!
//! # Reflection
//!
//! A peer that sends our own challenge back wants us to compute the digest that we ask it for. CPython does not look. In
//! CPython's order it gains nothing: a server answers only who has proved the key before, and a client's challenge is
//! not known before it has answered. Refusing it makes that independent of the order, and of a caller whose random numbers
//! repeat. No Python is refused by it, because its challenges are random.
//!
//! Two clients at once are not covered, here as in CPython: who has taken a manager's address can give one client the
//! challenge of the other, and so prove to that one a key that it does not know. It learns what that client asks for, no key.
//! An address that strangers cannot take, such as a socket in a directory of one's own, keeps them from it.
//!
//! A relay is another thing: who stands between a client and its manager can pass their messages on, here as in CPython,
//! and read and change what follows. Nothing is encrypted. Unix sockets and loopback keep others out.

use super::digest::{AuthKey, Digest};
use super::error::excerpt;
use super::{HandshakeError, NONCE_BYTES, Nonce, Options};
use alloc::vec::Vec;

const CHALLENGE: &[u8] = b"#CHALLENGE#";
const WELCOME: &[u8] = b"#WELCOME#";
pub(super) const FAILURE: &[u8] = b"#FAILURE#";

/// A challenge of this length asks for a bare HMAC-MD5 (`_MD5ONLY_MESSAGE_LENGTH`), and none is shorter.
const LEGACY_CHALLENGE: usize = 20;
const _: () =
    assert!(NONCE_BYTES > LEGACY_CHALLENGE, "with its prefix a challenge of ours must not look like an old one");
/// A response of this length is a bare HMAC-MD5 (`_MD5_DIGEST_LEN`).
const LEGACY_RESPONSE: usize = 16;

/// The response to a challenge: CPython's `_create_response`, behind the checks of `answer_challenge`.
///
/// `message` is the challenge without `#CHALLENGE#`.
///
/// # Errors
///
/// [`ChallengeTooShort`](HandshakeError::ChallengeTooShort), [`UnsupportedDigest`](HandshakeError::UnsupportedDigest), and
/// [`LegacyRefused`](HandshakeError::LegacyRefused) where the challenge asks for MD5 and `allow_legacy` is false.
///
/// ```
/// use shmtypes_compat::manager::{AuthKey, handshake::{respond, verify}};
///
/// let key = AuthKey::new(b"sekrit");
/// let response = respond(&key, &[7; 20], true)?;
/// assert_eq!(response.len(), 16);
/// verify(&key, &[7; 20], &response, true)?;
/// # Ok::<(), shmtypes_compat::manager::HandshakeError>(())
/// ```
pub fn respond(key: &AuthKey, message: &[u8], allow_legacy: bool) -> Result<Vec<u8>, HandshakeError> {
    if message.len() < LEGACY_CHALLENGE {
        return Err(HandshakeError::ChallengeTooShort { bytes: message.len(), minimum: LEGACY_CHALLENGE });
    }
    if message.len() == LEGACY_CHALLENGE {
        return if allow_legacy { Ok(Digest::Md5.sign(key, message)) } else { Err(HandshakeError::LegacyRefused) };
    }
    let (digest, _) = named_digest(message, allow_legacy)?;
    Ok(digest.prefixed(&digest.sign(key, message)))
}

/// Checks the response to a challenge: CPython's `_verify_challenge`.
///
/// `message` is the challenge without `#CHALLENGE#`. As in CPython the peer chooses the digest.
///
/// # Errors
///
/// [`WrongKey`](HandshakeError::WrongKey), [`DigestLength`](HandshakeError::DigestLength),
/// [`UnsupportedDigest`](HandshakeError::UnsupportedDigest), and [`LegacyRefused`](HandshakeError::LegacyRefused) for MD5
/// where `allow_legacy` is false.
///
/// ```
/// use shmtypes_compat::manager::{AuthKey, HandshakeError, handshake::verify};
///
/// let key = AuthKey::new(b"sekrit");
/// assert_eq!(verify(&key, &[7; 20], &[0; 16], true), Err(HandshakeError::WrongKey));
/// assert_eq!(verify(&key, &[7; 20], &[0; 16], false), Err(HandshakeError::LegacyRefused));
/// ```
pub fn verify(key: &AuthKey, message: &[u8], response: &[u8], allow_legacy: bool) -> Result<(), HandshakeError> {
    if response.len() == LEGACY_RESPONSE {
        return if allow_legacy {
            Digest::Md5.verify(key, message, response)
        } else {
            Err(HandshakeError::LegacyRefused)
        };
    }
    let (digest, found) = named_digest(response, allow_legacy)?;
    digest.verify(key, message, found)
}

/// `_get_digest_name_and_payload` for messages of the newer form.
fn named_digest(message: &[u8], allow_legacy: bool) -> Result<(Digest, &[u8]), HandshakeError> {
    match Digest::of(message) {
        Some((Digest::Md5, _)) if !allow_legacy => Err(HandshakeError::LegacyRefused),
        Some(found) => Ok(found),
        None => Err(HandshakeError::UnsupportedDigest { found: excerpt(message) }),
    }
}

/// Which side of a connection this is, which decides who challenges first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Server,
    Client,
}

/// What must come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Challenge,
    /// To our answer.
    Welcome,
    /// To our challenge.
    Response,
    Nothing,
}

/// One side of the conversation, in payloads of frames.
#[derive(Debug)]
pub(super) struct Handshake {
    side: Side,
    key: AuthKey,
    /// Our challenge, without `#CHALLENGE#`.
    message: Vec<u8>,
    allow_legacy: bool,
    awaited: Awaited,
}

impl Handshake {
    /// Begins; a server has something to send at once.
    pub(super) fn new(
        side: Side,
        key: &AuthKey,
        nonce: &Nonce,
        options: Options,
        send: &mut impl FnMut(&[u8]),
    ) -> Self {
        let message = options.digest.prefixed(nonce);
        let awaited = match side {
            Side::Server => Awaited::Response,
            Side::Client => Awaited::Challenge,
        };
        let this = Self { side, key: key.clone(), message, allow_legacy: options.allow_legacy, awaited };
        if side == Side::Server {
            this.deliver(send);
        }
        this
    }

    /// Whether both sides have proved that they know the key.
    pub(super) fn is_done(&self) -> bool {
        self.awaited == Awaited::Nothing
    }

    /// What the peer owes, in words.
    pub(super) fn awaits(&self) -> &'static str {
        match self.awaited {
            Awaited::Challenge => "a challenge",
            Awaited::Welcome => "a welcome",
            Awaited::Response => "a response to the challenge",
            Awaited::Nothing => "nothing",
        }
    }

    fn deliver(&self, send: &mut impl FnMut(&[u8])) {
        send(&[CHALLENGE, &self.message].concat());
    }

    /// Takes a message and sends what follows from it. Whoever refuses the peer tells it so.
    pub(super) fn receive(&mut self, payload: &[u8], send: &mut impl FnMut(&[u8])) -> Result<(), HandshakeError> {
        let outcome = self.step(payload, send);
        match outcome {
            Err(HandshakeError::Rejected) | Ok(()) => {}
            Err(_) => send(FAILURE),
        }
        outcome
    }

    fn step(&mut self, payload: &[u8], send: &mut impl FnMut(&[u8])) -> Result<(), HandshakeError> {
        let unexpected = |expected| HandshakeError::UnexpectedMessage { expected, found: excerpt(payload) };
        // No challenge and no digest begins like that. Python says it where a welcome is due, and ours wherever it refuses.
        if payload == FAILURE {
            return Err(HandshakeError::Rejected);
        }
        self.awaited = match self.awaited {
            Awaited::Challenge => {
                let message = payload.strip_prefix(CHALLENGE).ok_or_else(|| unexpected(self.awaits()))?;
                if message == self.message {
                    return Err(HandshakeError::Reflected);
                }
                send(&respond(&self.key, message, self.allow_legacy)?);
                if self.side == Side::Client {
                    // With the response, not after the welcome: the server reads it then all the same, and is woken once less.
                    self.deliver(send);
                }
                Awaited::Welcome
            }
            Awaited::Welcome if payload == WELCOME => match self.side {
                Side::Server => Awaited::Nothing,
                Side::Client => Awaited::Response,
            },
            Awaited::Response => {
                verify(&self.key, &self.message, payload, self.allow_legacy)?;
                send(WELCOME);
                match self.side {
                    Side::Server => Awaited::Challenge,
                    Side::Client => Awaited::Nothing,
                }
            }
            Awaited::Welcome | Awaited::Nothing => return Err(unexpected(self.awaits())),
        };
        Ok(())
    }
}
