//! What this process remembers of its slot, and what a forked child does not.
//!
//! The record stands on a page that the kernel wipes in a forked child: there all is zero, which means nobody. So the
//! child neither takes itself for its parent, nor unmaps at an address where the parent has its anchor and the child may have
//! anything else.

use super::Identity;
use crate::access;
use crate::sys::{Anchor, Failure, WipedPage};
use core::marker::PhantomData;
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
    /// Which thread has the segment's lease, by [`this_thread`]; 0 for none of this process.
    leaseholder: AtomicUsize,
}

/// Where, behind the record, the page has a word that says which process this is: the identity's bits, stored once in each process. It
/// is read and stored by volatile words, which cost a loop nothing but themselves; an atomic would make the compiler load and store
/// everything else around it anew.
const WITNESS: usize = 64;
const _: () = assert!(size_of::<Fields>() <= WITNESS);

/// Tells whether a process is the one that a right was given to, and not a forked child of it, at the price of a load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Witness<'r> {
    // Invariant: the word of the record that is borrowed.
    place: *const u64,
    then: u64,
    record: PhantomData<&'r Record>,
}

impl Witness<'_> {
    /// Whether this is that process.
    #[inline(always)]
    pub(crate) fn is_same_process(self) -> bool {
        // SAFETY: by the invariant an aligned word of a page that lives as long as the record; memory that the kernel changes, and
        // that is only ever accessed like this.
        unsafe { access::load(self.place) }.word::<u64>() == self.then
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
pub(super) struct Registration<'r> {
    fields: &'r Fields,
    // Invariant: the word of the record that is borrowed.
    witness: *mut u64,
}

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

    fn witness_place(&self) -> *mut u64 {
        self.page.start().as_ptr().wrapping_add(WITNESS).cast()
    }

    /// Of the process with this identity, which is this one.
    pub(super) fn witness(&self, identity: Identity) -> Witness<'_> {
        Witness { place: self.witness_place(), then: identity.to_bits(), record: PhantomData }
    }

    #[inline(always)]
    pub(super) fn identity(&self) -> Option<Identity> {
        // Pairs with the release in `complete`: another thread may have registered, whose count in the shared table must
        // come before this thread's store into a lock word.
        Identity::from_bits(self.fields().identity.load(Ordering::Acquire))
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
            Ok(_) => Claim::Here(Registration { fields, witness: self.witness_place() }),
            Err(bits) => Identity::from_bits(bits).map_or(Claim::Elsewhere, Claim::Registered),
        }
    }
}

impl Registration<'_> {
    /// Records who this process is. `false` if it is not the process any more that began: a handler of a fault, which cannot
    /// be blocked, has forked, and this is the child, which has neither the slot nor the anchor.
    pub(super) fn complete(self, identity: Identity, anchor: Anchor) -> bool {
        // Relaxed: the identity below carries it.
        self.fields.anchor.store(anchor.into_raw(), Ordering::Relaxed);
        // SAFETY: by the invariant, as in `Witness`.
        unsafe { access::store(self.witness, &identity.to_bits()) };
        // Release: pairs with the acquire in `identity`.
        self.fields.identity.compare_exchange(BUSY, identity.to_bits(), Ordering::Release, Ordering::Relaxed).is_ok()
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        // Release: pairs with the acquire in `claim`. Fails when it is completed.
        let _ = self.fields.identity.compare_exchange(BUSY, 0, Ordering::Release, Ordering::Relaxed);
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
