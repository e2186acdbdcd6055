//! Where a manager is reached.

use crate::error::{Error, ErrorKind, Result};
use core::fmt;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The address of a manager, as Python's `BaseManager(address=…)` knows it.
///
/// ```
/// use shmtypes::manager::Address;
///
/// assert_eq!("/run/prices/manager".parse::<Address>()?, Address::Unix("/run/prices/manager".into()));
/// assert_eq!("127.0.0.1:50000".parse::<Address>()?.to_string(), "127.0.0.1:50000");
/// assert_eq!("@prices".parse::<Address>()?, Address::Abstract(b"prices".to_vec()));
/// # Ok::<(), shmtypes::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A Unix socket by its path; Python's `'/run/prices/manager'`.
    Unix(PathBuf),
    /// A Unix socket without a file, by its name without the NUL in front; Python's `'\0prices'`. Whoever is in the same
    /// network namespace may try to connect, and is held off by the key alone.
    Abstract(Vec<u8>),
    /// A TCP port; Python's `('127.0.0.1', 50000)`. The key is proved by both sides, and what follows is not encrypted.
    Tcp(SocketAddr),
}

/// Of a Unix socket's path or name (unix(7)): 108, and one of them is the NUL behind a path, or in front of a name.
pub(super) const LONGEST_PATH: usize = 107;

impl Address {
    /// Refuses what the system would take for something else, or not at all.
    pub(super) fn check(&self) -> Result<()> {
        let bytes = match self {
            Self::Unix(path) => path.as_os_str().as_bytes(),
            Self::Abstract(name) => name,
            Self::Tcp(_) => return Ok(()),
        };
        let reason = match bytes.len() {
            // The system would choose one of its own.
            0 => "an address without a path or a name is none".to_owned(),
            1..=LONGEST_PATH if matches!(self, Self::Unix(_)) && bytes.contains(&0) => {
                format!("the path of a socket has no NUL in it: {self:?}")
            }
            1..=LONGEST_PATH => return Ok(()),
            length => format!("the address of a socket has up to {LONGEST_PATH} bytes, and {self} has {length}"),
        };
        Err(Error::new(ErrorKind::InvalidOptions { reason }))
    }
}

/// As it can be parsed again, if a path is absolute and UTF-8. Bytes of a name without a file that are not printable ASCII
/// are escaped as in Rust's literals.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Self {
        Self::Unix(path)
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<&Address> for Address {
    fn from(address: &Address) -> Self {
        address.clone()
    }
}

/// `IP:PORT`, `@NAME` for a socket without a file, or the path of a socket. In a `NAME`, a backslash begins an escape of
/// Rust's byte literals: `\\` is one backslash, `\x00` a NUL. Behind a NUL in place of `@` nothing is escaped.
impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Tcp(address));
        }
        let address = match text.split_at_checked(1) {
            Some(("@", name)) => unescape(name.as_bytes()).map(Self::Abstract),
            Some(("\0", name)) => Some(Self::Abstract(name.as_bytes().to_vec())),
            _ if text.contains('/') => Some(Self::Unix(PathBuf::from(text))),
            _ => None,
        };
        address.filter(|address| address.check().is_ok()).ok_or_else(|| {
            let reason = format!(
                "{text:?} is no address: use IP:PORT, @NAME, or a path with a slash in it, of up to {LONGEST_PATH} bytes"
            );
            Error::new(ErrorKind::InvalidOptions { reason })
        })
    }
}

/// The bytes of which [`escape_ascii`](slice::escape_ascii) makes these.
fn unescape(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    while let [first, rest @ ..] = text {
        let (byte, rest) = match (first, rest) {
            (b'\\', [b'x', high, low, rest @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
                (digit(high)? << 4 | digit(low)?, rest)
            }
            (b'\\', [b'n', rest @ ..]) => (b'\n', rest),
            (b'\\', [b'r', rest @ ..]) => (b'\r', rest),
            (b'\\', [b't', rest @ ..]) => (b'\t', rest),
            (b'\\', [quoted @ (b'\\' | b'\'' | b'"'), rest @ ..]) => (*quoted, rest),
            (b'\\', _) => return None,
            (byte, rest) => (*byte, rest),
        };
        bytes.push(byte);
        text = rest;
    }
    Some(bytes)
}
