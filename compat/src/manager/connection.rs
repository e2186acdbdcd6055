//! The two ends of a connection: bytes in, bytes out, and one message each way.

use super::frame::{self, Decoder};
use super::handshake::{FAILURE, Handshake, Side};
use super::{
    AuthKey, ConnectionError, EncodeError, HandshakeError, MAX_AUTH_FRAME, MAX_REPLY_BYTES, MAX_REQUEST_BYTES, Nonce,
    Options, Reply, Request, error::excerpt,
};
use alloc::format;
use alloc::vec::Vec;

/// What both ends have.
#[derive(Debug)]
struct Wire {
    decoder: Decoder,
    handshake: Handshake,
    /// The limit of the frame behind the handshake.
    limit: usize,
    /// What is sent as soon as the handshake is done.
    held: Option<Vec<u8>>,
    output: Vec<u8>,
    written: usize,
    /// Whether bytes of the peer still matter.
    reads: bool,
}

impl Wire {
    fn new(side: Side, key: &AuthKey, nonce: &Nonce, options: Options, limit: usize) -> Self {
        let mut output = Vec::new();
        let handshake = Handshake::new(side, key, nonce, options, &mut |payload| frame::encode(payload, &mut output));
        let decoder = Decoder::new(MAX_AUTH_FRAME);
        Self { decoder, handshake, limit: options.limit.unwrap_or(limit), held: None, output, written: 0, reads: true }
    }

