//! A process that owns shared memory: what is created through it goes when it ends.
//!
//! Python's `multiprocessing.managers.SharedMemoryManager`, from Rust and in concert with Python: a Rust program may join a
//! manager that Python started, and Python one that Rust started.
//!
//! ```no_run
//! use shmtypes::manager::{self, SharedMemoryManager};
//!
//! fn main() -> shmtypes::Result<()> {
//!     manager::init(); // first: the manager is this program, started again
//!     let manager = SharedMemoryManager::start()?;
//!     let numbers = manager.array::<f64>(2000)?;
//!     let raw = manager.shared_memory(4096)?;
//!     println!("{:?}", manager.segments()?); // and other processes may attach to them by name
//!     Ok(())
//! } // the manager ends, and both are gone
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `address` | where a manager is reached |
//! | `options` | what can be said about one; serving in this process |
//! | `process` | a manager in a process of its own |
//! | `server` | one thread, any number of clients |
//! | `owned` | what is owned, and the requests about it |
//! | `registry` | what is owned, written down where it survives the manager |
//! | `client`, `socket` | asking a manager |
//!
//! The conversation itself is `shmtypes_compat::manager`: pure functions on bytes.
//!
//! # When things go
//!
//! | event | what was created through the manager |
//! |---|---|
//! | [`shutdown`](SharedMemoryManager::shutdown), by anybody who knows the key | is removed, past what is gone already |
//! | the handle that started it is dropped | the same |
//! | the process that started it ends, in whatever way | the same, by the manager, at once |
//! | it is replaced by exec | the same; once they have ended, if it has forked children that still run this program |
//! | the manager gets SIGTERM or SIGHUP | the same |
//! | the manager is killed | stays until the next [`reap`](crate::reap), which finds its registry; a handle's drop does it for the process that started it |
//! | a client ends, in whatever way | stays; but a Python client's resource tracker removes what that one made, unless told otherwise |
//! | [`release`](SharedMemoryManager::release) | that one is removed |
//!
//! Removed is the *name*: processes that are attached go on undisturbed. A client that is killed leaves nothing that nobody
//! owns: a block is the manager's before it has its name, a typed segment ends with its last process until it is the
//! manager's. Where the process that started it is the first of a process namespace, as in a container, the kernel kills the manager
//! with it. With a manager of Python's there are two moments between creating and handing over, as there are in Python.
//!
//! # Whom it trusts
//!
//! Both sides prove that they know the key, and nobody is heard before. Whoever knows it may have the manager remove any
//! file of its user in the directory of segments, by handing it over first; nothing else, and nothing in other directories.

mod address;
mod client;
mod options;
mod owned;
mod process;
mod registry;
mod server;
mod socket;

pub use address::Address;
pub use options::ManagerOptions;
pub use process::init;
pub use shmtypes_compat::manager::AuthKey;
pub use socket::Listener;

use crate::compat::list::AsValue;
use crate::compat::shared_memory::{Claim, Claimant, Claimed};
use crate::compat::{ShareableList, ShareableListOptions, SharedMemory, SharedMemoryOptions};
use crate::containers::{LockedArray, ShmArray, ShmBox, ShmCell, ShmList, ShmVec};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{ShmLayout, ShmValue, ShmZero};
use crate::segment::{Persist, SegmentDirectory};
use crate::sys::{Directory, FileId};
use client::{Peer, exception};
use owned::{GREETING, RESERVE_SEGMENT};
use process::Process;
use shmtypes_compat::manager::{Object, Request};
use socket::Stream;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Instant;

/// A manager of shared memory, as its owner or a client has it.
///
/// Whoever [starts](Self::start) one owns it: dropping that handle ends the manager and removes all that it owns. Others
/// [connect](Self::connect), and dropping theirs does nothing. Each call is a connection of its own; none of them stays open.
#[derive(Debug)]
pub struct SharedMemoryManager {
    peer: Arc<Peer>,
    directory: Directory,
    /// Whether the manager is one of this crate's, which knows more than Python's.
    is_ours: bool,
    process: Option<Process>,
}

impl SharedMemoryManager {
    /// Everything that can be said about a manager before it is started or reached.
    #[must_use]
    pub fn options() -> ManagerOptions {
        ManagerOptions::default()
    }

