//! How a manager is started, reached or served.

use super::address::{Address, LONGEST_PATH};
use super::client::Peer;
use super::owned::Owned;
use super::server::{Server, nonce};
use super::socket::Listener;
use super::{SharedMemoryManager, process};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::registry::{RegistryEntry, SOCKET, SOCKET_DIRECTORY, remove_socket};
use crate::sys::{self, Directory, FileId};
use nix::errno::Errno;
use shmtypes_compat::manager::{AuthKey, Options};
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroize;

/// So that a program that was started by somebody else is not made to take any number of bytes.
pub(super) const LONGEST_KEY: usize = 32 << 10;

/// How long a manager is waited for.
const TIMEOUT: Duration = Duration::from_secs(30);

/// As good as for ever, and short enough to be added to any instant.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Everything that can be said about a manager before it is started, reached or served.
///
/// ```no_run
/// use shmtypes::manager::{self, SharedMemoryManager};
///
/// # fn main() -> shmtypes::Result<()> {
/// manager::init();
/// let manager = SharedMemoryManager::options()
///     .address("127.0.0.1:50000".parse::<manager::Address>()?)
///     .authkey(b"sekrit")
///     .start()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ManagerOptions {
    pub(super) address: Option<Address>,
    pub(super) key: Option<AuthKey>,
    pub(super) directory: Directory,
    pub(super) program: Option<(OsString, Vec<OsString>)>,
    pub(super) legacy: bool,
    pub(super) timeout: Duration,
}

impl Default for ManagerOptions {
    fn default() -> Self {
        Self {
            address: None,
            key: None,
            directory: Directory::shared_memory(),
            program: None,
            legacy: true,
            timeout: TIMEOUT,
        }
    }
}

impl ManagerOptions {
    /// Where the manager is reached. Unless given, a Unix socket in a directory that only this user can enter, made for it
    /// and removed with it. A path is made absolute; whoever names one removes the file that a killed manager leaves there.
    #[must_use]
    pub fn address(mut self, address: impl Into<Address>) -> Self {
        self.address = Some(match address.into() {
            Address::Unix(path) => Address::Unix(std::path::absolute(&path).unwrap_or(path)),
            address => address,
        });
        self
    }

    /// Has the manager reached at a TCP port of this machine's loopback address; 0 is any free one. For other machines to
    /// reach it, name an address of this one with [`address`](Self::address): the segments themselves stay here.
    #[must_use]
    pub fn tcp(self, port: u16) -> Self {
        self.address(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// The key that both sides must prove to know, any bytes. Unless given, 32 random ones. Python's default is a random
    /// one for each family of processes, so that Python clients must be given it. What this crate copies of it is wiped when
    /// it is no longer needed. The caller's own bytes are not, nor are the copies that digests make of it on the stack, which
    /// may stay there after the digest.
    #[must_use]
    pub fn authkey(mut self, key: impl AsRef<[u8]>) -> Self {
        self.key = Some(AuthKey::new(key.as_ref()));
        self
    }

    /// The directory of the segments, in place of /dev/shm. Python knows no other one.
    #[must_use]
    pub fn dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.directory = Directory::new(path);
        self
    }

    /// The program to start as the manager, in place of this one: it must call [`init`](super::init) first.
    #[must_use]
    pub fn program<A: Into<OsString>>(
        mut self,
        program: impl Into<OsString>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        self.program = Some((program.into(), arguments.into_iter().map(Into::into).collect()));
        self
    }

    /// Whether HMAC-MD5 will do as a proof of the key, which is all that Python up to 3.11 knows. `true` unless said.
    #[must_use]
    pub fn allow_legacy(mut self, allow: bool) -> Self {
        self.legacy = allow;
        self
    }

    /// How long to wait for the manager: for its start, for its answer to each request, and for its end. 30 seconds unless
    /// given.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(LONGEST_TIMEOUT);
        self
    }

