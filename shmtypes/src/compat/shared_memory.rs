//! A named block of bytes, as Python's `SharedMemory`.
//!
//! CPython 3.13, `Lib/multiprocessing/shared_memory.py`, lines 38-256.
#![allow(unsafe_code, reason = "calls the access module under the invariant of SharedMemory")]

mod options;

pub use options::SharedMemoryOptions;
pub(crate) use options::{Claim, Claimant, Claimed};

use super::name::PosixName;
use super::tracker::Action;
use super::{Handle, ResourceTracker, pickle};
use crate::access;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::attach::check_kind;
use crate::segment::header::MAGIC;
use crate::segment::options::invalid;
use crate::sys::{self, Access, Directory, Failure, FileId, Map, Watch};
use core::fmt;
use nix::errno::Errno;
use options::block_name;
use shmtypes_compat::memory::{Memory, MemoryMut};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const TAKEN: &str = "choose another name, attach with `open`, or take the name away with `unlink`";

/// How long a block may be empty before it is an error: Python creates it with no bytes and then sets its size.
const CREATOR_PATIENCE: Duration = Duration::from_millis(100);

/// How long whoever is making a block is waited for.
pub(super) struct CreatorPatience(Instant);

impl CreatorPatience {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    /// Waits a little, if there is any patience left.
    pub(super) fn wait(&self) -> bool {
        std::thread::sleep(Duration::from_micros(200));
        self.0.elapsed() < CREATOR_PATIENCE
    }
}

/// A named block of bytes that other processes, Python's among them, read and write.
///
/// ```
/// use shmtypes::compat::SharedMemory;
///
/// let block = SharedMemory::create(100)?;
/// block.copy_from_slice(0, b"hello")?;
/// // In Python: SharedMemory(name='psm_…').buf[:5]
/// let same = SharedMemory::open(block.name())?;
/// assert_eq!(same.to_vec()?[..5], *b"hello");
/// block.unlink()?;
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// Dropping it detaches; the name stays until somebody calls [`unlink`](Self::unlink). A process that is killed leaves
/// the name. A peer may change any byte at any time: copies may be half old and half new. A peer that truncates the
/// file ends those who touch the missing part with SIGBUS, unless they [guard](crate::sigbus) against it.
///
/// This crate's own segments open as blocks, too: whoever scribbles on one is a peer that its users are safe from. Those of a
/// [`LockedArray`](crate::LockedArray) do not ([`ErrorKind::NeedsLock`]): slices of its elements may be lent, which rest on all
/// others going through its lock.
pub struct SharedMemory {
    // Invariant: `size` bytes from the start of `map` on are mapped for reading and writing, and no reference to them
    // exists. `map` starts at the beginning of a page. For reading only inside an `NdArray<T, ReadOnly>`, which lends the
    // block to nobody.
    map: Map,
    size: usize,
    id: FileId,
    name: PosixName,
    directory: Directory,
}
/// What happens if the new name of [`SharedMemory::rename`] is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rename {
    /// It is an error.
    #[default]
    NoReplace,
    /// The block that had it loses it.
    Replace,
    /// Both blocks exchange their names; then the new name must exist.
    Exchange,
}
impl SharedMemory {
    /// Everything that can be said about a block before it is created or opened.
    #[must_use]
    pub fn options() -> SharedMemoryOptions {
        SharedMemoryOptions::default()
    }

    /// Creates a block of `size` zero bytes under a fresh name, `psm_` and eight hexadecimal digits. Its space is
    /// reserved.
    ///
    /// # Errors
    /// As [`SharedMemoryOptions::create`].
    pub fn create(size: usize) -> Result<Self> {
        Self::options().create(size)
    }

    /// Creates a block of `size` zero bytes under this name.
    ///
    /// # Errors
    /// As [`SharedMemoryOptions::create`].
    pub fn create_named(name: &str, size: usize) -> Result<Self> {
        Self::options().name(name).create(size)
    }

