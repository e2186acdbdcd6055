//! A directory that holds segments, by path: no descriptor is kept. And any directory, by a descriptor.

use super::super::{Access, DEFAULT_DIRECTORY, Failure, LinkMethod, RenameMode, Space, Status};
use super::File;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, open, openat, renameat2};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, linkat, unlink, unlinkat};
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

/// Flags of every open: see rule 2 of the parent module.
const GUARDED: OFlag = OFlag::O_CLOEXEC.union(OFlag::O_NOFOLLOW).union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY);

/// A directory that is held, so that it stays the same one whatever becomes of its path.
#[derive(Debug)]
pub(crate) struct OpenDirectory(OwnedFd);

impl OpenDirectory {
    /// The directory at a path, links followed.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let failure = |errno| Failure { operation: "open a directory", errno };
        open(path, flags, Mode::empty()).map(Self).map_err(failure)
    }

    /// The directory under a name in this one, which is no link.
    pub(crate) fn open_in(&self, name: &OsStr) -> Result<Self, Failure> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let failure = |errno| Failure { operation: "open a directory", errno };
        openat(&self.0, name, flags, Mode::empty()).map(Self).map_err(failure)
    }

    pub(crate) fn status(&self) -> Result<Status, Failure> {
        super::status::of_descriptor(self.0.as_fd())
    }

    /// What stands under a name in it.
    pub(crate) fn status_of(&self, name: &OsStr) -> Result<Status, Failure> {
        super::status::of_name_in(self.0.as_fd(), name)
    }

    /// Takes the name of a file away.
    pub(crate) fn unlink(&self, name: &OsStr) -> Result<(), Failure> {
        self.remove(name, UnlinkatFlags::NoRemoveDir)
    }

    /// Takes an empty directory away.
    pub(crate) fn remove_directory(&self, name: &OsStr) -> Result<(), Failure> {
        self.remove(name, UnlinkatFlags::RemoveDir)
    }

    fn remove(&self, name: &OsStr, kind: UnlinkatFlags) -> Result<(), Failure> {
        unlinkat(&self.0, name, kind).map_err(|errno| Failure { operation: "remove the name", errno })
    }
}

/// A directory that holds segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    path: Cow<'static, Path>,
}

