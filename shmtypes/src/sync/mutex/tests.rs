//! Tests of the mutex, inside one process.

use super::MutexGuard;
use crate::sync::{Deadline, HeldBy, Holder, LockError, LockGuard, LockResult, ShmMutex};
use crate::{Error, ErrorKind, ShmArray, ShmBox, ShmLayout, ShmRef, inspect};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(60);

/// Two handles of a new mutex, which have a slot each.
fn two_handles() -> [ShmBox<ShmMutex<[u64; 2]>>; 2] {
    let one = ShmBox::create_from(ShmMutex::new([1_u64, 2])).unwrap();
    let two = ShmBox::open(one.name()).unwrap();
    [one, two]
}

/// The slots that are taken, as the kernel tells.
fn taken<T: ShmLayout>(handle: &ShmBox<T>) -> Vec<Holder> {
    inspect(handle.name()).unwrap().slots.unwrap().taken
}

#[track_caller]
fn poisoned<G>(result: LockResult<G>) -> G {
    match result {
        Err(LockError::Poisoned(guard)) => guard,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("the lock is whole"),
    }
}

/// Panics while it holds the lock.
fn poison(mutex: ShmRef<'_, ShmMutex<[u64; 2]>>, action: impl FnOnce(&mut MutexGuard<'_, [u64; 2]>)) {
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let mut guard = mutex.lock().unwrap();
        action(&mut guard);
        std::panic::resume_unwind(Box::new("on purpose"));
    }));
    assert!(unwound.is_err());
}

#[test]
fn a_guard_gets_sets_updates_and_views_the_value() {
    let [one, two] = two_handles();
    let mut guard = one.view().lock().unwrap();
    assert_eq!(guard.get().unwrap(), [1, 2]);
    guard.set([3, 4]);
    assert_eq!(guard.update(|value| std::mem::replace(&mut value[0], 5)).unwrap(), 3);
    guard.view().at(1).set(6);
    assert_eq!(guard.view().get(), [5, 6]);
    assert!(!guard.is_poisoned());
    drop(guard);
    assert_eq!(two.view().try_lock().unwrap().get().unwrap(), [5, 6]);
    assert_eq!(two.view().lock_until(LONG).unwrap().get().unwrap(), [5, 6]);
}

#[test]
fn values_of_all_sizes_stand_beside_the_word() {
    #[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
    #[repr(C, align(16))]
    struct Aligned {
        halves: [u64; 2],
    }
    #[track_caller]
    fn round_trip<T: crate::ShmValue + PartialEq + std::fmt::Debug>(old: T, new: T) {
        // Between neighbours, so that a store beside the value would show.
        let array = ShmArray::create_from_fn(3, |_| ShmMutex::new(old)).unwrap();
        array.at(1).lock().unwrap().set(new);
        assert_eq!(array.at(1).lock().unwrap().get().unwrap(), new);
        for index in [0, 2] {
            assert_eq!(array.at(index).try_lock().unwrap().get().unwrap(), old, "element {index}");
        }
    }
    round_trip(1_u8, 0xff);
    round_trip(1_u32, u32::MAX);
    round_trip(1_u64, u64::MAX);
    round_trip([1_u64; 3], [u64::MAX; 3]);
    round_trip(Aligned { halves: [1; 2] }, Aligned { halves: [u64::MAX; 2] });
    assert_eq!((size_of::<ShmMutex<u8>>(), size_of::<ShmMutex<u32>>(), size_of::<ShmMutex<[u64; 3]>>()), (16, 16, 32));
    assert_eq!((size_of::<ShmMutex<Aligned>>(), align_of::<ShmMutex<Aligned>>()), (32, 16));
}

#[test]
fn the_mutexes_of_an_array_are_locks_of_their_own() {
    let array = ShmArray::<ShmMutex<u32>>::create(3).unwrap();
    let other = ShmArray::<ShmMutex<u32>>::open(array.name()).unwrap();
    let mut middle = array.at(1).lock().unwrap();
    middle.set(7);
    other.at(0).try_lock().unwrap().set(8);
    assert!(matches!(other.at(1).try_lock(), Err(LockError::Held(_))));
    drop(middle);
    assert_eq!((0..3).map(|i| other.at(i).try_lock().unwrap().get().unwrap()).collect::<Vec<_>>(), [8, 7, 0]);
}

