//! The protocol between a `SharedMemoryManager` and its clients, without I/O, clock or random numbers.
//!
//! A manager is a process that owns segments. Clients tell it names; the segments themselves they create on their own
//! (CPython 3.13, Lib/multiprocessing/managers.py, `SharedMemoryManager.SharedMemory`). Every request has a connection of
//! its own, and each connection begins with a [handshake]:
//!
//! ```text
//!  client                                                server
//!    | connect                                         ---> |
//!    | <---        #CHALLENGE#, response, #WELCOME#    ---> |  1
//!    | <---        #CHALLENGE#, response, #WELCOME#    ---> |  2
//!    | (None, "track_segment", ("psm_0123abcd",), {})  ---> |  3
//!    | <---                              ("#RETURN", None)  |  4
//!    | close                                          close |
//! ```
//!
//! 1. The server's `deliver_challenge` and the client's `answer_challenge` (connection.py).
//! 2. The other way round (connection.py, `Client`, and managers.py, `Server._handle_request`).
//! 3. managers.py, `dispatch`; the method is `SharedMemoryServer.track_segment`.
//! 4. `Server._handle_request`, or `("#TRACEBACK", text)`, of which `convert_to_error` makes a `RemoteError`.
//!
//! Each message is one [frame](mod@frame). Requests and replies are pickles, of which the few instructions are run that make
//! None, bools, ints, strings, bytes, lists and tuples; every import is refused by its name, so nothing is ever called.
//!
//! | part | what it knows |
//! |---|---|
//! | [`ServerConnection`], [`ClientConnection`] | a conversation from its beginning to its end |
//! | [`Request`], [`Reply`], [`Object`] | what is asked and answered |
//! | [`AuthKey`], [`Digest`], [`Options`] | how both sides prove themselves |
//! | [`handshake`], [`mod@frame`] | the lower layers, for tools and tests |
//!
//! A stranger can send at most [`MAX_AUTH_FRAME`] bytes that are kept, and who proved the key at most
//! [`MAX_REQUEST_BYTES`]. Deadlines are the caller's.
//!
//! Checked against CPython 3.8 to 3.15, in both directions and with both forms of the handshake.

mod connection;
mod digest;
mod error;
pub mod frame;
pub mod handshake;
mod message;
mod object;
#[cfg(test)]
mod tests;

pub use crate::pickle::PickleError as MessageError;
pub use connection::{ClientConnection, ServerConnection};
pub use digest::{AuthKey, Digest};
pub use error::{ConnectionError, EncodeError, HandshakeError};
pub use frame::FrameError;
pub use message::{Reply, Request};
pub use object::Object;

/// The longest frame of a handshake: CPython's `recv_bytes(256)`.
///
/// ```
/// use shmtypes_compat::manager::{AuthKey, MAX_AUTH_FRAME, Options, ServerConnection};
///
/// let mut server = ServerConnection::new(&AuthKey::new(b"sekrit"), [7; 40], Options::default());
/// assert_eq!(MAX_AUTH_FRAME, 256);
/// assert!(server.receive(&[0, 0, 1, 1]).is_err());
/// ```
pub const MAX_AUTH_FRAME: usize = 256;

/// The longest pickle of a request. Those of CPython's clients have less than 400 bytes.
///
/// ```
/// use shmtypes_compat::manager::{MAX_REQUEST_BYTES, Request};
///
/// assert!(Request::TrackSegment("x".repeat(255)).encode()?.len() < MAX_REQUEST_BYTES);
/// # Ok::<(), shmtypes_compat::manager::EncodeError>(())
/// ```
pub const MAX_REQUEST_BYTES: usize = 64 << 10;

/// The longest pickle of a reply: the names of a million segments fit.
///
/// ```
/// use shmtypes_compat::manager::{MAX_REPLY_BYTES, Reply};
///
/// let names = (0..100_000).map(|number| format!("psm_{number:08x}"));
/// assert!(Reply::names(names).encode()?.len() < MAX_REPLY_BYTES);
/// # Ok::<(), shmtypes_compat::manager::EncodeError>(())
/// ```
pub const MAX_REPLY_BYTES: usize = 16 << 20;

