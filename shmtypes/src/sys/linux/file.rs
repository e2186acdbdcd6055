//! An open file description: contents, size, mode and byte locks.

use super::super::{Access, Failure, FileSystem, Lock, LockBytes, Status};
use super::Map;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, posix_fallocate};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::{Mode, fchmod};
use std::ffi::CStr;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// From this size on, reserving blocks signals: kernels before 5.x give up with EINTR at every one, so that a timer
/// could keep a large reservation from ever ending (PostgreSQL, `dsm_impl_posix_resize`).
const LONG_RESERVATION: u64 = 1 << 20;

/// An open file description.
#[derive(Debug)]
pub(crate) struct File {
    descriptor: OwnedFd,
}

impl From<OwnedFd> for File {
    fn from(descriptor: OwnedFd) -> Self {
        Self { descriptor }
    }
}

/// Why space was not reserved.
pub(crate) enum Refusal {
    FileSizeLimit { limit: u64 },
    NoSpace,
    Other(Failure),
}

impl File {
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// A file in memory that has no directory, and whose size can be sealed.
    pub(crate) fn in_memory() -> Result<Self, Failure> {
        memfd_create("shmtypes", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)
            .map(Self::from)
            .map_err(|errno| Failure { operation: "memfd_create", errno })
    }

    /// Seals the size: nobody can shrink or grow the file any more.
    pub(crate) fn seal_size(&self) -> Result<(), Failure> {
        let seals = nix::fcntl::SealFlag::F_SEAL_SHRINK | nix::fcntl::SealFlag::F_SEAL_GROW;
        fcntl(&self.descriptor, FcntlArg::F_ADD_SEALS(seals))
            .map(drop)
            .map_err(|errno| Failure { operation: "seal the size", errno })
    }

    /// Whether nobody can shrink the file any more. Files with names never are.
    pub(crate) fn is_size_sealed(&self) -> Result<bool, Failure> {
        match fcntl(&self.descriptor, FcntlArg::F_GET_SEALS) {
            Ok(seals) => Ok(seals & nix::fcntl::SealFlag::F_SEAL_SHRINK.bits() != 0),
            Err(Errno::EINVAL) => Ok(false),
            Err(errno) => Err(Failure { operation: "read the seals", errno }),
        }
    }

    pub(crate) fn status(&self) -> Result<Status, Failure> {
        super::status::of_descriptor(self.descriptor())
    }

    /// The kind of file system that the file is on (statfs(2), `f_type`).
    pub(crate) fn file_system(&self) -> Result<FileSystem, Failure> {
        let stat = nix::sys::statfs::fstatfs(&self.descriptor)
            .map_err(|errno| Failure { operation: "ask for the file system", errno })?;
        Ok(FileSystem(stat.filesystem_type().0 as u32))
    }

    /// Whether the description is open for writing.
    pub(crate) fn is_writable(&self) -> Result<bool, Failure> {
        let flags = fcntl(&self.descriptor, FcntlArg::F_GETFL)
            .map_err(|errno| Failure { operation: "read the descriptor's flags", errno })?;
        Ok(OFlag::from_bits_truncate(flags) & OFlag::O_ACCMODE == OFlag::O_RDWR)
    }

    /// Sets the permission bits; the umask has no part in it.
    pub(crate) fn set_mode(&self, mode: u32) -> Result<(), Failure> {
        fchmod(&self.descriptor, Mode::from_bits_truncate(mode))
            .map_err(|errno| Failure { operation: "set the segment's mode", errno })
    }

    /// Refuses, with the limit, lengths for which the kernel would send SIGXFSZ (getrlimit(2), `RLIMIT_FSIZE`).
    pub(crate) fn check_size_limit(&self, bytes: u64) -> Result<(), u64> {
        match getrlimit(Resource::RLIMIT_FSIZE) {
            Ok((limit, _)) if bytes > limit => Err(limit),
            _ => Ok(()),
        }
    }

    /// Sets the length without reserving anything.
    pub(crate) fn set_length(&self, bytes: u64) -> Result<(), Failure> {
        nix::unistd::ftruncate(&self.descriptor, offset(bytes))
            .map_err(|errno| Failure { operation: "set the length", errno })
    }

    /// Sets the length and reserves the space, so that touching it can never fail.
    pub(crate) fn reserve(&self, bytes: u64) -> Result<(), Refusal> {
        self.check_size_limit(bytes).map_err(|limit| Refusal::FileSizeLimit { limit })?;
        let result = if bytes < LONG_RESERVATION {
            self.allocate(bytes)
        } else {
            super::without_signals(|| self.allocate(bytes))
        };
        result.map_err(refusal)
    }

    /// Gives an empty file its contents, and the space for them with it where a file system puts nothing off. The file stays empty
    /// if they do not fit, as one does whose space cannot be reserved.
    pub(crate) fn write_whole(&self, bytes: &[u8]) -> Result<(), Refusal> {
        self.check_size_limit(bytes.len() as u64).map_err(|limit| Refusal::FileSizeLimit { limit })?;
        self.write_all(bytes, 0).map_err(|errno| {
            // What fitted. Shrinking an own file in memory does not fail, and whoever asks for the free space is told of it only.
            let _ = self.set_length(0);
            refusal(errno)
        })
    }

    fn allocate(&self, bytes: u64) -> Result<(), Errno> {
        loop {
            match posix_fallocate(&self.descriptor, 0, offset(bytes)) {
                Err(Errno::EINTR) => {}
                result => return result,
            }
        }
    }