    /// Starts a manager in a process of its own, and returns when it answers.
    ///
    /// # Errors
    /// [`ErrorKind::ManagerNotInitialised`] if [`init`] was not called; [`ErrorKind::ManagerDidNotStart`] with the reason;
    /// [`ErrorKind::TooManyFiles`] if this process may open no more. Then nothing is left of it, but for the socket's file at a path that
    /// the options named, if the manager was killed.
    pub fn start() -> Result<Self> {
        Self::options().start()
    }

    /// Joins a running manager, of this crate's or of Python's.
    ///
    /// ```no_run
    /// use shmtypes::manager::{Address, SharedMemoryManager};
    ///
    /// // In Python: SharedMemoryManager(address='/tmp/prices', authkey=b'sekrit').start()
    /// let manager = SharedMemoryManager::connect("/tmp/prices".parse::<Address>()?, b"sekrit")?;
    /// let block = manager.shared_memory(4096)?;
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::ManagerUnreachable`], [`ErrorKind::AuthenticationFailed`], [`ErrorKind::ManagerProtocol`] for somebody
    /// who is no manager, [`ErrorKind::TimedOut`].
    pub fn connect(address: impl Into<Address>, authkey: impl AsRef<[u8]>) -> Result<Self> {
        Self::options().address(address).authkey(authkey).connect()
    }

    fn new(peer: Peer, directory: Directory, is_ours: bool, process: Option<Process>) -> Self {
        Self { peer: Arc::new(peer), directory, is_ours, process }
    }

    fn join(peer: Peer, directory: Directory) -> Result<Self> {
        // A manager of this crate says where its segments are, of whatever other directory the options speak.
        let (directory, is_ours) = match peer.call(&Request::Dummy)? {
            Object::Tuple(parts) => match &parts[..] {
                [Object::Str(greeting), Object::Bytes(path)] if greeting == GREETING => {
                    (Directory::new(OsStr::from_bytes(path)), true)
                }
                _ => (directory, false),
            },
            _ => (directory, false),
        };
        Ok(Self::new(peer, directory, is_ours, None))
    }

    /// Where it is reached.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.peer.address
    }

    /// The key that its clients must know.
    #[must_use]
    pub fn authkey(&self) -> &AuthKey {
        &self.peer.key
    }

    /// The process id of the manager, if this handle started it. For people.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Options of blocks that the manager is to own, from the moment in which they have their names.
    #[must_use]
    pub fn blocks(&self) -> SharedMemoryOptions {
        SharedMemory::options().dir(self.directory.path()).claimed(self.claim())
    }

    /// Options of Python's lists that the manager is to own. Python 3.8 reads only lists of its own layout, which nothing but
    /// the [dialect](ShareableListOptions::dialect) makes, whatever Python the manager is of:
    ///
    /// ```no_run
    /// # fn main() -> shmtypes::Result<()> {
    /// # shmtypes::manager::init();
    /// # let manager = shmtypes::manager::SharedMemoryManager::start()?;
    /// use shmtypes::compat::Dialect;
    ///
    /// let list = manager.lists().dialect(Dialect::Py38).create(&[1, 2, 3])?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn lists(&self) -> ShareableListOptions {
        ShareableList::options().dir(self.directory.path()).claimed(self.claim())
    }

    /// Creates a block of zero bytes that the manager owns; Python's `SharedMemory(size)` of a manager.
    ///
    /// # Errors
    /// Those of [`SharedMemory::create`], and of asking the manager. Then there is no block.
    pub fn shared_memory(&self, size: usize) -> Result<SharedMemory> {
        self.blocks().create(size)
    }

    /// Creates one of Python's lists that the manager owns; Python's `ShareableList(values)` of a manager. For Python 3.8 see
    /// [`lists`](Self::lists).
    ///
    /// # Errors
    /// Those of [`ShareableList::create`], and of asking the manager. Then there is no list.
    pub fn shareable_list<V: AsValue>(&self, values: &[V]) -> Result<ShareableList> {
        self.lists().create(values)
    }

    /// Creates an array of zeros that the manager owns.
    ///
    /// # Errors
    /// Those of [`ShmArray::create`], and of asking the manager. Then there is no array.
    pub fn array<T: ShmLayout + ShmZero>(&self, n: usize) -> Result<ShmArray<T>> {
        self.own(ShmArray::options().dir(self.directory.path()).persist(self.persist()).create(n), ShmArray::name)
    }

    /// Creates an array that the manager owns, all accesses to which take its lock.
    ///
    /// # Errors
    /// Those of [`ShmArray::create`], and of asking the manager. Then there is no array.
    pub fn locked_array<T: ShmValue + ShmZero>(&self, n: usize) -> Result<LockedArray<T>> {
        let options = ShmArray::options().dir(self.directory.path()).persist(self.persist());
        self.own(options.locked().create(n), LockedArray::name)
    }

    /// Creates an empty vector that the manager owns.
    ///
    /// # Errors
    /// Those of [`ShmVec::create`], and of asking the manager. Then there is no vector.
    pub fn vec<T: ShmValue>(&self, capacity: usize) -> Result<ShmVec<T>> {
        self.own(ShmVec::options().dir(self.directory.path()).persist(self.persist()).create(capacity), ShmVec::name)
    }

    /// Creates a list that the manager owns.
    ///
    /// # Errors
    /// Those of [`ShmList::create`], and of asking the manager. Then there is no list.
    pub fn list<V: AsValue>(&self, values: &[V]) -> Result<ShmList> {
        self.own(ShmList::options().dir(self.directory.path()).persist(self.persist()).create(values), ShmList::name)
    }

    /// Creates a cell that the manager owns.
    ///
    /// # Errors
    /// Those of [`ShmCell::create_from`], and of asking the manager. Then there is no cell.
    pub fn cell<T: ShmValue>(&self, value: T) -> Result<ShmCell<T>> {
        self.own(
            ShmCell::options().dir(self.directory.path()).persist(self.persist()).create_from(value),
            ShmCell::name,
        )
    }

    /// Creates one struct of zeros that the manager owns.
    ///
    /// # Errors
    /// Those of [`ShmBox::create`], and of asking the manager. Then there is no box.
    pub fn shm_box<T: ShmLayout + ShmZero>(&self) -> Result<ShmBox<T>> {
        self.own(ShmBox::options().dir(self.directory.path()).persist(self.persist()).create(), ShmBox::name)
    }

    /// Hands what stands under a name over to the manager: a segment or block that was created in some other way. It will be
    /// removed when the manager ends, also if it is [`Persist::Keep`]. What the manager owns already stays as it is.
    ///
    /// ```no_run
    /// # fn main() -> shmtypes::Result<()> {
    /// # shmtypes::manager::init();
    /// # let manager = shmtypes::manager::SharedMemoryManager::start()?;
    /// let grid = shmtypes::ShmArray::<f64>::options().shape(&[20, 30]).create(600)?;
    /// manager.track(grid.name())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A typed segment that is handed over to a manager of Python's must be [`Persist::Keep`]: that one does not stay
    /// attached to it.
    ///
    /// # Errors
    /// [`ErrorKind::ManagerRefused`] if there is no such file, or it is none of the manager's user; those of asking it.
    pub fn track(&self, name: &str) -> Result<()> {
        let tell = || {
            if !self.is_ours {
                // Python's takes any name, and cannot end any more if there is no such file.
                Directory::status(&self.directory.join(name))?;
            }
            self.peer.call(&Request::TrackSegment(name.to_owned())).map(drop)
        };
        tell().map_err(|error: Error| error.on(name))
    }

    /// Removes what the manager owns under this name. If somebody has removed that already, it is forgotten.
    ///
    /// # Errors
    /// [`ErrorKind::ManagerRefused`] if the manager owns nothing under this name, or may not remove it; those of asking it.
    pub fn release(&self, name: &str) -> Result<()> {
        self.peer.call(&Request::ReleaseSegment(name.to_owned())).map(drop).map_err(|error| error.on(name))
    }

    /// The names of what the manager owns, in the order in which it came.
    ///
    /// # Errors
    /// Those of asking it.
    pub fn segments(&self) -> Result<Vec<String>> {
        let answer = self.peer.call(&Request::ListSegments)?;
        answer.into_names().ok_or_else(|| {
            let traceback = "its list of segments is no list of names".to_owned();
            Error::new(ErrorKind::ManagerRefused { traceback })
        })
    }

    /// Ends the manager, and removes all that it owns. Whoever knows the key may do so; a manager that Python started is
    /// also waited for by the Python process.
    ///
    /// # Errors
    /// Those of asking it; [`ErrorKind::ManagerRefused`] if it could not remove something, and has ended all the same.
    /// The manager of this handle's own process is gone in every case.
    pub fn shutdown(&self) -> Result<()> {
        let deadline = Instant::now() + self.peer.timeout;
        let outcome = self.peer.call(&Request::Shutdown).map(drop);
        if let Some(process) = self.process.as_ref().filter(|process| process.is_own()) {
            process.end(deadline);
        }
        outcome
    }

    fn claim(&self) -> Claim {
        Claim(Arc::new(ManagersClaim { peer: Arc::clone(&self.peer), is_ours: self.is_ours }))
    }

    /// A manager of this crate's stays attached to what it owns, so that nothing is left if this process is killed before
    /// the manager knows. One of Python's does not.
    fn persist(&self) -> Persist {
        if self.is_ours { Persist::UntilLastDetach } else { Persist::Keep }
    }

    /// Hands over what was just created. If that fails it is gone: at once, or with its handle.
    fn own<T>(&self, made: Result<T>, name: impl Fn(&T) -> &str) -> Result<T> {
        let made = made?;
        match self.track(name(&made)) {
            Ok(()) => Ok(made),
            Err(error) => {
                if self.persist() == Persist::Keep {
                    let _ = SegmentDirectory::of(self.directory.clone()).unlink(name(&made));
                }
                Err(error)
            }
        }
    }
}

