//! Tests of the reader-writer lock, inside one process.

use crate::sync::{HeldBy, LockError, LockResult, ShmMutex, ShmRwLock};
use crate::{Error, ErrorKind, ShmArray, ShmBox, ShmLayout, ShmRef, inspect};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(60);

/// Two handles of a new lock, which have a slot each.
fn two_handles() -> [ShmBox<ShmRwLock<[u64; 2]>>; 2] {
    let one = ShmBox::create_from(ShmRwLock::new([1_u64, 2])).unwrap();
    let two = ShmBox::open(one.name()).unwrap();
    [one, two]
}

#[track_caller]
fn poisoned<G>(result: LockResult<G>) -> G {
    match result {
        Err(LockError::Poisoned(guard)) => guard,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("the lock is whole"),
    }
}

#[track_caller]
fn held_by<G>(result: LockResult<G>, slot: u32) {
    match result {
        Err(LockError::Held(holder)) => assert_eq!((holder.slot, holder.pid), (slot, crate::sys::process_id())),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("the lock is free"),
    }
}

#[test]
fn a_guard_gets_sets_updates_and_views_the_value() {
    let [one, two] = two_handles();
    let mut guard = one.view().write().unwrap();
    guard.set([3, 4]);
    assert_eq!(guard.update(|value| std::mem::replace(&mut value[0], 5)).unwrap(), 3);
    guard.view().at(1).set(6);
    assert_eq!((guard.get().unwrap(), guard.is_poisoned()), ([5, 6], false));
    assert_eq!(format!("{guard:?}"), "RwLockWriteGuard<[u64; 2]>");
    drop(guard);
    let guard = two.view().read().unwrap();
    assert_eq!((guard.get().unwrap(), guard.view().at(1).get(), guard.is_poisoned()), ([5, 6], 6, false));
    assert_eq!(format!("{guard:?}"), "RwLockReadGuard<[u64; 2]>");
    drop(guard);
    assert_eq!(two.view().read_until(LONG).unwrap().get().unwrap(), [5, 6]);
    assert_eq!(two.view().try_read().unwrap().get().unwrap(), [5, 6]);
    two.view().write_until(LONG).unwrap().set([7, 8]);
    assert_eq!(one.view().try_write().unwrap().get().unwrap(), [7, 8]);
}

#[test]
fn values_of_all_sizes_stand_beside_the_words() {
    #[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
    #[repr(C, align(16))]
    struct Aligned {
        halves: [u64; 2],
    }
    #[track_caller]
    fn round_trip<T: crate::ShmValue + PartialEq + std::fmt::Debug>(old: T, new: T) {
        let array = ShmArray::create_from_fn(3, |_| ShmRwLock::new(old)).unwrap();
        array.at(1).write().unwrap().set(new);
        assert_eq!(array.at(1).read().unwrap().get().unwrap(), new);
        for index in [0, 2] {
            assert_eq!(array.at(index).try_write().unwrap().get().unwrap(), old, "element {index}");
        }
    }
    round_trip(1_u8, 0xff);
    round_trip(1_u32, u32::MAX);
    round_trip(1_u64, u64::MAX);
    round_trip([1_u64; 3], [u64::MAX; 3]);
    round_trip(Aligned { halves: [1; 2] }, Aligned { halves: [u64::MAX; 2] });
}

#[test]
fn a_lock_in_a_struct_is_reached_by_the_view_and_may_hold_a_mutex() {
    #[derive(ShmLayout)]
    #[repr(C)]
    struct Library {
        books: ShmRwLock<Books>,
        rooms: [ShmRwLock<u64>; 2],
    }
    #[derive(ShmLayout)]
    #[repr(C)]
    struct Books {
        count: u64,
        lent: ShmMutex<u64>,
    }
    let library = ShmBox::<Library>::create().unwrap();
    let same = ShmBox::<Library>::open(library.name()).unwrap();
    library.view().rooms().at(1).write().unwrap().set(9);
    let writer = library.view().books().write().unwrap();
    writer.view().count().set(3);
    writer.view().lent().lock().unwrap().set(4);
    held_by(same.view().books().try_read(), 0);
    drop(writer);
    let reader = same.view().books().read().unwrap();
    assert_eq!(reader.view().count().get(), 3);
    assert!(!reader.view().lent().is_poisoned());
    assert_eq!(same.view().rooms().at(1).read().unwrap().get().unwrap(), 9);
}

