//! The operating system's part played by the heap of one process.
//!
//! Files are zeroed allocations, names live in a table, locks are lists. The life cycle runs unchanged on top, under
//! Miri, with threads in the place of processes. It differs where one process must: nothing survives it, there is one
//! user, and space never runs out.
#![allow(unsafe_code, reason = "allocates the memory that stands for files")]

use super::guard::{Registration, Watch};
use super::{Access, Failure, FileId, FileSystem, LinkMethod, Lock, LockBytes, RenameMode, Space, Status};
use nix::errno::Errno;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::ops::RangeBounds;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

const DEVICE: u64 = 1;
const USER: u32 = 1000;
const PAGE: usize = 4096;

/// Numbers for inodes, descriptions and random bytes: unique in this process.
static NEXT: AtomicU64 = AtomicU64::new(1);

static NAMES: LazyLock<Mutex<HashMap<PathBuf, Arc<Node>>>> = LazyLock::new(Mutex::default);

fn next() -> u64 {
    // Relaxed: only uniqueness counts.
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failure<T>(operation: &'static str, errno: Errno) -> Result<T, Failure> {
    Err(Failure { operation, errno })
}

/// A file.
#[derive(Debug)]
struct Node {
    inode: u64,
    state: Mutex<NodeState>,
}

#[derive(Debug)]
struct NodeState {
    contents: Option<Contents>,
    mode: u32,
    links: u64,
    /// Description, byte, strength. Byte `u64::MAX` stands for the whole file.
    locks: Vec<(u64, u64, Lock)>,
}

/// Zeroed memory, never moved and freed with the node.
#[derive(Debug)]
struct Contents {
    start: *mut u8,
    layout: Layout,
}

// SAFETY: an allocation belongs to no thread; it is accessed by atomics only, or while it is unpublished.
unsafe impl Send for Contents {}
// SAFETY: as above.
unsafe impl Sync for Contents {}

impl Contents {
    fn new(bytes: usize) -> Result<Self, Errno> {
        let layout = Layout::from_size_align(bytes.max(1), PAGE).map_err(|_| Errno::ENOSPC)?;
        // SAFETY: the layout has a size of at least 1.
        let start = unsafe { alloc_zeroed(layout) };
        if start.is_null() {
            handle_alloc_error(layout);
        }
        Ok(Self { start, layout })
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `new`.
        unsafe { dealloc(self.start, self.layout) };
    }
}

impl Node {
    fn new(links: u64) -> Arc<Self> {
        let state = NodeState { contents: None, mode: 0o600, links, locks: Vec::new() };
        Arc::new(Self { inode: next(), state: Mutex::new(state) })
    }

    fn status(&self) -> Status {
        let state = held(&self.state);
        let bytes = state.contents.as_ref().map_or(0, |contents| contents.layout.size() as u64);
        Status {
            id: FileId { device: DEVICE, inode: self.inode },
            mount: None,
            irregular: None,
            links: state.links,
            owner: USER,
            mode: state.mode,
            bytes,
            reserved: bytes,
        }
    }
}

/// An open file description, which owns locks.
#[derive(Debug)]
struct Description {
    node: Arc<Node>,
    id: u64,
    access: Access,
}

impl Drop for Description {
    fn drop(&mut self) {
        held(&self.node.state).locks.retain(|lock| lock.0 != self.id);
    }
}

#[derive(Debug)]
pub(crate) struct File(Arc<Description>);

impl From<OwnedFd> for File {
    fn from(_: OwnedFd) -> Self {
        // A descriptor of the operating system denotes nothing here: an empty file, which no attach accepts.
        Self::open_node(Node::new(0), Access::ReadWrite)
    }
}

pub(crate) enum Refusal {
    FileSizeLimit { limit: u64 },
    NoSpace,
    Other(Failure),
}

const WHOLE_FILE: u64 = u64::MAX;

impl File {
    fn open_node(node: Arc<Node>, access: Access) -> Self {
        Self(Arc::new(Description { node, id: next(), access }))
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        // SAFETY: standard input stays open under Miri; nobody reads through this stand-in.
        unsafe { BorrowedFd::borrow_raw(0) }
    }

    pub(crate) fn in_memory() -> Result<Self, Failure> {
        Ok(Self::open_node(Node::new(0), Access::ReadWrite))
    }

    pub(crate) fn seal_size(&self) -> Result<(), Failure> {
        Ok(())
    }

    pub(crate) fn is_size_sealed(&self) -> Result<bool, Failure> {
        Ok(true)
    }

    pub(crate) fn status(&self) -> Result<Status, Failure> {
        Ok(self.0.node.status())
    }

    pub(crate) fn file_system(&self) -> Result<FileSystem, Failure> {
        Ok(FileSystem::MEMORY)
    }

    pub(crate) fn is_writable(&self) -> Result<bool, Failure> {
        Ok(self.0.access == Access::ReadWrite)
    }

    pub(crate) fn set_mode(&self, mode: u32) -> Result<(), Failure> {
        held(&self.0.node.state).mode = mode;
        Ok(())
    }

    pub(crate) fn check_size_limit(&self, _: u64) -> Result<(), u64> {
        Ok(())
    }

    pub(crate) fn set_length(&self, bytes: u64) -> Result<(), Failure> {
        let bytes = usize::try_from(bytes).map_err(|_| Failure { operation: "set the length", errno: Errno::EFBIG })?;
        let contents = Contents::new(bytes).map_err(|errno| Failure { operation: "set the length", errno })?;
        held(&self.0.node.state).contents.get_or_insert(contents);
        Ok(())
    }

    pub(crate) fn reserve(&self, bytes: u64) -> Result<(), Refusal> {
        if bytes > isize::MAX as u64 {
            return Err(Refusal::NoSpace);
        }
        self.set_length(bytes).map_err(Refusal::Other)
    }

    pub(crate) fn write_whole(&self, bytes: &[u8]) -> Result<(), Refusal> {
        self.reserve(bytes.len() as u64)?;
        self.write_at(bytes, 0).map_err(Refusal::Other)
    }

    pub(crate) fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, Failure> {
        let state = held(&self.0.node.state);
        let Some(contents) = &state.contents else { return Ok(0) };
        let start = usize::try_from(position).unwrap_or(usize::MAX).min(contents.layout.size());
        let count = buffer.len().min(contents.layout.size() - start);
        for (offset, byte) in buffer[..count].iter_mut().enumerate() {
            let place = contents.start.wrapping_add(start + offset).cast::<AtomicU8>();
            // SAFETY: inside the allocation, which the node keeps alive; one byte is always aligned.
            // Relaxed: the header does not change after publication, which the name table's mutex orders.
            *byte = unsafe { &*place }.load(Ordering::Relaxed);
        }
        Ok(count)
    }

    pub(crate) fn write_at(&self, bytes: &[u8], position: u64) -> Result<(), Failure> {
        let state = held(&self.0.node.state);
        let Some(contents) = &state.contents else { return failure("write the header", Errno::EIO) };
        let start = usize::try_from(position).unwrap_or(usize::MAX).min(contents.layout.size());
        if bytes.len() > contents.layout.size() - start {
            return failure("write the header", Errno::EIO);
        }
        for (offset, &byte) in bytes.iter().enumerate() {
            let place = contents.start.wrapping_add(start + offset).cast::<AtomicU8>();
            // SAFETY: inside the allocation, which the node keeps alive; one byte is always aligned.
            // Relaxed: as in `read_at`.
            unsafe { &*place }.store(byte, Ordering::Relaxed);
        }
        Ok(())
    }

    fn take(&self, bytes: impl RangeBounds<u64> + Iterator<Item = u64>, lock: Lock) -> bool {
        let mut state = held(&self.0.node.state);
        let conflict = |other: &(u64, u64, Lock)| {
            other.0 != self.0.id && bytes.contains(&other.1) && (other.2 == Lock::Exclusive || lock == Lock::Exclusive)
        };
        if state.locks.iter().any(conflict) {
            return false;
        }
        state.locks.retain(|other| other.0 != self.0.id || !bytes.contains(&other.1));
        state.locks.extend(bytes.map(|byte| (self.0.id, byte, lock)));
        true
    }

    pub(crate) fn lock(&self, bytes: LockBytes, lock: Lock) -> Result<bool, Failure> {
        Ok(self.take(bytes.start()..bytes.start() + bytes.count(), lock))
    }

    pub(crate) fn locked(&self, bytes: LockBytes) -> Result<Option<Lock>, Failure> {
        let state = held(&self.0.node.state);
        let asked = bytes.start()..bytes.start() + bytes.count();
        Ok(state.locks.iter().find(|lock| lock.0 != self.0.id && asked.contains(&lock.1)).map(|lock| lock.2))
    }

    pub(crate) fn lock_whole(&self, lock: Lock) -> Result<bool, Failure> {
        Ok(self.take(WHOLE_FILE..=WHOLE_FILE, lock))
    }

    pub(crate) fn reopen(&self, access: Access) -> Result<Self, Failure> {
        Ok(Self::open_node(Arc::clone(&self.0.node), access))
    }

    pub(crate) fn map(&self, bytes: usize, _: Access) -> Result<Map, Failure> {
        let state = held(&self.0.node.state);
        match &state.contents {
            Some(contents) if bytes <= contents.layout.size() => {
                Ok(Map { start: contents.start, bytes, _description: Arc::clone(&self.0) })
            }
            // The probe maps a byte of a file that has none yet; nobody touches it.
            None if bytes == 1 => Ok(Map { start: std::ptr::null_mut(), bytes, _description: Arc::clone(&self.0) }),
            _ => failure("map the segment", Errno::EINVAL),
        }
    }

    pub(crate) fn map_aligned(&self, bytes: usize, access: Access) -> Result<Map, Failure> {
        self.map(bytes, access)
    }
}

/// A mapping: the file's own memory, and its description kept alive.
#[derive(Debug)]
pub(crate) struct Map {
    start: *mut u8,
    bytes: usize,
    _description: Arc<Description>,
}

// SAFETY: the memory belongs to the node, not to a thread.
unsafe impl Send for Map {}
// SAFETY: as above; `Map` hands out its address only.
unsafe impl Sync for Map {}

impl Map {
    pub(crate) fn start(&self) -> *mut u8 {
        self.start
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn watch(&self) -> Watch {
        Registration::new(self.start, self.bytes, Access::ReadWrite).watch()
    }

    pub(crate) fn populate(&self, _: Access) -> Result<(), Failure> {
        Ok(())
    }

    pub(crate) fn collapse(&self) -> Result<(), Failure> {
        failure("madvise", Errno::EINVAL)
    }

    pub(crate) const fn huge_page() -> usize {
        2 << 20
    }
}

/// Calls `body`. There are no signals here.
pub(crate) fn without_signals<R>(body: impl FnOnce() -> R) -> R {
    body()
}

/// Calls `body`. There are no forks here.
pub(crate) fn while_forks_wait<R>(body: impl FnOnce() -> R) -> R {
    body()
}

/// A page of private memory.
#[derive(Debug)]
pub(crate) struct WipedPage(Contents);

impl WipedPage {
    pub(crate) fn new() -> Result<Self, Failure> {
        let contents = Contents::new(PAGE).map_err(|errno| Failure { operation: "allocate a page", errno })?;
        Ok(Self(contents))
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        NonNull::new(self.0.start).expect("allocated")
    }
}

/// A description, and the locks that it has.
#[derive(Debug)]
pub(crate) struct Anchor(Arc<Description>);

impl Anchor {
    pub(crate) fn new(file: File) -> Result<Self, Failure> {
        Ok(Self(file.0))
    }

    pub(crate) fn into_raw(self) -> *mut () {
        Arc::into_raw(self.0).cast_mut().cast()
    }

    /// # Safety
    /// `raw` was made by [`into_raw`](Self::into_raw) and is given back once.
    pub(crate) unsafe fn from_raw(raw: *mut ()) -> Option<Self> {
        // SAFETY: the caller's word.
        (!raw.is_null()).then(|| Self(unsafe { Arc::from_raw(raw.cast_const().cast()) }))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    path: PathBuf,
}

/// There are no directories of sockets here.
#[derive(Debug)]
pub(crate) enum OpenDirectory {}

impl OpenDirectory {
    pub(crate) fn open(_: &Path) -> Result<Self, Failure> {
        Err(Failure { operation: "open a directory", errno: Errno::ENOSYS })
    }

    pub(crate) fn open_in(&self, _: &OsStr) -> Result<Self, Failure> {
        match *self {}
    }

    pub(crate) fn status(&self) -> Result<Status, Failure> {
        match *self {}
    }

    pub(crate) fn status_of(&self, _: &OsStr) -> Result<Status, Failure> {
        match *self {}
    }

    pub(crate) fn unlink(&self, _: &OsStr) -> Result<(), Failure> {
        match *self {}
    }

    pub(crate) fn remove_directory(&self, _: &OsStr) -> Result<(), Failure> {
        match *self {}
    }
}

impl Directory {
    pub(crate) fn shared_memory() -> Self {
        Self::new(super::DEFAULT_DIRECTORY)
    }

    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn status(path: &Path) -> Result<Status, Failure> {
        match held(&NAMES).get(path) {
            Some(node) => Ok(node.status()),
            None => failure("look up the name", Errno::ENOENT),
        }
    }

    pub(crate) fn open(path: &Path, access: Access) -> Result<File, Failure> {
        match held(&NAMES).get(path) {
            Some(node) => Ok(File::open_node(Arc::clone(node), access)),
            None => failure("open the segment", Errno::ENOENT),
        }
    }

    pub(crate) fn create_unnamed(&self) -> Result<Option<File>, Failure> {
        Ok(Some(File::open_node(Node::new(0), Access::ReadWrite)))
    }

    pub(crate) fn create_named(path: &Path) -> Result<File, Failure> {
        let file = File::open_node(Node::new(1), Access::ReadWrite);
        Self::enter(path, Arc::clone(&file.0.node))?;
        Ok(file)
    }

    fn enter(path: &Path, node: Arc<Node>) -> Result<(), Failure> {
        let mut names = held(&NAMES);
        if names.contains_key(path) {
            return failure("give the segment its name", Errno::EEXIST);
        }
        held(&node.state).links = 1;
        names.insert(path.to_owned(), node);
        Ok(())
    }

    pub(crate) fn link(_: LinkMethod, file: &File, path: &Path) -> Result<(), Failure> {
        Self::enter(path, Arc::clone(&file.0.node))
    }

    pub(crate) fn link_method(&self, _: &File) -> Option<LinkMethod> {
        Some(LinkMethod::EmptyPath)
    }

    pub(crate) fn rename(from: &Path, to: &Path, mode: RenameMode) -> Result<(), Failure> {
        let mut names = held(&NAMES);
        if mode == RenameMode::NoReplace && names.contains_key(to) {
            return failure("give the segment its name", Errno::EEXIST);
        }
        if !names.contains_key(from) || mode == RenameMode::Exchange && !names.contains_key(to) {
            return failure("give the segment its name", Errno::ENOENT);
        }
        let replaced = names.remove(from).and_then(|node| names.insert(to.to_owned(), node));
        match replaced {
            Some(other) if mode == RenameMode::Exchange => {
                names.insert(from.to_owned(), other);
            }
            Some(other) => held(&other.state).links = 0,
            None => {}
        }
        Ok(())
    }

    pub(crate) fn unlink(path: &Path) -> Result<(), Failure> {
        match held(&NAMES).remove(path) {
            Some(node) => {
                held(&node.state).links = 0;
                Ok(())
            }
            None => failure("remove the name", Errno::ENOENT),
        }
    }

    pub(crate) fn names(&self) -> Result<Vec<OsString>, Failure> {
        let names = held(&NAMES);
        let here = names.keys().filter(|path| path.parent() == Some(&self.path));
        Ok(here.filter_map(|path| path.file_name().map(OsString::from)).collect())
    }

    pub(crate) fn space(&self) -> Option<Space> {
        None
    }

    pub(crate) fn is_there(&self) -> bool {
        true
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

pub(crate) fn memory_bytes() -> u64 {
    isize::MAX as u64
}

pub(crate) fn process_id() -> u32 {
    1
}

pub(crate) fn overflow_user() -> u32 {
    u32::MAX
}

pub(crate) fn effective_user() -> u32 {
    USER
}

pub(crate) fn realtime_nanoseconds() -> u64 {
    0
}

pub(crate) fn random() -> Result<[u8; 16], Failure> {
    // An odd factor spreads the counter over all bits and keeps values apart.
    Ok(u128::from(next()).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_ne_bytes())
}

pub(crate) fn boot_id() -> [u8; 16] {
    [0; 16]
}

pub(crate) fn unique(_: u32, _: u64) -> Result<[u8; 16], Failure> {
    random()
}

pub(crate) fn process_start(_: u32) -> u64 {
    0
}

/// Waiting for a word to change, as threads of one process do.
pub(crate) mod futex {
    use super::{Failure, held};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Condvar, Mutex, PoisonError};
    use std::time::Duration;

    /// One for all words: who is woken looks at its own.
    static GATE: Mutex<()> = Mutex::new(());
    static WOKEN: Condvar = Condvar::new();

    /// How long a sleep lasts that nothing was looked at before.
    const NAP: Duration = Duration::from_millis(1);

    /// # Safety
    /// As on Linux.
    pub(crate) unsafe fn wait(word: *const u32, expected: u32, timeout: Duration) -> Result<(), Failure> {
        let gate = held(&GATE);
        if cfg!(miri) {
            // The word may be half of a larger atomic. The kernel may look at that; Miri refuses it as an access of another size.
            // So nobody looks, and the sleep is short, because it may have been for no reason.
            drop(WOKEN.wait_timeout(gate, timeout.min(NAP)).unwrap_or_else(PoisonError::into_inner));
            return Ok(());
        }
        // SAFETY: aligned and mapped by the caller's word; the reference ends with the load.
        let now = unsafe { AtomicU32::from_ptr(word.cast_mut()) }.load(Ordering::Relaxed);
        if now == expected {
            // Who changed the word wakes only after it has had the gate, so not before this thread sleeps.
            drop(WOKEN.wait_timeout(gate, timeout).unwrap_or_else(PoisonError::into_inner));
        }
        Ok(())
    }

    /// # Safety
    /// As on Linux.
    pub(crate) unsafe fn wake(_: *const u32, _: i32) -> usize {
        drop(held(&GATE));
        WOKEN.notify_all();
        0
    }
}
