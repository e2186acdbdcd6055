//! The mappings of this process, in a table that a signal handler reads at any instruction.
//!
//! Chunks of 64 entries, the first one static, further ones never freed: nothing here locks, waits or disappears, so that a
//! forked child and a handler find it whole. An entry is taken when a mapping is made and given back before it is unmapped.
//!
//! Why a handler never takes foreign memory for ours: it runs on a thread that has just touched an address. If the address
//! is in one of our mappings, that mapping's handle is in use, so its entry stands still. If it is in memory of somebody
//! else, an entry that ever named this address was given back before our `munmap`, which came before the `mmap` by which
//! the other got it. What else moves meanwhile is seen by the entry's number and passed over.
#![allow(unsafe_code, reason = "follows the pointers from one leaked chunk to the next")]

use crate::error::{Error, ErrorKind, Result};
use crate::sys::Access;
use core::ptr::null_mut;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, compiler_fence, fence};

/// As many as the bits of the word that says which ones are taken.
const ENTRIES: usize = u64::BITS as usize;

/// What `missing` holds while nothing is.
const NOTHING: usize = usize::MAX;

static FIRST: Chunk = Chunk::new();

/// Whether anything was ever found missing in any mapping: what every access looks at.
static LOST: Lost = Lost(AtomicBool::new(false));

/// Two cache lines of its own, since processors fetch pairs: a neighbour that is often written to would slow every access.
#[repr(align(128))]
struct Lost(AtomicBool);

struct Chunk {
    taken: AtomicU64,
    entries: [Entry; ENTRIES],
    // Invariant: null, or a leaked chunk.
    next: AtomicPtr<Chunk>,
}

#[derive(Debug)]
struct Entry {
    /// Odd while the entry denotes a mapping; larger at every change.
    number: AtomicUsize,
    start: AtomicUsize,
    bytes: AtomicUsize,
    writable: AtomicBool,
    /// The least distance from `start` at which a page was found missing.
    missing: AtomicUsize,
    /// The address from which on zeros were mapped, to the end.
    zeros: AtomicUsize,
    /// The address of a page that stood behind a missing one.
    present: AtomicUsize,
}

impl Chunk {
    const fn new() -> Self {
        Self { taken: AtomicU64::new(0), entries: [const { Entry::new() }; ENTRIES], next: AtomicPtr::new(null_mut()) }
    }

    fn next(&self) -> Option<&'static Self> {
        // Acquire: pairs with the exchange in `next_or_new`, so that the chunk's contents are seen.
        let next = self.next.load(Acquire);
        // SAFETY: null, or a chunk that is never freed (invariant).
        unsafe { next.as_ref() }
    }

    #[cold]
    fn next_or_new(&self) -> &'static Self {
        if let Some(next) = self.next() {
            return next;
        }
        let new = Box::into_raw(Box::new(Self::new()));
        // Release: pairs with `next`. Acquire: another thread's chunk is about to be read.
        let next = match self.next.compare_exchange(null_mut(), new, Release, Acquire) {
            Ok(_) => new,
            Err(other) => {
                // SAFETY: made by `Box::into_raw` above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(new) });
                other
            }
        };
        // SAFETY: not null, and never freed (invariant).
        unsafe { &*next }
    }

    /// Takes a free entry, if there is one.
    fn take(&self) -> Option<usize> {
        let mut taken = self.taken.load(Relaxed);
        while taken != u64::MAX {
            let index = taken.trailing_ones();
            // Acquire: pairs with the giving back in `Registration::drop`, whose stores come before ours.
            match self.taken.compare_exchange_weak(taken, taken | 1 << index, Acquire, Relaxed) {
                Ok(_) => return Some(index as usize),
                Err(now) => taken = now,
            }
        }
        None
    }
}

impl Entry {
    const fn new() -> Self {
        Self {
            number: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            writable: AtomicBool::new(false),
            missing: AtomicUsize::new(NOTHING),
            zeros: AtomicUsize::new(NOTHING),
            present: AtomicUsize::new(NOTHING),
        }
    }

    /// By the one who took the entry.
    fn fill(&self, start: *const u8, bytes: usize, access: Access) {
        let number = self.number.load(Relaxed);
        // Release: pairs with the fence in `read`: who sees one of the stores below sees that the number is even.
        fence(Release);
        self.start.store(start.addr(), Relaxed);
        self.bytes.store(bytes, Relaxed);
        self.writable.store(access == Access::ReadWrite, Relaxed);
        self.missing.store(NOTHING, Relaxed);
        self.zeros.store(NOTHING, Relaxed);
        self.present.store(NOTHING, Relaxed);
        // Release: pairs with the first load in `read`: who sees the odd number sees the stores above.
        self.number.store(number.wrapping_add(1), Release);
    }

