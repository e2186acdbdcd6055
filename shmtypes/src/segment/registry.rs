//! What a manager owns, written down where it survives the manager.
//!
//! A registry is a segment of its own kind, which only its manager is attached to. An entry says what is to go when the
//! manager ends: a name in the registry's directory, or the socket at which the manager was reached. The kernel frees the
//! registry's life lock when the manager ends, in whatever way; then [`reap`](super::SegmentDirectory::reap) removes what
//! the entries name, as far as it still is what the manager meant, and last the registry.
//!
//! ```text
//! offset  size  field
//!      0     8  inode         of the file; 0 where the entry is free. Written last, cleared first
//!      8     8  device
//!     16     2  kind          1: a name in the directory; 2: the path of a socket in a directory of its own
//!     18     2  name bytes
//!     20   260  name
//! ```
//!
//! Rules:
//!
//! 1. An entry is a claim, and anybody who may write the registry can forge one. Nothing is removed but a file of the
//!    registry's owner, of the kind the entry says, with its device and inode number. A registry of root's may name files of
//!    all users: root's managers own what they are handed.
//! 2. A name is one component: no entry leads out of the directory. A socket's directory is named as managers name theirs,
//!    with a random part; it stands in the registry before it exists, so that its numbers are not known.
//! 3. Nobody is kept by a registry that is too long, or by names that somebody keeps locked, in whatever number of registries.
//! 4. Whoever may not remove what stands in a registry leaves the registry, too.

use super::detach::{self, Condition, Detached, Guess, RemoverPatience, Target};
use super::header::Header;
use super::liveness;
use super::name::shown;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::{Directory, Failure, File, FileId, OpenDirectory};
use nix::errno::Errno;
use shmtypes_derive::ShmLayout;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// What the directory of a manager's socket is called, before the part that makes it unique.
pub(crate) const SOCKET_DIRECTORY: &str = "shmtypes-manager-";

/// What the socket in it is called.
pub(crate) const SOCKET: &str = "socket";

/// The most entries of one registry; a manager takes a further one. Whoever writes a registry could have whoever reaps read
/// a file of holes for hours.
pub(crate) const MOST_ENTRIES: usize = 16384;

pub(super) const ROOT: u32 = 0;

const NAME_BYTES: usize = 260;

/// One thing that a manager owns.
#[derive(ShmLayout, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct RegistryEntry {
    pub(crate) inode: u64,
    pub(crate) device: u64,
    kind: u16,
    name_bytes: u16,
    name: [u8; NAME_BYTES],
}

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum EntryKind {
    /// A file in the registry's directory.
    Name = 1,
    /// A socket, by its path; its directory goes with it.
    Socket = 2,
}

impl RegistryEntry {
    /// An entry for what stands, or is about to stand, under `name`.
    pub(crate) fn new(kind: EntryKind, name: &OsStr, id: FileId) -> Result<Self> {
        let mut entry = Self::new_zeroed();
        let bytes = name.as_bytes();
        let Some(target) = entry.name.get_mut(..bytes.len()) else {
            let reason = "a manager owns nothing with so long a name";
            return Err(Error::new(ErrorKind::InvalidName { name: name.to_string_lossy().into_owned(), reason }));
        };
        target.copy_from_slice(bytes);
        entry.name_bytes = bytes.len() as u16;
        entry.kind = kind as u16;
        (entry.device, entry.inode) = (id.device, id.inode);
        Ok(entry)
    }

    /// The same, free as yet.
    pub(crate) fn unset(&self) -> Self {
        Self { inode: 0, ..*self }
    }

    fn id(&self) -> FileId {
        FileId { device: self.device, inode: self.inode }
    }

    fn name(&self) -> Option<&OsStr> {
        self.name.get(..usize::from(self.name_bytes)).map(OsStr::from_bytes)
    }

    /// The file's name, if the entry is about one in the directory and cannot lead out of it.
    fn file_name(&self) -> Option<&str> {
        let name = self.name()?.to_str()?;
        let is_component = !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']);
        (self.kind == EntryKind::Name as u16 && is_component).then_some(name)
    }

    /// An entry for the socket of a manager, in a directory of its own.
    pub(crate) fn socket_at(path: &Path) -> Result<Self> {
        Self::new(EntryKind::Socket, path.as_os_str(), FileId { device: u64::MAX, inode: u64::MAX })
    }

    /// The socket's path, if the entry is about one that a manager could have made.
    fn socket(&self) -> Option<&Path> {
        let path = Path::new(self.name()?);
        let directory = path.parent()?.file_name()?.to_str()?;
        let is_ours = path.is_absolute() && directory.starts_with(SOCKET_DIRECTORY) && path.file_name()? == SOCKET;
        (self.kind == EntryKind::Socket as u16 && is_ours).then_some(path)
    }
}

/// What a registry's entries came to.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// The names that were removed, and how many bytes each had.
    pub(crate) removed: Vec<(String, u64)>,
    /// Whether something is left that this process may not remove, or could not.
    pub(crate) incomplete: bool,
}