impl Directory {
    /// /dev/shm.
    pub(crate) fn shared_memory() -> Self {
        Self { path: Cow::Borrowed(Path::new(DEFAULT_DIRECTORY)) }
    }

    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        // A process may change its working directory, and must find the name that it removes.
        Self { path: Cow::Owned(std::path::absolute(&path).unwrap_or(path)) }
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        // In one allocation.
        let mut path = PathBuf::with_capacity(self.path.as_os_str().len() + 1 + name.len());
        path.push(&*self.path);
        path.push(name);
        path
    }

    /// What stands under a name, without opening it.
    pub(crate) fn status(path: &Path) -> Result<Status, Failure> {
        super::status::of_name(path)
    }

    /// Opens what stands under a name.
    pub(crate) fn open(path: &Path, access: Access) -> Result<File, Failure> {
        let access = match access {
            Access::ReadOnly => OFlag::O_RDONLY,
            Access::ReadWrite => OFlag::O_RDWR,
        };
        open(path, access | GUARDED, Mode::empty())
            .map(File::from)
            .map_err(|errno| Failure { operation: "open the segment", errno })
    }

    /// A new file without a name. `None` where the file system or kernel has no such files.
    pub(crate) fn create_unnamed(&self) -> Result<Option<File>, Failure> {
        let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        match open(&*self.path, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(descriptor) => Ok(Some(File::from(descriptor))),
            // open(2), O_TMPFILE: EISDIR and ENOENT from kernels that do not know the flag, EOPNOTSUPP from file
            // systems. ENOENT also means that the directory is missing; then the next attempt says so.
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::ENOENT | Errno::EINVAL) => Ok(None),
            Err(errno) => Err(Failure { operation: "create a file in the segment directory", errno }),
        }
    }

    /// A new file under a name that must be free.
    pub(crate) fn create_named(path: &Path) -> Result<File, Failure> {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR | GUARDED;
        open(path, flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .map(File::from)
            .map_err(|errno| Failure { operation: "create a file in the segment directory", errno })
    }

    /// Gives an unnamed file a name, which must be free.
    pub(crate) fn link(method: LinkMethod, file: &File, path: &Path) -> Result<(), Failure> {
        let result = match Self::try_link(method, file, path) {
            // Kernels before 6.10 want a capability for the empty path, which a process may have given up since the
            // method was found.
            Err(Errno::ENOENT | Errno::EPERM) if method == LinkMethod::EmptyPath => {
                Self::try_link(LinkMethod::ProcSelfFd, file, path)
            }
            result => result,
        };
        result.map_err(|errno| Failure { operation: "give the segment its name", errno })
    }

    fn try_link(method: LinkMethod, file: &File, path: &Path) -> Result<(), Errno> {
        match method {
            LinkMethod::EmptyPath => linkat(file.descriptor(), "", AT_FDCWD, path, AtFlags::AT_EMPTY_PATH),
            LinkMethod::ProcSelfFd => {
                let proc = format!("/proc/self/fd/{}", file.descriptor().as_raw_fd());
                linkat(AT_FDCWD, proc.as_str(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)
            }
        }
    }

    /// The way of linking that works for this process, found by linking to a name that cannot be free: the answer
    /// EEXIST means that only the name was in the way.
    pub(crate) fn link_method(&self, file: &File) -> Option<LinkMethod> {
        const UNKNOWN: u8 = 0;
        const EMPTY_PATH: u8 = 1;
        const PROC_SELF_FD: u8 = 2;
        static FOUND: AtomicU8 = AtomicU8::new(UNKNOWN);
        // Relaxed: the value stands for itself, and every thread would find the same.
        match FOUND.load(Ordering::Relaxed) {
            EMPTY_PATH => return Some(LinkMethod::EmptyPath),
            PROC_SELF_FD => return Some(LinkMethod::ProcSelfFd),
            _ => {}
        }
        let taken = self.path.join(".");
        for (method, code) in [(LinkMethod::EmptyPath, EMPTY_PATH), (LinkMethod::ProcSelfFd, PROC_SELF_FD)] {
            if matches!(Self::try_link(method, file, &taken), Err(Errno::EEXIST)) {
                FOUND.store(code, Ordering::Relaxed);
                return Some(method);
            }
        }
        None
    }

    /// Moves a file to a name.
    pub(crate) fn rename(from: &Path, to: &Path, mode: RenameMode) -> Result<(), Failure> {
        let flags = match mode {
            RenameMode::NoReplace => RenameFlags::RENAME_NOREPLACE,
            RenameMode::Replace => RenameFlags::empty(),
            RenameMode::Exchange => RenameFlags::RENAME_EXCHANGE,
        };
        renameat2(AT_FDCWD, from, AT_FDCWD, to, flags)
            .map_err(|errno| Failure { operation: "give the segment its name", errno })
    }

    /// Takes a name away.
    pub(crate) fn unlink(path: &Path) -> Result<(), Failure> {
        unlink(path).map_err(|errno| Failure { operation: "remove the name", errno })
    }

    /// The names in the directory.
    pub(crate) fn names(&self) -> Result<Vec<OsString>, Failure> {
        let failure = |error: std::io::Error| Failure {
            operation: "list the segment directory",
            errno: error.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
        };
        let entries = std::fs::read_dir(&self.path).map_err(failure)?;
        entries.map(|entry| entry.map(|entry| entry.file_name()).map_err(failure)).collect()
    }

    /// The free room of the directory's file system.
    pub(crate) fn space(&self) -> Option<Space> {
        let stat = nix::sys::statvfs::statvfs(&*self.path).ok()?;
        // A tmpfs without a limit says 0 of 0 (tmpfs(5), `size` and `nr_inodes`).
        let limited = stat.blocks() != 0;
        let bytes = if limited { stat.blocks_available() * stat.fragment_size() } else { super::memory_bytes() };
        let inodes = if stat.files() == 0 { u64::MAX } else { stat.files_available() };
        Some(Space { bytes, inodes })
    }

    /// Whether it exists.
    pub(crate) fn is_there(&self) -> bool {
        self.path.is_dir()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