    /// Takes bytes up to the end of the one message behind the handshake, which it returns.
    fn receive(&mut self, bytes: &mut &[u8]) -> Result<Option<Vec<u8>>, ConnectionError> {
        while self.reads && !bytes.is_empty() {
            let outcome = self.step(bytes);
            if outcome.is_err() {
                self.reads = false;
            }
            if let Some(message) = outcome? {
                self.reads = false;
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    fn step(&mut self, bytes: &mut &[u8]) -> Result<Option<Vec<u8>>, ConnectionError> {
        let authenticated = self.handshake.is_done();
        let output = &mut self.output;
        let mut send = |payload: &[u8]| frame::encode(payload, output);
        let payload = match self.decoder.feed(bytes) {
            Ok(Some(payload)) => payload,
            Ok(None) => return Ok(None),
            Err(error) => {
                if !authenticated {
                    send(FAILURE);
                }
                return Err(error.into());
            }
        };
        if authenticated {
            return Ok(Some(payload));
        }
        self.handshake.receive(&payload, &mut send)?;
        if self.handshake.is_done() {
            self.decoder.set_limit(self.limit);
            if let Some(pickle) = self.held.take() {
                send(&pickle);
            }
        }
        Ok(None)
    }

    /// Sends a message behind the handshake.
    fn send(&mut self, pickle: Vec<u8>) {
        if self.handshake.is_done() {
            frame::encode(&pickle, &mut self.output);
        } else {
            self.held = Some(pickle);
        }
    }

    /// The peer is gone. `awaiting` is what it owes behind the handshake.
    fn end(&mut self, awaiting: &'static str) -> Result<(), ConnectionError> {
        if !core::mem::take(&mut self.reads) {
            return Ok(());
        }
        let awaiting = if self.handshake.is_done() { awaiting } else { self.handshake.awaits() };
        Err(ConnectionError::Ended { awaiting })
    }

    fn pending(&self) -> &[u8] {
        self.output.get(self.written..).unwrap_or_default()
    }

    fn advance(&mut self, written: usize) {
        let pending = self.pending().len();
        assert!(written <= pending, "{written} bytes cannot have been written of {pending}");
        self.written += written;
        if written == pending {
            self.output.clear();
            self.written = 0;
        }
    }
}

/// A manager's end of a connection.
///
/// The caller moves bytes: what it reads goes to [`receive`](Self::receive), what is
/// [pending](Self::pending_output) is written. It should have a deadline, above all until the peer
/// [is authenticated](Self::is_authenticated): this type has no clock. Before that a peer makes it keep at most
/// [`MAX_AUTH_FRAME`] bytes.
///
/// ```
/// use shmtypes_compat::manager::{AuthKey, ClientConnection, Options, Reply, Request, ServerConnection};
///
/// let key = AuthKey::new(b"sekrit");
/// // Use fresh random bytes.
/// let mut server = ServerConnection::new(&key, [1; 40], Options::default());
/// let mut client = ClientConnection::new(&key, [2; 40], Options::default());
/// client.request(&Request::ListSegments)?;
/// let reply = loop {
///     if let Some(Request::ListSegments) = server.receive(client.pending_output())? {
///         server.reply(&Reply::names(["psm_0123abcd"]))?;
///     }
///     client.advance_output(client.pending_output().len());
///     if let Some(reply) = client.receive(server.pending_output())? {
///         break reply;
///     }
///     server.advance_output(server.pending_output().len());
/// };
/// assert_eq!(reply, Reply::names(["psm_0123abcd"]));
/// assert!(server.is_authenticated() && server.is_closing() && client.is_closing());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ServerConnection {
    wire: Wire,
    /// Whether a request waits for its reply.
    asked: bool,
}

impl ServerConnection {
    /// Begins a conversation. `nonce` must be fresh random bytes, or the peer can replay what it has heard. The challenge
    /// is pending at once.
    ///
    /// ```
    /// use shmtypes_compat::manager::{AuthKey, Options, ServerConnection};
    ///
    /// let server = ServerConnection::new(&AuthKey::new(b"sekrit"), [7; 40], Options::default());
    /// assert!(server.pending_output().starts_with(b"\0\0\0\x3b#CHALLENGE#{sha256}\x07"));
    /// ```
    #[must_use]
    pub fn new(key: &AuthKey, nonce: Nonce, options: Options) -> Self {
        Self { wire: Wire::new(Side::Server, key, &nonce, options, MAX_REQUEST_BYTES), asked: false }
    }

    /// Takes all of `bytes`, which may be cut anywhere, and returns the request once it is there: one in the life of a
    /// connection, as in CPython. What follows it, or an error, is ignored.
    ///
    /// # Errors
    ///
    /// The peer's: its bytes are no frames, it does not prove the key, its request is none. The connection is closing then, and what
    /// is pending tells the peer: `#FAILURE#`, or after the handshake a traceback, of which Python's client makes a
    /// `RemoteError`. (CPython's server sends a traceback after `#FAILURE#` too. Its client does not read that, and strangers
    /// need not know.)
    ///
    /// ```
    /// use shmtypes_compat::manager::{AuthKey, ConnectionError, HandshakeError, Options, ServerConnection};
    ///
    /// let mut server = ServerConnection::new(&AuthKey::new(b"sekrit"), [7; 40], Options::default());
    /// server.advance_output(server.pending_output().len());
    /// let error = server.receive(b"\0\0\0\x10sixteen bytes   ").unwrap_err();
    /// assert_eq!(error, ConnectionError::Handshake(HandshakeError::WrongKey));
    /// assert_eq!(server.pending_output(), b"\0\0\0\x09#FAILURE#");
    /// assert!(server.is_closing());
    /// ```
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<Request>, ConnectionError> {
        let outcome = self.wire.receive(&mut &*bytes).and_then(|message| {
            let request = |pickle: Vec<u8>| Request::parse_within(&pickle, self.wire.limit);
            Ok(message.map(request).transpose()?)
        });
        self.asked |= matches!(outcome, Ok(Some(_)));
        let exception = match &outcome {
            // CPython 3.13, Lib/multiprocessing/connection.py, `_bad_message_length`.
            Err(ConnectionError::Frame(error)) => format!("OSError: bad message length: {error}"),
            Err(error) => format!("_pickle.UnpicklingError: {error}"),
            Ok(_) => return outcome,
        };
        if self.is_authenticated() {
            // No traceback that this can make is too long.
            let _ = Reply::traceback(exception).encode().map(|pickle| self.wire.send(pickle));
        }
        outcome
    }

    /// The peer has closed its side.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::Ended`] if it owes something: it died, or did not like what it got.
    ///
    /// ```
    /// use shmtypes_compat::manager::{AuthKey, Options, ServerConnection};
    ///
    /// let mut server = ServerConnection::new(&AuthKey::new(b"sekrit"), [7; 40], Options::default());
    /// assert!(server.receive_end().is_err() && server.is_closing());
    /// ```
    pub fn receive_end(&mut self) -> Result<(), ConnectionError> {
        self.wire.end("a request")
    }

    /// What is to be written.
    ///
    /// ```
    /// use shmtypes_compat::manager::{AuthKey, Options, ServerConnection};
    ///
    /// let mut server = ServerConnection::new(&AuthKey::new(b"sekrit"), [7; 40], Options::default());
    /// let written = std::io::Write::write(&mut Vec::new(), server.pending_output())?;
    /// server.advance_output(written);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn pending_output(&self) -> &[u8] {
        self.wire.pending()
    }

    /// So many bytes of what is pending have been written.
    ///
    /// # Panics
    ///
    /// If that is more than was pending.
    ///
    /// ```
    /// use shmtypes_compat::manager::{AuthKey, Options, ServerConnection};
    ///
    /// let mut server = ServerConnection::new(&AuthKey::new(b"sekrit"), [7; 40], Options::default());
    /// server.advance_output(4);
    /// assert!(server.pending_output().starts_with(b"#CHALLENGE#"));
    /// ```
    pub fn advance_output(&mut self, written: usize) {
        self.wire.advance(written);
    }

    /// Whether both sides have proved that they know the key.
    ///
    /// ```
    /// use shmtypes_compat::manager::{AuthKey, Options, ServerConnection};
    ///
    /// assert!(!ServerConnection::new(&AuthKey::new(b"sekrit"), [7; 40], Options::default()).is_authenticated());
    /// ```
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.wire.handshake.is_done()
    }