    /// The mapping that the entry denotes, unless it changes just now: then it is not the reader's.
    fn read(&'static self) -> Option<Mapping> {
        // Acquire: pairs with the last store in `fill`.
        let number = self.number.load(Acquire);
        if number.is_multiple_of(2) {
            return None;
        }
        let (start, bytes) = (self.start.load(Relaxed), self.bytes.load(Relaxed));
        let writable = self.writable.load(Relaxed);
        // Acquire: pairs with the fence in `fill`.
        fence(Acquire);
        (self.number.load(Relaxed) == number).then_some(Mapping { entry: self, start, bytes, writable })
    }
}

/// A mapping that the table names.
pub(super) struct Mapping {
    entry: &'static Entry,
    pub(super) start: usize,
    pub(super) bytes: usize,
    pub(super) writable: bool,
}

impl Mapping {
    /// The mapping around an address. Async-signal-safe.
    pub(super) fn around(address: usize) -> Option<Self> {
        let mut next = Some(&FIRST);
        while let Some(chunk) = next {
            // Relaxed: the bit of the mapping that this thread uses was set before it got the handle.
            let mut taken = chunk.taken.load(Relaxed);
            while taken != 0 {
                let entry = &chunk.entries[taken.trailing_zeros() as usize];
                taken &= taken - 1;
                match entry.read() {
                    Some(mapping) if address.wrapping_sub(mapping.start) < mapping.bytes => return Some(mapping),
                    _ => {}
                }
            }
            next = chunk.next();
        }
        None
    }

    /// Notes that the page at this address is missing. To be called *before* zeros take the place of what is missing: another
    /// thread that reads them must find the note. Async-signal-safe.
    pub(super) fn note_missing(&self, page: usize) {
        // Relaxed: the next store publishes it.
        self.entry.missing.fetch_min(page.wrapping_sub(self.start), Relaxed);
        // Release: pairs with the fence in `Watch::is_cut`. The system call that maps the zeros comes later, and they
        // cannot be read before it: that pairs with the fence in `Watch::check`. What this thread goes on with comes after
        // it in program order: that pairs with the fence in `Watch::check_stored`.
        LOST.0.store(true, Release);
    }

    /// Where the pages of the file end: at the mapping's end, or where zeros took their place. Async-signal-safe.
    pub(super) fn end_of_file_pages(&self, page: usize) -> usize {
        let end = self.start.wrapping_add(self.bytes).wrapping_add(page - 1) & !(page - 1);
        // Relaxed: lowered after the zeros were mapped, and an earlier number only makes the handler look further.
        end.min(self.entry.zeros.load(Relaxed))
    }

    /// Notes that zeros are mapped from this address to where the pages of the file ended. Async-signal-safe.
    pub(super) fn note_zeros(&self, from: usize) {
        // Relaxed: as in `end_of_file_pages`.
        self.entry.zeros.fetch_min(from, Relaxed);
    }

    /// What `note_present` noted last, or an address outside. Async-signal-safe.
    pub(super) fn present(&self) -> usize {
        // Relaxed: a hint, which is tried.
        self.entry.present.load(Relaxed)
    }

    pub(super) fn note_present(&self, page: usize) {
        // Relaxed: as in `present`.
        self.entry.present.store(page, Relaxed);
    }
}

/// A place in the table, given back when dropped, which must happen before the memory is unmapped.
#[derive(Debug)]
pub(crate) struct Registration {
    entry: &'static Entry,
    taken: &'static AtomicU64,
    bit: u64,
}

impl Registration {
    /// `start .. start + bytes` is mapped, and nobody has its address yet.
    pub(crate) fn new(start: *const u8, bytes: usize, access: Access) -> Self {
        let mut chunk = &FIRST;
        let index = loop {
            match chunk.take() {
                Some(index) => break index,
                None => chunk = chunk.next_or_new(),
            }
        };
        let entry = &chunk.entries[index];
        entry.fill(start, bytes, access);
        Self { entry, taken: &chunk.taken, bit: 1 << index }
    }

