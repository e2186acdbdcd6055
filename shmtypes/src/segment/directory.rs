//! What operators do with a directory of segments: list, inspect, reap, unlink.
//!
//! Listing and inspecting take no lock where the file system has byte locks, so they never make an attacher wait there.
//! (With whole-file locks there is no way of asking but trying.) Reaping asks first and locks only what
//! seems unattached. Nothing here touches a file that is no segment of this crate.

use super::attach::{check_kind, read_header};
use super::detach::{self, Condition, Detached, Guess, RemoverPatience, Target};
use super::header::{Container, HUGE_PAGES_GRANTED, HUGE_PAGES_REFUSED, Header, Persist};
use super::liveness;
use super::name::{SegmentName, is_temporary, shown};
use super::registry;
use super::slots::Slots;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::describe::Layout;
use crate::sys::{self, Access, Directory, Failure, File, Status};
use nix::errno::Errno;
use std::cell::RefCell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What a segment's header and file say about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SegmentInfo {
    /// The name.
    pub name: String,
    /// The container in the segment.
    pub container: Container,
    /// The name of the element's type in the program that created the segment. For people: attaching compares
    /// layouts, not names.
    pub type_name: String,
    /// The element's layout, with renderings as Rust, C and NumPy.
    pub layout: Layout,
    /// The lengths of the dimensions, in elements.
    pub shape: Vec<u64>,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The size of the elements in bytes.
    pub data_bytes: u64,
    /// The user id of the file's owner.
    pub owner: u32,
    /// The permission bits.
    pub mode: u32,
    /// When the name goes away.
    pub persist: Persist,
    /// Whether any process is attached, by the kernel's word.
    pub attached: bool,
    /// Whether the segment stands on huge pages.
    pub huge_pages: HugePages,
    /// Who created it. For people: process ids are used again.
    pub creator: Creator,
    /// The participant slots, if it has locks.
    pub slots: Option<Slots>,
    /// Whether every access takes the segment's lock: a [`LockedArray`](crate::LockedArray).
    pub locked: bool,
}

/// The process that created a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Creator {
    /// Its process id, in its own process id namespace.
    pub pid: u32,
    /// The user id that its file got: the file system user id, as a rule the effective one.
    pub uid: u32,
    /// When it started, in clock ticks since boot (field 22 of /proc/PID/stat).
    pub start_ticks: u64,
    /// When it created the segment.
    pub created: SystemTime,
}

/// What became of the wish for huge pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HugePages {
    /// Nobody asked for them.
    NotRequested,
    /// The kernel granted them.
    Granted,
    /// The kernel refused; the segment stands on small pages.
    Refused,
}

/// The segments of a directory.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Listing {
    /// The segments, by name.
    pub segments: Vec<SegmentInfo>,
    /// Files with the magic of a segment that cannot be read as one, or not by this process, and why. Names that no
    /// segment can have are written as `{:?}` writes them, so that they can be printed.
    pub rejected: Vec<(String, Error)>,
}

/// What a reap did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Reaped {
    /// The names that were removed; one that no segment can have as `{:?}` writes it.
    pub removed: Vec<String>,
    /// The memory that was freed with them, in bytes.
    pub bytes: u64,
    /// Segments that nobody is attached to, and registries of managers that have ended, which this process may not remove, or
    /// could not for the locks that others keep on what belongs to them.
    pub left_for_owner: Vec<String>,
}

/// A directory of segments; [`Default`] is /dev/shm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentDirectory(Directory);

impl Default for SegmentDirectory {
    fn default() -> Self {
        Self(Directory::shared_memory())
    }
}

