//! Where a manager is reached.

use crate::error::{Error, ErrorKind, Result};
use core::fmt;
use std::net::SocketAddr;
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

/// `IP:PORT`, `@NAME` for a socket without a file, or the path of a socket.
impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Tcp(address));
        }
        match text.strip_prefix(['@', '\0']) {
            Some(name) if !name.is_empty() => Ok(Self::Abstract(name.as_bytes().to_vec())),
            None if text.contains('/') => Ok(Self::Unix(PathBuf::from(text))),
            _ => {
                let reason = format!("{text:?} is no address: use IP:PORT, @NAME, or a path with a slash in it");
                Err(Error::new(ErrorKind::InvalidOptions { reason }))
            }
        }
    }
}