    pub(crate) fn watch(&self) -> Watch {
        Watch(self.entry)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // Relaxed: no reader of this entry can be looking for an address in it; others are told by the number.
        let number = self.entry.number.load(Relaxed);
        // Release: comes before the system call that unmaps, and so before anybody else has the addresses.
        self.entry.number.store(number.wrapping_add(1), Release);
        // Release: pairs with the exchange in `Chunk::take`.
        self.taken.fetch_and(!self.bit, Release);
    }
}

/// Tells whether a mapping was found truncated, as long as the mapping stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch(&'static Entry);

impl Watch {
    /// An error if anything of the mapping was found missing, by what was read or written before this call.
    #[inline(always)]
    pub(crate) fn check(self) -> Result<()> {
        // Acquire: keeps the loads before it before the one below. If one of them met the zeros that a handler mapped, on
        // another thread, the handler's note is seen: it came before the zeros (`Mapping::note_missing`).
        fence(Acquire);
        self.check_stored()
    }

    /// The same by what this thread wrote before this call. What another thread was told meanwhile may be missed: then the
    /// store was lost as one right before the truncation is.
    #[inline(always)]
    pub(crate) fn check_stored(self) -> Result<()> {
        // SeqCst: keeps the accesses before it, stores too, before the load below, for a handler on this thread, which noted
        // what it found before it let the access go on.
        compiler_fence(SeqCst);
        // No call on the way that comes back to a loop: it would cost the registers that hold floats.
        if LOST.0.load(Relaxed) && self.is_cut() { Err(self.error()) } else { Ok(()) }
    }

    #[inline(always)]
    fn is_cut(self) -> bool {
        // Acquire: pairs with the store to `LOST`.
        fence(Acquire);
        self.0.missing.load(Relaxed) != NOTHING
    }

    #[cold]
    #[inline(never)]
    fn error(self) -> Error {
        // Relaxed: the mark was seen, and a later one is as good.
        let (expected, found) = (self.0.bytes.load(Relaxed) as u64, self.0.missing.load(Relaxed) as u64);
        Error::new(ErrorKind::Truncated { expected, found }).with_hint(
            "truncated, or no memory left for a page that was never written; attach anew to see what stands there now",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(start: usize) -> *const u8 {
        core::ptr::without_provenance(start)
    }

    /// Addresses that no program has.
    const FAR: usize = 1 << 60;

    #[test]
    fn an_address_is_found_while_it_is_registered() {
        let registered: Vec<_> = (0..3 * ENTRIES)
            .map(|index| Registration::new(place(FAR + index * 8192), 4096, Access::ReadOnly))
            .collect();
        for (index, registration) in registered.iter().enumerate() {
            let start = FAR + index * 8192;
            for address in [start, start + 4095] {
                let found = Mapping::around(address).expect("registered");
                assert!(core::ptr::eq(found.entry, registration.entry));
                assert_eq!((found.start, found.bytes, found.writable), (start, 4096, false));
            }
            assert!(Mapping::around(start + 4096).is_none() && Mapping::around(start - 1).is_none());
        }
        drop(registered);
        assert!((0..3 * ENTRIES).all(|index| Mapping::around(FAR + index * 8192).is_none()));
    }

    #[test]
    fn entries_that_come_and_go_are_never_seen_in_parts() {
        // Every mapping is as long as its start says; a mix of two would not be. The writers go on until the reader has met
        // enough of them, which takes it a part of the scans that it is given.
        const ENOUGH: usize = 100_000;
        let done = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            for thread in 1..=2_usize {
                let done = &done;
                scope.spawn(move || {
                    for bytes in (1..=1000_usize).cycle() {
                        let place = place(2 * FAR + thread * (1 << 40) + (bytes << 20));
                        let registration = Registration::new(place, bytes, Access::ReadWrite);
                        assert!(registration.watch().check().is_ok());
                        if done.load(Relaxed) {
                            break;
                        }
                    }
                });
            }
            let mut seen = 0_usize;
            let mut mixed = 0_usize;
            for _ in 0..2_000_000 {
                for mapping in FIRST.entries.iter().filter_map(Entry::read).filter(|mapping| mapping.start > 2 * FAR) {
                    mixed += usize::from((mapping.start >> 20) & 0xfffff != mapping.bytes);
                    seen += 1;
                }
                if seen >= ENOUGH {
                    break;
                }
            }
            // Before any assertion, or a failure would leave the writers running.
            done.store(true, Relaxed);
            assert_eq!(mixed, 0, "of {seen}");
            seen
        });
        assert!(seen >= ENOUGH, "only {seen} entries were seen while they stood");
    }
}