    /// Whether all is said: close once nothing is pending.
    ///
    /// ```
    /// use shmtypes_compat::manager::{AuthKey, Options, ServerConnection};
    ///
    /// assert!(!ServerConnection::new(&AuthKey::new(b"sekrit"), [7; 40], Options::default()).is_closing());
    /// ```
    #[must_use]
    pub fn is_closing(&self) -> bool {
        !self.wire.reads && !self.asked
    }

    /// Answers the request.
    ///
    /// # Errors
    ///
    /// When no request waits, or the reply is too large; then another one can be given.
    ///
    /// ```
    /// use shmtypes_compat::manager::{AuthKey, EncodeError, Options, Reply, ServerConnection};
    ///
    /// let mut server = ServerConnection::new(&AuthKey::new(b"sekrit"), [7; 40], Options::default());
    /// assert_eq!(server.reply(&Reply::none()), Err(EncodeError::NoRequest));
    /// ```
    pub fn reply(&mut self, reply: &Reply) -> Result<(), EncodeError> {
        if !self.asked {
            return Err(EncodeError::NoRequest);
        }
        self.wire.send(reply.encode()?);
        self.asked = false;
        Ok(())
    }
}

/// A client's end of a connection.
///
/// As for [`ServerConnection`], the caller moves the bytes and watches the time.
///
/// ```
/// use shmtypes_compat::manager::{AuthKey, ClientConnection, Options, Request};
///
/// let mut client = ClientConnection::new(&AuthKey::new(b"sekrit"), [7; 40], Options::default());
/// client.request(&Request::Dummy)?;
/// // Nothing is said before the server has sent its challenge.
/// assert!(client.pending_output().is_empty());
/// # Ok::<(), shmtypes_compat::manager::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct ClientConnection {
    wire: Wire,
    /// Whether the request was given.
    asked: bool,
}

impl ClientConnection {
    /// Begins a conversation. `nonce` must be fresh random bytes, or the peer can replay what it has heard.
    ///
    /// ```
    /// use shmtypes_compat::manager::{AuthKey, ClientConnection, Options};
    ///
    /// let mut client = ClientConnection::new(&AuthKey::new(b"sekrit"), [7; 40], Options::default());
    /// client.receive(b"\0\0\0\x1f#CHALLENGE#twenty random bytes.")?;
    /// // The digest of Python up to 3.11, and a challenge of its own.
    /// assert_eq!(client.pending_output().len(), 4 + 16 + 4 + 59);
    /// # Ok::<(), shmtypes_compat::manager::ConnectionError>(())
    /// ```
    #[must_use]
    pub fn new(key: &AuthKey, nonce: Nonce, options: Options) -> Self {
        Self { wire: Wire::new(Side::Client, key, &nonce, options, MAX_REPLY_BYTES), asked: false }
    }

    /// The one request of this connection. It may be given at any time, and is sent when both sides have proved the key.
    ///
    /// CPython's client creates a segment once it is authenticated, and then asks over the same connection to track it: so it
    /// creates nothing in vain.
    ///
    /// # Errors
    ///
    /// When it is the second one, the connection is closing, or the request is too large.
    ///
    /// ```
    /// use shmtypes_compat::manager::{AuthKey, ClientConnection, EncodeError, Options, Request};
    ///
    /// let mut client = ClientConnection::new(&AuthKey::new(b"sekrit"), [7; 40], Options::default());
    /// client.request(&Request::Dummy)?;
    /// assert_eq!(client.request(&Request::Dummy), Err(EncodeError::AlreadySent));
    /// # Ok::<(), EncodeError>(())
    /// ```
    pub fn request(&mut self, request: &Request) -> Result<(), EncodeError> {
        if self.asked || self.is_closing() {
            return Err(EncodeError::AlreadySent);
        }
        self.wire.send(request.encode()?);
        self.asked = true;
        Ok(())
    }

