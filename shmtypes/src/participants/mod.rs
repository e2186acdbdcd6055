//! Who takes part in the locks of a segment: slots, and whether the process behind one is alive.
//!
//! | file | holds |
//! |---|---|
//! | `identity` | a slot and its generation in 64 bits |
//! | `table` | the slots' records in shared memory |
//! | `record` | what this process remembers, and a forked child does not |
//!
//! Rules:
//!
//! 1. A slot is a byte of the segment's file, write-locked through an open file description of its own. That one lives
//!    by one mapping, which no forked child inherits: the lock ends with the attachment, and with this process's memory,
//!    however the process ends.
//! 2. Whoever takes a slot counts its generation up, so that no identity comes back.
//! 3. The kernel says who is alive. Process ids are for people.
//! 4. Nothing in the shared table is believed: whatever a peer writes there, answers may be wrong, and nothing worse.
//!
//! While a thread takes a slot, it has all signals blocked: no handler of its own forks in the middle. What is not supported: a
//! handler that forks anywhere else inside this library and, in the child, returns into it. The child would go on with its parent's
//! identity, which the parent's thread had already looked up, and put it into a lock word.
//!
//! A fork while another thread is between the opening and the closing of its slot's description would give the child a copy of
//! that description, and the slot would look alive until the child ends or executes a program: whoever waits for a dead owner would
//! wait that long, or until the deadline. So libc's `fork` waits for the few system calls in between. Other forks (clone(2)
//! called directly) do not, nor does a fork that has waited for a second.
//!
//! The dead may look alive for longer: while the kernel writes its core dump; while a child of
//! `vfork` or `posix_spawn`, which has its parent's memory, has not come to execute its program; and while a process that took
//! the slot next is stopped before it has counted up. Whoever waits for that one's locks waits that long, or until the deadline.
//!
//! A child registers by opening the segment's file anew, through its descriptor and /proc. It fails, with an error, if it has closed
//! the descriptor, or may not do that any more: after setuid(2), chroot(2), or under Landlock.
#![allow(unsafe_code, reason = "reaches the shared table, and hands a mapping over to the process's record")]

mod identity;
mod record;
mod table;

pub(crate) use identity::Identity;
pub(crate) use table::SlotRecord;

use crate::error::{Error, ErrorKind, Result};
use crate::sys::{self, Access, Anchor, Failure, File, FileId, Lock, LockBytes, Watch};
use core::sync::atomic::{Ordering, fence};
use nix::errno::Errno;
pub(crate) use record::Witness;
use record::{Claim, Record};
use std::time::{Duration, Instant};
use table::SlotTable;

/// The most slots that a segment can have: as many as an [`Identity`] can tell apart.
pub(crate) const MAX_SLOTS: u32 = 1023;
/// How many a segment gets unless it is told otherwise.
pub(crate) const DEFAULT_SLOTS: u32 = 64;

/// How long a thread waits for another one that takes the slot of both. That needs some system calls, and may wait for a fork.
const PATIENCE: Duration = Duration::from_secs(5);
const OTHER_THREAD: &str =
    "another thread of this process has been taking a participant slot for seconds: is it stopped?";

const READ_LOCKED: &str =
    "some process has read locks on participant slots, which no attachment has: /proc/locks names it";

/// Who is in the way: an attachment that holds a lock, or a participant slot. For people: process ids are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The participant slot, from 0 on.
    pub slot: u32,
    /// Its process, as its own process id namespace knows it; 0 if unknown.
    pub pid: u32,
}

/// This process's part in the locks of one attachment.
#[derive(Debug)]
pub(crate) struct Participant {
    // Dropped in this order: the slot is free before the descriptor is closed.
    record: Record,
    table: SlotTable,
    lock_timeout: Option<Duration>,
    /// The segment's name, for errors; empty for an unnamed one.
    segment: Box<str>,
    /// The description with the attachment's life lock, which is another one than the slot's: so this process's own slot
    /// looks locked through it, too.
    file: File,
    id: FileId,
    /// That of the attachment's mapping.
    watch: Watch,
}

