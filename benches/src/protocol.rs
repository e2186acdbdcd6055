//! The system calls that the library's promises need, and nothing else: what is left to its code is the difference.

use crate::raw::Map;
use nix::fcntl::{AT_FDCWD, AtFlags, FcntlArg, OFlag, fcntl, open};
use nix::libc;
use nix::sys::stat::{Mode, fstat, lstat};
use nix::sys::uio::{pread, pwrite};
use nix::unistd::{geteuid, linkat, unlink};
use std::ffi::CStr;
use std::os::fd::OwnedFd;

/// The byte that says who is attached; the next one says who removes.
const LIFE: i64 = 1 << 62;

fn range(bytes: i64, kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: LIFE,
        l_len: bytes,
        l_pid: 0,
    }
}

fn attached(file: &OwnedFd) -> nix::Result<i32> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&range(1, libc::F_RDLCK)))
}

/// Asks who is attached.
fn ask(file: &OwnedFd) -> nix::Result<i32> {
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut range(1, libc::F_WRLCK)))
}

fn open_guarded(path: &CStr) -> nix::Result<OwnedFd> {
    open(path, OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK, Mode::empty())
}

/// Without a name until complete, marked as attached, written whole, which reserves its space; then removed under both locks.
pub(crate) fn create_and_drop(path: &CStr, contents: &[u8]) -> nix::Result<()> {
    let file = open("/dev/shm", OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::S_IRUSR | Mode::S_IWUSR)?;
    fstat(&file)?;
    attached(&file)?;
    pwrite(&file, contents, 0)?;
    let map = Map::new(&file, contents.len())?;
    linkat(&file, c"", AT_FDCWD, path, AtFlags::AT_EMPTY_PATH)?;
    drop((file, map));
    let file = open_guarded(path)?;
    fcntl(&file, FcntlArg::F_OFD_SETLK(&range(2, libc::F_WRLCK)))?;
    if lstat(path)?.st_ino == fstat(&file)?.st_ino { unlink(path) } else { Ok(()) }
}

/// Every check, the header by `pread`; with `leaving`, then the question whether this was the last attachment.
pub(crate) fn attach_and_drop(path: &CStr, leaving: bool) -> nix::Result<u8> {
    let file = open_guarded(path)?;
    let mut header = [0; 1024];
    pread(&file, &mut header, 0)?;
    attached(&file)?;
    let status = fstat(&file)?;
    geteuid();
    drop((Map::new(&file, status.st_size as usize)?, file));
    if leaving {
        ask(&open_guarded(path)?)?;
    }
    Ok(header[0])
}
