//! The operating system, in a few types.
//!
//! [`Directory`] holds names, [`File`] is an open file description with byte locks, [`Map`] a mapping of one. Two
//! bodies with the same functions: [`linux`](self), and `heap`, in which files are allocations of this process, so
//! that everything above runs under Miri (`cfg(miri)`) and without an operating system (`--cfg shmtypes_heap`).
//!
//! Rules:
//!
//! 1. No policy here: each function is one system call or the shortest sequence that means one thing.
//! 2. Every descriptor is close-on-exec. Opening never follows a symbolic link, never waits and never creates what it
//!    was not told to create.
//! 3. A failure carries the operation and the error number, nothing else; who asked knows the name.

#[cfg(not(target_os = "linux"))]
compile_error!("shmtypes needs Linux: named segments rest on O_TMPFILE, open file description locks and futexes");

#[cfg(not(any(miri, shmtypes_heap)))]
mod linux;
#[cfg(not(any(miri, shmtypes_heap)))]
pub(crate) use linux::*;

#[cfg(any(miri, shmtypes_heap))]
mod heap;
#[cfg(any(miri, shmtypes_heap))]
pub(crate) use heap::*;

pub(crate) mod guard;
pub(crate) use guard::Watch;

use crate::error::{Error, ErrorKind};
use nix::errno::Errno;

/// The directory of POSIX shared memory on Linux (shm_overview(7)).
pub(crate) const DEFAULT_DIRECTORY: &str = "/dev/shm";

/// A failed system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) operation: &'static str,
    pub(crate) errno: Errno,
}

impl From<Failure> for Error {
    fn from(Failure { operation, errno }: Failure) -> Self {
        let kind = match errno {
            Errno::ENOENT => ErrorKind::NotFound,
            Errno::EEXIST => ErrorKind::AlreadyExists { owner: None },
            Errno::EACCES | Errno::EPERM => ErrorKind::PermissionDenied { operation },
            Errno::EROFS => ErrorKind::PermissionDenied { operation: "write to a read-only file system" },
            Errno::ENOSYS | Errno::EOPNOTSUPP => ErrorKind::Unsupported { what: operation },
            Errno::EMFILE | Errno::ENFILE => ErrorKind::TooManyFiles,
            Errno::ELOOP => ErrorKind::NotASegment { found: "a symbolic link" },
            _ => ErrorKind::Os { operation, errno: errno as i32 },
        };
        Self::new(kind).caused_by(std::io::Error::from_raw_os_error(errno as i32))
    }
}

/// How a file is opened or mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    ReadOnly,
    ReadWrite,
}

/// What tells one file from every other, as long as it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// The kind of a file system, by its magic number. All of them have 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileSystem(pub(crate) u32);

impl FileSystem {
    /// tmpfs, which memfd files are on as well.
    pub(crate) const MEMORY: Self = Self(0x0102_1994);

    /// Memory that a file's pages live in: tmpfs and memfd, or huge pages (magic.h).
    pub(crate) fn is_memory(self) -> bool {
        const RAMFS: u32 = 0x8584_58f6;
        const HUGETLBFS: u32 = 0x9584_58f6;
        matches!(self, Self::MEMORY | Self(RAMFS | HUGETLBFS))
    }
}

/// What the kernel says of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Status {
    pub(crate) id: FileId,
    /// The mount through which it was opened, by a number that is not given out again; `None` where the kernel has none.
    pub(crate) mount: Option<u64>,
    /// `None` for a regular file, else what it is.
    pub(crate) irregular: Option<&'static str>,
    pub(crate) links: u64,
    pub(crate) owner: u32,
    pub(crate) mode: u32,
    pub(crate) bytes: u64,
    /// How many bytes the file system has set aside for it.
    pub(crate) reserved: u64,
}

/// Bytes of a segment's file that carry a lock, far beyond the end of any file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LockBytes {
    start: u64,
    count: u64,
}

impl LockBytes {
    /// Read-locked by every attachment; a write lock means that nobody is attached.
    pub(crate) const LIFE: Self = Self { start: 1 << 62, count: 1 };
    /// Write-locked by whoever removes the name.
    pub(crate) const NAME: Self = Self { start: Self::LIFE.start + 1, count: 1 };
    /// The two bytes above, next to each other so that one call locks both.
    pub(crate) const LIFE_AND_NAME: Self = Self { start: Self::LIFE.start, count: 2 };

    /// Write-locked by whoever has participant slot `n`: byte `LIFE + 16 + n`.
    pub(crate) fn slot(n: u32) -> Self {
        Self { start: Self::LIFE.start + 16 + u64::from(n), count: 1 }
    }

    /// The bytes of the first `count` slots.
    pub(crate) fn slots(count: u32) -> Self {
        Self { count: count.into(), ..Self::slot(0) }
    }

    /// A byte for asking how a file system treats locks; `random` keeps two askers apart.
    pub(crate) fn probe(random: u32) -> Self {
        Self { start: Self::LIFE.start + (1 << 32) + u64::from(random), count: 1 }
    }

    pub(crate) fn start(self) -> u64 {
        self.start
    }

    pub(crate) fn count(self) -> u64 {
        self.count
    }
}

/// The two strengths of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    Shared,
    Exclusive,
}

/// The free room of a file system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Space {
    pub(crate) bytes: u64,
    pub(crate) inodes: u64,
}

/// What a renaming does if the new name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RenameMode {
    NoReplace,
    Replace,
    Exchange,
}

/// Ways of giving an unnamed file its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkMethod {
    /// `linkat` with `AT_EMPTY_PATH`.
    EmptyPath,
    /// `linkat` of `/proc/self/fd/N`.
    ProcSelfFd,
}