    /// Reads at a position; fewer bytes than asked for mean the end of the file. Never raises SIGBUS.
    pub(crate) fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, Failure> {
        let mut filled = 0;
        while filled < buffer.len() {
            match nix::sys::uio::pread(&self.descriptor, &mut buffer[filled..], offset(position + filled as u64)) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Failure { operation: "read the header", errno }),
            }
        }
        Ok(filled)
    }

    /// Writes at a position of a file whose space is reserved.
    pub(crate) fn write_at(&self, bytes: &[u8], position: u64) -> Result<(), Failure> {
        self.write_all(bytes, position).map_err(|errno| Failure { operation: "write the header", errno })
    }

    fn write_all(&self, bytes: &[u8], position: u64) -> Result<(), Errno> {
        let mut written = 0;
        while written < bytes.len() {
            match nix::sys::uio::pwrite(&self.descriptor, &bytes[written..], offset(position + written as u64)) {
                Ok(0) => return Err(Errno::EIO),
                Ok(count) => written += count,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Takes a lock on all of the bytes without waiting; `false` if somebody holds one that conflicts.
    pub(crate) fn lock(&self, bytes: LockBytes, lock: Lock) -> Result<bool, Failure> {
        let kind = match lock {
            Lock::Shared => libc::F_RDLCK,
            Lock::Exclusive => libc::F_WRLCK,
        };
        match fcntl(&self.descriptor, FcntlArg::F_OFD_SETLK(&range(bytes, kind))) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(errno) => Err(Failure { operation: "lock the segment", errno }),
        }
    }

    /// A lock that another description holds on any of the bytes. Takes none, so it disturbs nobody.
    pub(crate) fn locked(&self, bytes: LockBytes) -> Result<Option<Lock>, Failure> {
        let mut question = range(bytes, libc::F_WRLCK);
        match fcntl(&self.descriptor, FcntlArg::F_OFD_GETLK(&mut question)) {
            Ok(_) => Ok(match i32::from(question.l_type) {
                libc::F_UNLCK => None,
                libc::F_RDLCK => Some(Lock::Shared),
                _ => Some(Lock::Exclusive),
            }),
            Err(errno) => Err(Failure { operation: "ask for the segment's lock", errno }),
        }
    }

    /// Takes a whole-file lock without waiting, for file systems without byte locks.
    #[expect(deprecated, reason = "nix's Flock owns its file; this lock lives and dies with the description")]
    pub(crate) fn lock_whole(&self, lock: Lock) -> Result<bool, Failure> {
        use nix::fcntl::{FlockArg, flock};
        let argument = match lock {
            Lock::Shared => FlockArg::LockSharedNonblock,
            Lock::Exclusive => FlockArg::LockExclusiveNonblock,
        };
        match flock(self.descriptor.as_raw_fd(), argument) {
            Ok(()) => Ok(true),
            Err(Errno::EWOULDBLOCK) => Ok(false),
            Err(errno) => Err(Failure { operation: "lock the segment", errno }),
        }
    }

    /// A second description of the same file. Does not wait, as a FIFO would have it; does not use the heap, see
    /// [`while_forks_wait`](super::while_forks_wait).
    pub(crate) fn reopen(&self, access: Access) -> Result<Self, Failure> {
        let flags = match access {
            Access::ReadOnly => OFlag::O_RDONLY,
            Access::ReadWrite => OFlag::O_RDWR,
        };
        let mut path = [0; 32];
        // Does not fail: it is longer than any number needs, so that zeros are left.
        let _ = write!(&mut path[..], "/proc/self/fd/{}", self.descriptor.as_raw_fd());
        let path = CStr::from_bytes_until_nul(&path).unwrap_or_default();
        let guarded = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        nix::fcntl::open(path, flags | guarded, Mode::empty())
            .map(Self::from)
            .map_err(|errno| Failure { operation: "reopen the segment", errno })
    }

    /// Maps the first `bytes` of the file.
    pub(crate) fn map(&self, bytes: usize, access: Access) -> Result<Map, Failure> {
        Map::new(&self.descriptor, bytes, access)
    }

    /// Maps at an address where huge pages fit.
    pub(crate) fn map_aligned(&self, bytes: usize, access: Access) -> Result<Map, Failure> {
        Map::aligned(&self.descriptor, bytes, access)
    }
}

/// What it means that space could not be had.
fn refusal(errno: Errno) -> Refusal {
    match errno {
        Errno::ENOSPC | Errno::EDQUOT => Refusal::NoSpace,
        // What no file system can hold: beyond its greatest file, or of a length that is no `off_t`.
        Errno::EFBIG | Errno::EINVAL => Refusal::NoSpace,
        errno => Refusal::Other(Failure { operation: "reserve space", errno }),
    }
}

fn range(bytes: LockBytes, kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: offset(bytes.start()),
        l_len: offset(bytes.count()),
        // Must be 0 for locks of an open file description (fcntl(2)).
        l_pid: 0,
    }
}

/// Lengths and positions come from headers and options, where they are `u64`; what no `off_t` can hold becomes the
/// greatest one, which every call refuses. (No lock byte is that large.)
fn offset(bytes: u64) -> libc::off_t {
    libc::off_t::try_from(bytes).unwrap_or(libc::off_t::MAX)
}
