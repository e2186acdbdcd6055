//! Slots: who has one, and who is alive, on whatever plays the operating system. Processes are in `process_tests` and `registration_tests`.

use super::record::{Claim, Record};
use super::*;
use crate::segment::Detached;
use crate::segment::attach::attach;
use crate::segment::attachment::Attachment;
use crate::segment::create::{Draft, Plan};
use crate::segment::header::Container;
use crate::segment::options::SegmentOptions;
use crate::sys::Directory;
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Held for writing while a test starts a process: until that one executes its program, it has copies of all descriptors,
/// and with them of locks.
pub(super) static STARTING: RwLock<()> = RwLock::new(());

/// For tests that start a process, until it has started.
pub(crate) fn starting() -> RwLockWriteGuard<'static, ()> {
    STARTING.write().unwrap_or_else(PoisonError::into_inner)
}

/// For tests that ask for the end of a lock: nobody starts a process meanwhile.
pub(crate) fn undisturbed() -> RwLockReadGuard<'static, ()> {
    STARTING.read().unwrap_or_else(PoisonError::into_inner)
}

/// A name that no other test has. What is left under it goes with this value.
pub(super) struct Name(pub(super) SegmentOptions);

impl Drop for Name {
    fn drop(&mut self) {
        let _ = Directory::unlink(&self.path());
    }
}

impl Name {
    pub(super) fn new(slots: u32) -> Self {
        let random = u64::from_ne_bytes(*sys::random().unwrap().first_chunk().unwrap());
        let name = Some(format!("unit-slots-{random:016x}"));
        Self(SegmentOptions { name, slots: Some(slots), ..SegmentOptions::default() })
    }

    pub(super) fn path(&self) -> std::path::PathBuf {
        self.0.directory.join(self.0.name.as_ref().unwrap())
    }

    pub(super) fn is_there(&self) -> bool {
        Directory::status(&self.path()).is_ok()
    }

    pub(super) fn create(&self) -> Result<Attachment> {
        self.create_with(72)
    }

    fn create_with(&self, mutable_bytes: u32) -> Result<Attachment> {
        let slots = self.0.slots.unwrap_or(0);
        let plan = Plan { container: Container::Array, shape: &[5], mutable_bytes, slots, filled: false };
        Draft::new::<u64>(&self.0, &plan)?.publish()
    }

    pub(super) fn open(&self) -> Result<Attachment> {
        attach(&self.0, Access::ReadWrite, &|_, _| Ok(()))
    }

    pub(super) fn open_read_only(&self) -> Result<Attachment> {
        attach(&self.0, Access::ReadOnly, &|_, _| Ok(()))
    }

    /// The slots that are taken.
    pub(super) fn taken(&self) -> Vec<u32> {
        let slots = crate::inspect(self.0.name.as_ref().unwrap()).unwrap().slots;
        slots.unwrap().taken.iter().map(|holder| holder.slot).collect()
    }
}

pub(super) fn me(attachment: &Attachment) -> Identity {
    attachment.participant().unwrap().identity().unwrap()
}

pub(super) fn is_dead(asked: &Attachment, holder: Identity) -> bool {
    asked.participant().unwrap().is_dead(holder).unwrap()
}

fn close(attachment: Attachment) -> Detached {
    Attachment::close(Arc::new(attachment)).unwrap()
}

#[test]
fn an_identity_is_a_slot_and_a_generation_whatever_flags_stand_between() {
    for slot in [0, 1, 511, MAX_SLOTS - 1] {
        for generation in [1, 2, 1 << 31, u32::MAX] {
            let identity = Identity::new(slot, generation);
            assert_eq!((identity.slot(), identity.generation()), (slot, generation));
            assert_eq!(identity.to_bits(), u64::from(generation) << 32 | u64::from(slot + 1));
            assert_eq!(Identity::from_bits(identity.to_bits() | 0xffff_fc00), Some(identity));
        }
    }
    for nobody in [0, 0xffff_fc00, 1 << 32, u64::MAX << 32] {
        assert_eq!(Identity::from_bits(nobody), None, "{nobody:#x}");
    }
}