    /// Takes all of `bytes`, which may be cut anywhere, and returns the reply once it is there. What follows it, or an
    /// error, is ignored.
    ///
    /// # Errors
    ///
    /// The peer's: its bytes are no frames, it does not prove the key, its reply is none, or comes before the request. The
    /// connection is closing then.
    ///
    /// ```
    /// use shmtypes_compat::manager::{AuthKey, ClientConnection, ConnectionError, HandshakeError, Options};
    ///
    /// let mut client = ClientConnection::new(&AuthKey::new(b"sekrit"), [7; 40], Options::default());
    /// client.receive(b"\0\0\0\x1f#CHALLENGE#twenty random bytes.")?;
    /// let error = client.receive(b"\0\0\0\x09#FAILURE#").unwrap_err();
    /// assert_eq!(error, ConnectionError::Handshake(HandshakeError::Rejected));
    /// # Ok::<(), ConnectionError>(())
    /// ```
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<Reply>, ConnectionError> {
        let Some(pickle) = self.wire.receive(&mut &*bytes)? else { return Ok(None) };
        if !self.asked {
            let expected = "nothing before it is asked";
            return Err(HandshakeError::UnexpectedMessage { expected, found: excerpt(&pickle) }.into());
        }
        Ok(Some(Reply::parse_within(&pickle, self.wire.limit)?))
    }

    /// The peer has closed its side.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::Ended`] unless the reply is there: the manager died, is shutting down, or was out of patience.
    ///
    /// ```
    /// use shmtypes_compat::manager::{AuthKey, ClientConnection, ConnectionError, Options};
    ///
    /// let mut client = ClientConnection::new(&AuthKey::new(b"sekrit"), [7; 40], Options::default());
    /// assert_eq!(client.receive_end(), Err(ConnectionError::Ended { awaiting: "a challenge" }));
    /// ```
    pub fn receive_end(&mut self) -> Result<(), ConnectionError> {
        self.wire.end("a reply")
    }

    /// What is to be written.
    ///
    /// ```
    /// use shmtypes_compat::manager::{AuthKey, ClientConnection, Options};
    ///
    /// let client = ClientConnection::new(&AuthKey::new(b"sekrit"), [7; 40], Options::default());
    /// assert!(client.pending_output().is_empty());
    /// ```
    #[must_use]
    pub fn pending_output(&self) -> &[u8] {
        self.wire.pending()
    }

    /// So many bytes of what is pending have been written.
    ///
    /// # Panics
    ///
    /// If that is more than was pending.
    ///
    /// ```
    /// use shmtypes_compat::manager::{AuthKey, ClientConnection, Options};
    ///
    /// let mut client = ClientConnection::new(&AuthKey::new(b"sekrit"), [7; 40], Options::default());
    /// client.receive(b"\0\0\0\x1f#CHALLENGE#twenty random bytes.")?;
    /// client.advance_output(client.pending_output().len());
    /// assert!(client.pending_output().is_empty());
    /// # Ok::<(), shmtypes_compat::manager::ConnectionError>(())
    /// ```
    pub fn advance_output(&mut self, written: usize) {
        self.wire.advance(written);
    }

    /// Whether both sides have proved that they know the key.
    ///
    /// ```
    /// use shmtypes_compat::manager::{AuthKey, ClientConnection, Options};
    ///
    /// assert!(!ClientConnection::new(&AuthKey::new(b"sekrit"), [7; 40], Options::default()).is_authenticated());
    /// ```
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.wire.handshake.is_done()
    }

    /// Whether all is said: the reply is there, or there will be none. Close once nothing is pending.
    ///
    /// ```
    /// use shmtypes_compat::manager::{AuthKey, ClientConnection, Options};
    ///
    /// assert!(!ClientConnection::new(&AuthKey::new(b"sekrit"), [7; 40], Options::default()).is_closing());
    /// ```
    #[must_use]
    pub fn is_closing(&self) -> bool {
        !self.wire.reads
    }
}