    /// Attaches to the block of this name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::PermissionDenied`]; [`ErrorKind::Untrusted`] if it belongs to another
    /// user; [`ErrorKind::NeedsLock`] for the segment of a [`LockedArray`](crate::LockedArray), and
    /// [`ErrorKind::UnknownFeatures`] for one that a newer version of this crate made in a way that this one does not know; [`ErrorKind::NotASegment`] for what is no regular file, and for a file without bytes, which Python makes
    /// for a moment when it creates a block, and leaves when it is killed then. The name stays in every case.
    pub fn open(name: &str) -> Result<Self> {
        Self::options().name(name).open()
    }

    /// The name, as Python's `name` has it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.python_name()
    }

    /// The number of bytes. A creator on macOS rounds it up to whole pages, as Python does there; on Linux it is exact.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The address of the first byte. Whoever reads or writes through it takes on the rules of the
    /// [crate's access model](crate#the-access-model). It is valid as long as this handle is.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.map.start()
    }

    pub(super) fn watch(&self) -> Watch {
        self.map.watch()
    }

    /// Refuses what was read or written up to now if a peer had truncated the file (`sigbus`).
    #[inline(always)]
    pub(super) fn check_whole(&self) -> Result<()> {
        self.watch().check()
    }

    fn check_range(&self, start: usize, count: usize) -> Result<()> {
        match start.checked_add(count) {
            Some(end) if end <= self.size => Ok(()),
            end => Err(Error::out_of_range(end.unwrap_or(usize::MAX), self.size)),
        }
    }

    /// Copies the bytes from `start` on into `target`, as many as it has.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`].
    pub fn copy_to_slice(&self, start: usize, target: &mut [u8]) -> Result<()> {
        self.check_range(start, target.len())?;
        self.read(start, target);
        self.check_whole()
    }

    /// Copies `source` to the bytes from `start` on.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`], and then nothing was copied.
    pub fn copy_from_slice(&self, start: usize, source: &[u8]) -> Result<()> {
        self.check_range(start, source.len())?;
        self.write(start, source);
        self.check_whole()
    }

    /// All bytes, copied out.
    ///
    /// # Errors
    /// [`ErrorKind::NoAddressSpace`] if the copy does not fit into memory.
    pub fn to_vec(&self) -> Result<Vec<u8>> {
        let mut copy = Vec::new();
        copy.try_reserve_exact(self.size)
            .map_err(|_| Error::new(ErrorKind::NoAddressSpace { needed: self.size as u64 }))?;
        copy.resize(self.size, 0);
        self.read(0, &mut copy);
        self.check_whole()?;
        Ok(copy)
    }

    /// The byte at `index`.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`].
    pub fn get(&self, index: usize) -> Result<u8> {
        if index >= self.size {
            return Err(Error::out_of_range(index, self.size));
        }
        let byte = self.read_byte(index);
        self.check_whole()?;
        Ok(byte)
    }

    /// Stores the byte at `index`.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`].
    pub fn set(&self, index: usize, byte: u8) -> Result<()> {
        if index < self.size {
            self.write_byte(index, byte);
            self.check_whole()
        } else {
            Err(Error::out_of_range(index, self.size))
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(self.name.file_name())
    }

    /// Whether the name still denotes this block.
    fn check_name(&self) -> Result<()> {
        match Directory::status(&self.path()) {
            Ok(status) if status.id == self.id => Ok(()),
            Ok(_) | Err(Failure { errno: Errno::ENOENT, .. }) => Err(Error::new(ErrorKind::NotFound)),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Takes the name away. Whoever is attached goes on; the memory is freed when the last one detaches.
    ///
    /// A name that denotes another block by now is left alone. (Between the look and the removal it could change;
    /// blocks have nothing that would keep other programs from that.)
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the name is gone or denotes another block; [`ErrorKind::PermissionDenied`].
    pub fn unlink(&self) -> Result<()> {
        let removed = self.check_name().and_then(|()| Ok(Directory::unlink(&self.path())?));
        removed.map_err(|error| error.on(self.name()))
    }

    /// Gives the block another name, which this handle then has too. Other handles keep theirs. Python has no such
    /// call, and its resource tracker goes by the old name. As everywhere, leading slashes belong to the name and not to the
    /// file: a name that differs from the old one in them only is taken without a move.
    ///
    /// ```
    /// use shmtypes::compat::{Rename, SharedMemory};
    ///
    /// let mut block = SharedMemory::create(1)?;
    /// let name = format!("{}-new", block.name());
    /// block.rename(&name, Rename::NoReplace)?;
    /// assert_eq!(block.name(), name);
    /// SharedMemory::open(&name)?.unlink()?;
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the name is gone or denotes another block, or for [`Rename::Exchange`] if the new
    /// name does not exist; [`ErrorKind::AlreadyExists`] for [`Rename::NoReplace`]; [`ErrorKind::NotASegment`] if what has the
    /// new name is no regular file; [`ErrorKind::InvalidOptions`] if one of both is a typed segment, whose name belongs to
    /// those attached to it; [`ErrorKind::InvalidBlockName`].
    pub fn rename(&mut self, new: &str, rename: Rename) -> Result<()> {
        let new = block_name(new)?;
        let (from, to) = (self.path(), self.directory.join(new.file_name()));
        self.check_name().and_then(|()| check_is_block(&from)).map_err(|error| error.on(self.name()))?;
        if to != from {
            let target = if rename == Rename::NoReplace { Ok(()) } else { check_is_block(&to) };
            let renamed = match target {
                Err(error) if rename == Rename::Replace && *error.kind() == ErrorKind::NotFound => Ok(()),
                target => target,
            }
            .and_then(|()| Ok(Directory::rename(&from, &to, rename.into())?));
            renamed.map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists { .. } => error.with_hint(TAKEN).on(new.python_name()),
                // The old name was there a moment ago.
                _ => error.on(new.python_name()),
            })?;
        }
        self.name = new;
        Ok(())
    }

    /// Python looks in /dev/shm only: elsewhere its name would mean another block, or none.
    pub(super) fn check_known_to_python(&self) -> Result<()> {
        if self.directory == Directory::shared_memory() {
            return Ok(());
        }
        Err(invalid("Python knows no blocks outside of /dev/shm").on(self.name()))
    }

    /// Tells a Python resource tracker of this block: if the tracker's processes end without [`untrack`](Self::untrack),
    /// it removes the name.
    ///
    /// # Errors
    /// If the tracker is gone, or the name cannot be told to it.
    pub fn track(&self, tracker: &ResourceTracker) -> Result<()> {
        self.check_known_to_python()?;
        tracker.send(Action::Register, &self.name.tracker_name())
    }

    /// Tells a Python resource tracker to forget this block.
    ///
    /// # Errors
    /// As [`track`](Self::track).
    pub fn untrack(&self, tracker: &ResourceTracker) -> Result<()> {
        self.check_known_to_python()?;
        tracker.send(Action::Unregister, &self.name.tracker_name())
    }

    /// The pickle of this handle, as Python's `pickle.dumps(shm, protocol)` makes it. Unpickling attaches by name.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOptions`] for a protocol beyond 5.
    pub fn to_pickle(&self, protocol: u8) -> Result<Vec<u8>> {
        self.check_known_to_python()?;
        let handle = Handle::SharedMemory { name: self.name().to_owned(), size: Some(self.size as u64) };
        pickle::emit(&handle, protocol).map_err(|error| invalid(&error.to_string()))
    }

    /// Attaches to the block whose handle was pickled.
    ///
    /// # Errors
    /// [`ErrorKind::Pickle`] for anything but the pickle of a handle, [`ErrorKind::InvalidOptions`] for that of a
    /// `ShareableList`; else as [`open`](Self::open).
    pub fn from_pickle(bytes: &[u8]) -> Result<Self> {
        Self::options().from_pickle(bytes)
    }
}

