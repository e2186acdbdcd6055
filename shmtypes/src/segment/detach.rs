//! Leaving a segment, and removing names.
//!
//! Whoever removes a name holds the write lock on the *name* byte of the file that the name denotes, from before the
//! question "is this still the file I mean?" until after the unlink. So no remover can delete a successor that
//! another one made room for. The write lock on the *life* byte, asked for without waiting, says that nobody is
//! attached and keeps attachers out until the name is gone.
//!
//! The question is first asked without a lock, because the usual answer removes nothing.
//!
//! A process that is just being spawned holds copies of its parent's descriptors and mappings for a moment, and looks
//! attached. So a last detach that finds the segment in use is remembered in this process and tried again at its next
//! create, detach or reap; what nobody tries again, `reap` finds.
//!
//! Parent and child of a fork run the same protocol. No process id decides anything.

use super::attachment::Location;
use super::header::{CreationId, HEADER_BYTES, Header, Persist};
use super::liveness::Rung;
use crate::error::{Error, Result};
use crate::sys::{Access, Directory, Failure, File, FileId, Lock, LockByte};
use nix::errno::Errno;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What became of a segment when this process closed its last handle to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detached {
    /// Nobody else was attached, and the name is gone.
    Removed,
    /// Somebody else is attached, in this process or another. The last one out removes the name.
    StillInUse,
    /// The segment has [`Persist::Keep`]: its name stays.
    Kept,
    /// Nobody else is attached, but this process may not remove the name (another owner's file in a sticky
    /// directory, a read-only file). The owner's next [`reap`](crate::reap) does.
    LeftForOwner,
    /// The name was gone already, or denotes another segment by now.
    NameGone,
    /// The segment never had a name; its memory ends with its last handle and descriptor.
    Unnamed,
}

/// Who may be attached when a name is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Unattached,
    Any,
}

/// How long to wait for another remover of the same segment, who needs a few system calls.
const REMOVER_PATIENCE: Duration = Duration::from_millis(100);

/// After the mapping is gone: removes the name if this was the last attachment.
pub(crate) fn leave(header: &Header, file: FileId, location: Location) -> Result<Detached> {
    let target = Target { file, creation: Some(header.creation_id()), rung: location.rung };
    retry_deferred(Some(&target));
    if header.persist() == Persist::Keep {
        return Ok(Detached::Kept);
    }
    let outcome = remove(&location.path, target, Condition::Unattached);
    if !matches!(outcome, Ok(Detached::Removed | Detached::NameGone | Detached::LeftForOwner)) {
        defer(Deferred::new(target, location.path));
    }
    outcome.map_err(|failure| Error::from(failure).on(location.name.as_str()))
}

/// The segment that a removal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) file: FileId,
    /// The segment's own number, because file systems use the numbers of inodes again. `None` for a file without a
    /// header that can be read.
    pub(crate) creation: Option<CreationId>,
    pub(crate) rung: Rung,
}

impl Target {
    /// Whether `file`, whose removers wait, is the segment.
    fn is(&self, file: &File) -> Result<bool, Failure> {
        let Some(creation) = self.creation else { return Ok(true) };
        let mut start = [0; HEADER_BYTES];
        file.read_at(&mut start, 0)?;
        Ok(Header::creation_id_in(&start) == creation)
    }
}

