//! Tests of locked arrays inside one process.

use crate::sync::{LockError, LockResult};
use crate::{Cooperative, Error, ErrorKind, Evolve, LockedArray, ShmArray, ShmLayout, ShmVec, inspect};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(60);

#[allow(unsafe_code, reason = "makes the promise that these tests keep")]
fn cooperative<T: crate::ShmPod>(array: LockedArray<T>) -> Cooperative<T> {
    // SAFETY: the names are fresh, and only these tests open them, as locked arrays.
    unsafe { array.assume_cooperative() }
}

/// Two handles of a new array, which have a slot each.
fn two_handles(values: &[u64]) -> [LockedArray<u64>; 2] {
    let one = LockedArray::create_from_slice(values).unwrap();
    let two = LockedArray::open(one.name()).unwrap();
    [one, two]
}

#[track_caller]
fn held_by<G>(result: LockResult<G>, slot: u32) {
    match result {
        Err(LockError::Held(holder)) => assert_eq!((holder.slot, holder.pid), (slot, crate::sys::process_id())),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("the lock is free"),
    }
}

#[track_caller]
fn poisoned<G>(result: LockResult<G>) -> G {
    match result {
        Err(LockError::Poisoned(guard)) => guard,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("the lock is whole"),
    }
}

#[test]
fn guards_lend_the_elements_and_calls_take_the_lock_themselves() {
    let [one, two] = two_handles(&[1, 2, 3]);
    assert_eq!((one.len(), one.is_empty(), one.shape(), one.get(2).unwrap()), (3, false, &[3][..], 3));
    let guard = one.write().unwrap();
    guard.set(0, 5).unwrap();
    guard.map_in_place(|value| value * 2).unwrap();
    guard.at(1).set(7);
    assert_eq!((guard.to_vec().unwrap(), guard.is_poisoned()), (vec![10, 7, 6], false));
    assert_eq!(format!("{guard:?}"), "LockedWriteGuard<u64>");
    drop(guard);
    let guard = two.read().unwrap();
    assert_eq!((guard.at(1).get(), guard.sum().unwrap(), guard.is_poisoned()), (7, 23, false));
    assert_eq!(format!("{guard:?}"), "LockedReadGuard<u64>");
    drop(guard);
    two.set(1, 8).unwrap();
    two.copy_from_slice(1, &[9, 4]).unwrap();
    assert_eq!(one.to_vec().unwrap(), [10, 9, 4]);
    assert_eq!(*one.get(3).unwrap_err().kind(), ErrorKind::OutOfRange { index: 3, len: 3 });
    assert_eq!(*one.set(3, 0).unwrap_err().kind(), ErrorKind::OutOfRange { index: 3, len: 3 });
    assert!(format!("{one:?}").starts_with("LockedArray { name: \"shm_"));
    drop(two.read_until(LONG).unwrap());
    drop(two.write_until(LONG).unwrap());
    one.notify();
    two.wait_changed(LONG).unwrap();
}

#[test]
fn one_writer_or_many_readers_of_either_kind() {
    let [one, two] = two_handles(&[0; 4]);
    let slices = cooperative(two.clone());
    let (first, again, other, slice) =
        (one.read().unwrap(), one.try_read().unwrap(), two.read().unwrap(), slices.read().unwrap());
    held_by(two.try_write(), 0);
    held_by(slices.try_write(), 0);
    drop((first, again));
    held_by(one.try_write(), 1);
    drop(other);
    held_by(one.try_write(), 1);
    let refused = one.write_until(Instant::now()).unwrap_err();
    assert!(matches!(refused, LockError::TimedOut(ref holder) if holder.slot == 1), "{refused:?}");
    drop(slice);

    let writer = one.try_write().unwrap();
    held_by(one.try_read(), 0);
    held_by(two.try_read(), 0);
    held_by(slices.try_read(), 0);
    held_by(slices.try_write(), 0);
    drop(writer);
    let writer = slices.try_write().unwrap();
    held_by(one.try_read(), 1);
    held_by(slices.try_read(), 1);
    held_by(one.try_write(), 1);
    assert!(matches!(slices.read_until(Instant::now()), Err(LockError::TimedOut(_))));
    assert!(matches!(slices.write_until(Instant::now()), Err(LockError::TimedOut(_))));
    drop(writer);
    drop(one.write().unwrap());
}