    /// See [`SharedMemoryManager::start`].
    ///
    /// # Errors
    /// As there; [`ErrorKind::ManagerDidNotStart`] also for an address that is taken.
    pub fn start(&self) -> Result<SharedMemoryManager> {
        if let Some(address) = &self.address {
            address.check()?;
        }
        let key = self.key()?;
        if key.as_bytes().len() > LONGEST_KEY {
            let reason = format!("a manager is started with a key of up to {LONGEST_KEY} bytes");
            return Err(Error::new(ErrorKind::InvalidOptions { reason }));
        }
        let (process, address) = process::start(self, &key)?;
        let peer = self.peer(address, key);
        Ok(SharedMemoryManager::new(peer, self.directory.clone(), true, Some(process)))
    }

    /// See [`SharedMemoryManager::connect`]. Needs an address and a key.
    ///
    /// # Errors
    /// As there; [`ErrorKind::InvalidOptions`] without an address or a key.
    pub fn connect(&self) -> Result<SharedMemoryManager> {
        let missing = |what| {
            let reason = format!("to reach a manager takes its {what}");
            Error::new(ErrorKind::InvalidOptions { reason })
        };
        let address = self.address.clone().ok_or_else(|| missing("address"))?;
        address.check()?;
        let key = self.key.clone().ok_or_else(|| missing("authkey"))?;
        SharedMemoryManager::join(self.peer(address, key), self.directory.clone())
    }

    /// Serves in this process, on the calling thread, until a client asks for the end; then everything that was managed is
    /// removed. `ready` is told where the manager is reached, when it is.
    ///
    /// `ready` must not fork and return in the child: that would serve at the same socket, and remove in the end what this
    /// process still manages.
    ///
    /// Serving starts no process and needs no [`init`](super::init). If this process is killed, [`reap`](crate::reap)
    /// removes what was managed; if it has forked, once the child has ended too.
    ///
    /// # Errors
    /// [`ErrorKind::ManagerDidNotStart`] if it cannot listen; [`ErrorKind::NoSpace`] and the like for its registry; what
    /// cannot be removed at the end.
    pub fn serve(&self, ready: impl FnOnce(&Address, &AuthKey)) -> Result<()> {
        let key = self.key()?;
        self.serve_until(&key, random()?, None, Vec::new(), |address| ready(address, &key))
    }

    /// The same, on a socket that is listening already. Its file, if it has one, is the caller's to remove.
    ///
    /// # Errors
    /// As [`serve`](Self::serve); [`ErrorKind::InvalidOptions`] without a key, which nobody would get to know, and
    /// for a socket that is not of streams, which can be had as a listener from a descriptor.
    pub fn serve_on(&self, listener: impl Into<Listener>) -> Result<()> {
        let Some(key) = &self.key else {
            let reason = "to serve on a socket of one's own takes an authkey".to_owned();
            return Err(Error::new(ErrorKind::InvalidOptions { reason }));
        };
        let listener = listener.into();
        listener.check_kind()?;
        self.serve_until(key, random()?, Some(listener), Vec::new(), |_| ())
    }

    /// Serves until a client asks for the end, or one of `ends` says so. `registry` is a random number.
    pub(super) fn serve_until(
        &self,
        key: &AuthKey,
        registry: u128,
        listener: Option<Listener>,
        ends: Vec<BorrowedFd<'_>>,
        ready: impl FnOnce(&Address),
    ) -> Result<()> {
        if let Some(address) = &self.address {
            address.check()?;
        }
        let mut owned = Owned::new(self.directory.clone(), registry)?;
        if listener.is_some() || self.address.is_some() {
            return self.serve_bound(key, listener, &mut owned, ends, ready);
        }
        // Written down before it exists, so that `reap` finds it whenever this is killed.
        let socket = PrivateSocket::new()?;
        let place = owned.registry().add(&RegistryEntry::socket_at(&socket.0)?)?;
        let result = socket.bind().and_then(|listener| self.serve_bound(key, Some(listener), &mut owned, ends, ready));
        if socket.remove() {
            owned.registry().remove(place);
        }
        result
    }