#[test]
fn two_opens_have_two_slots_and_both_are_alive() {
    let _quiet = undisturbed();
    let name = Name::new(DEFAULT_SLOTS);
    let (first, second) = (name.create().unwrap(), name.open().unwrap());
    assert_eq!((me(&first).slot(), me(&second).slot()), (0, 1));
    assert_eq!(name.taken(), [0, 1]);
    for asked in [&first, &second] {
        assert!(!is_dead(asked, me(&first)) && !is_dead(asked, me(&second)));
        assert_eq!(asked.participant().unwrap().slots(), DEFAULT_SLOTS);
        assert_eq!(asked.participant().unwrap().registered().unwrap(), me(asked));
    }
    let pid = sys::process_id();
    assert_eq!(first.participant().unwrap().holder(me(&second)), Holder { slot: 1, pid });
}

#[test]
fn an_identity_is_this_process_s_own_if_id_and_start_say_so() {
    let _quiet = undisturbed();
    let name = Name::new(3);
    let (first, second) = (name.create().unwrap(), name.open().unwrap());
    let asked = first.participant().unwrap();
    assert!(asked.is_own(me(&first)) && asked.is_own(me(&second)));
    let pid = sys::process_id();
    let start = sys::process_start(pid);
    // What a process of another namespace may have, and one that had the number before.
    for (pid, start) in [(pid + 1, start), (pid, start + 1)] {
        asked.table.describe(1, pid, start);
        assert!(!asked.is_own(me(&second)), "{pid} {start}");
    }
    asked.table.describe(1, pid, start);
    assert!(asked.is_own(me(&second)));
    assert!(!asked.is_own(Identity::new(2, 1)) && !asked.is_own(Identity::new(1000, 1)), "nobody's, and none");
    asked.table.describe(0, 0, 0);
    assert!(asked.is_own(me(&first)), "it knows without the table");
}

#[test]
fn what_fails_because_of_a_slot_names_the_segment() {
    let _quiet = undisturbed();
    let name = Name::new(1);
    let first = name.create().unwrap();
    assert_eq!(first.participant().unwrap().segment(), name.0.name.as_deref().unwrap());
    assert_eq!(name.open().unwrap_err().segment(), name.0.name.as_deref());
}

#[test]
fn a_slot_is_free_after_its_last_holder_and_comes_back_with_another_generation() {
    let _quiet = undisturbed();
    let name = Name::new(2);
    let (first, second) = (name.create().unwrap(), name.open().unwrap());
    let old = me(&second);
    drop(second);
    assert!(is_dead(&first, old), "its byte is not locked");
    assert_eq!(name.taken(), [0]);
    let third = name.open().unwrap();
    assert_eq!(me(&third).slot(), old.slot());
    assert_eq!(me(&third).generation(), old.generation() + 1);
    assert!(is_dead(&first, old), "its byte is locked, by another one");
    assert!(!is_dead(&first, me(&third)));
    assert_eq!(first.participant().unwrap().holder(old).pid, 0);
}

#[test]
fn a_slot_in_the_middle_is_the_first_free_one() {
    let _quiet = undisturbed();
    let name = Name::new(3);
    let (_first, second, _third) = (name.create().unwrap(), name.open().unwrap(), name.open().unwrap());
    drop(second);
    assert_eq!(name.taken(), [0, 2]);
    assert_eq!(me(&name.open().unwrap()).slot(), 1);
}