impl SegmentDirectory {
    /// The directory at `path`, such as a tmpfs of one's own.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(Directory::new(path))
    }

    #[cfg(not(any(miri, shmtypes_heap)))]
    pub(crate) fn of(directory: Directory) -> Self {
        Self(directory)
    }

    /// The segments in the directory. Files of other programs are passed over.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn list(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        let mut names = self.names()?;
        names.sort();
        for name in names {
            let name = name.to_string_lossy().into_owned();
            // Just being built, or left half-built for `reap`.
            if is_temporary(&name) {
                continue;
            }
            match self.examine(&name) {
                Ok(info) => match SegmentName::new(&name) {
                    Ok(_) => listing.segments.push(info),
                    Err(error) => listing.rejected.push((shown(&name), error)),
                },
                Err(error) => match error.kind() {
                    // Not a segment, or gone since the directory was read.
                    ErrorKind::NotASegment { .. } | ErrorKind::NotFound => {}
                    // Without read access nobody knows whether it is one.
                    ErrorKind::PermissionDenied { .. } if SegmentName::new(&name).is_err() => {}
                    _ => listing.rejected.push((shown(&name), error)),
                },
            }
        }
        Ok(listing)
    }

    /// What the segment's header and file say about it. Needs read access; changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotASegment`], or what is wrong with the segment.
    pub fn inspect(&self, name: &str) -> Result<SegmentInfo> {
        self.examine(SegmentName::new(name)?.as_str()).map_err(|error| error.on(name))
    }

    fn examine(&self, name: &str) -> Result<SegmentInfo> {
        let (file, status) = open_segment(&self.0.join(name), Access::ReadOnly)?;
        let layout = RefCell::new(None);
        let header = read_header(&file, &status, &|_, schema| {
            *layout.borrow_mut() = Some(Layout::parse(schema)?);
            Ok(())
        })?;
        let layout = layout.into_inner().ok_or_else(|| Error::new(ErrorKind::Corrupt { field: "schema", value: 0 }))?;
        let rung = liveness::rung(&file, &status)?;
        Ok(SegmentInfo {
            name: name.to_owned(),
            container: header.container(),
            type_name: header.type_name(),
            layout,
            shape: header.shape().to_vec(),
            bytes: header.total_bytes,
            data_bytes: header.data_bytes,
            owner: status.owner,
            mode: status.mode,
            persist: header.persist(),
            attached: rung.is_attached(&file)?,
            huge_pages: match header.optional_features & (HUGE_PAGES_GRANTED | HUGE_PAGES_REFUSED) {
                0 => HugePages::NotRequested,
                HUGE_PAGES_GRANTED => HugePages::Granted,
                _ => HugePages::Refused,
            },
            creator: Creator {
                pid: header.creator_pid,
                uid: header.creator_uid,
                start_ticks: header.creator_start,
                created: SystemTime::UNIX_EPOCH
                    .checked_add(Duration::from_nanos(header.created_ns))
                    .unwrap_or(SystemTime::UNIX_EPOCH),
            },
            slots: Slots::examine(&file, &header, rung)?,
            locked: header.is_locked(),
        })
    }

    /// Removes every `UntilLastDetach` segment that nobody is attached to: what killed processes left behind. `Keep`
    /// segments stay, attached or not, unless they belonged to a [manager](crate::manager) that was killed: what such a
    /// manager owned is removed, attached or not, as the manager would have done.
    ///
    /// # Errors
    /// If the directory cannot be read. A segment that cannot be judged or removed is left.
    pub fn reap(&self) -> Result<Reaped> {
        detach::retry_deferred(None);
        let mut reaped = Reaped::default();
        let mut patience = RemoverPatience::for_many();
        for name in self.names()? {
            let Some(name) = name.to_str() else { continue };
            let path = self.0.join(name);
            let bytes = Directory::status(&path).map_or(0, |status| status.reserved);
            let outcome = if is_temporary(name) {
                reap_unfinished(&path, &mut patience)
            } else {
                reap_orphan_into(&self.0, &path, &mut patience, &mut |name, bytes| {
                    reaped.removed.push(name);
                    reaped.bytes += bytes;
                })
            };
            match outcome {
                Ok(Detached::Removed) => {
                    reaped.removed.push(shown(name));
                    reaped.bytes += bytes;
                }
                Ok(Detached::LeftForOwner) => reaped.left_for_owner.push(shown(name)),
                _ => {}
            }
        }
        Ok(reaped)
    }

    fn names(&self) -> Result<Vec<OsString>> {
        self.0.names().map_err(|failure| no_directory(&self.0, failure))
    }

    /// Removes one segment that nobody is attached to, of either persist policy. With the registry of a manager that is
    /// gone goes what the manager owned.
    ///
    /// # Errors
    /// [`ErrorKind::InUse`] if a process is attached, [`ErrorKind::PermissionDenied`] if this one may not remove the
    /// name, [`ErrorKind::NotFound`], [`ErrorKind::NotASegment`].
    pub fn reap_named(&self, name: &str) -> Result<()> {
        self.remove(name, Condition::Unattached)
    }

    /// Takes the segment's name away, even while processes are attached: they go on undisturbed, nobody can join them,
    /// and the memory is freed when the last one detaches.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] if this process may not remove the name, [`ErrorKind::NotFound`],
    /// [`ErrorKind::NotASegment`].
    pub fn unlink(&self, name: &str) -> Result<()> {
        self.remove(name, Condition::Any)
    }

    /// Removes what the manager has left that kept a registry in the segments whose names `is_part` knows. What this cannot
    /// remove, [`reap`](Self::reap) finds.
    #[cfg(not(any(miri, shmtypes_heap)))]
    pub(crate) fn reap_parts(&self, is_part: impl Fn(&str) -> bool) {
        // Anybody may give such names to any number of files, once they have seen one: together they are waited for as one is.
        let (user, mut patience) = (sys::effective_user(), RemoverPatience::for_many());
        // Any of the parts may be gone: the manager may have been killed while it took them away.
        for name in self.names().unwrap_or_default() {
            let Some(name) = name.to_str().filter(|name| is_part(name)) else { continue };
            let owner = Directory::status(&self.0.join(name)).map(|status| status.owner);
            if owner.is_ok_and(|owner| owner == user || user == registry::ROOT) {
                let _ = self.remove_within(name, Condition::Unattached, &mut patience);
            }
        }
    }

    fn remove(&self, name: &str, condition: Condition) -> Result<()> {
        self.remove_within(name, condition, &mut RemoverPatience::for_many())
    }

    fn remove_within(&self, name: &str, condition: Condition, patience: &mut RemoverPatience) -> Result<()> {
        let checked = SegmentName::new(name)?;
        let path = self.0.join(checked.as_str());
        let mut attempt = || {
            let (file, status) = open_segment(&path, Access::ReadWrite)?;
            // A damaged segment may be removed as well; what carries no magic may not.
            let header = match read_header(&file, &status, &|_, _| Ok(())) {
                Ok(header) => Some(header),
                Err(error) if matches!(error.kind(), ErrorKind::NotASegment { .. }) => return Err(error),
                Err(_) => None,
            };
            let creation = header.as_ref().map(|header| header.creation_id);
            let registry = header.filter(|header| header.container() == Container::Registry);
            let rung = liveness::rung(&file, &status)?;
            if let Some(header) = &registry
                && !rung.is_attached(&file)?
                && !sweep(&self.0, &file, header, patience, &mut |_, _| ())?
            {
                return Err(Error::new(ErrorKind::PermissionDenied { operation: "remove what the manager owned" }));
            }
            drop(file);
            let target = Target { path: path.clone(), id: status.id, creation, rung, guess: Guess::Last };
            match detach::remove_within(&target, condition, patience)? {
                Detached::Removed => Ok(()),
                Detached::LeftForOwner => Err(Error::new(ErrorKind::PermissionDenied { operation: "remove the name" })),
                Detached::StillInUse if condition == Condition::Any => Err(Error::new(ErrorKind::Busy)),
                Detached::StillInUse => Err(Error::new(ErrorKind::InUse)),
                _ => Err(Error::new(ErrorKind::NotFound)),
            }
        };
        attempt().map_err(|error: Error| error.on(name))
    }
}

