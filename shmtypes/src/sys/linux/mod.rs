//! Linux: names in a directory, open file descriptions, byte locks, mappings.

mod directory;
mod file;
mod host;
mod map;

pub(crate) use directory::Directory;
pub(crate) use file::{File, Refusal};
pub(crate) use host::{
    boot_id, effective_user, memory_bytes, overflow_user, process_id, process_start, random, realtime_nanoseconds,
};
pub(crate) use map::Map;

use super::{FileId, Status};
use nix::sys::stat::{FileStat, SFlag};

// The lock bytes stand at offsets beyond 2^62, and must be the same ones for every process.
const _: () = assert!(size_of::<nix::libc::off_t>() == 8, "segments need 64-bit file offsets");

#[allow(clippy::unnecessary_cast, reason = "st_nlink has 32 bits on AArch64")]
impl From<FileStat> for Status {
    fn from(stat: FileStat) -> Self {
        let irregular = match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFREG => None,
            SFlag::S_IFDIR => Some("a directory"),
            SFlag::S_IFLNK => Some("a symbolic link"),
            SFlag::S_IFIFO => Some("a FIFO"),
            SFlag::S_IFSOCK => Some("a socket"),
            SFlag::S_IFCHR | SFlag::S_IFBLK => Some("a device"),
            _ => Some("no regular file"),
        };
        Self {
            id: FileId { device: stat.st_dev, inode: stat.st_ino },
            irregular,
            links: stat.st_nlink as u64,
            owner: stat.st_uid,
            mode: stat.st_mode & 0o7777,
            bytes: stat.st_size.cast_unsigned(),
            // st_blocks counts 512 bytes on every file system (inode(7)).
            reserved: stat.st_blocks.cast_unsigned().saturating_mul(512),
        }
    }
}