#[test]
fn whoever_attaches_at_once_has_a_slot_of_its_own() {
    const ALL: u32 = 6;
    let _quiet = undisturbed();
    for _ in 0..if cfg!(miri) { 2 } else { 200 } {
        let name = Name::new(ALL);
        let _first = name.create().unwrap();
        let start = std::sync::Barrier::new(ALL as usize - 1);
        let attach = || {
            start.wait();
            name.open()
        };
        let attached: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..ALL).map(|_| scope.spawn(attach)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
        });
        let mut slots: Vec<u32> = attached.iter().map(|attachment| me(attachment).slot()).collect();
        slots.sort_unstable();
        assert!(slots.into_iter().eq(1..ALL));
        assert!(name.taken().into_iter().eq(0..ALL));
    }
}

#[test]
fn when_slots_run_out_nobody_is_attached_who_got_none() {
    let _quiet = undisturbed();
    let name = Name::new(2);
    let (first, second) = (name.create().unwrap(), name.open().unwrap());
    let error = name.open().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::SlotsExhausted { slots: 2 });
    assert_eq!(error.segment(), name.0.name.as_deref());
    assert_eq!(name.taken(), [0, 1]);
    let reader = name.open_read_only().unwrap();
    assert!(reader.participant().is_none());
    assert_eq!(close(reader), Detached::StillInUse);
    assert_eq!(close(second), Detached::StillInUse);
    let again = name.open().unwrap();
    assert_eq!(close(first), Detached::StillInUse);
    assert_eq!(close(again), Detached::Removed, "the one that was refused is not attached");
}

/// The one that is refused may be the last one out: the name must not stay. In a thread of its own, the last holder
/// leaves at some moment of the attempt.
#[test]
fn whoever_gets_no_slot_removes_the_name_if_the_others_have_left_meanwhile() {
    let _quiet = undisturbed();
    for _ in 0..if cfg!(miri) { 3 } else { 3000 } {
        let name = Name::new(1);
        let only = name.create().unwrap();
        let outcome = std::thread::scope(|scope| {
            scope.spawn(move || drop(only));
            name.open().map(drop)
        });
        // (Retries of removals that are remembered come with the next create, detach or reap.)
        assert!(!name.is_there(), "the attempt ended with {outcome:?}");
    }
}

#[test]
fn readers_take_no_slot() {
    let _quiet = undisturbed();
    let name = Name::new(1);
    let writer = name.create().unwrap();
    let readers = [name.open_read_only().unwrap(), name.open_read_only().unwrap()];
    assert!(readers.iter().all(|reader| reader.participant().is_none()));
    drop(writer);
    assert!(name.taken().is_empty());
}

#[test]
fn a_segment_without_slots_has_no_participants() {
    let mut name = Name::new(1);
    name.0.slots = None;
    let attachment = name.create().unwrap();
    assert!(attachment.participant().is_none());
    assert!(name.open().unwrap().participant().is_none());
    assert_eq!(crate::inspect(attachment.name()).unwrap().slots, None);
    assert_eq!(attachment.header().required_features, 0);
}

#[test]
fn the_number_of_slots_and_the_time_are_recorded_and_checked() {
    for slots in [0, MAX_SLOTS + 1, u32::MAX] {
        let error = Name::new(slots).create().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidOptions { .. }), "{error}");
    }
    let times = [
        (None, None),
        (Some(Duration::ZERO), Some(Duration::from_millis(1))),
        (Some(Duration::from_nanos(1)), Some(Duration::from_millis(1))),
        (Some(Duration::from_micros(1500)), Some(Duration::from_millis(2))),
        (Some(Duration::from_secs(30)), Some(Duration::from_secs(30))),
        (Some(Duration::MAX), Some(Duration::from_millis(u64::MAX))),
    ];
    for (slots, (given, expected)) in [1, 2, 3, 64, 1000, MAX_SLOTS].into_iter().zip(times) {
        let mut name = Name::new(slots);
        name.0.lock_timeout = given;
        let attachments = [name.create().unwrap(), name.open().unwrap_or_else(|_| name.open_read_only().unwrap())];
        for attachment in &attachments {
            let header = attachment.header();
            assert_eq!((header.slot_count, header.lock_timeout()), (slots, expected));
            let (table, count) = header.slot_table().unwrap();
            assert_eq!((table % 64, count), (0, slots));
            assert_eq!(table, header.mutable_offset + 128, "72 bytes, rounded up");
            assert_eq!(table + u64::from(slots) * 16, header.mutable_offset + u64::from(header.mutable_bytes));
        }
        let participant = attachments[0].participant().unwrap();
        assert_eq!((participant.slots(), participant.lock_timeout()), (slots, expected));
        let info = crate::inspect(attachments[0].name()).unwrap().slots.unwrap();
        assert_eq!((info.count, info.lock_timeout), (slots, expected));
    }
    assert_eq!(SegmentOptions::default().lock_timeout, Some(Duration::from_secs(30)));
}