#[test]
fn slices_are_the_elements() {
    let [one, two] = two_handles(&[3, 1, 2]);
    let slices = cooperative(one.clone());
    let mut guard = slices.write().unwrap();
    guard.sort_unstable();
    guard[2] += 10;
    assert_eq!((&*guard, guard.is_poisoned()), (&[1, 2, 13][..], false));
    assert_eq!(format!("{guard:?} {slices:?}"), format!("SliceWriteGuard<u64> Cooperative({one:?})"));
    drop(guard);
    assert_eq!(two.to_vec().unwrap(), [1, 2, 13]);
    two.set(0, 7).unwrap();
    let guard = slices.read().unwrap();
    assert_eq!((&*guard, guard.is_poisoned(), slices.name()), (&[7, 2, 13][..], false, two.name()));
    assert_eq!(format!("{guard:?}"), "SliceReadGuard<u64>");
    drop(guard);
    assert_eq!(slices.try_read().unwrap().len(), 3);
    slices.write_until(LONG).unwrap().fill(1);
    assert_eq!(slices.clone().read_until(LONG).unwrap()[..], [1; 3]);
}

/// Under Miri or a sanitizer also a test of the accesses.
#[test]
fn threads_take_turns_and_see_whole_sections_only() {
    const ROUNDS: u64 = if cfg!(miri) { 20 } else { 3_000 };
    let [one, two] = two_handles(&[0; 8]);
    let slices = cooperative(two.clone());
    let start = Barrier::new(4);
    let whole = |values: &[u64]| assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..ROUNDS {
                    let mut guard = slices.write().unwrap();
                    whole(&guard);
                    guard.iter_mut().for_each(|value| *value += 1);
                }
            });
        }
        scope.spawn(|| {
            start.wait();
            for _ in 0..ROUNDS {
                let guard = one.write().unwrap();
                (0..guard.len()).for_each(|index| guard.set(index, guard.get(index).unwrap() + 1).unwrap());
            }
        });
        start.wait();
        for _ in 0..ROUNDS {
            whole(&one.to_vec().unwrap());
            whole(&slices.read().unwrap());
        }
    });
    assert_eq!(one.get(7).unwrap(), 3 * ROUNDS);
}