/// Refuses what must not be moved away from its name: directories and the like, and typed segments. Between this look and a
/// renaming another file may take the name; blocks have nothing that would keep other programs from that.
fn check_is_block(path: &Path) -> Result<()> {
    check_kind(&Directory::status(path)?)?;
    let mut magic = [0; MAGIC.len()];
    // Who may not read it may be allowed to rename it.
    let read = Directory::open(path, Access::ReadOnly).and_then(|file| file.read_at(&mut magic, 0));
    if read.is_ok() && magic == MAGIC {
        return Err(invalid("a typed segment keeps its name as long as somebody is attached to it"));
    }
    Ok(())
}

impl From<Rename> for sys::RenameMode {
    fn from(rename: Rename) -> Self {
        match rename {
            Rename::NoReplace => Self::NoReplace,
            Rename::Replace => Self::Replace,
            Rename::Exchange => Self::Exchange,
        }
    }
}

/// As Python's `repr`.
impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedMemory(")?;
        super::repr::write_str(f, self.name())?;
        write!(f, ", size={})", self.size)
    }
}

/// Whether eight bytes are loaded and stored at once; else no number is taken for one that nobody can see in parts.
const WORDS_ARE_WHOLE: bool = cfg!(target_pointer_width = "64");

/// Copies of up to this many bytes move as words, which spares the call of `memcpy`.
const SHORT_COPY: usize = 64;