#[test]
fn many_read_at_once_and_a_writer_is_refused_until_the_last_one_goes() {
    let [one, two] = two_handles();
    let first = one.view().read().unwrap();
    let again = one.view().try_read().unwrap();
    let other = two.view().read().unwrap();
    held_by(two.view().try_write(), 0);
    drop(first);
    held_by(two.view().try_write(), 0);
    drop(again);
    held_by(one.view().try_write(), 1);
    let refused = one.view().write_until(Instant::now()).unwrap_err();
    assert!(matches!(refused, LockError::TimedOut(HeldBy { slot: 1, .. })), "{refused:?}");
    drop(other);
    let writer = one.view().try_write().unwrap();
    held_by(two.view().try_read(), 0);
    held_by(two.view().try_write(), 0);
    let refused = two.view().read_until(Duration::ZERO).unwrap_err();
    assert!(matches!(refused, LockError::TimedOut(HeldBy { slot: 0, .. })), "{refused:?}");
    drop(writer);
    // What was refused has left nothing behind.
    drop(two.view().try_write().unwrap());
    drop(two.view().try_read().unwrap());
}

#[test]
fn a_writer_waits_for_the_readers_and_goes_before_those_that_come_later() {
    let [one, two] = two_handles();
    let reader = one.view().read().unwrap();
    let wrote = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut guard = two.view().write().unwrap();
            wrote.store(true, SeqCst);
            guard.set([3, 4]);
        });
        // Until the writer has taken its word.
        while one.view().try_read().is_ok() {
            std::thread::yield_now();
        }
        assert!(!wrote.load(SeqCst), "somebody reads");
        assert_eq!(reader.get().unwrap(), [1, 2]);
        drop(reader);
        let reader = one.view().read().unwrap();
        assert!(wrote.load(SeqCst), "the writer came first");
        assert_eq!(reader.get().unwrap(), [3, 4]);
    });
}

#[test]
fn a_writer_s_panic_poisons_and_a_reader_s_does_not() {
    let [one, two] = two_handles();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _guard = one.view().read().unwrap();
        std::panic::resume_unwind(Box::new("on purpose"));
    }));
    assert!(unwound.is_err());
    drop(two.view().write().unwrap());
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        one.view().write().unwrap().update(|value| {
            *value = [8, 9];
            std::panic::resume_unwind(Box::new("on purpose"));
        })
    }));
    assert!(unwound.is_err());
    assert!(two.view().is_poisoned());
    let readers = [one.view(), two.view()].map(|lock| poisoned(lock.read()));
    assert!(readers.iter().all(|reader| reader.is_poisoned() && reader.get().unwrap() == [1, 2]));
    drop(readers);
    drop(poisoned(one.view().write()));
    assert_eq!(*Error::from(two.view().try_read().unwrap_err()).kind(), ErrorKind::Poisoned);
    drop(poisoned(two.view().try_write()).recover());
    drop((one.view().read().unwrap(), two.view().read().unwrap()));
    drop(one.view().write().unwrap());
}

#[test]
fn a_writer_that_gives_up_on_the_readers_leaves_a_poisoned_lock_poisoned() {
    let [one, two] = two_handles();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _guard = one.view().write().unwrap();
        std::panic::resume_unwind(Box::new("on purpose"));
    }));
    assert!(unwound.is_err());
    let reader = poisoned(one.view().read());
    held_by(two.view().try_write(), 0);
    drop(reader);
    drop(poisoned(two.view().write()).recover());
    drop(one.view().write().unwrap());
}

#[test]
fn a_writer_that_gives_up_on_the_readers_leaves_word_of_a_dead_writer() {
    let [one, two] = two_handles();
    std::mem::forget(one.view().write().unwrap());
    drop(one);
    // A reader finds out, and stays; the writer that comes while it reads is told nothing yet.
    let reader = poisoned(two.view().read());
    held_by(two.view().try_write(), 1);
    drop(reader);
    let guard = match two.view().write() {
        Err(LockError::OwnerDied(guard)) => guard,
        other => panic!("{other:?}"),
    };
    drop(guard);
    drop(poisoned(two.view().write()).recover());
    drop(two.view().write().unwrap());
}

