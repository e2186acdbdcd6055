//! What can go wrong in a conversation, and on whose side.

use super::Digest;
use super::frame::FrameError;
use crate::pickle::PickleError;
use alloc::vec::Vec;
use core::fmt;

/// So much of a message that nobody understands is kept for the error.
const EXCERPT: usize = 64;

/// The beginning of a peer's message, for an error.
pub(super) fn excerpt(message: &[u8]) -> Vec<u8> {
    message.get(..EXCERPT).unwrap_or(message).to_vec()
}

/// Why a handshake failed. CPython raises `AuthenticationError` for all of these.
///
/// ```
/// use shmtypes_compat::manager::HandshakeError;
///
/// assert!(HandshakeError::WrongKey.to_string().starts_with("the peer has another key: digest received was wrong"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The peer's digest is not that of our key ("digest received was wrong").
    WrongKey,
    /// The peer says so of our digest, or refuses us for another reason ("digest sent was rejected").
    Rejected,
    /// The message names no digest, or one that is not among [`Digest::ALL`].
    UnsupportedDigest {
        /// Its beginning.
        found: Vec<u8>,
    },
    /// A digest of another length than its kind has.
    DigestLength {
        /// The kind.
        digest: Digest,
        /// Its length.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// The peer uses or asks for HMAC-MD5, and [`Options::allow_legacy`](super::Options::allow_legacy) forbids it.
    LegacyRefused,
    /// A challenge with too few bytes to be random enough.
    ChallengeTooShort {
        /// Its length.
        bytes: usize,
        /// The shortest one of any Python.
        minimum: usize,
    },
    /// Another message than the one that is due.
    UnexpectedMessage {
        /// What is due.
        expected: &'static str,
        /// The beginning of what came.
        found: Vec<u8>,
    },
    /// Our own challenge came back: see [reflection](super::handshake#reflection).
    Reflected,
}

impl HandshakeError {
    /// Whether the two sides have different keys, as opposed to different protocols.
    ///
    /// ```
    /// use shmtypes_compat::manager::HandshakeError;
    ///
    /// assert!(HandshakeError::Rejected.is_authentication_failure());
    /// assert!(!HandshakeError::Reflected.is_authentication_failure());
    /// ```
    #[must_use]
    pub fn is_authentication_failure(&self) -> bool {
        matches!(self, Self::WrongKey | Self::Rejected)
    }

    /// What to do about it.
    ///
    /// ```
    /// use shmtypes_compat::manager::HandshakeError;
    ///
    /// assert!(HandshakeError::WrongKey.hint().contains("authkey"));
    /// ```
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::WrongKey | Self::Rejected => {
                "give both sides the same authkey; Python's default is known to the processes that it started, and to no others"
            }
            Self::LegacyRefused => "allow the digest of Python up to 3.11, or use a newer Python on the other side",
            Self::UnsupportedDigest { .. } | Self::DigestLength { .. } => {
                "have the other side use one of md5, sha256, sha384, sha3_256 and sha3_384"
            }
            Self::Reflected => "do not trust the other side: it does not know the key",
            Self::ChallengeTooShort { .. } | Self::UnexpectedMessage { .. } => {
                "check that the other side is a manager, or a client of one, and uses an authkey"
            }
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongKey => f.write_str("the peer has another key: digest received was wrong")?,
            Self::Rejected => f.write_str("the peer refuses us: digest sent was rejected")?,
            Self::UnsupportedDigest { found } => {
                write!(f, "the peer names no digest that is supported: {}", found.escape_ascii())?;
            }
            Self::DigestLength { digest, expected, found } => {
                write!(f, "the peer's {} digest has {found} bytes, not {expected}", digest.name())?;
            }
            Self::LegacyRefused => f.write_str("the peer wants HMAC-MD5, which is not allowed here")?,
            Self::ChallengeTooShort { bytes, minimum } => {
                write!(f, "the peer's challenge is too short: {bytes} bytes, and {minimum} are the least")?;
            }
            Self::UnexpectedMessage { expected, found } => {
                write!(f, "the peer should send {expected}, and sends {}", found.escape_ascii())?;
            }
            Self::Reflected => f.write_str("the peer sends our own challenge back")?,
        }
        write!(f, " ({})", self.hint())
    }
}