/// Removes the name at `path` if it denotes the segment that is meant.
pub(crate) fn remove(path: &Path, target: Target, condition: Condition) -> Result<Detached, Failure> {
    let (id, rung) = (target.file, target.rung);
    let file = match Directory::open(path, Access::ReadWrite) {
        Ok(file) => file,
        Err(Failure { errno: Errno::ENOENT | Errno::ELOOP, .. }) => return Ok(Detached::NameGone),
        Err(Failure { errno: Errno::EACCES | Errno::EPERM | Errno::EROFS, .. }) => return Ok(Detached::LeftForOwner),
        Err(failure) => return Err(failure),
    };
    if file.status()?.id != id {
        return Ok(Detached::NameGone);
    }
    // The usual answer first, which needs no lock: whoever is attached now asks again when leaving. An exclusive lock is
    // another remover's, who may yet fail.
    if condition == Condition::Unattached
        && rung != Rung::WholeFile
        && file.locked(LockByte::LIFE)? == Some(Lock::Shared)
    {
        return Ok(Detached::StillInUse);
    }
    if rung != Rung::WholeFile {
        let start = Instant::now();
        while !file.lock(LockByte::NAME, Lock::Exclusive)? {
            if start.elapsed() > REMOVER_PATIENCE {
                return Ok(Detached::StillInUse);
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }
    if condition == Condition::Unattached {
        // Without waiting: whoever is attached removes the name when leaving.
        let nobody = match rung {
            Rung::WholeFile => file.lock_whole(Lock::Exclusive)?,
            Rung::Mapping | Rung::Descriptor => file.lock(LockByte::LIFE, Lock::Exclusive)?,
        };
        if !nobody {
            return Ok(Detached::StillInUse);
        }
    }
    if !target.is(&file)? {
        return Ok(Detached::NameGone);
    }
    match Directory::status(path) {
        Ok(status) if status.id == id => {}
        Ok(_) | Err(Failure { errno: Errno::ENOENT, .. }) => return Ok(Detached::NameGone),
        Err(failure) => return Err(failure),
    }
    match Directory::unlink(path) {
        Ok(()) => Ok(Detached::Removed),
        Err(Failure { errno: Errno::ENOENT, .. }) => Ok(Detached::NameGone),
        Err(Failure { errno: Errno::EACCES | Errno::EPERM | Errno::EROFS, .. }) => Ok(Detached::LeftForOwner),
        Err(failure) => Err(failure),
    }
    // Closing `file` ends both locks.
}

/// A removal to try again.
#[derive(Debug)]
struct Deferred {
    target: Target,
    path: PathBuf,
    due: Instant,
    pause: Duration,
}

/// How many removals a process remembers, and how many it tries again at one opportunity: enough for every ghost
/// that a spawn can leave, and no burden on a process whose peers really are attached.
const MOST_DEFERRED: usize = 64;
const MOST_RETRIES: usize = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

static DEFERRED: Mutex<Vec<Deferred>> = Mutex::new(Vec::new());

impl Deferred {
    fn new(target: Target, path: PathBuf) -> Self {
        Self { target, path, due: Instant::now() + FIRST_PAUSE, pause: FIRST_PAUSE }
    }
}

/// Remembers a removal, in place of the oldest if there are too many.
fn defer(deferred: Deferred) {
    // A forked child may have inherited the mutex locked: then the removal is left to `reap`.
    let Ok(mut list) = DEFERRED.try_lock() else { return };
    list.retain(|other| other.target != deferred.target);
    if list.len() == MOST_DEFERRED {
        list.remove(0);
    }
    list.push(deferred);
}

/// Tries remembered removals again whose time has come, but for the one that the caller is about to try itself.
pub(crate) fn retry_deferred(except: Option<&Target>) {
    let due: Vec<Deferred> = {
        let Ok(mut list) = DEFERRED.try_lock() else { return };
        if let Some(target) = except {
            list.retain(|deferred| deferred.target != *target);
        }
        if list.is_empty() {
            return;
        }
        let now = Instant::now();
        let mut budget = MOST_RETRIES;
        let is_due = |deferred: &mut Deferred| {
            let take = budget > 0 && deferred.due <= now;
            budget -= usize::from(take);
            take
        };
        list.extract_if(.., is_due).collect()
    };
    for mut deferred in due {
        let outcome = remove(&deferred.path, deferred.target, Condition::Unattached);
        // What is in use for so long is in use by somebody who will remove it.
        if !matches!(outcome, Ok(Detached::Removed | Detached::NameGone | Detached::LeftForOwner))
            && deferred.pause < LONGEST_PAUSE
        {
            deferred.pause *= 2;
            deferred.due = Instant::now() + deferred.pause;
            defer(deferred);
        }
    }
}
