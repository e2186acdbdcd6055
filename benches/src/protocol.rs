//! The system calls that the library's promises need, and nothing else: what is left to its code is the difference.

use crate::raw::Map;
use nix::fcntl::{AT_FDCWD, AtFlags, FcntlArg, OFlag, fcntl, open, posix_fallocate};
use nix::libc;
use nix::sys::stat::{Mode, fstat, lstat};
use nix::sys::uio::pread;
use nix::unistd::{linkat, unlink};
use std::ffi::CStr;
use std::os::fd::OwnedFd;

/// The bytes that say who is attached and who removes.
const LIFE: i64 = 1 << 62;
const NAME: i64 = LIFE + 1;

fn range(byte: i64, kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte,
        l_len: 1,
        l_pid: 0,
    }
}

fn lock(file: &OwnedFd, byte: i64, kind: i32) -> nix::Result<i32> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&range(byte, kind)))
}

/// Asks who is attached.
fn ask(file: &OwnedFd) -> nix::Result<i32> {
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut range(LIFE, libc::F_WRLCK)))
}

fn open_guarded(path: &CStr) -> nix::Result<OwnedFd> {
    open(path, OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK, Mode::empty())
}

/// Without a name until complete, space reserved, marked as attached; then removed under both locks.
pub(crate) fn create_and_drop(path: &CStr, bytes: usize) -> nix::Result<()> {
    let file = open("/dev/shm", OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::S_IRUSR | Mode::S_IWUSR)?;
    lock(&file, LIFE, libc::F_RDLCK)?;
    posix_fallocate(&file, 0, bytes as libc::off_t)?;
    let map = Map::new(&file, bytes)?;
    map.write_word();
    linkat(&file, c"", AT_FDCWD, path, AtFlags::AT_EMPTY_PATH)?;
    drop((file, map));
    let file = open_guarded(path)?;
    let own = fstat(&file)?;
    ask(&file)?;
    lock(&file, NAME, libc::F_WRLCK)?;
    lock(&file, LIFE, libc::F_WRLCK)?;
    if lstat(path)?.st_ino == own.st_ino { unlink(path) } else { Ok(()) }
}

/// Every check, the header by `pread`; with `leaving`, then the question whether this was the last attachment.
pub(crate) fn attach_and_drop(path: &CStr, leaving: bool) -> nix::Result<u8> {
    lstat(path)?;
    let file = open_guarded(path)?;
    lock(&file, LIFE, libc::F_RDLCK)?;
    let status = fstat(&file)?;
    let mut header = [0; 1024];
    pread(&file, &mut header, 0)?;
    drop((Map::new(&file, status.st_size as usize)?, file));
    if leaving {
        let file = open_guarded(path)?;
        fstat(&file)?;
        ask(&file)?;
    }
    Ok(header[0])
}