impl core::error::Error for HandshakeError {}

/// Why a connection has no future.
///
/// ```
/// use shmtypes_compat::manager::{AuthKey, ConnectionError, Options, ServerConnection};
///
/// let mut server = ServerConnection::new(&AuthKey::new(b"sekrit"), [7; 40], Options::default());
/// assert_eq!(server.receive_end(), Err(ConnectionError::Ended { awaiting: "a response to the challenge" }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The bytes are no frames.
    Frame(FrameError),
    /// The handshake failed.
    Handshake(HandshakeError),
    /// The request or the reply is none.
    Message(PickleError),
    /// The peer closed the connection, or died, before it was done.
    Ended {
        /// What should have come.
        awaiting: &'static str,
    },
}

impl ConnectionError {
    /// What to do about it.
    ///
    /// ```
    /// use shmtypes_compat::manager::ConnectionError;
    ///
    /// assert!(ConnectionError::Ended { awaiting: "a reply" }.hint().contains("still"));
    /// ```
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Frame(error) => error.hint(),
            Self::Handshake(error) => error.hint(),
            Self::Message(error) => error.hint(),
            Self::Ended { .. } => "check that the other side still runs, and connect again",
        }
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => error.fmt(f),
            Self::Handshake(error) => error.fmt(f),
            Self::Message(error) => write!(f, "the peer's message is not understood: {error}"),
            Self::Ended { awaiting } => {
                write!(f, "the peer closed the connection instead of sending {awaiting} ({})", self.hint())
            }
        }
    }
}

impl core::error::Error for ConnectionError {}

impl From<FrameError> for ConnectionError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

impl From<HandshakeError> for ConnectionError {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}

impl From<PickleError> for ConnectionError {
    fn from(error: PickleError) -> Self {
        Self::Message(error)
    }
}

/// Why a message was not made, or not sent. It is the caller's; the connection stays as it was.
///
/// ```
/// use shmtypes_compat::manager::{EncodeError, MAX_REQUEST_BYTES, Request};
///
/// let request = Request::TrackSegment("x".repeat(MAX_REQUEST_BYTES));
/// assert!(matches!(request.encode(), Err(EncodeError::TooLong { limit: MAX_REQUEST_BYTES, .. })));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The pickle is longer than the other side would take.
    TooLong {
        /// Its length in bytes, or that of its text alone.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Lists and tuples inside of each other, too deep.
    TooDeep {
        /// The limit, [`MAX_DEPTH`](super::MAX_DEPTH).
        limit: usize,
    },
    /// Too many objects.
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// A reply while no request waits for one.
    NoRequest,
    /// A second request, or one on a connection that is closing.
    AlreadySent,
}

impl EncodeError {
    /// What to do about it.
    ///
    /// ```
    /// use shmtypes_compat::manager::EncodeError;
    ///
    /// assert!(EncodeError::AlreadySent.hint().contains("connection"));
    /// ```
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::TooLong { .. } | Self::TooMany { .. } | Self::TooDeep { .. } => "send less at once",
            Self::NoRequest => "reply once, to the request that `receive` returned",
            Self::AlreadySent => "open a connection for every request, as Python does",
        }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes, limit } => write!(f, "the message has {bytes} bytes, and {limit} are the limit")?,
            Self::TooDeep { limit } => write!(f, "lists and tuples are more than {limit} deep")?,
            Self::TooMany { limit } => write!(f, "the message has more than {limit} objects")?,
            Self::NoRequest => f.write_str("no request waits for a reply")?,
            Self::AlreadySent => f.write_str("the connection has had its request")?,
        }
        write!(f, " ({})", self.hint())
    }
}

impl core::error::Error for EncodeError {}