#[test]
fn a_panic_of_a_writer_poisons_until_somebody_recovers() {
    let [one, two] = two_handles(&[1, 2]);
    let slices = cooperative(two.clone());
    let panic = |action: &dyn Fn()| assert!(catch_unwind(AssertUnwindSafe(action)).is_err());
    panic(&|| {
        let mut guard = slices.write().unwrap();
        guard[0] = 9;
        panic!("in the middle");
    });
    assert!(one.is_poisoned());
    assert_eq!(poisoned(one.read()).get(0).unwrap(), 9);
    assert!(poisoned(slices.read()).is_poisoned());
    assert!(poisoned(slices.write()).is_poisoned());
    for error in [
        one.read().map(drop).map_err(Error::from),
        one.write().map(drop).map_err(Error::from),
        slices.read().map(drop).map_err(Error::from),
        slices.write().map(drop).map_err(Error::from),
    ] {
        assert_eq!(error.unwrap_err().segment(), Some(one.name()));
    }
    assert_eq!(*one.get(0).unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(*one.set(0, 1).unwrap_err().kind(), ErrorKind::Poisoned);
    assert!(!poisoned(slices.write()).recover().is_poisoned());
    assert!(!one.is_poisoned());
    panic(&|| {
        let _guard = one.write().unwrap();
        panic!("in the middle");
    });
    assert!(!poisoned(two.write()).recover().is_poisoned());
    panic(&|| {
        let _guard = slices.read().unwrap();
        panic!("a reader harms nothing");
    });
    assert!(one.write().is_ok());
}

#[test]
fn a_writer_that_leaves_without_letting_go_is_dead() {
    let [one, two] = two_handles(&[1, 2]);
    let slices = cooperative(one);
    std::mem::forget(slices.write().unwrap());
    drop(slices);
    assert!(matches!(two.try_read(), Err(LockError::Poisoned(_))));
    let Err(LockError::OwnerDied(guard)) = two.write() else { panic!("the next writer is told") };
    assert!(guard.is_poisoned());
    drop(guard);
    drop(poisoned(two.write()).recover());
    assert_eq!(two.to_vec().unwrap(), [1, 2]);
}

#[test]
fn locked_and_unlocked_arrays_do_not_open_as_each_other() {
    let locked = LockedArray::<u32>::create(3).unwrap();
    let plain = ShmArray::<u32>::create(3).unwrap();
    let error = ShmArray::<u32>::open(locked.name()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{:?}: every access to this array takes its lock (open it as a `LockedArray`)", locked.name())
    );
    for error in [
        error,
        ShmArray::<u32>::open_read_only(locked.name()).unwrap_err(),
        ShmArray::<u32>::open_or_create(locked.name(), 3).unwrap_err(),
    ] {
        assert_eq!(*error.kind(), ErrorKind::NeedsLock);
    }
    for error in [
        LockedArray::<u32>::open(plain.name()).unwrap_err(),
        LockedArray::<u32>::open_or_create(plain.name(), 3).unwrap_err(),
    ] {
        let hint = "open it as a `ShmArray`; to create it with a lock, say `ShmArray::options().locked()`";
        assert_eq!((error.kind(), error.hint()), (&ErrorKind::NotLocked, Some(hint)));
        assert_eq!(error.python_exception(), "ValueError");
    }
    for error in
        [LockedArray::<f32>::open(locked.name()).unwrap_err(), ShmArray::<f32>::open(locked.name()).unwrap_err()]
    {
        assert!(matches!(error.kind(), ErrorKind::LayoutMismatch { .. }), "{error}");
    }
    assert!(matches!(ShmVec::<u32>::open(locked.name()).unwrap_err().kind(), ErrorKind::WrongContainer { .. }));
    let (locked, plain) = (inspect(locked.name()).unwrap(), inspect(plain.name()).unwrap());
    assert_eq!((locked.locked, locked.slots.unwrap().count, plain.locked), (true, 64, false));
}

#[cfg(not(any(miri, shmtypes_heap)))]
#[test]
fn a_descriptor_gives_an_array_with_its_lock_and_nothing_else() {
    let copy = |array: &LockedArray<u64>| array.as_fd().unwrap().try_clone_to_owned().unwrap();
    let unnamed = ShmArray::<u64>::options().unnamed().locked().create(2).unwrap();
    let same = LockedArray::<u64>::from_fd(copy(&unnamed)).unwrap();
    let slices = cooperative(same);
    slices.write().unwrap()[1] = 5;
    let writer = slices.write().unwrap();
    held_by(unnamed.try_read(), 1);
    drop(writer);
    assert_eq!(unnamed.to_vec().unwrap(), [0, 5]);
    assert_eq!(*ShmArray::<u64>::from_fd(copy(&unnamed)).unwrap_err().kind(), ErrorKind::NeedsLock);

    let named = LockedArray::<u64>::create(2).unwrap();
    assert!(named.as_fd().is_none(), "a named segment shows no descriptor");
    let path = std::path::Path::new("/dev/shm").join(named.name());
    let open = |options: &mut std::fs::OpenOptions| options.read(true).open(&path).unwrap().into();
    let writable = || open(std::fs::File::options().write(true));
    assert_eq!(*ShmArray::<u64>::from_fd(writable()).unwrap_err().kind(), ErrorKind::NeedsLock);
    let same = LockedArray::<u64>::from_fd(writable()).unwrap();
    let writer = same.write().unwrap();
    held_by(named.try_write(), 1);
    drop(writer);
    let error = LockedArray::<u64>::from_fd(open(&mut std::fs::File::options())).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::PermissionDenied { .. }), "{error}");
    let plain = ShmArray::<u64>::options().unnamed().create(2).unwrap();
    let descriptor = plain.as_fd().unwrap().try_clone_to_owned().unwrap();
    assert_eq!(*LockedArray::<u64>::from_fd(descriptor).unwrap_err().kind(), ErrorKind::NotLocked);
}

#[test]
fn options_hold_before_and_behind_locked() {
    let grid = ShmArray::<f64>::options().shape(&[2, 3]).slots(2).locked().create(6).unwrap();
    let name = grid.name().to_owned();
    assert_eq!((grid.shape(), grid.len(), grid.strides()), (&[2, 3][..], 6, vec![3, 1]));
    assert_eq!(grid.position(&[1, 2]).unwrap(), 5);
    assert_eq!(*grid.position(&[1, 3]).unwrap_err().kind(), ErrorKind::OutOfRange { index: 3, len: 3 });
    assert!(matches!(grid.position(&[1]).unwrap_err().kind(), ErrorKind::ShapeMismatch { .. }));
    let second = LockedArray::<f64>::open(&name).unwrap();
    assert_eq!(*LockedArray::<f64>::open(&name).unwrap_err().kind(), ErrorKind::SlotsExhausted { slots: 2 });
    drop(second);
    let shaped = |shape: &[usize]| LockedArray::<f64>::options().name(&name).shape(shape).open();
    assert!(shaped(&[2, 3]).is_ok());
    assert!(matches!(shaped(&[6]).unwrap_err().kind(), ErrorKind::ShapeMismatch { .. }));
    let other = LockedArray::<f64>::open_or_create(&name, 7).unwrap_err();
    assert!(matches!(other.kind(), ErrorKind::ShapeMismatch { .. }));

    let patience = Some(Duration::from_millis(1));
    let hasty = LockedArray::<u8>::options().lock_timeout(patience).create(1).unwrap();
    let same = LockedArray::<u8>::open(hasty.name()).unwrap();
    let _writer = hasty.write().unwrap();
    assert!(matches!(same.get(0).unwrap_err().kind(), ErrorKind::LockTimedOut { slot: 0, .. }));
}

