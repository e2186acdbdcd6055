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
use super::header::{Header, Persist};
use super::liveness::Rung;
use crate::error::{Error, Result};
use crate::sys::{Access, Directory, Failure, File, FileId, Lock, LockBytes};
use core::mem::offset_of;
use nix::errno::Errno;
use std::path::PathBuf;
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

/// The segment whose name is to go. Its device and inode number tell it from every file that exists at the same time;
/// file systems on disks give the numbers of removed files out again, so it is known by its creation id too.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) path: PathBuf,
    pub(crate) id: FileId,
    /// `None` for a file without a header.
    pub(crate) creation: Option<[u8; 16]>,
    pub(crate) rung: Rung,
    pub(crate) guess: Guess,
}

/// What the outcome of a removal is likely to be, which decides what is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guess {
    /// Nobody is attached: both locks are tried at once, one call for three.
    Last,
    /// Somebody is attached, and nobody wants to know to what: a successor that is in use is `StillInUse` too.
    InUse,
    /// The answer must be exact.
    None,
}

impl Target {
    /// Whether a file with the target's numbers is the target.
    fn is(&self, file: &File) -> Result<bool, Failure> {
        let Some(expected) = self.creation else { return Ok(true) };
        let mut found = [0; 16];
        let filled = file.read_at(&mut found, offset_of!(Header, creation_id) as u64)?;
        // A file that was truncated since has no creation id to compare.
        Ok(filled < found.len() || found == expected)
    }

    /// What a process that may not remove the name can say: asking who is attached needs no write access.
    fn look(&self) -> Result<Detached, Failure> {
        match Directory::open(&self.path, Access::ReadOnly) {
            Ok(file) if file.status()?.id != self.id || !self.is(&file)? => Ok(Detached::NameGone),
            Ok(file) if self.rung.is_attached(&file)? => Ok(Detached::StillInUse),
            Ok(_) | Err(Failure { errno: Errno::EACCES | Errno::EPERM, .. }) => Ok(Detached::LeftForOwner),
            Err(Failure { errno: Errno::ENOENT | Errno::ELOOP, .. }) => Ok(Detached::NameGone),
            Err(failure) => Err(failure),
        }
    }
}

/// How long to wait for another remover of the same segment, who needs a few system calls.
const REMOVER_PATIENCE: Duration = Duration::from_millis(100);

/// How often as long, for all names of one sweep: somebody may keep any number of them locked.
const MOST_WAITS: u32 = 8;

/// How long other removers are still waited for. When it is used up, each lock is tried once.
#[derive(Debug)]
pub(crate) struct RemoverPatience {
    left: Duration,
}

impl RemoverPatience {
    pub(crate) fn for_one() -> Self {
        Self { left: REMOVER_PATIENCE }
    }

    /// For a sweep over many names, whoever has locked how many of them.
    pub(crate) fn for_many() -> Self {
        Self { left: REMOVER_PATIENCE * MOST_WAITS }
    }

    /// Waits until the file's name is this process's to remove, if that takes no longer.
    fn lock_name(&mut self, file: &File) -> Result<bool, Failure> {
        let (start, most) = (Instant::now(), self.left.min(REMOVER_PATIENCE));
        let mut waited = Duration::ZERO;
        let is_locked = loop {
            if file.lock(LockBytes::NAME, Lock::Exclusive)? {
                break true;
            }
            if waited >= most {
                break false;
            }
            std::thread::sleep(Duration::from_micros(50));
            waited = start.elapsed();
        };
        self.left = self.left.saturating_sub(waited);
        Ok(is_locked)
    }
}

/// After the mapping is gone: removes the name if this was the last attachment. If the answer is not `wanted`, it may be
/// `StillInUse` although the name denotes another segment by now.
pub(crate) fn leave(header: &Header, id: FileId, location: Location, wanted: bool) -> Result<Detached> {
    retry_deferred(Some(id));
    if header.persist() == Persist::Keep {
        return Ok(Detached::Kept);
    }
    let Location { name, path, rung, created_here } = location;
    let guess = match (created_here, wanted) {
        // Who creates is often alone; who attaches seldom.
        (true, _) => Guess::Last,
        (false, false) => Guess::InUse,
        (false, true) => Guess::None,
    };
    // Nothing else can have got the file's number since it was unmapped, where numbers are not given out again at once.
    let creation = (rung != Rung::Memory).then_some(header.creation_id);
    let target = Target { path, id, creation, rung, guess };
    let outcome = remove(&target, Condition::Unattached);
    if !matches!(outcome, Ok(Detached::Removed | Detached::NameGone | Detached::LeftForOwner)) {
        // Until the next attempt, the file system itself may be another one.
        defer(Deferred::new(Target { creation: Some(header.creation_id), ..target }));
    }
    outcome.map_err(|failure| Error::from(failure).on(name.as_str()))
}