/// The greatest number of objects among the arguments of a request.
///
/// ```
/// use shmtypes_compat::manager::{EncodeError, MAX_REQUEST_OBJECTS, Object, Request};
///
/// let request = Request::Other { method: "fly".into(), args: vec![Object::None; MAX_REQUEST_OBJECTS + 1] };
/// assert_eq!(request.encode(), Err(EncodeError::TooMany { limit: MAX_REQUEST_OBJECTS }));
/// ```
pub const MAX_REQUEST_OBJECTS: usize = 4096;

/// The greatest number of objects in a reply. Each takes some hundred bytes of memory while the reply is read.
///
/// ```
/// use shmtypes_compat::manager::{EncodeError, MAX_REPLY_OBJECTS, Reply};
///
/// let reply = Reply::names(vec![""; MAX_REPLY_OBJECTS]);
/// assert_eq!(reply.encode(), Err(EncodeError::TooMany { limit: MAX_REPLY_OBJECTS }));
/// ```
pub const MAX_REPLY_OBJECTS: usize = 1 << 20;

/// How deep lists and tuples may be inside of each other.
///
/// ```
/// use shmtypes_compat::manager::{EncodeError, MAX_DEPTH, Object, Reply};
///
/// let nested = |depth| (0..depth).fold(Object::None, |object, _| Object::List(vec![object]));
/// assert!(Reply::Return(nested(MAX_DEPTH)).encode().is_ok());
/// assert_eq!(Reply::Return(nested(MAX_DEPTH + 1)).encode(), Err(EncodeError::TooDeep { limit: MAX_DEPTH }));
/// ```
pub const MAX_DEPTH: usize = 8;

/// The length of a [`Nonce`]: CPython's `MESSAGE_LENGTH`.
///
/// ```
/// assert_eq!(shmtypes_compat::manager::NONCE_BYTES, 40);
/// ```
pub const NONCE_BYTES: usize = 40;

/// The random part of a challenge. Take new ones from the operating system for every connection.
///
/// ```
/// let nonce: shmtypes_compat::manager::Nonce = [7; 40];
/// ```
pub type Nonce = [u8; NONCE_BYTES];

/// What a connection insists on. The default is right for every Python.
///
/// ```
/// use shmtypes_compat::manager::{Digest, Options};
///
/// let options = Options::default().allow_legacy(false).digest(Digest::Sha384);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Options {
    digest: Digest,
    allow_legacy: bool,
    limit: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self { digest: Digest::default(), allow_legacy: true, limit: None }
    }
}

impl Options {
    /// The digest that our challenge asks for; SHA-256 unless set, as in CPython. Python up to 3.11 answers with MD5
    /// whatever it is asked for.
    ///
    /// ```
    /// use shmtypes_compat::manager::{AuthKey, Digest, Options, ServerConnection};
    ///
    /// let options = Options::default().digest(Digest::Sha3_256);
    /// let server = ServerConnection::new(&AuthKey::new(b"sekrit"), [7; 40], options);
    /// assert!(server.pending_output()[4..].starts_with(b"#CHALLENGE#{sha3_256}"));
    /// ```
    #[must_use]
    pub fn digest(self, digest: Digest) -> Self {
        Self { digest, ..self }
    }

    /// Whether HMAC-MD5 is good enough, of the peer and for the peer, with a prefix or without. True unless set, because
    /// Python up to 3.11 knows nothing else, and no attack on HMAC-MD5 as it is used here is known. Where every Python is newer, or MD5
    /// is forbidden, say false.
    ///
    /// ```
    /// use shmtypes_compat::manager::{AuthKey, ClientConnection, ConnectionError, HandshakeError, Options};
    ///
    /// let options = Options::default().allow_legacy(false);
    /// let mut client = ClientConnection::new(&AuthKey::new(b"sekrit"), [7; 40], options);
    /// let error = client.receive(b"\0\0\0\x1f#CHALLENGE#twenty random bytes.").unwrap_err();
    /// assert_eq!(error, ConnectionError::Handshake(HandshakeError::LegacyRefused));
    /// ```
    #[must_use]
    pub fn allow_legacy(self, allow: bool) -> Self {
        Self { allow_legacy: allow, ..self }
    }

    /// The longest message that is accepted behind the handshake; [`MAX_REQUEST_BYTES`] or [`MAX_REPLY_BYTES`] unless set.
    ///
    /// ```
    /// use shmtypes_compat::manager::Options;
    ///
    /// let options = Options::default().limit(4096);
    /// ```
    #[must_use]
    pub fn limit(self, bytes: usize) -> Self {
        Self { limit: Some(bytes), ..self }
    }
}
