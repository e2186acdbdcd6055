//! What this process remembers of its slot, and what a forked child does not.
//!
//! The record stands on a page that the kernel wipes in a forked child: there all is zero, which means nobody. So the
//! child neither takes itself for its parent, nor unmaps at an address where the parent has its anchor and the child may have
//! anything else.

use super::Identity;
use crate::access;
use crate::sys::{Anchor, Failure, WipedPage};
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

/// The private record. Zero is a valid one.
#[derive(Debug)]
#[repr(C)]
struct Fields {
    /// The identity's bits, 0 for nobody, [`BUSY`] while a thread registers.
    identity: AtomicU64,
    /// With an identity: the [`Anchor`] that keeps its slot.
    anchor: AtomicPtr<()>,
    /// The identity's bits again, stored once in each process. Only ever accessed by volatile words, which cost a loop nothing but
    /// themselves; atomic ones would make the compiler load and store everything else around them anew.
    witness: AtomicU64,
    /// Which thread has the segment's lease, by [`this_thread`]; 0 for none of this process.
    leaseholder: AtomicUsize,
}

/// Tells whether a process is the one that a right was given to, and not a forked child of it, at the price of a load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Witness<'r> {
    place: &'r AtomicU64,
    then: u64,
}

impl Witness<'_> {
    /// Whether this is that process.
    #[inline(always)]
    pub(crate) fn is_same_process(self) -> bool {
        // SAFETY: an aligned word of a page that lives as long as the record; the kernel may change it, and threads of this process
        // access it by volatile words only.
        unsafe { access::load(self.place.as_ptr()) }.word::<u64>() == self.then
    }
}

/// No identity: it names no slot.
const BUSY: u64 = 1 << 63;

/// This process's record.
#[derive(Debug)]
pub(super) struct Record {
    // Invariant: the page starts with `Fields`, which nobody else knows.
    page: WipedPage,
}

/// What a thread finds that wants to register.
pub(super) enum Claim<'r> {
    Registered(Identity),
    /// Another thread is about to register.
    Elsewhere,
    Here(Registration<'r>),
}

/// The right to register. Unless [completed](Self::complete), it goes back.
pub(super) struct Registration<'r>(&'r Fields);

/// A number that no other living thread of this process has, and not 0. One that ended may have had it: if that forgot what it
/// held, nobody can let go of it any more, and who is taken for it would wait in vain.
fn this_thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| ptr::from_ref(here).addr())
}

impl Record {
    /// Nobody yet.
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self { page: WipedPage::new()? })
    }

    #[inline(always)]
    fn fields(&self) -> &Fields {
        // SAFETY: by the invariant; the page is aligned for everything, private to this process, starts as zeros, which
        // are valid `Fields`, and lives as long as `self`. They are atomics, which a fork may set to zero at any time.
        unsafe { self.page.start().cast::<Fields>().as_ref() }
    }

    /// Of the process with this identity, which is this one.
    pub(super) fn witness(&self, identity: Identity) -> Witness<'_> {
        Witness { place: &self.fields().witness, then: identity.to_bits() }
    }

    #[inline(always)]
    pub(super) fn identity(&self) -> Option<Identity> {
        // Pairs with the release in `complete`: another thread may have registered, whose count in the shared table must
        // come before this thread's store into a lock word.
        Identity::from_exact_bits(self.fields().identity.load(Ordering::Acquire))
    }

    /// Whether this process is the one with this identity.
    #[inline(always)]
    pub(super) fn is(&self, identity: Identity) -> bool {
        // Acquire: as in `identity`.
        self.fields().identity.load(Ordering::Acquire) == identity.to_bits()
    }

    /// Remembers that this thread has the segment's lease.
    pub(super) fn note_lease(&self) {
        // Relaxed, as below: a thread looks for its own number only, which nobody else stores.
        self.fields().leaseholder.store(this_thread(), Ordering::Relaxed);
    }

    /// Forgets it, before others can have the lease.
    pub(super) fn forget_lease(&self) {
        self.fields().leaseholder.store(0, Ordering::Relaxed);
    }

    /// Whether this thread has the lease.
    pub(super) fn has_lease(&self) -> bool {
        self.fields().leaseholder.load(Ordering::Relaxed) == this_thread()
    }

    pub(super) fn claim(&self) -> Claim<'_> {
        let fields = self.fields();
        // Acquire: as in `identity`; and pairs with the release of a registration that failed.
        match fields.identity.compare_exchange(0, BUSY, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => Claim::Here(Registration(fields)),
            Err(bits) => Identity::from_bits(bits).map_or(Claim::Elsewhere, Claim::Registered),
        }
    }
}

impl Registration<'_> {
    /// Records who this process is. `false` if it is not the process any more that began: a handler of a fault, which cannot
    /// be blocked, has forked, and this is the child, which has neither the slot nor the anchor.
    pub(super) fn complete(self, identity: Identity, anchor: Anchor) -> bool {
        // Relaxed: the identity below carries it.
        self.0.anchor.store(anchor.into_raw(), Ordering::Relaxed);
        // SAFETY: as in `Witness`; and before the identity, so that whoever has that finds it.
        unsafe { access::store(self.0.witness.as_ptr(), &identity.to_bits()) };
        // Release: pairs with the acquire in `identity`.
        self.0.identity.compare_exchange(BUSY, identity.to_bits(), Ordering::Release, Ordering::Relaxed).is_ok()
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        // Release: pairs with the acquire in `claim`. Fails when it is completed.
        let _ = self.0.identity.compare_exchange(BUSY, 0, Ordering::Release, Ordering::Relaxed);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let fields = self.fields();
        if self.identity().is_some() {
            // Relaxed: after the acquire of the identity.
            let anchor = fields.anchor.swap(ptr::null_mut(), Ordering::Relaxed);
            // SAFETY: stored with the identity by `complete`, in this process, because a fork wipes both; taken out once.
            drop(unsafe { Anchor::from_raw(anchor) });
        }
    }
}
