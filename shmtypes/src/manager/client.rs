//! The client's side of the conversation: one connection for one request, as in Python.

use super::address::Address;
use super::server::{MOMENT, lacks_descriptor, nonce};
use super::socket::Stream;
use crate::error::{Error, ErrorKind, Result};
use shmtypes_compat::manager::{
    AuthKey, ClientConnection, ConnectionError, EncodeError, Object, Options, Reply, Request,
};
use std::io;
use std::time::{Duration, Instant};

/// What a client knows of its manager.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) address: Address,
    pub(super) key: AuthKey,
    pub(super) options: Options,
    pub(super) timeout: Duration,
}

/// A connection to a manager that has proved the key, and to which this process has.
#[derive(Debug)]
pub(super) struct Authenticated<'a> {
    peer: &'a Peer,
    stream: Stream,
    connection: ClientConnection,
    deadline: Instant,
    /// When the socket was last told how long to wait.
    told: Option<Instant>,
}

impl Peer {
    /// Connects, and goes through the handshake.
    pub(super) fn connect(&self) -> Result<Authenticated<'_>> {
        let deadline = Instant::now() + self.timeout;
        let stream = Stream::connect(&self.address, deadline).map_err(|error| self.unreachable(error))?;
        let connection = ClientConnection::new(&self.key, nonce()?, self.options);
        let mut authenticated = Authenticated { peer: self, stream, connection, deadline, told: None };
        while !authenticated.connection.is_authenticated() {
            authenticated.step()?;
        }
        Ok(authenticated)
    }

    /// Sends one request and gives what the manager returns.
    pub(super) fn call(&self, request: &Request) -> Result<Object> {
        self.connect()?.call(request)
    }

    /// Fails if the manager has closed the connection that it was to keep.
    pub(super) fn check_open(&self, stream: &Stream) -> Result<()> {
        match stream.try_read(&mut [0; 1]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(self.lost(error)),
            // It has nothing to say, and ends.
            Ok(_) => Err(self.lost(io::ErrorKind::ConnectionReset.into())),
        }
    }

    fn unreachable(&self, error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::TimedOut {
            return Error::new(ErrorKind::TimedOut { waited_for: "a manager that accepts connections" });
        }
        if lacks_descriptor(&error) {
            return Error::new(ErrorKind::TooManyFiles).caused_by(error);
        }
        Error::new(ErrorKind::ManagerUnreachable { address: self.address.to_string() }).caused_by(error)
    }

    fn lost(&self, error: io::Error) -> Error {
        match error.kind() {
            // SO_RCVTIMEO and SO_SNDTIMEO end a call with EAGAIN (socket(7)).
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Error::new(ErrorKind::TimedOut { waited_for: "the manager's answer" })
            }
            _ => Error::new(ErrorKind::ManagerUnreachable { address: self.address.to_string() }).caused_by(error),
        }
    }

    fn misunderstood(&self, error: ConnectionError) -> Error {
        match error {
            ConnectionError::Handshake(error) if error.is_authentication_failure() => {
                Error::new(ErrorKind::AuthenticationFailed { address: self.address.to_string() })
            }
            // As with a connection that is reset: it was killed, or ended by somebody else.
            ended @ ConnectionError::Ended { .. } => self.lost(io::Error::new(io::ErrorKind::UnexpectedEof, ended)),
            error => Error::new(ErrorKind::ManagerProtocol(error)),
        }
    }
}

