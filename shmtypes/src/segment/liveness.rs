//! How to know that a process is attached: a kernel lock that dies with it.
//!
//! Every attachment read-locks the life byte of the segment's file. On tmpfs an open file description lock lives as
//! long as a *mapping* made from that description, even with the descriptor closed, and ends with exit, `kill -9` or
//! exec: an attach count that no crash can corrupt, at no descriptor. Not every file system keeps that (overlayfs does
//! not), so it is probed once per device, and there are two rungs below it.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::{self, Access, Failure, File, FileId, Lock, LockByte};
use nix::errno::Errno;
use std::sync::atomic::{AtomicU64, Ordering};

/// What keeps the life lock on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rung {
    /// The mapping.
    Mapping = 1,
    /// A descriptor, kept open: the mapping does not.
    Descriptor = 2,
    /// A descriptor with a lock on the whole file: there are no byte locks.
    WholeFile = 3,
}

impl Rung {
    pub(crate) fn keeps_descriptor(self) -> bool {
        self != Self::Mapping
    }

    /// Marks `file`'s segment as attached, as long as the description or its mapping lives. `false` while somebody
    /// removes it.
    pub(crate) fn lock_life(self, file: &File) -> Result<bool, Failure> {
        match self {
            Self::Mapping | Self::Descriptor => file.lock(LockByte::LIFE, Lock::Shared),
            Self::WholeFile => file.lock_whole(Lock::Shared),
        }
    }

    /// Whether somebody is attached, as seen from a description of one's own.
    pub(crate) fn is_attached(self, file: &File) -> Result<bool, Failure> {
        match self {
            Self::Mapping | Self::Descriptor => Ok(file.locked(LockByte::LIFE)?.is_some()),
            // There is no question without a trial lock here; it ends with the description.
            Self::WholeFile => Ok(!file.lock_whole(Lock::Exclusive)?),
        }
    }
}

/// What was found, as [`key`] and rung. A full table only costs further probes.
static FOUND: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];

/// Names a file system among those that were probed, in all bits but the lowest two. The kernel gives the device number
/// of an unmounted file system to the next one, so the kind of file system is part of it.
///
/// `None` for a device number of more than 32 bits, which Linux does not have.
fn key(file: &File, id: FileId) -> Result<Option<u64>> {
    let kind = u64::from(file.file_system()?.0);
    Ok(u32::try_from(id.device).ok().map(|device| u64::from(device) << 32 | (kind << 2 & 0xffff_fffc)))
}

/// The rung for the file system that `file`, which is a regular file, is on. Probes it the first time.
pub(crate) fn rung(file: &File, id: FileId) -> Result<Rung> {
    let Some(key) = key(file, id)? else { return probe(file) };
    let known = |entry: u64| (entry & !3 == key).then_some(entry & 3);
    for entry in &FOUND {
        // Relaxed: the entry stands for itself, and every thread would find the same.
        match known(entry.load(Ordering::Relaxed)) {
            Some(1) => return Ok(Rung::Mapping),
            Some(2) => return Ok(Rung::Descriptor),
            Some(3) => return Ok(Rung::WholeFile),
            _ => {}
        }
    }
    let rung = probe(file)?;
    for entry in &FOUND {
        let new = key | rung as u64;
        // Relaxed: see above.
        match entry.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => break,
            Err(other) if known(other).is_some() => break,
            Err(_) => {}
        }
    }
    Ok(rung)
}

/// Locks a byte through a second description, maps that, closes it and asks whether the lock is still there.
fn probe(file: &File) -> Result<Rung> {
    let random = sys::random()?;
    let byte = LockByte::probe(u32::from_ne_bytes([random[0], random[1], random[2], random[3]]));
    // Without /proc the file cannot be opened anew; a kept descriptor works wherever byte locks do. Being out of
    // descriptors says nothing about the file system, and must not decide for the rest of the process.
    let second = match file.reopen(Access::ReadOnly) {
        Err(failure) if matches!(failure.errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM) => {
            return Err(failure.into());
        }
        second => second,
    };
    let locked = match &second {
        Ok(second) => second.lock(byte, Lock::Shared),
        Err(_) => file.lock(byte, Lock::Shared),
    };
    match (locked, second) {
        (Ok(true), Ok(second)) => {
            let map = second.map(1, Access::ReadOnly).map_err(|failure| match failure.errno {
                Errno::ENOMEM => Error::new(ErrorKind::NoAddressSpace { needed: 1 }),
                _ => failure.into(),
            })?;
            drop(second);
            let kept = file.locked(byte)?.is_some();
            drop(map);
            Ok(if kept { Rung::Mapping } else { Rung::Descriptor })
        }
        (Ok(_), _) => Ok(Rung::Descriptor),
        (Err(failure), second) => {
            // Only what says that there are no such locks; ENOLCK, for one, passes.
            if !matches!(failure.errno, Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::ENOTTY) {
                return Err(failure.into());
            }
            let file = second.as_ref().unwrap_or(file);
            match file.lock_whole(Lock::Shared) {
                Ok(_) => Ok(Rung::WholeFile),
                Err(_) => Err(Error::new(ErrorKind::Unsupported {
                    what: "locks on files of this file system, which tell whether a process is attached",
                })),
            }
        }
    }
}