#[test]
fn the_table_of_slots_is_no_place_for_what_else_changes() {
    let name = Name::new(2);
    let attachment = name.create_with(0).unwrap();
    let header = attachment.header();
    assert_eq!((header.mutable_bytes, header.own_mutable_bytes()), (32, 0));
    let error = crate::ShmArray::<u64>::open(attachment.name()).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Corrupt { field: "mutable length", value: 32 });

    let name = Name::new(2);
    let attachment = name.create_with(4).unwrap();
    let array = crate::ShmArray::<u64>::open(attachment.name()).unwrap();
    assert_eq!(name.taken(), [0, 1]);
    assert_eq!(array.notify(), 0);
    assert_eq!((me(&attachment).slot(), is_dead(&attachment, Identity::new(1, 1))), (0, false));
}

/// What a peer may write into the table, and then what answers it gets.
fn scribble(attachment: &Attachment, bytes: &[u8]) {
    let (table, count) = attachment.header().slot_table().unwrap();
    let all: Vec<u8> = bytes.iter().copied().cycle().take(count as usize * SlotRecord::BYTES).collect();
    attachment.participant().unwrap().file().write_at(&all, table).unwrap();
}

#[test]
fn no_generation_is_ever_zero() {
    let _quiet = undisturbed();
    let name = Name::new(3);
    let first = name.create().unwrap();
    assert_eq!(me(&first).generation(), 1);
    for (before, after) in [(0, 1), (1, 2), (u32::MAX - 1, u32::MAX), (u32::MAX, 1)] {
        let mut record = [0; SlotRecord::BYTES];
        record[..4].copy_from_slice(&u32::to_ne_bytes(before));
        scribble(&first, &record);
        let second = name.open().unwrap();
        assert_eq!(me(&second).generation(), after);
        assert!(!is_dead(&first, me(&second)));
    }
}

#[test]
fn who_holds_a_lock_that_only_readers_can_have_is_dead() {
    let _quiet = undisturbed();
    let name = Name::new(2);
    let (first, second) = (name.create().unwrap(), name.open().unwrap());
    let holder = me(&second);
    drop(second);
    let reader = Directory::open(&name.path(), Access::ReadOnly).unwrap();
    assert!(reader.lock(LockBytes::slot(holder.slot()), Lock::Shared).unwrap());
    assert!(is_dead(&first, holder));
    assert_eq!(name.taken(), [0]);
    let error = name.open().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Busy);
    assert!(error.hint().unwrap().contains("read locks"));
    drop(reader);
    assert_eq!(me(&name.open().unwrap()).slot(), holder.slot());
}

#[test]
fn a_registration_that_fails_lets_the_next_one_try() {
    let record = Record::new().unwrap();
    let Claim::Here(first) = record.claim() else { panic!("nobody has registered") };
    assert!(matches!(record.claim(), Claim::Elsewhere));
    assert_eq!(record.identity(), None, "nobody yet");
    drop(first);
    let Claim::Here(second) = record.claim() else { panic!("the first one has given up") };
    let identity = Identity::new(5, 7);
    assert!(second.complete(identity, Anchor::new(File::in_memory().unwrap()).unwrap()));
    assert!(matches!(record.claim(), Claim::Registered(found) if found == identity));
    assert_eq!(record.identity(), Some(identity));
}