/// Tells a missing directory from other failures.
pub(super) fn no_directory(directory: &Directory, failure: Failure) -> Error {
    match failure.errno {
        Errno::ENOENT | Errno::ENOTDIR if !directory.is_there() => {
            Error::new(ErrorKind::NoDirectory { path: directory.path().to_owned() })
        }
        _ => failure.into(),
    }
}

/// Opens a regular file with one name and contents.
pub(super) fn open_segment(path: &Path, access: Access) -> Result<(File, Status)> {
    let refuse = |status: &Status| match status.irregular {
        Some(found) => Err(Error::new(ErrorKind::NotASegment { found })),
        None if status.links > 1 => Err(Error::new(ErrorKind::HardLinked { links: status.links })),
        None => Ok(()),
    };
    let before = Directory::status(path)?;
    if before.irregular.is_some() {
        refuse(&before)?;
    }
    let file = Directory::open(path, access)?;
    let status = file.status()?;
    let mut magic = [0; super::header::MAGIC.len()];
    if file.read_at(&mut magic, 0)? < magic.len() || magic != super::header::MAGIC {
        let found = if status.bytes == 0 { "an empty file" } else { "a file without its magic" };
        return Err(Error::new(ErrorKind::NotASegment { found }));
    }
    refuse(&status)?;
    Ok((file, status))
}