/// Out of line, with all that a message needs.
#[cold]
#[inline(never)]
fn out_of_range(count: usize, offset: usize, size: usize) -> ! {
    panic!("{count} bytes at {offset} of {size}")
}

impl SharedMemory {
    /// The address of `count` bytes.
    #[inline(always)]
    fn place(&self, offset: usize, count: usize) -> *mut u8 {
        if offset > self.size || count > self.size - offset {
            out_of_range(count, offset, self.size);
        }
        self.map.start().wrapping_add(offset)
    }

    /// Whether `offset` is a multiple of eight with eight bytes behind it.
    #[inline(always)]
    fn has_whole_word(&self, offset: usize) -> bool {
        // The rotation takes what is left over eight to the top, so that one comparison is enough:
        // `offset / 8 < size / 8` leaves eight bytes.
        WORDS_ARE_WHOLE && offset.rotate_right(3) < self.size / 8
    }

    /// Whether `offset` is a multiple of eight with so many words behind it.
    #[inline(always)]
    fn has_whole_words(&self, offset: usize, count: usize) -> bool {
        // Of words that all lie inside, the number of the first and the count add up to no more than those there are.
        let (first, words) = (offset.rotate_right(3), self.size / 8);
        WORDS_ARE_WHOLE && first <= words && count <= words - first
    }

    #[cold]
    #[inline(never)]
    fn word_in_parts(&self, offset: usize) -> u64 {
        let place = self.place(offset, 8);
        let mut word = [0; 8];
        // SAFETY: `place` has checked that eight bytes are mapped; the target is private.
        unsafe { access::copy_out(place, word.as_mut_ptr(), word.len()) };
        u64::from_ne_bytes(word)
    }

    #[inline(never)]
    fn is_still_at_length(&self, offset: usize, seen: &[u8]) -> bool {
        seen.chunks(SHORT_COPY).enumerate().all(|(number, chunk)| {
            let mut copy = [0; SHORT_COPY];
            let copy = &mut copy[..chunk.len()];
            self.read(offset + number * SHORT_COPY, copy);
            copy == chunk
        })
    }
}

impl Memory for SharedMemory {
    #[inline]
    fn len(&self) -> usize {
        self.size
    }

    #[inline]
    fn read(&self, offset: usize, target: &mut [u8]) {
        let place = self.place(offset, target.len());
        if target.len() > SHORT_COPY || !offset.is_multiple_of(8) {
            // SAFETY: `place` has checked that so many bytes are mapped; the target is private.
            return unsafe { access::copy_out(place, target.as_mut_ptr(), target.len()) };
        }
        let (words, rest) = target.as_chunks_mut::<8>();
        let tail = place.wrapping_add(size_of_val(words));
        for (index, word) in words.iter_mut().enumerate() {
            // SAFETY: inside the range that `place` has checked; a multiple of eight from a page's start.
            let loaded = unsafe { access::load(place.cast::<u64>().wrapping_add(index)) };
            *word = loaded.word::<[u8; 8]>();
        }
        for (index, byte) in rest.iter_mut().enumerate() {
            // SAFETY: inside the range that `place` has checked.
            *byte = unsafe { access::load(tail.wrapping_add(index)) }.word();
        }
    }

