//! What errors say.

use super::{Error, ErrorKind};
use core::fmt;
use shmtypes_compat::list::ListError;

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidName { name, reason } => write!(f, "{name:?} cannot be the name of a segment: {reason}"),
            Self::InvalidBlockName(error) => error.fmt(f),
            Self::InvalidOptions { reason } => f.write_str(reason),
            Self::OutOfRange { index, len } => write!(f, "index {index} is out of range for {len} elements"),
            Self::ShapeMismatch { given, expected } => {
                write!(f, "shape {given:?} does not fit shape {expected:?}")
            }
            Self::CapacityMismatch { given, found } => write!(f, "it has room for {found} elements, not {given}"),
            Self::LengthMismatch { given, found } => write!(f, "it is a list of {found} values, not {given}"),
            Self::SizeOverflow { elements, element_size } => {
                write!(f, "{elements} elements of {element_size} bytes are more than can be addressed")
            }
            Self::NotFound => f.write_str("no such segment"),
            Self::AlreadyExists { owner: Some(owner) } => write!(f, "the name is taken, by user {owner}"),
            Self::AlreadyExists { owner: None } => f.write_str("the name is taken"),
            Self::InUse => f.write_str("some process is attached"),
            Self::Busy => f.write_str("another process is in the way and does not get on"),
            Self::TimedOut { waited_for } => write!(f, "{waited_for} did not come before the deadline"),
            Self::NeedsLock => f.write_str("every access to this array takes its lock"),
            Self::NotLocked => f.write_str("this array has no lock that every access takes"),
            Self::OwnerDied => f.write_str("the last holder of the lock died in the middle of something"),
            Self::Poisoned => f.write_str("the lock is poisoned: a holder died or panicked"),
            Self::LockTimedOut { slot, pid, is_own } => {
                f.write_str("the lock did not become free before the deadline: it is held by ")?;
                holder(f, *slot, *pid, *is_own)
            }
            Self::LockHeld { slot, pid, is_own } => {
                f.write_str("the lock is held by ")?;
                holder(f, *slot, *pid, *is_own)
            }
            Self::SlotsExhausted { slots } => write!(f, "all of its {slots} participant slots are taken"),
            Self::Full { capacity } => write!(f, "it is full: there is room for {capacity} elements altogether"),
            Self::WouldDeadlock => f.write_str("this thread already holds what it would wait for"),
            Self::LeaseLost => f.write_str("this appender no longer holds its lease"),
            Self::Unnamed => f.write_str("the segment has no descriptor to share"),
            Self::NotASegment { found } => write!(f, "not a shmtypes segment but {found}"),
            Self::HardLinked { links } => write!(f, "the file has {links} names, a segment has one"),
            Self::Untrusted { owner, trusted } => {
                write!(f, "it belongs to user {owner}, and only user {trusted} is trusted")
            }
            Self::ForeignByteOrder => f.write_str("it was written on a machine of the other byte order"),
            Self::UnknownFormat { found, supported } => {
                write!(f, "it has format version {found}, and this program knows versions up to {supported}")
            }
            Self::UnknownFeatures { bits } => write!(f, "it needs features that this program lacks: {bits:#x}"),
            Self::Corrupt { field, value } => write!(f, "the header's {field} cannot be {value}"),
            Self::Truncated { expected, found } => {
                write!(f, "only {found} of its {expected} bytes are there")
            }
            Self::Sparse { bytes, reserved } => {
                write!(f, "only {reserved} of its {bytes} bytes are reserved on the file system")
            }
            Self::TooLarge { bytes, limit } => write!(f, "its {bytes} bytes are more than the limit of {limit}"),
            Self::WrongContainer { found, expected } => write!(f, "it holds a {found}, not a {expected}"),
            Self::LayoutMismatch { differences } => {
                f.write_str("holds another layout: ")?;
                for (index, difference) in differences.iter().enumerate() {
                    write!(f, "{}{difference}", if index == 0 { "" } else { "; " })?;
                }
                Ok(())
            }
            Self::Strided { stride, element_size } => {
                write!(f, "elements of {element_size} bytes that lie {stride} bytes apart have no slices or blocks")
            }
            Self::InvalidValue { element, path, found, expected } => {
                if let Some(element) = element {
                    write!(f, "element {element}: ")?;
                }
                if !path.is_empty() {
                    write!(f, "`{path}`: ")?;
                }
                write!(f, "{found:#x} is not {expected}")
            }
            Self::List(error) => error.fmt(f),
            Self::WrongKind { index, found, expected } => write!(f, "value {index} is {found}, not {expected}"),
            Self::Pickle(error) => error.fmt(f),
            Self::ManagerNotInitialised => f.write_str("this program cannot start itself again as a manager"),
            Self::ManagerDidNotStart { reason } => write!(f, "the manager did not start: {reason}"),
            Self::ManagerUnreachable { address } => write!(f, "no manager answers at {address}"),
            Self::AuthenticationFailed { address } => write!(f, "the manager at {address} has another key"),
            Self::ManagerProtocol(error) => write!(f, "no understanding with the manager: {error}"),
            Self::ManagerRefused { traceback } => {
                let last = traceback.trim_end().lines().next_back().unwrap_or_default();
                write!(f, "the manager refused: {last}")
            }
            Self::NoDirectory { path } => write!(f, "there is no directory {path:?}"),
            Self::NoSpace { needed, available } => {
                write!(f, "no space: {needed} bytes are needed and {available} are free")
            }
            Self::NoInodes => f.write_str("no space for a further file: the file system is out of inodes"),
            Self::FileSizeLimit { needed, limit } => {
                write!(f, "{needed} bytes are needed and this process may make files of up to {limit}")
            }
            Self::NoAddressSpace { needed } => write!(f, "no address space to map {needed} bytes"),
            Self::TooManyFiles => f.write_str("too many open files"),
            Self::PermissionDenied { operation } => write!(f, "permission denied: {operation}"),
            Self::Unsupported { what } => write!(f, "not supported here: {what}"),
            Self::Os { operation, errno } => {
                write!(f, "{operation}: {}", std::io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

fn holder(f: &mut fmt::Formatter<'_>, slot: u32, pid: u32, is_own: bool) -> fmt::Result {
    if is_own {
        f.write_str("this process (another thread, another handle, or an earlier guard), ")?;
    }
    write!(f, "slot {slot} (process {pid})")
}

/// What to do.
impl Error {
    /// What to do about it, where there is something to say.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        use ErrorKind as K;
        if self.0.hint.is_some() {
            return self.0.hint;
        }
        Some(match self.0.kind {
            K::InvalidName { .. } => "use 1 to 200 of the characters A-Z a-z 0-9 . _ - and no leading dot or slash",
            K::NotFound => "has its creator started, and does it use the same name and directory?",
            K::AlreadyExists { .. } => {
                "choose another name, or, if it is a segment, attach with `open` or `open_or_create`, or remove it with \
                 `reap_named`"
            }
            K::InUse => "let the attached processes end, or take the name away from under them with `unlink`",
            K::Busy => {
                "try again; a process that is stopped inside a removal, holds its lock on purpose, or never stops changing \
                 what is read, is in the way"
            }
            K::TimedOut { .. } => "give it more time, or look whether the process that should bring it about is alive",
            K::NeedsLock => "open it as a `LockedArray`",
            K::NotLocked => "open it as a `ShmArray`; to create it with a lock, say `ShmArray::options().locked()`",
            K::OwnerDied | K::Poisoned => {
                "repair it: the error of `lock` or `write` has the guard, whose `recover` says that all is well"
            }
            K::LockTimedOut { is_own: true, .. } | K::LockHeld { is_own: true, .. } => {
                "drop the guard that this thread or another one has; a lock cannot be taken twice, and none for reading be made one for \
                 writing"
            }
            K::LockTimedOut { .. } | K::LockHeld { .. } => {
                "is that process stopped, or does it hold the lock for long? Nothing is taken from a live one"
            }
            K::SlotsExhausted { .. } => {
                "create it with more slots, or let some attachments end: clones of a handle share one, and `open_read_only` \
                 needs none"
            }
            K::Full { capacity: 0 } => "create it with a greater capacity: containers do not grow",
            K::Full { .. } => "truncate it, or create it with a greater capacity: containers do not grow",
            K::CapacityMismatch { .. } => "attach with `open`, which takes any capacity, or use another name",
            K::LengthMismatch { .. } => "attach with `open`, which takes any number of values, or use another name",
            K::WouldDeadlock => "use the appender that this thread has, or drop it first",
            K::LeaseLost => "take an appender of this process's own; a parent's does nothing for its forked child",
            K::Unnamed => "named segments keep no descriptor; create it with `unnamed()` to share it by descriptor",
            K::NotASegment { .. } => "another program uses this name; choose another one",
            K::HardLinked { .. } => "remove the second name of the file",
            K::Untrusted { .. } => "if that user is meant to own the segment, say so with `.trust(Trust::Uid(uid))`",
            K::UnknownFormat { .. } | K::UnknownFeatures { .. } => "update this program's shmtypes",
            K::Corrupt { .. } | K::Truncated { .. } | K::Sparse { .. } => {
                "a process damaged the file; remove it with `unlink` and create it anew"
            }
            K::TooLarge { .. } => "raise the limit with `.max_bytes(n)` if this size is right",
            K::WrongContainer { .. } | K::LayoutMismatch { .. } => {
                "build both programs from one definition, or use another name"
            }
            K::Strided { .. } => "the segment's type has further fields: use `get`, `set`, `at` or `iter`",
            K::InvalidValue { .. } => "a peer wrote bytes that its type does not allow",
            K::ManagerNotInitialised => {
                "call `shmtypes::manager::init()` first in `main`, or name a program that does with `.program(…)`"
            }
            K::ManagerUnreachable { .. } => "is it running, and is this its address?",
            K::AuthenticationFailed { .. } => {
                "use the manager's key; a Python manager must be given one, its own default is private to its processes"
            }
            K::NoDirectory { .. } => "mount a tmpfs there, or name another directory with `.dir(path)`",
            K::NoSpace { .. } => {
                "remove unused segments (`shmtypes::reap`), or enlarge /dev/shm: \
                 `mount -o remount,size=…`, `docker run --shm-size=…`"
            }
            K::NoInodes => "remove unused files, or mount the file system with a larger nr_inodes",
            K::FileSizeLimit { .. } => "raise it with `ulimit -f`",
            K::NoAddressSpace { .. } => "raise `ulimit -v` or vm.max_map_count",
            K::TooManyFiles => "raise `ulimit -n`; attached segments without locks keep none open",
            K::PermissionDenied { operation } if operation.contains("read-only file system") => {
                "mount it writable, or name another directory with `.dir(path)`; `open_read_only` works there"
            }
            K::PermissionDenied { .. } => {
                "check the owner and mode of the segment; `open_read_only` needs only read access"
            }
            K::List(ListError::Unfinished) => {
                "try again; if its maker is gone, remove the name: `SharedMemory::open(name)?.unlink()`"
            }
            _ => return None,
        })
    }
}