    fn serve_bound(
        &self,
        key: &AuthKey,
        listener: Option<Listener>,
        owned: &mut Owned,
        ends: Vec<BorrowedFd<'_>>,
        ready: impl FnOnce(&Address),
    ) -> Result<()> {
        let (listener, _file) = match (listener, &self.address) {
            (Some(listener), _) => (listener, None),
            (None, Some(address)) => (Listener::bind(address)?, SocketFile::of(address)),
            (None, None) => return Err(Error::new(ErrorKind::Unnamed)),
        };
        let address = listener.address()?;
        let options = Options::default().allow_legacy(self.legacy);
        let server = Server::new(&listener, key, options, owned, ends)?;
        ready(&address);
        server.run()
    }

    fn key(&self) -> Result<AuthKey> {
        match &self.key {
            Some(key) => Ok(key.clone()),
            // As many bytes as Python's `os.urandom(32)`.
            None => {
                let mut random = nonce()?;
                let key = AuthKey::new(random.get(..32).unwrap_or_default());
                wipe(&mut random);
                Ok(key)
            }
        }
    }

    fn peer(&self, address: Address, key: AuthKey) -> Peer {
        Peer { address, key, options: Options::default().allow_legacy(self.legacy), timeout: self.timeout }
    }
}

pub(super) fn random() -> Result<u128> {
    Ok(u128::from_ne_bytes(sys::random()?))
}

/// Overwrites what nobody is to find in memory that is given back.
pub(super) fn wipe(secret: &mut [u8]) {
    secret.zeroize();
}

/// The file of a socket at an address that the caller named, removed in the end if it still is that one.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    id: FileId,
}

impl SocketFile {
    fn of(address: &Address) -> Option<Self> {
        match address {
            Address::Unix(path) => Some(Self { path: path.clone(), id: Directory::status(path).ok()?.id }),
            _ => None,
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another manager may listen here by now: whoever removed the file has seen to that.
        if Directory::status(&self.path).is_ok_and(|status| status.id == self.id) {
            let _ = Directory::unlink(&self.path);
        }
    }
}

/// The path of a socket in a directory of its own, both removed in the end.
#[derive(Debug)]
struct PrivateSocket(PathBuf);

impl PrivateSocket {
    fn new() -> Result<Self> {
        // Half of the random bytes are enough for a name that nobody can foresee.
        let random = random()? as u64;
        let name = format!("{SOCKET_DIRECTORY}{random:016x}");
        let temporary = std::env::temp_dir();
        let path = temporary.join(name).join(SOCKET);
        let path = std::path::absolute(&path).unwrap_or(path);
        let excess = path.as_os_str().len().saturating_sub(LONGEST_PATH);
        if excess > 0 {
            let reason = format!(
                "the path of its socket would be {excess} bytes too long below {}: set TMPDIR to a shorter path, or name \
                 an address with `.address(…)`",
                temporary.display()
            );
            return Err(Error::new(ErrorKind::ManagerDidNotStart { reason }));
        }
        Ok(Self(path))
    }

    /// Whether nothing is left of it.
    fn remove(&self) -> bool {
        remove_socket(&self.0, sys::effective_user());
        let directory = self.0.parent().unwrap_or(&self.0);
        Directory::status(directory).is_err_and(|failure| failure.errno == Errno::ENOENT)
    }

    fn bind(&self) -> Result<Listener> {
        let directory = self.0.parent().unwrap_or(&self.0);
        DirBuilder::new().mode(0o700).create(directory).map_err(|error| {
            let reason = format!("it cannot make {}", directory.display());
            Error::new(ErrorKind::ManagerDidNotStart { reason }).caused_by(error)
        })?;
        Listener::bind(&Address::Unix(self.0.clone()))
    }
}

impl Drop for PrivateSocket {
    fn drop(&mut self) {
        self.remove();
    }
}