#[test]
fn the_lock_has_room_for_64_slots() {
    for slots in [0, 65, 1023, u32::MAX] {
        let error = LockedArray::<u8>::options().slots(slots).create(1).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidOptions { .. }), "{slots}: {error}");
    }
    let full = LockedArray::<u8>::options().slots(64).create(1).unwrap();
    let others: Vec<_> = (1..64).map(|_| LockedArray::<u8>::open(full.name()).unwrap()).collect();
    let last = others.last().unwrap();
    let reader = last.read().unwrap();
    held_by(full.try_write(), 63);
    drop(reader);
    assert!(full.try_write().is_ok());
}

#[test]
fn arrays_are_created_in_every_way() {
    let with = LockedArray::<u16>::create_with(3, |slots| slots[1] = 5).unwrap();
    assert_eq!(with.to_vec().unwrap(), [0, 5, 0]);
    let from = LockedArray::create_from_fn(3, |index| std::num::NonZeroU8::MIN.saturating_add(index as u8)).unwrap();
    assert_eq!(from.get(2).unwrap().get(), 3);
    let fill = |slots: &mut [u16]| {
        slots.fill(7);
        Ok::<(), crate::Error>(())
    };
    let tried = LockedArray::try_create_with(2, fill).unwrap();
    assert_eq!(tried.to_vec().unwrap(), [7, 7]);
    let tried = LockedArray::try_create_from_fn::<crate::Error>(2, |index| Ok(index == 1)).unwrap();
    assert_eq!(tried.to_vec().unwrap(), [false, true]);
    #[derive(Debug, PartialEq)]
    struct Refused;
    impl From<crate::Error> for Refused {
        fn from(error: crate::Error) -> Self {
            panic!("{error}")
        }
    }
    assert_eq!(LockedArray::<u16>::try_create_with(2, |_| Err(Refused)).unwrap_err(), Refused);
    assert_eq!(LockedArray::<u16>::try_create_from_fn(2, |_| Err(Refused)).unwrap_err(), Refused);
    let opened = LockedArray::<u16>::open_or_create(with.name(), 3).unwrap();
    assert_eq!((opened.get(1).unwrap(), opened.persist()), (5, crate::Persist::UntilLastDetach));
    assert_eq!(opened.close().unwrap(), crate::Detached::StillInUse);
    assert_eq!(with.close().unwrap(), crate::Detached::Removed);
}

#[test]
fn an_array_without_elements_has_an_empty_slice() {
    let none = LockedArray::<u64>::create(0).unwrap();
    assert!(none.is_empty() && none.read().unwrap().is_empty());
    let none = cooperative(none);
    assert!(none.read().unwrap().is_empty());
    none.write().unwrap().fill(1);
    assert!(none.to_vec().unwrap().is_empty());
}

#[cfg(feature = "ndarray")]
#[test]
fn a_shape_of_no_elements_is_a_view_whatever_its_other_lengths_are() {
    let shape = [1 << 20, 0, 1 << 20];
    let none = cooperative(ShmArray::<u64>::options().shape(&shape).locked().create(0).unwrap());
    assert_eq!(none.read().unwrap().view().shape(), shape);
    assert_eq!(none.write().unwrap().view_mut().shape(), shape);
    // More than `ndarray` can see is no shape.
    let error = ShmArray::<u64>::options().shape(&[1 << 31, 0, 1 << 31]).locked().create(0).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::SizeOverflow { .. }), "{error}");
}

#[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Short {
    one: u64,
}

#[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Long {
    one: u64,
    two: u64,
}

#[test]
fn a_type_that_grew_has_elements_and_no_slices() {
    let grown = LockedArray::create_from_fn(3, |index| Long { one: index as u64, two: 7 }).unwrap();
    let old = LockedArray::<Short>::options().name(grown.name()).evolve(Evolve::Append).open().unwrap();
    assert_eq!(old.get(2).unwrap(), Short { one: 2 });
    let old = cooperative(old);
    let strided = ErrorKind::Strided { stride: 16, element_size: 8 };
    for refused in [old.read().map(drop).map_err(Error::from), old.write().map(drop).map_err(Error::from)] {
        let error = refused.unwrap_err();
        assert_eq!((error.kind(), error.segment()), (&strided, Some(grown.name())));
    }
    // What failed holds nothing.
    assert!(grown.try_write().is_ok());
}