/// Ends the manager that this handle started, if this process did. If the manager does not end by the deadline of the
/// [options](ManagerOptions::timeout), it is killed, and what it owned is removed here.
impl Drop for SharedMemoryManager {
    fn drop(&mut self) {
        if let Some(process) = self.process.as_ref().filter(|process| process.is_own() && !process.has_ended()) {
            let deadline = Instant::now() + self.peer.timeout;
            // What it does not answer, it is killed for.
            let _ = self.peer.call(&Request::Shutdown);
            process.end(deadline);
        }
    }
}

/// What a manager wants to know of a new block.
#[derive(Debug)]
struct ManagersClaim {
    peer: Arc<Peer>,
    is_ours: bool,
}

impl Claimant for ManagersClaim {
    fn claim(&self, name: &str, id: FileId) -> Result<Box<dyn Claimed>> {
        if !self.is_ours {
            return Ok(Box::new(Told { peer: Arc::clone(&self.peer), name: name.to_owned() }));
        }
        let numbers = [Object::Int(id.device.cast_signed()), Object::Int(id.inode.cast_signed())];
        let args = [Object::Str(name.to_owned())].into_iter().chain(numbers).collect();
        let request = Request::Other { method: RESERVE_SEGMENT.to_owned(), args };
        match self.peer.connect()?.call_and_stay(&request) {
            Ok(stream) => Ok(Box::new(Reserved { peer: Arc::clone(&self.peer), stream })),
            Err(error) => Err(match error.kind() {
                ErrorKind::ManagerRefused { traceback } if exception(traceback) == "FileExistsError" => {
                    Error::new(ErrorKind::AlreadyExists { owner: None })
                }
                _ => error,
            }),
        }
    }
}

/// What a manager of this crate has been told, as long as the connection stands: see [`RESERVE_SEGMENT`].
#[derive(Debug)]
struct Reserved {
    peer: Arc<Peer>,
    stream: Stream,
}

impl Claimed for Reserved {
    fn named(self: Box<Self>) -> Result<()> {
        self.peer.check_open(&self.stream)?;
        // If it ends right now, it looks itself.
        let _ = self.stream.write(&[0]);
        Ok(())
    }
}

/// What a manager of Python's is to be told.
#[derive(Debug)]
struct Told {
    peer: Arc<Peer>,
    name: String,
}

impl Claimed for Told {
    fn named(self: Box<Self>) -> Result<()> {
        self.peer.call(&Request::TrackSegment(self.name)).map(drop)
    }
}