#[test]
fn a_mutex_in_a_struct_is_reached_by_the_view_and_may_hold_another_one() {
    #[derive(ShmLayout)]
    #[repr(C)]
    struct Shop {
        visits: AtomicU64,
        till: ShmMutex<[i64; 2]>,
        shelves: [ShmMutex<u64>; 2],
        nested: ShmMutex<Inner>,
    }
    #[derive(ShmLayout)]
    #[repr(C)]
    struct Inner {
        total: u64,
        part: ShmMutex<u64>,
    }
    let shop = ShmBox::<Shop>::create().unwrap();
    let same = ShmBox::<Shop>::open(shop.name()).unwrap();
    shop.view().till().lock().unwrap().set([1, -1]);
    shop.view().shelves().at(1).lock().unwrap().set(9);
    let outer = shop.view().nested().lock().unwrap();
    outer.view().total().set(3);
    outer.view().part().lock().unwrap().set(4);
    assert!(matches!(same.view().nested().try_lock(), Err(LockError::Held(_))));
    drop(outer);
    assert_eq!(same.view().till().lock().unwrap().get().unwrap(), [1, -1]);
    assert_eq!(same.view().shelves().at(1).lock().unwrap().get().unwrap(), 9);
    let outer = same.view().nested().lock().unwrap();
    assert_eq!((outer.view().total().get(), outer.view().part().lock().unwrap().get().unwrap()), (3, 4));
    assert_eq!(same.view().visits().load(Relaxed), 0);
}

#[test]
fn held_names_the_slot_and_the_process() {
    let [one, two] = two_handles();
    let slots = taken(&one);
    assert_eq!(slots.iter().map(|holder| holder.slot).collect::<Vec<_>>(), [0, 1]);
    for (holder, other, expected) in [(&one, &two, slots[0]), (&two, &one, slots[1])] {
        let guard = holder.view().lock().unwrap();
        let refused = other.view().try_lock().unwrap_err();
        let LockError::Held(named) = &refused else { panic!("{refused:?}") };
        assert_eq!((named.slot, named.pid, named.segment()), (expected.slot, expected.pid, Some(one.name())));
        let kind = Error::from(refused);
        let expected = ErrorKind::LockHeld { slot: expected.slot, pid: crate::sys::process_id(), is_own: true };
        assert_eq!(*kind.kind(), expected);
        drop(guard);
    }
}

#[test]
fn a_deadline_in_the_past_takes_a_free_lock_and_does_not_wait_for_a_held_one() {
    let [one, two] = two_handles();
    let past = Instant::now();
    let guard = one.view().lock_until(past).unwrap();
    for deadline in [past, Instant::now()] {
        let refused = two.view().lock_until(deadline).unwrap_err();
        assert!(matches!(refused, LockError::TimedOut(HeldBy { slot: 0, .. })), "{refused:?}");
    }
    let error = Error::from(two.view().lock_until(Duration::ZERO).unwrap_err());
    assert_eq!(*error.kind(), ErrorKind::LockTimedOut { slot: 0, pid: crate::sys::process_id(), is_own: true });
    drop(guard);
    drop(two.view().lock_until(past).unwrap());
    drop(two.view().lock_until(Deadline::NEVER).unwrap());
}

#[test]
fn the_segment_says_how_long_a_lock_is_waited_for() {
    let timeout = Duration::from_millis(20);
    let one = ShmBox::options().lock_timeout(Some(timeout)).create_from(ShmMutex::new(0_u8)).unwrap();
    let two = ShmBox::<ShmMutex<u8>>::open(one.name()).unwrap();
    assert_eq!(inspect(one.name()).unwrap().slots.unwrap().lock_timeout, Some(timeout));
    let guard = one.view().lock().unwrap();
    let start = Instant::now();
    let refused = two.view().lock().unwrap_err();
    assert!(matches!(refused, LockError::TimedOut(HeldBy { slot: 0, .. })), "{refused:?}");
    assert!(start.elapsed() >= timeout, "a wait ends too early, not too late: {:?}", start.elapsed());
    drop(guard);
}

#[test]
fn a_panic_poisons_until_somebody_recovers() {
    let [one, two] = two_handles();
    poison(one.view(), |guard| guard.set([7, 7]));
    for _ in 0..3 {
        let guard = poisoned(two.view().lock());
        assert!(guard.is_poisoned() && two.view().is_poisoned());
        assert_eq!(guard.get().unwrap(), [7, 7]);
    }
    drop(poisoned(one.view().try_lock()));
    assert_eq!(*Error::from(one.view().lock_until(LONG).unwrap_err()).kind(), ErrorKind::Poisoned);
    let guard = poisoned(one.view().lock()).recover();
    assert!(!guard.is_poisoned());
    drop(guard);
    assert!(!one.view().is_poisoned());
    drop(two.view().lock().unwrap());
}

#[test]
fn a_panic_in_an_update_poisons_and_changes_nothing() {
    let [one, two] = two_handles();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        one.view().lock().unwrap().update(|value| {
            *value = [8, 9];
            std::panic::resume_unwind(Box::new("on purpose"));
        })
    }));
    assert!(unwound.is_err());
    assert_eq!(poisoned(two.view().lock()).get().unwrap(), [1, 2]);
}