impl Participant {
    /// Takes the first free slot of the file `file`, which is `id`.
    ///
    /// # Safety
    /// `slots` records from `table` on are aligned and mapped for writing as long as the participant lives, in the mapping that
    /// `watch` is of.
    ///
    /// # Errors
    /// [`ErrorKind::SlotsExhausted`]; [`ErrorKind::Busy`] if slots are free but for the locks of a reader; and whatever keeps the file from being opened anew.
    pub(crate) unsafe fn join(
        file: File,
        id: FileId,
        table: *mut SlotRecord,
        slots: u32,
        lock_timeout: Option<Duration>,
        watch: Watch,
    ) -> Result<Self> {
        // SAFETY: the caller's word.
        let table = unsafe { SlotTable::new(table, slots) };
        let record = Record::new().map_err(no_page)?;
        let participant = Self { record, table, lock_timeout, segment: Box::default(), file, id, watch };
        participant.take_slot(PATIENCE)?;
        Ok(participant)
    }

    /// Who this process is in the segment's locks. `None` in a forked child that has not [registered](Self::registered).
    #[inline(always)]
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.record.identity()
    }

    /// Whether this process is the one with this identity.
    #[inline(always)]
    pub(crate) fn is(&self, identity: Identity) -> bool {
        self.record.is(identity)
    }

    /// Who this process is. A forked child takes a slot of its own the first time it asks.
    ///
    /// A lock word must get the identity by a release store, so that who reads it there finds the generation in the table.
    ///
    /// # Errors
    /// As [`join`](Self::join), in a forked child.
    #[inline(always)]
    pub(crate) fn registered(&self) -> Result<Identity> {
        match self.identity() {
            Some(identity) => Ok(identity),
            None => self.register(),
        }
    }

    /// Tells this process, which has this identity, from its forked children.
    pub(crate) fn witness(&self, identity: Identity) -> Witness<'_> {
        self.record.witness(identity)
    }

    /// Remembers that this thread has the segment's lease, of which a segment has one.
    pub(crate) fn note_lease(&self) {
        self.record.note_lease();
    }

    /// Forgets it. To be called before the lease is let go of, by the thread and the process that have it.
    pub(crate) fn forget_lease(&self) {
        self.record.forget_lease();
    }

    /// Whether this thread has the lease, and would wait for itself.
    pub(crate) fn has_lease(&self) -> bool {
        self.record.has_lease()
    }

    /// Takes a slot in a forked child, unless another thread does.
    #[cold]
    fn register(&self) -> Result<Identity> {
        self.check_descriptor().and_then(|()| self.take_slot(PATIENCE)).map_err(|error| error.in_segment(&self.segment))
    }

    /// Takes a slot, unless another thread does, for which this one waits as long as `patience` says.
    fn take_slot(&self, patience: Duration) -> Result<Identity> {
        let mut start = None;
        loop {
            // A handler that forked in the middle would make a second process that takes this very slot, through the same
            // description: each would count the generation up, and one of them would look dead.
            if let Some(identity) = sys::without_signals(|| self.try_to_take_slot())? {
                return Ok(identity);
            }
            if start.get_or_insert_with(Instant::now).elapsed() > patience {
                return Err(Error::new(ErrorKind::Busy).with_hint(OTHER_THREAD));
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// `None` if another thread is about to.
    fn try_to_take_slot(&self) -> Result<Option<Identity>> {
        let claim = match self.record.claim() {
            Claim::Registered(identity) => return Ok(Some(identity)),
            Claim::Elsewhere => return Ok(None),
            Claim::Here(claim) => claim,
        };
        let (slot, anchor) = self.lock_a_slot()?;
        // At once: until then, whoever asks about the slot's last holder, who is dead, finds the generation unchanged and
        // the byte locked, and takes it for alive. That is wrong for a moment, and harmless: it will be asked again. (In the
        // other order two processes could count at the same time.)
        let identity = Identity::new(slot, self.table.count_up(slot));
        let pid = sys::process_id();
        self.table.describe(slot, pid, sys::process_start(pid));
        Ok(claim.complete(identity, anchor).then_some(identity))
    }

    /// Locks the byte of the first free slot.
    fn lock_a_slot(&self) -> Result<(u32, Anchor)> {
        let mut blocked = false;
        for slot in 0..self.table.count() {
            // Asked through the description at hand: the slot's own is to have a descriptor for as short as can be.
            match self.file.locked(LockBytes::slot(slot))? {
                None => {
                    if let Some(anchor) = self.lock_slot(slot)? {
                        return Ok((slot, anchor));
                    }
                }
                Some(lock) => blocked |= lock == Lock::Shared,
            }
        }
        Err(if blocked {
            Error::new(ErrorKind::Busy).with_hint(READ_LOCKED)
        } else {
            Error::new(ErrorKind::SlotsExhausted { slots: self.table.count() })
        })
    }

    /// Locks the byte of a slot, through a description that no other process will have. `None` if somebody else was faster.
    fn lock_slot(&self, slot: u32) -> Result<Option<Anchor>> {
        sys::while_forks_wait(|| {
            let own = reopen(&self.file)?;
            if !own.lock(LockBytes::slot(slot), Lock::Exclusive)? {
                return Ok(None);
            }
            Anchor::new(own).map(Some).map_err(no_page)
        })
    }

    /// Whether the process behind an identity, as found in a lock word, is dead. A system call, or two for the dead.
    ///
    /// Never says so of a living one, as long as no peer writes nonsense; for a moment, the dead may look alive: while a
    /// new holder of the slot has not counted up its generation.
    ///
    /// # Errors
    /// If the kernel cannot be asked.
    pub(crate) fn is_dead(&self, holder: Identity) -> Result<bool> {
        if self.is(holder) {
            return Ok(false);
        }
        // Pairs with the release store of the identity into the lock word that it was read from: the holder counted up
        // its generation before, so that it is not found an older one, which would make it dead.
        fence(Ordering::Acquire);
        if self.table.generation(holder.slot()) != Some(holder.generation()) {
            return Ok(true);
        }
        // The generation is the holder's, who has locked the byte before anybody could know of it: unlocked means dead. A
        // shared lock, for which read access is enough, is none of a participant.
        let locked = self.file.locked(LockBytes::slot(holder.slot()));
        if locked == Ok(Some(Lock::Exclusive)) {
            return Ok(false);
        }
        // On another file no byte is locked.
        self.check_descriptor()?;
        locked?;
        Ok(true)
    }

    /// Fails if the descriptor is not the segment's any more: a program that closes all descriptors after a fork may have
    /// opened another file by its number.
    fn check_descriptor(&self) -> Result<()> {
        match self.file.status() {
            Ok(status) if status.id == self.id => Ok(()),
            Ok(_) | Err(Failure { errno: Errno::EBADF, .. }) => Err(descriptor_lost()),
            Err(failure) => Err(failure.into()),
        }
    }

    /// What people want to know of an identity.
    pub(crate) fn holder(&self, holder: Identity) -> Holder {
        Holder { slot: holder.slot(), pid: self.table.pid(holder) }
    }

    /// Whether that is this process: this attachment of it, or another one. For people, as what it looks at is a peer's word.
    pub(crate) fn is_own(&self, holder: Identity) -> bool {
        let pid = sys::process_id();
        self.is(holder) || self.table.is_of(holder, pid, sys::process_start(pid))
    }

    /// Says of which segment the errors are: known only after the slot is taken.
    pub(crate) fn set_segment(&mut self, name: &str) {
        self.segment = name.into();
    }

    /// The segment's name; empty for an unnamed one.
    pub(crate) fn segment(&self) -> &str {
        &self.segment
    }

    /// How many slots the segment has.
    pub(crate) fn slots(&self) -> u32 {
        self.table.count()
    }

    /// How long to wait for a lock unless told otherwise; `None` for ever.
    pub(crate) fn lock_timeout(&self) -> Option<Duration> {
        self.lock_timeout
    }

    /// Refuses what was read or written up to now if a peer had truncated the file (`sigbus`).
    #[inline(always)]
    pub(crate) fn check_whole(&self) -> Result<()> {
        self.watch.check().map_err(|error| error.in_segment(&self.segment))
    }

    /// The attachment's description.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

fn reopen(file: &File) -> Result<File> {
    file.reopen(Access::ReadWrite).map_err(|failure| match failure.errno {
        Errno::ENOENT => {
            Error::new(ErrorKind::Unsupported { what: "locks where /proc is not mounted, or out of sight" })
        }
        _ => failure.into(),
    })
}

fn no_page(failure: Failure) -> Error {
    match failure.errno {
        Errno::ENOMEM => Error::new(ErrorKind::NoAddressSpace { needed: 1 }),
        _ => failure.into(),
    }
}

fn descriptor_lost() -> Error {
    Failure { operation: "use the segment's descriptor, which somebody has closed", errno: Errno::EBADF }.into()
}

#[cfg(all(test, not(any(miri, shmtypes_heap))))]
mod process_tests;
#[cfg(all(test, not(any(miri, shmtypes_heap))))]
mod registration_tests;
#[cfg(test)]
pub(crate) mod tests;