#[test]
fn a_reader_that_detaches_with_a_forgotten_guard_is_in_nobody_s_way() {
    let [one, two] = two_handles();
    std::mem::forget(one.view().read().unwrap());
    held_by(two.view().try_write(), 0);
    drop(one);
    drop(two.view().try_write().unwrap());
    // Nor is the slot's next owner.
    let three = ShmBox::<ShmRwLock<[u64; 2]>>::open(two.name()).unwrap();
    drop(three.view().read().unwrap());
    drop(two.view().try_write().unwrap());
}

#[test]
fn threads_and_handles_exclude_each_other() {
    const TIMES: u64 = if cfg!(miri) { 20 } else { 1_000 };
    let [one, two] = two_handles();
    fn write(lock: ShmRef<'_, ShmRwLock<[u64; 2]>>) {
        for _ in 0..TIMES {
            let guard = lock.write().unwrap();
            let view = guard.view();
            let [first, second] = [view.at(0).get(), view.at(1).get()];
            assert_eq!(second, first + 1, "somebody is in the section, too");
            view.at(0).set(first + 1);
            std::hint::spin_loop();
            view.at(1).set(second + 1);
        }
    }
    fn read(lock: ShmRef<'_, ShmRwLock<[u64; 2]>>) {
        for _ in 0..TIMES {
            let guard = lock.read().unwrap();
            let first = guard.view().at(0).get();
            std::hint::spin_loop();
            assert_eq!(guard.view().at(1).get(), first + 1, "torn");
        }
    }
    std::thread::scope(|scope| {
        for handle in [&one, &two] {
            scope.spawn(|| write(handle.view()));
            scope.spawn(|| read(handle.view()));
        }
        scope.spawn(|| write(one.view()));
    });
    assert_eq!(one.view().read().unwrap().get().unwrap(), [1 + 3 * TIMES, 2 + 3 * TIMES]);
}

#[test]
fn calls_that_do_not_wait_take_the_lock_or_say_who_holds_it() {
    const TIMES: usize = if cfg!(miri) { 20 } else { 10_000 };
    let [one, two] = two_handles();
    let start = Barrier::new(4);
    fn judge<G>(result: LockResult<G>) {
        match result {
            Ok(_) | Err(LockError::Held(_) | LockError::TimedOut(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    std::thread::scope(|scope| {
        for handle in [&one, &two, &one, &two] {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                for _ in 0..TIMES {
                    judge(handle.view().try_write());
                    judge(handle.view().try_read());
                    judge(handle.view().read_until(Duration::ZERO));
                    judge(handle.view().write_until(Duration::ZERO));
                }
            });
        }
    });
    drop(one.view().try_write().unwrap());
}

#[test]
fn more_slots_than_the_lock_has_counts_are_refused() {
    #[derive(ShmLayout)]
    #[repr(C)]
    struct Deep {
        locks: [ShmMutex<ShmRwLock<u64>>; 2],
    }
    let lock = || ShmRwLock::new(0_u64);
    let options = ShmBox::options().slots(65);
    let error = options.create_from(lock()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidOptions { .. }), "{error}");
    assert!(error.to_string().contains("65 participant slots"), "{error}");
    let error = ShmArray::<Deep>::options().slots(1023).create(1).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidOptions { .. }), "{error}");
    let most = ShmBox::options().slots(64).create_from(lock()).unwrap();
    assert_eq!(inspect(most.name()).unwrap().slots.unwrap().count, 64);
    let handles: Vec<_> = (1..64).map(|_| ShmBox::<ShmRwLock<u64>>::open(most.name()).unwrap()).collect();
    let readers: Vec<_> = handles.iter().map(|handle| handle.view().read().unwrap()).collect();
    held_by(most.view().try_write(), 1);
    drop(readers);
    drop(most.view().try_write().unwrap());
}