#[test]
fn a_lock_that_is_taken_and_let_go_of_in_the_course_of_a_panic_is_not_poisoned() {
    struct Cleaner<'a>(ShmRef<'a, ShmMutex<[u64; 2]>>);
    impl Drop for Cleaner<'_> {
        fn drop(&mut self) {
            self.0.lock().unwrap().set([0, 0]);
        }
    }
    let [one, two] = two_handles();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _cleaner = Cleaner(one.view());
        std::panic::resume_unwind(Box::new("on purpose"));
    }));
    assert!(unwound.is_err());
    assert_eq!(two.view().lock().unwrap().get().unwrap(), [0, 0]);
}

#[test]
fn a_holder_that_detaches_with_a_forgotten_guard_is_told_once_as_dead() {
    let [one, two] = two_handles();
    std::mem::forget(one.view().lock().unwrap());
    assert!(matches!(two.view().try_lock(), Err(LockError::Held(_))));
    drop(one);
    let guard = match two.view().lock() {
        Err(LockError::OwnerDied(guard)) => guard,
        other => panic!("{other:?}"),
    };
    drop(guard);
    drop(poisoned(two.view().lock()).recover());
    drop(two.view().lock().unwrap());
}

/// Adds in two halves that do not hang together, many times.
fn add(mutex: ShmRef<'_, ShmMutex<[u64; 2]>>, times: u64) {
    for _ in 0..times {
        let guard = mutex.lock().unwrap();
        let view = guard.view();
        let [first, second] = [view.at(0).get(), view.at(1).get()];
        assert_eq!(second, first + 1, "somebody is in the section, too");
        view.at(0).set(first + 1);
        std::hint::spin_loop();
        view.at(1).set(second + 1);
    }
}

#[test]
fn threads_of_one_handle_exclude_each_other() {
    const TIMES: u64 = if cfg!(miri) { 20 } else { 2_000 };
    let [one, _] = two_handles();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| add(one.view(), TIMES));
        }
    });
    assert_eq!(one.view().lock().unwrap().get().unwrap(), [1 + 3 * TIMES, 2 + 3 * TIMES]);
}

#[test]
fn handles_of_one_process_exclude_each_other() {
    const TIMES: u64 = if cfg!(miri) { 20 } else { 2_000 };
    let [one, two] = two_handles();
    let clone = one.clone();
    std::thread::scope(|scope| {
        for handle in [&one, &two, &clone] {
            scope.spawn(|| add(handle.view(), TIMES));
        }
    });
    assert_eq!(two.view().lock().unwrap().get().unwrap(), [1 + 3 * TIMES, 2 + 3 * TIMES]);
}

#[test]
fn a_call_that_does_not_wait_takes_the_lock_or_says_who_holds_it() {
    const TIMES: usize = if cfg!(miri) { 20 } else { 20_000 };
    let [one, two] = two_handles();
    let start = Barrier::new(3);
    let counts = std::thread::scope(|scope| {
        let threads = [&one, &two, &one].map(|handle| {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                let mut taken = 0;
                for _ in 0..TIMES {
                    match handle.view().try_lock() {
                        Ok(_) => taken += 1,
                        Err(LockError::Held(_)) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                }
                taken
            })
        });
        threads.map(|thread| thread.join().unwrap())
    });
    assert!(counts.iter().all(|&taken| taken > 0), "{counts:?}");
}

#[test]
fn a_call_whose_time_is_up_takes_the_lock_or_says_who_holds_it() {
    const TIMES: usize = if cfg!(miri) { 20 } else { 20_000 };
    let [one, two] = two_handles();
    let start = Barrier::new(3);
    std::thread::scope(|scope| {
        for handle in [&one, &two, &one] {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                for _ in 0..TIMES {
                    match handle.view().lock_until(Duration::ZERO) {
                        Ok(_) | Err(LockError::TimedOut(_)) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                }
            });
        }
    });
}

#[test]
fn a_segment_has_the_slots_that_its_creator_said() {
    let mutex = || ShmMutex::new(0_u8);
    let unless_given = ShmBox::create_from(mutex()).unwrap();
    assert_eq!(inspect(unless_given.name()).unwrap().slots.unwrap().count, 64);
    let one = ShmBox::options().slots(2).create_from(mutex()).unwrap();
    let two = ShmBox::<ShmMutex<u8>>::open(one.name()).unwrap();
    assert_eq!(inspect(one.name()).unwrap().slots.unwrap().count, 2);
    let error = ShmBox::<ShmMutex<u8>>::open(one.name()).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::SlotsExhausted { slots: 2 });
    // A handle that only reads takes none, and a clone shares that of the handle.
    let reader = ShmBox::<ShmMutex<u8>>::open_read_only(one.name()).unwrap();
    let clone = two.clone();
    drop(two);
    let guard = clone.view().lock().unwrap();
    assert!(!reader.view().is_poisoned());
    drop(guard);
    drop(clone);
    let three = ShmBox::<ShmMutex<u8>>::open(one.name()).unwrap();
    drop(three.view().lock().unwrap());
    for slots in [0, 1024] {
        let error = ShmBox::options().slots(slots).create_from(mutex()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidOptions { .. }), "{slots}: {error}");
    }
    let many = ShmBox::options().slots(1023).create_from(mutex()).unwrap();
    drop(many.view().lock().unwrap());
}

