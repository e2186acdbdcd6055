//! Sockets of the three kinds of address, with deadlines.

use super::address::Address;
use super::server::failure;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::{self, Patience};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, connect, getsockopt, listen, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::{Duration, Instant};

/// A connected socket.
#[derive(Debug)]
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

/// What is left until `deadline`, or an error if nothing is.
pub(super) fn remaining(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

impl Stream {
    /// Connects, and waits for a listener with many in front until the deadline.
    pub(super) fn connect(address: &Address, deadline: Instant) -> io::Result<Self> {
        let unix = match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, remaining(deadline)?)?;
                // One small message at a time, each answered.
                stream.set_nodelay(true)?;
                return Ok(Self::Tcp(stream));
            }
            Address::Unix(path) => UnixAddr::new(path.as_path())?,
            Address::Abstract(name) => UnixAddr::new_abstract(name)?,
        };
        let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        loop {
            // It bounds `connect`, too (unix(7) says nothing of it; socket(7) of `accept` and `connect` does).
            let left = TimeVal::microseconds(remaining(deadline)?.as_micros().max(1) as i64);
            setsockopt(&socket, sockopt::SendTimeout, &left)?;
            match connect(socket.as_raw_fd(), &unix) {
                Ok(()) => return Ok(Self::Unix(UnixStream::from(socket))),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Err(io::ErrorKind::TimedOut.into()),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    pub(super) fn set_deadline(&self, deadline: Instant) -> io::Result<()> {
        let left = Some(remaining(deadline)?);
        match self {
            Self::Unix(stream) => {
                stream.set_read_timeout(left)?;
                stream.set_write_timeout(left)
            }
            Self::Tcp(stream) => {
                stream.set_read_timeout(left)?;
                stream.set_write_timeout(left)
            }
        }
    }

    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => (&*stream).read(buffer),
            Self::Tcp(stream) => (&*stream).read(buffer),
        }
    }

    /// Writes without raising SIGPIPE, which this process may not ignore.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        sys::send(self.as_fd(), bytes, Patience::Waits).map_err(io::Error::from)
    }

    /// The same, as much as there is room for at once.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        sys::send(self.as_fd(), bytes, Patience::None).map_err(io::Error::from)
    }

    /// Reads what is there at once.
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        sys::try_receive(self.as_fd(), buffer).map_err(io::Error::from)
    }
}

/// A socket that clients of a manager connect to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Listener {
    /// A Unix socket, with or without a file.
    Unix(UnixListener),
    /// A TCP port.
    Tcp(TcpListener),
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener)
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(listener) => listener.as_fd(),
            Self::Tcp(listener) => listener.as_fd(),
        }
    }
}

impl Listener {
    /// Listens at `address`; port 0 is any free port.
    pub(super) fn bind(address: &Address) -> Result<Self> {
        let bound = match address {
            Address::Tcp(address) => TcpListener::bind(address).and_then(|listener| {
                // The standard library lets 128 clients wait, and those behind them lose a second or more.
                listen(&listener, Backlog::MAXCONN)?;
                Ok(Self::Tcp(listener))
            }),
            Address::Unix(path) => UnixListener::bind(path).map(Self::Unix),
            Address::Abstract(name) => SocketAddr::from_abstract_name(name)
                .and_then(|address| UnixListener::bind_addr(&address))
                .map(Self::Unix),
        };
        bound.map_err(|error| {
            let errno = error.raw_os_error().unwrap_or_default();
            let kind = ErrorKind::ManagerDidNotStart { reason: format!("it cannot listen at {address}") };
            Error::new(kind).caused_by(if errno == 0 { error } else { io::Error::from_raw_os_error(errno) })
        })
    }

    /// Refuses a socket that nobody can connect to: `accept` would say so of each message that arrives.
    pub(super) fn check_kind(&self) -> Result<()> {
        match getsockopt(self, sockopt::SockType) {
            Ok(SockType::Stream) => Ok(()),
            Ok(kind) => {
                let reason = format!("a manager serves on a socket of streams, and this one is {kind:?}");
                Err(Error::new(ErrorKind::InvalidOptions { reason }))
            }
            Err(errno) => Err(failure("ask what a socket is")(errno.into())),
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the socket has no address.
    pub fn address(&self) -> Result<Address> {
        let failure = |error: io::Error| {
            let errno = error.raw_os_error().unwrap_or_default();
            Error::new(ErrorKind::Os { operation: "ask for the socket's address", errno }).caused_by(error)
        };
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::Tcp).map_err(failure),
            Self::Unix(listener) => {
                let address = listener.local_addr().map_err(failure)?;
                match (address.as_pathname(), address.as_abstract_name()) {
                    (Some(path), _) => Ok(Address::Unix(path.to_owned())),
                    (None, Some(name)) => Ok(Address::Abstract(name.to_owned())),
                    (None, None) => Err(failure(io::Error::from_raw_os_error(Errno::EADDRNOTAVAIL as i32))),
                }
            }
        }
    }

    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Unix(listener) => listener.set_nonblocking(true),
            Self::Tcp(listener) => listener.set_nonblocking(true),
        }
    }

    pub(super) fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Unix(listener) => Ok(Stream::Unix(listener.accept()?.0)),
            Self::Tcp(listener) => {
                let stream = listener.accept()?.0;
                // A matter of speed; that a client has gone already is found out when it is written to.
                let _ = stream.set_nodelay(true);
                Ok(Stream::Tcp(stream))
            }
        }
    }
}
