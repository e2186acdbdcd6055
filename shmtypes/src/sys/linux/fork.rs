//! What a fork does not copy: a page that a child finds empty, and a mapping that it does not have.
#![allow(unsafe_code, reason = "maps pages and tells the kernel what a fork does with them")]

use super::super::Failure;
use super::File;
use core::ffi::c_void;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, Ordering};
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
use std::num::NonZeroUsize;

/// The kernel makes it a page.
const ONE_PAGE: NonZeroUsize = NonZeroUsize::MIN;

/// One page.
#[derive(Debug)]
struct Page {
    // Invariant: a mapping of one page starts here, which belongs to this value.
    start: NonNull<c_void>,
}

// SAFETY: a mapping belongs to the process, not to a thread.
unsafe impl Send for Page {}
// SAFETY: as above; `Page` hands out its address only.
unsafe impl Sync for Page {}

impl Page {
    fn advise(&self, advice: MmapAdvise) -> Result<(), Errno> {
        // SAFETY: the page is mapped by the invariant, and the advices used here change what a fork does with it only.
        unsafe { madvise(self.start, ONE_PAGE.get(), advice) }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the page belongs to this value by the invariant. Unmapping a whole mapping cannot fail.
        let _ = unsafe { munmap(self.start, ONE_PAGE.get()) };
    }
}

/// A page of private memory, zeros at first, that a forked child finds zeroed (madvise(2), `MADV_WIPEONFORK`).
#[derive(Debug)]
pub(crate) struct WipedPage(Page);

impl WipedPage {
    pub(crate) fn new() -> Result<Self, Failure> {
        let failure = |errno| Failure { operation: "map a page that a fork wipes", errno };
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: new address space, at an address that the kernel chooses.
        let start = unsafe { mmap_anonymous(None, ONE_PAGE, access, MapFlags::MAP_PRIVATE) }.map_err(failure)?;
        let page = Page { start };
        page.advise(MmapAdvise::MADV_WIPEONFORK).map_err(failure)?;
        Ok(Self(page))
    }

    /// Its first byte; a page is aligned for everything.
    #[inline(always)]
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.0.start.cast()
    }
}

/// Tells the process in which it was made from every child of it that was forked since, whatever numbers they have: one in
/// a process namespace of its own can have its parent's.
#[derive(Debug)]
pub(crate) struct Birthplace {
    // Invariant: the page starts with an `AtomicU8`, which nobody else knows.
    page: WipedPage,
}

impl Birthplace {
    pub(crate) fn new() -> Result<Self, Failure> {
        let place = Self { page: WipedPage::new()? };
        // Relaxed, as below: it stands for itself, and is set before anybody else has it.
        place.mark().store(1, Ordering::Relaxed);
        Ok(place)
    }

    pub(crate) fn is_here(&self) -> bool {
        self.mark().load(Ordering::Relaxed) == 1
    }

    fn mark(&self) -> &AtomicU8 {
        // SAFETY: by the invariant; the page is private to this process, starts as zeros, which are a valid `AtomicU8`, and
        // lives as long as `self`. A fork may set it to zero at any time, which an atomic may be.
        unsafe { self.page.start().cast::<AtomicU8>().as_ref() }
    }
}

/// What keeps the locks of a description that has no descriptor any more: a mapping of one page of its file, without
/// access to it, that no forked child inherits (madvise(2), `MADV_DONTFORK`).
#[derive(Debug)]
pub(crate) struct Anchor(Page);

impl Anchor {
    /// Closes the description's descriptor, and keeps the description.
    pub(crate) fn new(file: File) -> Result<Self, Failure> {
        let failure = |errno| Failure { operation: "map a page that a fork does not copy", errno };
        let descriptor = file.descriptor();
        // SAFETY: new address space, at an address that the kernel chooses.
        let start = unsafe { mmap(None, ONE_PAGE, ProtFlags::PROT_NONE, MapFlags::MAP_SHARED, descriptor, 0) };
        let page = Page { start: start.map_err(failure)? };
        page.advise(MmapAdvise::MADV_DONTFORK).map_err(failure)?;
        Ok(Self(page))
    }

    /// Its address, to be given to [`from_raw`](Self::from_raw) of this process.
    pub(crate) fn into_raw(self) -> *mut () {
        let page = core::mem::ManuallyDrop::new(self.0);
        page.start.as_ptr().cast()
    }

    /// # Safety
    /// `raw` was made by [`into_raw`](Self::into_raw) in this very process, not its parent, and is given back once.
    pub(crate) unsafe fn from_raw(raw: *mut ()) -> Option<Self> {
        // The invariant of `Page` is that of the value which `into_raw` took, by the caller's word.
        NonNull::new(raw.cast()).map(|start| Self(Page { start }))
    }
}