impl Authenticated<'_> {
    /// Sends the one request that this connection is for, and gives what the manager returns.
    pub(super) fn call(mut self, request: &Request) -> Result<Object> {
        self.ask(request)
    }

    /// The same, and keeps the connection.
    pub(super) fn call_and_stay(mut self, request: &Request) -> Result<Stream> {
        self.ask(request)?;
        Ok(self.stream)
    }

    fn ask(&mut self, request: &Request) -> Result<Object> {
        self.connection.request(request).map_err(|error| too_long(&error))?;
        loop {
            match self.step()? {
                Some(Reply::Return(object)) => return Ok(object),
                Some(Reply::Traceback(traceback) | Reply::Unserializable(traceback)) => {
                    return Err(Error::new(ErrorKind::ManagerRefused { traceback }));
                }
                Some(reply) => {
                    let traceback = format!("an answer that this program does not know: {reply:?}");
                    return Err(Error::new(ErrorKind::ManagerRefused { traceback }));
                }
                None => {}
            }
        }
    }

    /// Lets the socket wait until the deadline, or an eighth of the time longer, which spares it most of being told.
    fn set_deadline(&mut self) -> Result<()> {
        let now = Instant::now();
        if now >= self.deadline {
            return Err(self.peer.lost(io::ErrorKind::TimedOut.into()));
        }
        if self.told.is_none_or(|told| now - told > self.peer.timeout / 8) {
            self.stream.set_deadline(self.deadline).map_err(|error| self.peer.lost(error))?;
            self.told = Some(now);
        }
        Ok(())
    }

    /// Reads, and sleeps only if nothing comes for a [`MOMENT`].
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let start = Instant::now();
        while start.elapsed() < MOMENT {
            match self.stream.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                outcome => return outcome,
            }
        }
        self.stream.read(buffer)
    }

    /// Writes what there is to write, and reads once.
    fn step(&mut self) -> Result<Option<Reply>> {
        while !self.connection.pending_output().is_empty() {
            self.set_deadline()?;
            match self.stream.write(self.connection.pending_output()) {
                Ok(count) => self.connection.advance_output(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The manager may have hung up because it refuses the key, and said so: that is read below.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                Err(error) => return Err(self.peer.lost(error)),
            }
        }
        let mut buffer = [0; 8 << 10];
        let count = loop {
            self.set_deadline()?;
            match self.read(&mut buffer) {
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.peer.lost(error)),
            }
        };
        let received = if count == 0 {
            self.connection.receive_end().map(|()| None)
        } else {
            self.connection.receive(&buffer[..count])
        };
        received.map_err(|error| self.peer.misunderstood(error))
    }
}

/// The class of the exception that a traceback tells of: its name is on the first line that is not indented behind the last
/// head. What follows it, on further lines too, is the exception's message, which may say anything.
pub(super) fn exception(traceback: &str) -> &str {
    let behind = traceback.rsplit_once("Traceback (most recent call last):\n").map_or(traceback, |(_, behind)| behind);
    let line = behind.lines().find(|line| !line.starts_with(' ')).unwrap_or_default();
    let class = line.split_once(':').map_or(line, |(class, _)| class);
    class.rsplit('.').next().unwrap_or_default()
}

fn too_long(error: &EncodeError) -> Error {
    Error::new(ErrorKind::InvalidOptions { reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::exception;

    /// As Python 3.8 and 3.13 print them, and as managers of this crate do.
    #[test]
    fn the_exception_of_a_traceback_is_the_class_that_was_raised() {
        let frames =
            "  File \"managers.py\", line 228, in handle_request\n    result = func(*args)\n             ^^^^\n";
        let head = "Traceback (most recent call last):\n";
        let cases = [
            (format!("{head}{frames}FileExistsError: [Errno 17] File exists: '/psm_1'\n"), "FileExistsError"),
            (format!("{head}FileExistsError: File exists"), "FileExistsError"),
            (format!("{head}{frames}KeyError: 'FileExistsError'\n"), "KeyError"),
            (format!("{head}{frames}ValueError: about\nFileExistsError: no\n"), "ValueError"),
            (format!("{head}{frames}multiprocessing.managers.RemoteError: \nx\n"), "RemoteError"),
            (format!("{head}{frames}AssertionError\n"), "AssertionError"),
            (
                format!(
                    "{head}{frames}FileExistsError: x\n\nDuring handling of the above exception, another exception \
                     occurred:\n\n{head}{frames}AttributeError: y\n"
                ),
                "AttributeError",
            ),
            (format!("{head}{frames}NotAFileExistsError: x\n"), "NotAFileExistsError"),
            ("TypeError: reserve_segment takes a name".to_owned(), "TypeError"),
            (head.to_owned(), ""),
            (String::new(), ""),
        ];
        for (traceback, class) in cases {
            assert_eq!(exception(&traceback), class, "{traceback}");
        }
    }

    /// What the servers of all CPythons have sent.
    #[test]
    fn the_exceptions_of_golden_tracebacks_are_known() {
        let golden = include_str!("../../../compat/tests-data/messages.json");
        let tracebacks: Vec<String> = golden
            .match_indices("\"Traceback (most recent call last):")
            .map(|(start, _)| {
                let text = &golden[start + 1..];
                let end = text.find("\\n\"").expect("it ends with a line break");
                text[..end].replace("\\n", "\n")
            })
            .collect();
        assert!(!tracebacks.is_empty());
        for traceback in tracebacks {
            assert_eq!(exception(&traceback), "KeyError", "{traceback}");
        }
    }
}
