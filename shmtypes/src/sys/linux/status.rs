//! What the kernel says of a file.
#![allow(unsafe_code, reason = "nix has no statx")]

use super::super::{Failure, FileId, Status};
use core::mem::MaybeUninit;
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::libc;
use nix::sys::stat::{FileStat, SFlag, fstat, fstatat, lstat};
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

/// Asks for a number of the mount that no other mount gets while the machine runs (statx(2), since Linux 6.8). libc has
/// the constant from 0.2.190 on.
const STATX_MNT_ID_UNIQUE: libc::c_uint = 0x4000;

/// Of an open file.
pub(super) fn of_descriptor(descriptor: BorrowedFd<'_>) -> Result<Status, Failure> {
    // Old kernels do not know the call, and sandboxes refuse it in various ways.
    let status = statx(descriptor).or_else(|_| fstat(descriptor).map(Status::from));
    status.map_err(|errno| Failure { operation: "fstat", errno })
}

/// Of what stands under a name, without opening it or following links.
pub(super) fn of_name(path: &Path) -> Result<Status, Failure> {
    lstat(path).map(Status::from).map_err(|errno| Failure { operation: "look up the name", errno })
}

/// Of what stands under a name in an open directory, without opening it or following links.
pub(super) fn of_name_in(directory: BorrowedFd<'_>, name: &OsStr) -> Result<Status, Failure> {
    let status = fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW);
    status.map(Status::from).map_err(|errno| Failure { operation: "look up the name", errno })
}

fn statx(descriptor: BorrowedFd<'_>) -> Result<Status, Errno> {
    let mut buffer = MaybeUninit::<libc::statx>::uninit();
    let mask = libc::STATX_BASIC_STATS | STATX_MNT_ID_UNIQUE;
    // SAFETY: the path is an empty C string, with which the call is about the descriptor (AT_EMPTY_PATH); the buffer is a
    // private `statx`.
    let result =
        unsafe { libc::statx(descriptor.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, mask, buffer.as_mut_ptr()) };
    Errno::result(result)?;
    // SAFETY: filled by the call, which succeeded.
    let stat = unsafe { buffer.assume_init() };
    Ok(Status {
        id: FileId { device: libc::makedev(stat.stx_dev_major, stat.stx_dev_minor), inode: stat.stx_ino },
        mount: (stat.stx_mask & STATX_MNT_ID_UNIQUE != 0).then_some(stat.stx_mnt_id),
        irregular: irregular(stat.stx_mode.into()),
        links: stat.stx_nlink.into(),
        owner: stat.stx_uid,
        mode: u32::from(stat.stx_mode) & 0o7777,
        bytes: stat.stx_size,
        reserved: stat.stx_blocks.saturating_mul(BLOCK),
    })
}

/// What blocks are counted in, on every file system (inode(7), `st_blocks`).
const BLOCK: u64 = 512;

#[allow(clippy::unnecessary_cast, reason = "st_nlink has 32 bits on AArch64")]
impl From<FileStat> for Status {
    fn from(stat: FileStat) -> Self {
        Self {
            id: FileId { device: stat.st_dev, inode: stat.st_ino },
            mount: None,
            irregular: irregular(stat.st_mode),
            links: stat.st_nlink as u64,
            owner: stat.st_uid,
            mode: stat.st_mode & 0o7777,
            bytes: stat.st_size.cast_unsigned(),
            reserved: stat.st_blocks.cast_unsigned().saturating_mul(BLOCK),
        }
    }
}

fn irregular(mode: libc::mode_t) -> Option<&'static str> {
    match SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFREG => None,
        SFlag::S_IFDIR => Some("a directory"),
        SFlag::S_IFLNK => Some("a symbolic link"),
        SFlag::S_IFIFO => Some("a FIFO"),
        SFlag::S_IFSOCK => Some("a socket"),
        SFlag::S_IFCHR | SFlag::S_IFBLK => Some("a device"),
        _ => Some("no regular file"),
    }
}
