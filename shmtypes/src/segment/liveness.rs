//! How to know that a process is attached: a kernel lock that dies with it.
//!
//! Every attachment read-locks the life byte of the segment's file. On tmpfs an open file description lock lives as
//! long as a *mapping* made from that description, even with the descriptor closed, and ends with exit, `kill -9` or
//! exec: an attach count that no crash can corrupt, at no descriptor. Not every file system keeps that (overlayfs does
//! not), so it is probed once per mount, and there are two rungs below it.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::{self, Access, Failure, File, FileSystem, Lock, LockBytes, Status};
use nix::errno::Errno;
use std::sync::atomic::{AtomicU64, Ordering};

/// What keeps the life lock on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rung {
    /// The mapping, on tmpfs, which gives no inode number out again before it has counted through all of them.
    Memory = 0,
    /// The mapping.
    Mapping = 1,
    /// A descriptor, kept open: the mapping does not.
    Descriptor = 2,
    /// A descriptor with a lock on the whole file: there are no byte locks.
    WholeFile = 3,
}

impl Rung {
    pub(crate) fn keeps_descriptor(self) -> bool {
        !matches!(self, Self::Memory | Self::Mapping)
    }

    /// Marks `file`'s segment as attached, as long as the description or its mapping lives. `false` while somebody
    /// removes it.
    pub(crate) fn lock_life(self, file: &File) -> Result<bool, Failure> {
        match self {
            Self::Memory | Self::Mapping | Self::Descriptor => file.lock(LockBytes::LIFE, Lock::Shared),
            Self::WholeFile => file.lock_whole(Lock::Shared),
        }
    }

    /// Whether somebody is attached, as seen from a description of one's own.
    pub(crate) fn is_attached(self, file: &File) -> Result<bool, Failure> {
        match self {
            Self::Memory | Self::Mapping | Self::Descriptor => Ok(file.locked(LockBytes::LIFE)?.is_some()),
            // There is no question without a trial lock here; it ends with the description.
            Self::WholeFile => Ok(!file.lock_whole(Lock::Exclusive)?),
        }
    }
}

/// Rungs that were found, by a number that tells file systems apart: the rung is in the lowest two bits, the number in
/// the others. A full table only costs further probes.
struct Found([AtomicU64; 16]);

/// By the number of a mount, which is never given out again.
static BY_MOUNT: Found = Found([const { AtomicU64::new(0) }; 16]);
/// By device and kind, where mounts have no such numbers: the kernel gives the device number of an unmounted file system
/// to the next one, so the kind is asked for each time.
static BY_DEVICE: Found = Found([const { AtomicU64::new(0) }; 16]);

impl Found {
    fn get(&self, key: u64) -> Option<Rung> {
        // Relaxed: an entry stands for itself, and every thread would find the same.
        let mut entries = self.0.iter().map(|entry| entry.load(Ordering::Relaxed));
        match entries.find(|entry| entry & !3 == key << 2)? & 3 {
            0 => Some(Rung::Memory),
            1 => Some(Rung::Mapping),
            2 => Some(Rung::Descriptor),
            _ => Some(Rung::WholeFile),
        }
    }

    fn insert(&self, key: u64, rung: Rung) {
        let new = key << 2 | rung as u64;
        for entry in &self.0 {
            // Relaxed: as in `get`.
            match entry.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break,
                Err(other) if other == new => break,
                Err(_) => {}
            }
        }
    }
}

/// The table and the key for the file system that a file is on, if it can be told from every other: numbers of more than
/// 62 bits, and devices of more than 32, cannot, and do not occur. No key is 0, which marks a free entry.
fn remembered(file: &File, status: &Status) -> Result<Option<(&'static Found, u64)>> {
    if let Some(mount) = status.mount {
        return Ok((mount != 0 && mount >> 62 == 0).then_some((&BY_MOUNT, mount)));
    }
    // Of the kind's 32 bits, 30 are kept.
    let kind = u64::from(file.file_system()?.0) & 0x3fff_ffff;
    let key = u32::try_from(status.id.device).map_or(0, |device| u64::from(device) << 30 | kind);
    Ok((key != 0).then_some((&BY_DEVICE, key)))
}

/// How often a file system is asked that gives no answer.
const PROBES: usize = 4;

/// The rung for the file system that `file`, which is a regular file, is on. Probes it the first time.
///
/// Another user can hold locks on a file of his own that look like the probe's. What such a file says is believed on
/// tmpfs only, which is known; else a descriptor is kept, which is right wherever there are byte locks. And it is never
/// remembered.
pub(crate) fn rung(file: &File, status: &Status) -> Result<Rung> {
    let memory = remembered(file, status)?;
    if let Some((found, key)) = memory
        && let Some(rung) = found.get(key)
    {
        return Ok(rung);
    }
    let own = status.owner == sys::effective_user();
    // A process that is being started holds copies of descriptors for a moment, the probe's among them. Another probe has
    // another description.
    let mut probed = None;
    for _ in 0..PROBES {
        probed = probe(file)?;
        if probed.is_some() {
            break;
        }
    }
    match (probed, memory) {
        (Some(rung), Some((found, key))) if own => {
            found.insert(key, rung);
            Ok(rung)
        }
        (Some(rung), None) if own => Ok(rung),
        (Some(rung @ (Rung::Memory | Rung::WholeFile)), _) => Ok(rung),
        _ => Ok(Rung::Descriptor),
    }
}

/// Locks a byte through a second description, maps that, closes it and asks whether the lock is still there. `None` if
/// somebody else has locked that byte, too.
fn probe(file: &File) -> Result<Option<Rung>> {
    let random = sys::random()?;
    let byte = LockBytes::probe(u32::from_ne_bytes([random[0], random[1], random[2], random[3]]));
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
            if file.locked(byte)?.is_some() {
                return Ok(None);
            }
            Ok(Some(match kept {
                true if file.file_system()? == FileSystem::MEMORY => Rung::Memory,
                true => Rung::Mapping,
                false => Rung::Descriptor,
            }))
        }
        (Ok(false), _) => Ok(None),
        (Ok(true), Err(_)) => Ok(Some(Rung::Descriptor)),
        (Err(failure), second) => {
            // Only what says that there are no such locks; ENOLCK, for one, passes.
            if !matches!(failure.errno, Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::ENOTTY) {
                return Err(failure.into());
            }
            let file = second.as_ref().unwrap_or(file);
            match file.lock_whole(Lock::Shared) {
                Ok(_) => Ok(Some(Rung::WholeFile)),
                Err(_) => Err(Error::new(ErrorKind::Unsupported {
                    what: "locks on files of this file system, which tell whether a process is attached",
                })),
            }
        }
    }
}