/// What all forms of a lock's error must agree in.
#[track_caller]
fn check_error<G: LockGuard>(error: LockError<G>, segment: Option<&str>, expected: &ErrorKind) {
    let place = segment.map_or("an unnamed segment".to_owned(), |name| format!("{name:?}"));
    let line = error.to_string();
    assert!(line.starts_with(&format!("{place}: {expected} (")), "{line}");
    assert_eq!(error.segment(), segment);
    let (hint, fault) = (error.hint().unwrap(), error.fault());
    assert!(line.ends_with(&format!(" ({hint})")), "{line}");
    // Without the guard's help, which `Debug` cannot ask for.
    assert!(format!("{error:?}").ends_with(&format!("{expected} ({hint})")), "{error:?}");
    assert!(core::error::Error::source(&error).is_none());
    let other = Error::from(error);
    assert_eq!((other.kind(), other.segment(), other.hint(), other.fault()), (expected, segment, Some(hint), fault));
    assert_eq!(other.to_string(), line);
}

#[test]
fn errors_say_what_is_the_matter_where_and_what_to_do() {
    let [named, unnamed] = [false, true].map(|unnamed| {
        let options = ShmBox::options();
        let options = if unnamed { options.unnamed() } else { options };
        options.create_from(ShmMutex::new([0; 2])).unwrap()
    });
    let pid = crate::sys::process_id();
    for one in [&named, &unnamed] {
        let segment = Some(one.name()).filter(|name| !name.is_empty());
        let guard = one.view().lock().unwrap();
        assert_eq!(format!("{guard:?}"), "MutexGuard<[u64; 2]>");
        let held = ErrorKind::LockHeld { slot: 0, pid, is_own: true };
        check_error(one.view().try_lock().unwrap_err(), segment, &held);
        let timed_out = ErrorKind::LockTimedOut { slot: 0, pid, is_own: true };
        check_error(one.view().lock_until(Duration::ZERO).unwrap_err(), segment, &timed_out);
        assert!(one.view().try_lock().unwrap_err().into_guard().is_none());
        drop(guard);
        poison(one.view(), |_| {});
        check_error(one.view().lock().unwrap_err(), segment, &ErrorKind::Poisoned);
        let guard = one.view().lock().unwrap_err().into_guard().unwrap();
        drop(guard.recover());
        drop(one.view().lock().unwrap());
    }
    let died: LockError<MutexGuard<'_, [u64; 2]>> = LockError::OwnerDied(named.view().lock().unwrap());
    check_error(died, Some(named.name()), &ErrorKind::OwnerDied);
}

#[test]
fn who_holds_the_lock_itself_is_told_so_and_who_does_not_is_not() {
    let [one, two] = two_handles();
    let text = |is_own| ErrorKind::LockHeld { slot: 3, pid: 44, is_own }.to_string();
    assert_eq!(text(false), "the lock is held by slot 3 (process 44)");
    assert!(text(true).contains("by this process (another thread, another handle, or an earlier guard), slot 3"));
    let hint = |is_own| Error::new(ErrorKind::LockTimedOut { slot: 3, pid: 44, is_own }).hint().unwrap();
    assert!(hint(true).contains("drop the guard") && hint(false).contains("is that process stopped"));
    let _guard = one.view().lock().unwrap();
    for refused in [one.view().try_lock(), two.view().try_lock()] {
        assert!(matches!(refused, Err(LockError::Held(ref holder)) if holder.is_own), "{refused:?}");
    }
    std::thread::scope(|threads| {
        threads.spawn(|| {
            assert!(matches!(one.view().try_lock(), Err(LockError::Held(holder)) if holder.is_own));
        });
    });
}

#[test]
fn what_the_operating_system_refused_is_the_source() {
    let cause = std::io::Error::other("the cause");
    let failed: LockError<()> = Error::new(ErrorKind::Busy).caused_by(cause).in_segment("there").into();
    assert_eq!(core::error::Error::source(&failed).unwrap().to_string(), "the cause");
    assert_eq!(failed.segment(), Some("there"));
    assert_eq!(failed.to_string(), format!("{failed:?}"));
}
