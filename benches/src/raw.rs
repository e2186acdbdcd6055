//! What a program without any library does: the system calls, and nothing else.
#![allow(unsafe_code, reason = "maps memory")]

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap, shm_open, shm_unlink};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::ftruncate;
use std::ffi::CStr;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

/// A mapping of a whole object.
pub(crate) struct Map {
    // Invariant: `bytes` bytes are mapped here, readable and writable, until the drop.
    start: NonNull<u8>,
    bytes: usize,
}

impl Map {
    pub(crate) fn new(descriptor: impl AsFd, bytes: usize) -> nix::Result<Self> {
        let length = NonZeroUsize::new(bytes).ok_or(Errno::EINVAL)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let start = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, descriptor, 0) }?;
        Ok(Self { start: start.cast(), bytes })
    }

    fn touch(&self) -> u64 {
        // SAFETY: at least a page is mapped (invariant), and pages are aligned.
        unsafe { self.start.cast::<u64>().read_volatile() }
    }

    pub(crate) fn write_word(&self) {
        // SAFETY: as in `touch`.
        unsafe { self.start.cast::<u64>().write_volatile(1) };
    }

    /// One byte in every small page.
    pub(crate) fn touch_pages(&self) {
        for at in (0..self.bytes).step_by(4096) {
            // SAFETY: `at < bytes`.
            let place = unsafe { self.start.add(at) };
            // SAFETY: inside the mapping (invariant).
            unsafe { place.write_volatile(1) };
        }
    }

    /// The kernel touches them.
    pub(crate) fn populate(&self) -> nix::Result<()> {
        // SAFETY: the mapping's own range; the advice changes no contents.
        let result = unsafe { libc::madvise(self.start.as_ptr().cast(), self.bytes, libc::MADV_POPULATE_WRITE) };
        Errno::result(result).map(drop)
    }

    pub(crate) fn numbers(&mut self) -> &mut [f64] {
        let len = self.bytes / size_of::<f64>();
        // SAFETY: mapped and aligned (invariant); any bytes are an `f64`; the name is known to this process only, which
        // has no other mapping of the object.
        unsafe { std::slice::from_raw_parts_mut(self.start.cast().as_ptr(), len) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the range that `new` mapped; slices of it have ended. Unmapping a whole mapping cannot fail.
        let _ = unsafe { munmap(self.start.cast(), self.bytes) };
    }
}

/// An object with its name, which goes with it.
pub(crate) struct Object<'a> {
    pub(crate) map: Map,
    #[expect(dead_code, reason = "held for its drop, which closes: the order is that of the fields")]
    descriptor: OwnedFd,
    #[expect(dead_code, reason = "held for its drop, which unlinks")]
    name: Name<'a>,
}

struct Name<'a>(&'a CStr);

impl Drop for Name<'_> {
    fn drop(&mut self) {
        // If this fails, the supervisor removes the file.
        let _ = shm_unlink(self.0);
    }
}

/// `shm_open`, `ftruncate`, `mmap`; dropped by `munmap`, `close`, `unlink`.
pub(crate) fn create(name: &CStr, bytes: usize) -> nix::Result<Object<'_>> {
    let descriptor = shm_open(name, OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let name = Name(name);
    ftruncate(&descriptor, bytes as libc::off_t)?;
    let map = Map::new(&descriptor, bytes)?;
    Ok(Object { map, descriptor, name })
}

/// `shm_open`, `ftruncate`, `mmap`, a write to the first page, `munmap`, `close`, `unlink`.
pub(crate) fn create_and_drop(name: &CStr, bytes: usize) -> nix::Result<()> {
    create(name, bytes)?.map.write_word();
    Ok(())
}

/// `shm_open`, `fstat`, `mmap`, a read of the first page, `munmap`, `close`.
pub(crate) fn attach_and_drop(name: &CStr) -> nix::Result<u64> {
    let descriptor = shm_open(name, OFlag::O_RDWR, Mode::empty())?;
    let status = fstat(&descriptor)?;
    let map = Map::new(&descriptor, status.st_size as usize)?;
    Ok(map.touch())
}