/// Removes what the entries of the registry in `file` name. Its manager is gone.
pub(super) fn sweep(
    directory: &Directory,
    file: &File,
    header: &Header,
    patience: &mut RemoverPatience,
) -> Result<Swept> {
    let owner = file.status()?.owner;
    let mut swept = Swept::default();
    if header.element_bytes != size_of::<RegistryEntry>() as u64 {
        return Err(Error::new(ErrorKind::Corrupt { field: "element size", value: header.element_bytes }));
    }
    if header.data_bytes > (MOST_ENTRIES * size_of::<RegistryEntry>()) as u64 {
        return Err(Error::new(ErrorKind::Corrupt { field: "data length", value: header.data_bytes }));
    }
    let mut chunk = vec![0; 64 * size_of::<RegistryEntry>()];
    let (mut position, end) = (header.data_offset, header.data_offset + header.data_bytes);
    while position < end {
        let wanted = usize::try_from(end - position).unwrap_or(usize::MAX).min(chunk.len());
        let filled = file.read_at(&mut chunk[..wanted], position)?;
        let (entries, rest) = chunk[..filled].as_chunks::<{ size_of::<RegistryEntry>() }>();
        for bytes in entries {
            let Ok(entry) = RegistryEntry::read_from_bytes(bytes) else { continue };
            swept.remove(directory, &entry, owner, patience);
        }
        // Cut off by somebody: what is missing names nothing.
        if entries.is_empty() || !rest.is_empty() && filled < wanted {
            break;
        }
        position += (filled - rest.len()) as u64;
    }
    Ok(swept)
}

impl Swept {
    fn remove(&mut self, directory: &Directory, entry: &RegistryEntry, owner: u32, patience: &mut RemoverPatience) {
        if entry.inode == 0 {
            return;
        }
        if let Some(path) = entry.socket() {
            remove_socket(path, owner);
        } else if let Some(name) = entry.file_name() {
            let path = directory.join(name);
            let bytes = Directory::status(&path).map_or(0, |status| status.reserved);
            match remove_owners(&path, entry.id(), owner, patience) {
                Ok(Detached::Removed) => self.removed.push((shown(name), bytes)),
                Ok(Detached::NameGone) => {}
                _ => self.incomplete = true,
            }
        }
    }
}

/// Removes the name if it denotes the regular file of these numbers, of this owner, whoever is attached.
fn remove_owners(path: &Path, id: FileId, owner: u32, patience: &mut RemoverPatience) -> Result<Detached, Failure> {
    match Directory::status(path) {
        // Of the very file that is removed: another one could have the name by then, whose numbers were known before.
        Ok(status) if status.id != id || status.irregular.is_some() => Ok(Detached::NameGone),
        Ok(status) if status.owner != owner && owner != ROOT => Ok(Detached::NameGone),
        Ok(_) => remove_claimed(path, id, patience),
        Err(Failure { errno: Errno::ENOENT, .. }) => Ok(Detached::NameGone),
        Err(failure) => Err(failure),
    }
}

/// Removes the name of a block if it denotes the regular file of these numbers, of this user unless that is root: the
/// numbers are what a client says, before there is a name to look at. Nobody locks the names of blocks, which are removed by
/// name only, so that a lock would keep nobody from giving it to another one between the question and the removal.
pub(crate) fn remove_block(path: &Path, id: FileId, user: u32) -> Result<Detached, Failure> {
    let gone = |failure: Failure| match failure.errno {
        Errno::ENOENT => Ok(Detached::NameGone),
        Errno::EACCES | Errno::EPERM | Errno::EROFS => Ok(Detached::LeftForOwner),
        _ => Err(failure),
    };
    match Directory::status(path) {
        Ok(status) if status.id != id || status.irregular.is_some() => Ok(Detached::NameGone),
        Ok(status) if status.owner != user && user != ROOT => Ok(Detached::LeftForOwner),
        Ok(_) => Directory::unlink(path).map_or_else(gone, |()| Ok(Detached::Removed)),
        Err(failure) => gone(failure),
    }
}

/// Removes the name if it denotes the file of these numbers, which is known to be a regular one, whoever is attached.
pub(crate) fn remove_claimed(path: &Path, id: FileId, patience: &mut RemoverPatience) -> Result<Detached, Failure> {
    // What stands there now may be nothing that can be opened.
    if Directory::status(path).is_ok_and(|status| status.id != id || status.irregular.is_some()) {
        return Ok(Detached::NameGone);
    }
    // The lock on the name is all that is needed, where there are byte locks; elsewhere nothing else can be done either.
    let target =
        Target { path: path.to_owned(), id, creation: None, rung: liveness::Rung::Mapping, guess: Guess::None };
    detach::remove_within(&target, Condition::Any, patience)
}

/// Removes a manager's socket and the directory that was made for it, if both are this owner's. Each directory is held before
/// it is judged: its owner could put another one in its place meanwhile, or a link, and have the socket's name removed there.
pub(crate) fn remove_socket(path: &Path, owner: u32) {
    let remove = || -> Option<()> {
        let (socket, directory) = (path.file_name()?, path.parent()?);
        let parent = OpenDirectory::open(directory.parent()?).ok()?;
        let held = parent.open_in(directory.file_name()?).ok()?;
        if held.status().ok()?.owner != owner {
            return None;
        }
        if held.status_of(socket).is_ok_and(|found| found.irregular == Some("a socket") && found.owner == owner) {
            // What cannot be removed stays, as files in such directories do; nobody loses memory by it.
            let _ = held.unlink(socket);
        }
        // Refused if there is something else in it.
        parent.remove_directory(directory.file_name()?).ok()
    };
    let _ = remove();
}