    #[inline(always)]
    fn read_word(&self, offset: usize) -> u64 {
        match self.whole_word(offset) {
            Some(word) => word,
            None => self.word_in_parts(offset),
        }
    }

    #[inline]
    fn read_byte(&self, offset: usize) -> u8 {
        // SAFETY: `place` has checked that the byte is mapped.
        unsafe { access::load(self.place(offset, 1)) }.word()
    }

    #[inline(always)]
    fn whole_word(&self, offset: usize) -> Option<u64> {
        self.has_whole_word(offset).then(|| {
            let place = self.map.start().wrapping_add(offset);
            // SAFETY: `has_whole_word`: eight bytes are mapped there; a multiple of eight from a page's start.
            unsafe { access::load(place.cast::<u64>()) }.word()
        })
    }

    #[inline(always)]
    fn whole_words(&self, offset: usize, target: &mut [[u8; 8]]) -> bool {
        if !self.has_whole_words(offset, target.len()) {
            return false;
        }
        let first = self.map.start().wrapping_add(offset).cast::<u64>();
        for (index, word) in target.iter_mut().enumerate() {
            // SAFETY: `has_whole_words`: so many words are mapped; multiples of eight from a page's start.
            *word = unsafe { access::load(first.wrapping_add(index)) }.word();
        }
        true
    }

    #[inline(always)]
    fn are_whole_words(&self, offset: usize, seen: &[[u8; 8]]) -> bool {
        if !self.has_whole_words(offset, seen.len()) {
            return false;
        }
        let first = self.map.start().wrapping_add(offset).cast::<u64>();
        seen.iter().enumerate().all(|(index, word)| {
            // SAFETY: `has_whole_words`: so many words are mapped; multiples of eight from a page's start.
            unsafe { access::load(first.wrapping_add(index)) }.word::<u64>() == u64::from_ne_bytes(*word)
        })
    }

    #[inline(always)]
    fn is_still(&self, offset: usize, seen: &[u8]) -> bool {
        let place = self.place(offset, seen.len());
        let (words, rest) = seen.as_chunks::<8>();
        if seen.len() > SHORT_COPY || !offset.is_multiple_of(8) || !rest.is_empty() {
            return self.is_still_at_length(offset, seen);
        }
        words.iter().enumerate().all(|(index, word)| {
            // SAFETY: inside the range that `place` has checked; a multiple of eight from a page's start.
            let loaded = unsafe { access::load(place.cast::<u64>().wrapping_add(index)) };
            loaded.word::<[u8; 8]>() == *word
        })
    }
}

impl MemoryMut for SharedMemory {
    #[inline]
    fn write(&self, offset: usize, source: &[u8]) {
        let place = self.place(offset, source.len());
        let (words, rest) = source.as_chunks::<8>();
        if source.len() > SHORT_COPY || !offset.is_multiple_of(8) || !rest.is_empty() {
            // SAFETY: `place` has checked that so many bytes are mapped, for writing too; the source is private.
            return unsafe { access::copy_in(source.as_ptr(), place, source.len()) };
        }
        for (index, word) in words.iter().enumerate() {
            let word = u64::from_ne_bytes(*word);
            // SAFETY: inside the range that `place` has checked, for writing too; a multiple of eight from a page's
            // start.
            unsafe { access::store(place.cast::<u64>().wrapping_add(index), &word) };
        }
    }

    #[inline]
    fn write_word(&self, offset: usize, word: u64) {
        if !self.write_whole_word(offset, word) {
            self.write(offset, &word.to_ne_bytes());
        }
    }

    #[inline]
    fn write_byte(&self, offset: usize, byte: u8) {
        // SAFETY: `place` has checked that the byte is mapped, for writing too.
        unsafe { access::store(self.place(offset, 1), &byte) };
    }

    #[inline(always)]
    fn write_whole_word(&self, offset: usize, word: u64) -> bool {
        let is_whole = self.has_whole_word(offset);
        if is_whole {
            let place = self.map.start().wrapping_add(offset);
            // SAFETY: `has_whole_word`: eight bytes are mapped there, for writing too; a multiple of eight from a page's
            // start.
            unsafe { access::store(place.cast::<u64>(), &word) };
        }
        is_whole
    }
}