/// Removes the target's name if it still denotes the target.
pub(crate) fn remove(target: &Target, condition: Condition) -> Result<Detached, Failure> {
    remove_within(target, condition, &mut RemoverPatience::for_one())
}

/// The same, as one of many.
pub(crate) fn remove_within(
    target: &Target,
    condition: Condition,
    patience: &mut RemoverPatience,
) -> Result<Detached, Failure> {
    let Target { path, id, rung, .. } = target;
    let file = match Directory::open(path, Access::ReadWrite) {
        Ok(file) => file,
        Err(Failure { errno: Errno::ENOENT | Errno::ELOOP, .. }) => return Ok(Detached::NameGone),
        Err(Failure { errno: Errno::EACCES | Errno::EPERM | Errno::EROFS, .. }) => return target.look(),
        Err(failure) => return Err(failure),
    };
    let unattached = condition == Condition::Unattached;
    let byte_locks = *rung != Rung::WholeFile;
    // The usual answer first, which needs no lock: whoever is attached now asks again when leaving. An exclusive lock is
    // another remover's, who may yet fail.
    let in_use = || Ok::<_, Failure>(unattached && byte_locks && file.locked(LockBytes::LIFE)? == Some(Lock::Shared));
    // What fails before it is known whose file this is, on what file system, says nothing.
    if target.guess == Guess::InUse && in_use().unwrap_or(false) {
        return Ok(Detached::StillInUse);
    }
    let try_both = target.guess == Guess::Last && unattached && byte_locks;
    let locked = try_both && file.lock(LockBytes::LIFE_AND_NAME, Lock::Exclusive).unwrap_or(false);
    if file.status()?.id != *id {
        return Ok(Detached::NameGone);
    }
    if !locked && target.guess != Guess::InUse && in_use()? {
        return Ok(Detached::StillInUse);
    }
    // The number is not given out again as long as the file is open.
    if !target.is(&file)? {
        return Ok(Detached::NameGone);
    }
    if !locked && byte_locks && !patience.lock_name(&file)? {
        return Ok(Detached::StillInUse);
    }
    if !locked && unattached {
        // Without waiting: whoever is attached removes the name when leaving.
        let nobody = match rung {
            Rung::WholeFile => file.lock_whole(Lock::Exclusive)?,
            Rung::Memory | Rung::Mapping | Rung::Descriptor => file.lock(LockBytes::LIFE, Lock::Exclusive)?,
        };
        if !nobody {
            return Ok(Detached::StillInUse);
        }
    }
    match Directory::status(path) {
        Ok(status) if status.id == *id => {}
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
    fn new(target: Target) -> Self {
        let target = Target { guess: Guess::None, ..target };
        Self { target, due: Instant::now() + FIRST_PAUSE, pause: FIRST_PAUSE }
    }
}

/// Remembers a removal, in place of the oldest if there are too many.
fn defer(deferred: Deferred) {
    // A forked child may have inherited the mutex locked: then the removal is left to `reap`.
    let Ok(mut list) = DEFERRED.try_lock() else { return };
    list.retain(|other| other.target.id != deferred.target.id);
    if list.len() == MOST_DEFERRED {
        list.remove(0);
    }
    list.push(deferred);
}

/// Tries remembered removals again whose time has come, but for the one that the caller is about to try itself.
pub(crate) fn retry_deferred(except: Option<FileId>) {
    let due: Vec<Deferred> = {
        let Ok(mut list) = DEFERRED.try_lock() else { return };
        if let Some(id) = except {
            list.retain(|deferred| deferred.target.id != id);
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
        let outcome = remove(&deferred.target, Condition::Unattached);
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