#[test]
fn no_thread_waits_for_ever_for_another_one_that_registers() {
    let _quiet = undisturbed();
    let name = Name::new(2);
    let first = name.create().unwrap();
    let (given, record) = (first.participant().unwrap(), Record::new().unwrap());
    let file = given.file().reopen(Access::ReadWrite).unwrap();
    let child = Participant {
        record,
        table: given.table,
        lock_timeout: None,
        segment: Box::default(),
        file,
        id: given.id,
        watch: given.watch,
    };
    let Claim::Here(stuck) = child.record.claim() else { panic!("nobody has registered") };
    assert_eq!(*child.take_slot(Duration::ZERO).unwrap_err().kind(), ErrorKind::Busy);
    drop(stuck);
    assert_eq!(child.take_slot(Duration::ZERO).unwrap().slot(), 1);
}

#[test]
fn of_threads_that_register_at_once_exactly_one_does() {
    for _ in 0..if cfg!(miri) { 5 } else { 200 } {
        let (record, registered) = (Record::new().unwrap(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for slot in 0..4 {
                let (record, registered) = (&record, &registered);
                scope.spawn(move || {
                    while record.identity().is_none() {
                        if let Claim::Here(claim) = record.claim() {
                            // The first attempts fail.
                            if registered.fetch_add(1, Ordering::Relaxed) >= 2 {
                                let anchor = Anchor::new(File::in_memory().unwrap()).unwrap();
                                assert!(claim.complete(Identity::new(slot, 1), anchor));
                            }
                        }
                    }
                });
            }
        });
        assert_eq!(registered.into_inner(), 3);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: if cfg!(miri) { 4 } else { 200 }, ..ProptestConfig::default() })]

    /// Whatever a peer writes into the table, questions have answers, and slots work.
    #[test]
    fn a_hostile_table_gives_wrong_answers_and_nothing_worse(bytes in prop::collection::vec(any::<u8>(), 1..64), words in prop::collection::vec(any::<u64>(), 0..16)) {
        let _quiet = undisturbed();
        let name = Name::new(4);
        let first = name.create().unwrap();
        scribble(&first, &bytes);
        let second = name.open().unwrap();
        prop_assert!(me(&second).generation() != 0);
        prop_assert!(!is_dead(&first, me(&second)) && !is_dead(&first, me(&first)));
        scribble(&first, &bytes);
        prop_assert!(!is_dead(&first, me(&first)), "one's own life is beyond doubt");
        prop_assert_eq!(first.participant().unwrap().registered().unwrap(), me(&first));
        for holder in words.iter().filter_map(|&word| Identity::from_bits(word)) {
            prop_assert!(holder.slot() < MAX_SLOTS);
            let shown = first.participant().unwrap().holder(holder);
            prop_assert_eq!(shown.slot, holder.slot());
            let dead = is_dead(&first, holder);
            prop_assert!(dead && shown.pid == 0 || holder.slot() < 4);
        }
        prop_assert_eq!(name.taken(), [0, 1]);
        let old = me(&second);
        drop(second);
        prop_assert!(is_dead(&first, old));
    }

    #[test]
    fn whatever_bits_name_somebody_name_a_slot(word: u64) {
        match Identity::from_bits(word) {
            Some(identity) => {
                prop_assert_eq!(u64::from(identity.slot()) + 1, word & 1023);
                prop_assert_eq!(u64::from(identity.generation()), word >> 32);
                prop_assert_eq!(identity.to_bits(), word & 0xffff_ffff_0000_03ff);
            }
            None => prop_assert_eq!(word & 1023, 0),
        }
    }
}
