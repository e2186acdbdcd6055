//! Mappings of a file.
#![allow(unsafe_code, reason = "reserves aligned address space and advises the kernel about it")]

use super::super::guard::{Registration, Watch};
use super::super::{Access, Failure};
use core::ptr::NonNull;
use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;

/// The size of a huge page of the second level: 2 MiB on x86-64, and on AArch64 with 4 KiB pages.
const HUGE_PAGE: usize = 2 << 20;

/// A mapping of the first bytes of a file. It keeps the description it was made from alive, with its locks.
#[derive(Debug)]
pub(crate) struct Map {
    // Invariant: `start .. start + bytes` is mapped while `region` exists.
    start: *mut u8,
    bytes: usize,
    // Before the region, because what is unmapped must not be in the table any more.
    registration: Registration,
    #[expect(dead_code, reason = "held for its drop, which unmaps")]
    region: Region,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held for its drop, which unmaps")]
enum Region {
    Plain(MmapRaw),
    Aligned(AlignedRegion),
}

// SAFETY: a mapping belongs to the process, not to a thread; `Map` hands out its address only.
unsafe impl Send for Map {}
// SAFETY: as above; its methods change nothing that two threads could see half-changed.
unsafe impl Sync for Map {}

impl Map {
    pub(super) fn new(descriptor: &OwnedFd, bytes: usize, access: Access) -> Result<Self, Failure> {
        let mut options = MmapOptions::new();
        options.len(bytes);
        let region = match access {
            Access::ReadOnly => options.map_raw_read_only(descriptor),
            Access::ReadWrite => options.map_raw(descriptor),
        };
        let region = region.map_err(|error| Failure {
            operation: "map the segment",
            // memmap2 refuses lengths beyond isize::MAX without asking the kernel.
            errno: error.raw_os_error().map_or(Errno::ENOMEM, Errno::from_raw),
        })?;
        Ok(Self::of_region(region.as_mut_ptr(), bytes, access, Region::Plain(region)))
    }

    /// A mapping at a multiple of 2 MiB: memmap2 cannot align, so address space is reserved and mapped over.
    pub(super) fn aligned(descriptor: &OwnedFd, bytes: usize, access: Access) -> Result<Self, Failure> {
        let failure = |errno| Failure { operation: "map the segment", errno };
        let reserved = bytes.checked_add(HUGE_PAGE).and_then(NonZeroUsize::new).ok_or(failure(Errno::ENOMEM))?;
        let length = NonZeroUsize::new(bytes).ok_or(failure(Errno::EINVAL))?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: new address space, at an address that the kernel chooses.
        let base = unsafe { mmap_anonymous(None, reserved, ProtFlags::PROT_NONE, flags) }.map_err(failure)?;
        let region = AlignedRegion { base: base.cast(), bytes: reserved.get() };
        let start = base.as_ptr().cast::<u8>().map_addr(|address| address.next_multiple_of(HUGE_PAGE));
        let protection = match access {
            Access::ReadOnly => ProtFlags::PROT_READ,
            Access::ReadWrite => ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
        };
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
        // SAFETY: replaces part of the address space reserved above, which nobody else knows: `start` is at most
        // `HUGE_PAGE - 1` past `base`, and `bytes + HUGE_PAGE` are reserved.
        unsafe { mmap(NonZeroUsize::new(start.addr()), length, protection, flags, descriptor, 0) }.map_err(failure)?;
        Ok(Self::of_region(start, bytes, access, Region::Aligned(region)))
    }

    /// A new mapping, which nobody knows yet.
    fn of_region(start: *mut u8, bytes: usize, access: Access, region: Region) -> Self {
        Self { start, bytes, registration: Registration::new(start, bytes, access), region }
    }

    pub(crate) fn watch(&self) -> Watch {
        self.registration.watch()
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.start
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes the kernel fill the page tables now. A page that cannot be had is an error, not a signal.
    pub(crate) fn populate(&self, access: Access) -> Result<(), Failure> {
        let advice = match access {
            Access::ReadOnly => libc::MADV_POPULATE_READ,
            Access::ReadWrite => libc::MADV_POPULATE_WRITE,
        };
        self.advise(0, self.bytes, advice)
    }

    /// Puts the whole mapping on huge pages: one byte per 2 MiB is made present, because the kernel collapses no empty
    /// range, then all is collapsed (madvise(2), MADV_COLLAPSE). Needs an aligned mapping of whole huge pages.
    pub(crate) fn collapse(&self) -> Result<(), Failure> {
        for at in (0..self.bytes).step_by(HUGE_PAGE) {
            self.advise(at, 1, libc::MADV_POPULATE_WRITE)?;
        }
        self.advise(0, self.bytes, libc::MADV_COLLAPSE)
    }

    fn advise(&self, at: usize, bytes: usize, advice: libc::c_int) -> Result<(), Failure> {
        debug_assert!(at + bytes <= self.bytes);
        let start = self.start.wrapping_add(at);
        // SAFETY: inside the mapping (invariant); none of the advices used here discards or unmaps anything.
        let result = unsafe { libc::madvise(start.cast(), bytes, advice) };
        Errno::result(result).map(drop).map_err(|errno| Failure { operation: "madvise", errno })
    }

    /// What `bytes` must be a multiple of for [`collapse`](Self::collapse).
    pub(crate) const fn huge_page() -> usize {
        HUGE_PAGE
    }
}

/// Reserved address space, part of it mapped over.
#[derive(Debug)]
struct AlignedRegion {
    base: NonNull<u8>,
    bytes: usize,
}

impl Drop for AlignedRegion {
    fn drop(&mut self) {
        // SAFETY: the address space that `Map::aligned` reserved; the mapping inside it dies with its owner. Unmapping
        // a whole region cannot fail but for too many mappings, which leaves it mapped.
        let _ = unsafe { munmap(self.base.cast(), self.bytes) };
    }
}