/// Removes the segment at `path` if it is one, is to go with its last process, and nobody is attached. A registry takes
/// with it what its manager owned.
pub(super) fn reap_orphan(directory: &Directory, path: &Path) -> Result<Detached> {
    reap_orphan_into(directory, path, &mut RemoverPatience::for_many(), &mut |_, _| ())
}

/// The same; `removed` is told what went with a registry.
fn reap_orphan_into(
    directory: &Directory,
    path: &Path,
    patience: &mut RemoverPatience,
    removed: &mut dyn FnMut(String, u64),
) -> Result<Detached> {
    let (file, status) = match open_segment(path, Access::ReadOnly) {
        Ok(opened) => opened,
        Err(error) if *error.kind() == ErrorKind::NotFound => return Ok(Detached::NameGone),
        Err(error) => return Err(error),
    };
    let header = read_header(&file, &status, &|_, _| Ok(()))?;
    if header.persist() == Persist::Keep {
        return Ok(Detached::Kept);
    }
    let rung = liveness::rung(&file, &status)?;
    if rung.is_attached(&file)? {
        return Ok(Detached::StillInUse);
    }
    if header.container() == Container::Registry && !sweep(directory, &file, &header, patience, removed)? {
        return Ok(Detached::LeftForOwner);
    }
    drop(file);
    let target =
        Target { path: path.to_owned(), id: status.id, creation: Some(header.creation_id), rung, guess: Guess::Last };
    Ok(detach::remove_within(&target, Condition::Unattached, patience)?)
}

/// Removes what the entries of an orphaned registry name; whether nothing is left of it.
fn sweep(
    directory: &Directory,
    file: &File,
    header: &Header,
    patience: &mut RemoverPatience,
    removed: &mut dyn FnMut(String, u64),
) -> Result<bool> {
    let swept = registry::sweep(directory, file, header, patience)?;
    swept.removed.into_iter().for_each(|(name, bytes)| removed(name, bytes));
    Ok(!swept.incomplete)
}

/// Removes a hidden file whose creator is gone.
fn reap_unfinished(path: &Path, patience: &mut RemoverPatience) -> Result<Detached> {
    // Before opening: what is no regular file is not opened, let alone locked.
    if Directory::status(path).is_ok_and(|status| status.irregular.is_some()) {
        return Ok(Detached::StillInUse);
    }
    let file = match Directory::open(path, Access::ReadOnly) {
        Ok(file) => file,
        Err(Failure { errno: Errno::ENOENT, .. }) => return Ok(Detached::NameGone),
        Err(failure) => return Err(failure.into()),
    };
    let status = file.status()?;
    // Before anything else is done to it: it may be a FIFO.
    check_kind(&status)?;
    let rung = liveness::rung(&file, &status)?;
    if rung.is_attached(&file)? {
        return Ok(Detached::StillInUse);
    }
    drop(file);
    let target = Target { path: path.to_owned(), id: status.id, creation: None, rung, guess: Guess::Last };
    Ok(detach::remove_within(&target, Condition::Unattached, patience)?)
}

/// [`SegmentDirectory::list`] of /dev/shm.
///
/// # Errors
/// If the directory cannot be read.
pub fn list() -> Result<Listing> {
    SegmentDirectory::default().list()
}

/// [`SegmentDirectory::inspect`] in /dev/shm.
///
/// # Errors
/// See there.
pub fn inspect(name: &str) -> Result<SegmentInfo> {
    SegmentDirectory::default().inspect(name)
}

/// [`SegmentDirectory::reap`] of /dev/shm.
///
/// # Errors
/// If the directory cannot be read.
pub fn reap() -> Result<Reaped> {
    SegmentDirectory::default().reap()
}

/// [`SegmentDirectory::reap_named`] in /dev/shm.
///
/// # Errors
/// See there.
pub fn reap_named(name: &str) -> Result<()> {
    SegmentDirectory::default().reap_named(name)
}

/// [`SegmentDirectory::unlink`] in /dev/shm.
///
/// # Errors
/// See there.
pub fn unlink(name: &str) -> Result<()> {
    SegmentDirectory::default().unlink(name)
}
