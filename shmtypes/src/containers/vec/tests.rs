//! Vectors, on whatever plays the operating system.

use super::control::Parts;
use super::publication::MAX_CAPACITY;
use crate::{
    Container, Deadline, Detached, Error, ErrorKind, Evolve, Followed, Persist, ReadOnly, ShmArray, ShmLayout, ShmVec,
    inspect, unlink,
};
use core::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

fn unique(test: &str) -> String {
    format!("unit-{test}-{:016x}", u64::from_ne_bytes(*crate::sys::random().unwrap().first_chunk().unwrap()))
}

#[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
enum Side {
    Buy = 1,
    Sell = 2,
}

fn set_state(vec: &ShmVec<impl ShmLayout>, bits: u64) {
    vec.elements.block().state().store(bits, Relaxed);
}

fn set_lease(vec: &ShmVec<impl ShmLayout>, bits: u64) {
    vec.elements.block().lease().store(bits, Relaxed);
}

/// What a call that does not wait finds.
fn timed_out<R: core::fmt::Debug>(outcome: crate::Result<R>) -> bool {
    matches!(outcome.unwrap_err().kind(), ErrorKind::TimedOut { waited_for: "a further element" })
}

#[test]
fn what_one_handle_appends_another_one_reads() {
    let vec = ShmVec::<u64>::create(5).unwrap();
    let other = ShmVec::<u64>::open(vec.name()).unwrap();
    let reader = ShmVec::<u64>::open_read_only(vec.name()).unwrap();
    assert!(reader.is_empty() && reader.snapshot().unwrap().is_empty());
    vec.push(1).unwrap();
    other.extend_from_slice(&[2, 3]).unwrap();
    let mut appender = vec.appender().unwrap();
    appender.push(4).unwrap();
    // At once, before anybody is told.
    assert_eq!(reader.snapshot().unwrap(), [1, 2, 3, 4]);
    appender.set(0, 10).unwrap();
    assert_eq!(*appender.set(4, 0).unwrap_err().kind(), ErrorKind::OutOfRange { index: 4, len: 4 });
    drop(appender);

    assert_eq!((reader.len(), reader.capacity(), reader.get(0).unwrap(), reader.get(3).unwrap()), (4, 5, 10, 4));
    assert_eq!(*reader.get(4).unwrap_err().kind(), ErrorKind::OutOfRange { index: 4, len: 4 });
    let mut part = [0; 2];
    reader.copy_to_slice(1, &mut part).unwrap();
    assert_eq!(part, [2, 3]);
    let error = reader.copy_to_slice(3, &mut part).unwrap_err();
    assert_eq!((error.kind(), part), (&ErrorKind::OutOfRange { index: 5, len: 4 }, [2, 3]));
    assert!(reader.copy_to_slice(usize::MAX, &mut part).is_err());
    assert_eq!((&reader).into_iter().map(Result::unwrap).collect::<Vec<_>>(), [10, 2, 3, 4]);
    assert_eq!(
        format!("{reader:?}"),
        format!("ShmVec {{ name: {:?}, type: \"u64\", len: 4, capacity: 5, mode: ReadOnly }}", reader.name())
    );
}

#[test]
fn a_full_vector_says_so_and_stays_as_it_is() {
    let vec = ShmVec::<u32>::create(3).unwrap();
    let full = ErrorKind::Full { capacity: 3 };
    assert_eq!(*vec.extend_from_slice(&[1, 2, 3, 4]).unwrap_err().kind(), full);
    assert!(vec.is_empty());
    vec.extend_from_slice(&[1, 2]).unwrap();
    assert_eq!(*vec.extend_from_slice(&[3, 4]).unwrap_err().kind(), full);
    vec.push(3).unwrap();
    let error = vec.push(4).unwrap_err();
    assert_eq!(*error.kind(), full);
    let text = format!("{:?}: it is full: there is room for 3 elements altogether (truncate it", vec.name());
    assert!(error.to_string().starts_with(&text), "{error}");
    vec.extend_from_slice(&[]).unwrap();
    assert_eq!(vec.snapshot().unwrap(), [1, 2, 3]);

    let none = ShmVec::<u32>::create(0).unwrap();
    assert_eq!((none.len(), none.capacity(), none.snapshot().unwrap(), none.pop().unwrap()), (0, 0, vec![], None));
    assert_eq!(*none.push(1).unwrap_err().kind(), ErrorKind::Full { capacity: 0 });
    none.clear().unwrap();
    assert!(timed_out(none.follow().next(Instant::now())));
    assert_eq!(*ShmVec::create_from_slice(1, &[1, 2]).unwrap_err().kind(), ErrorKind::Full { capacity: 1 });
    let most = MAX_CAPACITY as usize;
    assert!(matches!(ShmVec::<u8>::create(most + 1).unwrap_err().kind(), ErrorKind::InvalidOptions { .. }));
    assert!(matches!(ShmVec::<u64>::create(usize::MAX).unwrap_err().kind(), ErrorKind::InvalidOptions { .. }));
}

#[test]
fn values_that_have_no_zero_are_no_obstacle() {
    let sides = ShmVec::create_from_slice(4, &[Side::Buy, Side::Sell]).unwrap();
    sides.push(Side::Buy).unwrap();
    assert_eq!(sides.snapshot().unwrap(), [Side::Buy, Side::Sell, Side::Buy]);
    let mut follower = sides.follow_from(1);
    assert_eq!(follower.next(Instant::now()).unwrap(), Followed::Item(Side::Sell));
}

#[test]
fn a_vector_starts_with_what_a_closure_makes() {
    let filled = ShmVec::<u32>::create_with(5, 3, |slots| {
        assert_eq!(slots, [0; 3]);
        slots.copy_from_slice(&[1, 2, 3]);
    })
    .unwrap();
    filled.push(4).unwrap();
    assert_eq!((filled.snapshot().unwrap(), filled.capacity()), (vec![1, 2, 3, 4], 5));
    let sides = ShmVec::create_from_fn(3, 2, |index| if index == 0 { Side::Buy } else { Side::Sell }).unwrap();
    assert_eq!(sides.snapshot().unwrap(), [Side::Buy, Side::Sell]);

    let name = unique("vec-closure");
    let options = ShmVec::<u32>::options().name(&name);
    let error = options.create_with(1, 2, |_| unreachable!()).unwrap_err();
    assert_eq!((error.kind(), error.segment()), (&ErrorKind::Full { capacity: 1 }, Some(name.as_str())));
    let refused = || Error::new(ErrorKind::Unsupported { what: "two" });
    let error = options.try_create_with(3, 2, |_| Err(refused())).unwrap_err();
    assert_eq!(*error.kind(), *refused().kind());
    let error = options.try_create_from_fn(3, 2, |index| if index < 1 { Ok(7) } else { Err(refused()) }).unwrap_err();
    assert_eq!(*error.kind(), *refused().kind());
    std::panic::catch_unwind(|| options.create_with(3, 1, |_| panic!("on purpose"))).unwrap_err();
    assert_eq!(*ShmVec::<u32>::open(&name).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_follower_gets_every_element_once_and_a_truncation_as_one_reset() {
    let vec = ShmVec::<u64>::create(10).unwrap();
    vec.push(1).unwrap();
    let reader = ShmVec::<u64>::open_read_only(vec.name()).unwrap();
    let (mut follower, mut late, mut ahead) = (reader.follow(), reader.follow_from_end(), reader.follow_from(2));
    vec.extend_from_slice(&[2, 3]).unwrap();
    let got: Vec<_> = follower.until(Instant::now()).map(Result::unwrap).collect();
    assert_eq!(got, [1, 2, 3].map(Followed::Item));
    assert_eq!(late.until(Instant::now()).map(Result::unwrap).collect::<Vec<_>>(), [2, 3].map(Followed::Item));
    assert_eq!(ahead.try_next().unwrap(), Some(Followed::Item(3)));
    assert!(timed_out(follower.next(Instant::now())) && timed_out(follower.wait(Instant::now())));
    assert_eq!(follower.try_next().unwrap(), None);

    // Longer than before, and yet noticed: two truncations between two looks are one.
    assert_eq!(vec.pop().unwrap(), Some(3));
    vec.truncate(1).unwrap();
    vec.extend_from_slice(&[12, 13, 14, 15]).unwrap();
    follower.wait(Instant::now()).unwrap();
    let got: Vec<_> = follower.until(Instant::now()).map(Result::unwrap).collect();
    assert_eq!(got[0], Followed::Reset);
    assert_eq!(got[1..], [1, 12, 13, 14, 15].map(Followed::Item));
    assert_eq!(follower.position(), 5);

    let mut items = vec![0];
    assert_eq!(late.read_available(&mut items).unwrap(), Followed::Reset);
    assert_eq!(late.read_available(&mut items).unwrap(), Followed::Item(5));
    assert_eq!(late.read_available(&mut items).unwrap(), Followed::Item(0));
    assert_eq!(items, [0, 1, 12, 13, 14, 15]);
    // None where nothing goes.
    vec.truncate(100).unwrap();
    vec.truncate(5).unwrap();
    assert_eq!(late.read_available(&mut items).unwrap(), Followed::Item(0));
}

#[test]
fn a_follower_and_its_clone_go_on_from_one_place_each_by_itself() {
    let vec = ShmVec::create_from_slice(10, &[1_u64, 2, 3]).unwrap();
    vec.pop().unwrap();
    let mut follower = vec.follow();
    assert_eq!(follower.next(Instant::now()).unwrap(), Followed::Item(1));
    let mut clone = follower.clone();
    assert_eq!(format!("{clone:?}"), format!("Follower {{ name: {:?}, position: 1, epoch: 1 }}", vec.name()));
    vec.push(4).unwrap();
    for follower in [&mut follower, &mut clone] {
        let got: Vec<_> = follower.until(Instant::now()).map(Result::unwrap).collect();
        assert_eq!(got, [2, 4].map(Followed::Item));
    }
    // One that knows of an older truncation is told, also if it was cloned after the newer one.
    vec.clear().unwrap();
    assert_eq!(clone.clone().try_next().unwrap(), Some(Followed::Reset));
    assert_eq!(clone.try_next().unwrap(), Some(Followed::Reset));
}

#[test]
fn elements_are_appended_by_iterators_and_read_from_the_end() {
    let vec = ShmVec::<u64>::create(5).unwrap();
    assert_eq!((vec.last().unwrap(), vec.iter().next_back().is_none()), (None, true));
    vec.extend([1, 2]).unwrap();
    let mut appender = vec.appender().unwrap();
    assert_eq!((appender.get(0).unwrap(), appender.last().unwrap()), (1, Some(2)));
    let error = appender.get(2).unwrap_err();
    assert_eq!((error.kind(), error.segment()), (&ErrorKind::OutOfRange { index: 2, len: 2 }, Some(vec.name())));
    assert_eq!(*appender.extend(3..).unwrap_err().kind(), ErrorKind::Full { capacity: 5 });
    assert_eq!((appender.len(), appender.last().unwrap(), vec.last().unwrap()), (5, Some(5), Some(5)));
    appender.clear().unwrap();
    assert_eq!((appender.last().unwrap(), vec.last().unwrap()), (None, None));
    appender.extend([1, 2, 3, 4]).unwrap();
    drop(appender);

    let mut iter = vec.iter();
    assert_eq!((iter.next().unwrap().unwrap(), iter.next_back().unwrap().unwrap()), (1, 4));
    let clone = iter.clone();
    assert_eq!(iter.rev().map(Result::unwrap).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(clone.map(Result::unwrap).collect::<Vec<_>>(), [2, 3]);
    let mut ended = vec.iter();
    vec.pop().unwrap();
    assert!(ended.next_back().is_none() && ended.next().is_none());
}

#[test]
fn errors_of_a_vector_name_it() {
    let vec = ShmVec::create_from_slice(2, &[1_u64]).unwrap();
    let name = Some(vec.name());
    assert_eq!(vec.get(1).unwrap_err().segment(), name);
    assert_eq!(vec.copy_to_slice(0, &mut [0; 2]).unwrap_err().segment(), name);
    assert_eq!(vec.set(1, 2).unwrap_err().segment(), name);
    assert_eq!(vec.extend_from_slice(&[2, 3]).unwrap_err().segment(), name);
    let mut appender = vec.appender().unwrap();
    set_lease(&vec, 5 | 1 << 32);
    assert_eq!(appender.flush().unwrap_err().segment(), name);
    let none = ShmVec::<u64>::create(0).unwrap();
    let error = none.push(1).unwrap_err().to_string();
    assert!(error.contains("(create it with a greater capacity") && !error.contains("truncate"), "{error}");
    let name = unique("vec-full");
    let error = ShmVec::options().name(&name).create_from_slice(1, &[1_u64, 2]).unwrap_err();
    assert_eq!((error.kind(), error.segment()), (&ErrorKind::Full { capacity: 1 }, Some(name.as_str())));
}

#[test]
fn a_thread_does_not_wait_for_its_own_appender() {
    let short = Some(Duration::from_millis(20));
    let vec = ShmVec::<u64>::options().name(unique("own")).lock_timeout(short).create(10).unwrap();
    let (clone, other) = (vec.clone(), ShmVec::<u64>::open(vec.name()).unwrap());
    let mut appender = vec.appender().unwrap();
    for handle in [&vec, &clone] {
        for outcome in
            [handle.push(1), handle.appender().map(drop), handle.appender_until(Duration::from_millis(20)).map(drop)]
        {
            let error = outcome.unwrap_err();
            assert_eq!((error.kind(), error.segment()), (&ErrorKind::WouldDeadlock, Some(vec.name())));
            assert!(error.to_string().contains("(use the appender that this thread has, or drop it first)"), "{error}");
        }
        assert!(handle.try_appender().unwrap().is_none());
    }
    // Whoever else waits, waits: the appender may be dropped meanwhile.
    let waits = |error: &crate::Error| matches!(error.kind(), ErrorKind::LockTimedOut { slot: 0, .. });
    assert!(waits(&other.push(1).unwrap_err()));
    std::thread::scope(|scope| {
        let error = scope.spawn(|| clone.push(1).unwrap_err()).join().unwrap();
        assert!(waits(&error), "{error}");
    });
    appender.push(2).unwrap();
    drop(appender);
    vec.push(3).unwrap();
    std::thread::scope(|scope| {
        let ((taken, is_taken), (go_on, may_go_on)) = (mpsc::channel(), mpsc::channel::<()>());
        let vec = &vec;
        scope.spawn(move || {
            let appender = vec.appender().unwrap();
            taken.send(()).unwrap();
            // Ends also with the sender.
            let _ = may_go_on.recv();
            drop(appender);
        });
        is_taken.recv().unwrap();
        let error = clone.appender_until(Instant::now()).unwrap_err();
        assert!(waits(&error), "{error}, and this thread has let go of it");
        drop(go_on);
    });
    assert_eq!(vec.snapshot().unwrap(), [2, 3]);
    core::mem::forget(vec.appender().unwrap());
    assert_eq!(*vec.push(4).unwrap_err().kind(), ErrorKind::WouldDeadlock);
}

#[test]
fn an_iterator_ends_where_a_truncation_comes_between() {
    let vec = ShmVec::create_from_slice(10, &[1_u64, 2, 3]).unwrap();
    let mut iter = vec.iter();
    assert_eq!((iter.next().unwrap().unwrap(), iter.size_hint()), (1, (0, Some(2))));
    vec.push(4).unwrap();
    assert_eq!(iter.next().unwrap().unwrap(), 2);
    vec.pop().unwrap();
    assert!(iter.next().is_none() && iter.next().is_none());
    assert_eq!(vec.iter().count(), 3);
}

#[test]
fn who_waits_is_woken_by_a_flush_and_by_the_end_of_the_appender() {
    let vec = ShmVec::<u64>::create(1000).unwrap();
    std::thread::scope(|scope| {
        let followers: Vec<_> = (0..3)
            .map(|_| {
                let mut follower = vec.follow();
                scope.spawn(move || {
                    let next = || follower.next(LONG).unwrap();
                    std::iter::repeat_with(next).take(500).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut appender = vec.appender().unwrap();
        for value in 0..300 {
            appender.push(value).unwrap();
            appender.flush().unwrap();
        }
        drop(appender);
        (300..500).for_each(|value| vec.push(value).unwrap());
        for follower in followers {
            let got = follower.join().unwrap();
            assert!(got.into_iter().eq((0..500).map(Followed::Item)));
        }
    });
}

#[test]
fn an_event_is_counted_once_per_batch_and_only_if_there_is_news() {
    let vec = ShmVec::<u64>::create(100).unwrap();
    let count = || vec.elements.block().changed().count();
    let mut appender = vec.appender().unwrap();
    (0..50).for_each(|value| appender.push(value).unwrap());
    assert_eq!(count(), 0);
    appender.flush().unwrap();
    appender.flush().unwrap();
    assert_eq!(count(), 1);
    appender.set(0, 9).unwrap();
    drop(appender);
    assert_eq!(count(), 1);
    vec.clear().unwrap();
    assert_eq!(count(), 2);
}

#[test]
fn one_appends_at_a_time() {
    let vec = ShmVec::<u64>::create(100_000).unwrap();
    let other = ShmVec::<u64>::open(vec.name()).unwrap();
    let appender = vec.appender().unwrap();
    assert!(!appender.took_over() && other.try_appender().unwrap().is_none() && vec.try_appender().unwrap().is_none());
    let error = other.appender_until(Instant::now()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::LockTimedOut { slot: 0, .. }), "{error}");
    assert_eq!(error.segment(), Some(vec.name()));
    drop(appender);
    assert!(other.try_appender().unwrap().is_some());

    std::thread::scope(|scope| {
        for (thread, handle) in [&vec, &other, &vec, &other].into_iter().enumerate() {
            scope.spawn(move || {
                for round in 0..200 {
                    let mut appender = handle.appender_until(LONG).unwrap();
                    let len = appender.len() as u64;
                    for index in 0..5 {
                        // Nobody else's element comes between.
                        appender.push(len + index).unwrap();
                    }
                    assert_eq!(appender.len() as u64, len + 5, "thread {thread}, round {round}");
                }
            });
        }
    });
    assert!(vec.snapshot().unwrap().into_iter().eq(0..4000));
}

#[test]
fn readers_and_followers_never_mix_what_was_before_a_truncation_with_what_comes_after() {
    let vec = ShmVec::<[u64; 3]>::create(64).unwrap();
    let rounds = if cfg!(miri) { 20 } else { 3000 };
    let whole = |element: [u64; 3]| {
        assert_eq!(element, [element[0]; 3]);
        element[0]
    };
    let mut follower = vec.follow();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut appender = vec.appender().unwrap();
            for round in 1..=rounds {
                appender.clear().unwrap();
                for _ in 0..(round % 64) {
                    appender.push([round; 3]).unwrap();
                }
            }
            appender.clear().unwrap();
            appender.push([u64::MAX; 3]).unwrap();
        });
        scope.spawn(|| {
            let (mut last, start) = (0, Instant::now());
            while last != u64::MAX {
                assert!(start.elapsed() < LONG, "it stays at {last}");
                let seen = match vec.snapshot() {
                    Err(error) => {
                        assert_eq!(*error.kind(), ErrorKind::Busy);
                        continue;
                    }
                    Ok(seen) => seen,
                };
                let Some(&first) = seen.first() else { continue };
                assert!(seen.iter().all(|&element| whole(element) == first[0]), "{seen:?}");
                assert!(first[0] >= last, "{first:?} after {last}");
                last = first[0];
                match vec.get(seen.len() / 2) {
                    Ok(element) => assert!(whole(element) >= last),
                    Err(error) => assert!(matches!(error.kind(), ErrorKind::OutOfRange { .. } | ErrorKind::Busy)),
                }
            }
        });
        scope.spawn(|| {
            let (mut current, mut resets) = (0, 0);
            while current != u64::MAX {
                match follower.next(LONG).unwrap() {
                    Followed::Item(element) => {
                        let value = whole(element);
                        assert!(value > current || value == current && follower.position() > 1);
                        assert!(follower.position() == 1 || value == current, "{value} in the midst of {current}");
                        current = value;
                    }
                    Followed::Reset => {
                        resets += 1;
                        assert_eq!(follower.position(), 0);
                    }
                }
            }
            assert!((1..=rounds + 1).contains(&resets), "{resets}");
        });
    });
}

#[test]
fn whatever_stands_in_the_state_lengths_are_clamped_and_nothing_hangs() {
    let vec = ShmVec::create_from_slice(4, &[1_u64, 2]).unwrap();
    let mut follower = vec.follow();
    for bits in [u64::MAX, (1 << 40) - 1, 5, u64::MAX << 40, 3 << 40 | 77, 1 << 63] {
        set_state(&vec, bits);
        let len = vec.len();
        assert!(len <= 4 && vec.snapshot().unwrap().len() == len && vec.iter().count() == len, "{bits:#x}");
        assert!(vec.get(4).is_err());
        let got: Vec<_> = follower.until(Instant::now()).take(20).collect();
        assert!(got.len() <= 6, "{bits:#x}: {got:?}");
        let mut appender = vec.appender_until(Instant::now()).unwrap();
        assert_eq!(appender.len(), len);
        assert_eq!(appender.push(7).is_ok(), len < 4);
        appender.truncate(1).unwrap();
        appender.extend_from_slice(&[8, 9]).unwrap();
        assert_eq!(vec.len(), if len == 0 { 3 } else { 3.min(len + 2) }, "{bits:#x}");
        drop(appender);
        assert!(vec.get(0).is_ok());
    }
}

#[test]
fn whatever_stands_in_the_lease_it_is_taken_or_refused_by_the_deadline() {
    let vec = ShmVec::<u64>::create(100).unwrap();
    // Nobody; the dead of this slot and of others; flags of all kinds.
    for bits in [1 << 31, 7 << 29, 0x3ff, 1 | 99 << 32, 1 | 7 << 29 | 5 << 32, 64 | 1 << 32, 1 << 20, u64::MAX] {
        set_lease(&vec, bits);
        let mut appender = vec.appender_until(LONG).unwrap_or_else(|error| panic!("{bits:#x}: {error}"));
        assert_eq!(appender.took_over(), bits & 0x3ff != 0 || bits & 3 << 29 != 0, "{bits:#x}");
        appender.push(bits).unwrap();
        drop(appender);
        assert!(!vec.appender_until(Instant::now()).unwrap().took_over(), "{bits:#x}");
    }
    assert_eq!(vec.len(), 8);
    // One who lives.
    let other = ShmVec::<u64>::open(vec.name()).unwrap();
    let theirs = other.elements.keeper().participant().unwrap().registered().unwrap();
    set_lease(&vec, theirs.to_bits() | 7 << 29);
    assert!(vec.try_appender().unwrap().is_none());
    let error = vec.appender_until(Duration::from_millis(30)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::LockTimedOut { slot: 1, .. }), "{error}");
}

#[test]
fn an_appender_whose_lease_was_overwritten_says_so() {
    let vec = ShmVec::create_from_slice(100, &[1_u64]).unwrap();
    let mut appender = vec.appender().unwrap();
    appender.push(2).unwrap();
    set_lease(&vec, 0);
    let second = vec.appender().unwrap();
    set_lease(&vec, 5 | 1 << 32);
    for outcome in [appender.flush(), appender.truncate(0), appender.pop().map(drop), appender.clear()] {
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), error.segment()), (&ErrorKind::LeaseLost, Some(vec.name())));
        assert!(error.to_string().contains(": this appender no longer holds its lease (take"), "{error}");
    }
    assert_eq!(vec.snapshot().unwrap(), [1, 2]);
    drop((appender, second));
    // What names another is not let go of.
    assert_eq!(vec.elements.block().lease().load(Relaxed), 5 | 1 << 32);
    let empty = ShmVec::<u64>::create(1).unwrap();
    let mut appender = empty.appender().unwrap();
    set_lease(&empty, 5 | 1 << 32);
    assert_eq!(*appender.pop().unwrap_err().kind(), ErrorKind::LeaseLost, "nobody knows whether it is empty");
}

#[test]
fn bytes_that_are_no_value_are_an_error_and_are_passed_over() {
    let bytes = ShmVec::create_from_slice(8, &[Side::Buy; 2]).unwrap();
    let mut follower = bytes.follow();
    let mut bulk = bytes.follow();
    // One that nobody stored: 0 is no side.
    set_state(&bytes, 3);
    bytes.extend_from_slice(&[Side::Buy; 2]).unwrap();
    let invalid = |error: &crate::Error| matches!(error.kind(), ErrorKind::InvalidValue { element: Some(2), .. });
    assert!(invalid(&bytes.get(2).unwrap_err()) && invalid(&bytes.snapshot().unwrap_err()));
    assert_eq!(bytes.iter().filter(Result::is_err).count(), 1);
    let got: Vec<_> = follower.until(Instant::now()).collect();
    assert_eq!((got.len(), got.iter().filter(|item| item.is_ok()).count()), (5, 4));
    assert!(got[2].as_ref().is_err_and(invalid));

    let (mut items, mut errors) = (Vec::new(), 0);
    loop {
        match bulk.read_available(&mut items) {
            Ok(Followed::Item(0)) => break,
            Ok(_) => {}
            Err(error) => {
                assert!(invalid(&error) && items.len() == 2);
                errors += 1;
            }
        }
    }
    assert_eq!((items, errors), (vec![Side::Buy; 4], 1));
    bytes.truncate(3).unwrap();
    assert!(invalid(&bytes.pop().unwrap_err()));
    assert_eq!(bytes.len(), 3);
    bytes.truncate(2).unwrap();
    assert_eq!(bytes.pop().unwrap(), Some(Side::Buy));
}

#[test]
fn a_vector_opens_as_nothing_else_and_nothing_else_as_a_vector() {
    let (vec, array) = (ShmVec::<u64>::create(3).unwrap(), ShmArray::<u64>::create(3).unwrap());
    let wrong = ShmArray::<u64>::open(vec.name()).unwrap_err();
    assert_eq!(*wrong.kind(), ErrorKind::WrongContainer { found: "ShmVec", expected: "ShmArray" });
    let wrong = ShmVec::<u64>::open(array.name()).unwrap_err();
    assert_eq!(*wrong.kind(), ErrorKind::WrongContainer { found: "ShmArray", expected: "ShmVec" });
    assert!(matches!(ShmVec::<i64>::open(vec.name()).unwrap_err().kind(), ErrorKind::LayoutMismatch { .. }));
    assert_eq!(inspect(vec.name()).unwrap().container, Container::Vec);
    let other = ShmVec::<u64>::open_or_create(vec.name(), 4).unwrap_err();
    assert_eq!(*other.kind(), ErrorKind::CapacityMismatch { given: 4, found: 3 });
    let text = format!("{:?}: it has room for 3 elements, not 4 (attach with `open`, which takes any", vec.name());
    assert!(other.to_string().starts_with(&text), "{other}");
    assert_eq!(ShmVec::<u64>::open_or_create(vec.name(), 3).unwrap().capacity(), 3);
}

#[test]
fn a_vector_ends_and_stays_as_other_segments_do() {
    let name = unique("vec");
    let vec = ShmVec::<u64>::open_or_create(&name, 3).unwrap();
    assert_eq!((vec.name(), vec.persist(), vec.as_fd().is_none()), (name.as_str(), Persist::UntilLastDetach, true));
    let clone = vec.clone();
    assert_eq!(vec.close().unwrap(), Detached::StillInUse);
    clone.push(1).unwrap();
    assert_eq!(clone.close().unwrap(), Detached::Removed);
    let options = ShmVec::<u64>::options().name(&name).persist(Persist::Keep).slots(1);
    options.create(3).unwrap().push(5).unwrap();
    let kept: ShmVec<u64, ReadOnly> = options.open_read_only().unwrap();
    assert_eq!(kept.snapshot().unwrap(), [5]);
    let writer = options.open().unwrap();
    assert_eq!(*options.open().unwrap_err().kind(), ErrorKind::SlotsExhausted { slots: 1 });
    drop((kept, writer));
    unlink(&name).unwrap();
}

#[test]
fn a_follower_keeps_its_vector_attached() {
    let vec = ShmVec::create_from_slice(3, &[1_u64]).unwrap();
    let reader = ShmVec::<u64>::open_read_only(vec.name()).unwrap();
    let mut follower = reader.follow();
    drop(reader);
    drop(vec);
    assert_eq!(follower.next(Deadline::NEVER).unwrap(), Followed::Item(1));
}

#[test]
fn who_knows_a_part_of_the_type_reads_and_does_not_append() {
    #[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct Old {
        price: u64,
    }
    #[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct New {
        price: u64,
        amount: u64,
    }
    let grown = ShmVec::create_from_slice(3, &[New { price: 1, amount: 2 }, New { price: 3, amount: 4 }]).unwrap();
    let old = ShmVec::<Old>::options().name(grown.name()).evolve(Evolve::Append).open().unwrap();
    assert_eq!((old.get(1).unwrap(), old.iter().count()), (Old { price: 3 }, 2));
    assert_eq!(old.follow_from(1).next(Instant::now()).unwrap(), Followed::Item(Old { price: 3 }));
    let strided = ErrorKind::Strided { stride: 16, element_size: 8 };
    assert_eq!(*old.snapshot().unwrap_err().kind(), strided);
    assert_eq!(*old.push(Old { price: 5 }).unwrap_err().kind(), strided);
    assert_eq!(grown.len(), 2);
}

/// The body of each loop brings what the next round would take: an iteration that only ends when nothing is there would
/// take all that there is room for.
#[test]
fn an_iteration_ends_at_its_deadline_beside_a_writer_that_never_does() {
    const ROOM: usize = 200_000;
    let vec = ShmVec::<u64>::create_from_slice(ROOM, &[1, 2, 3]).unwrap();
    let mut follower = vec.follow();
    let mut got = Vec::new();
    for item in follower.until(Instant::now()) {
        got.push(item.unwrap());
        vec.push(9).unwrap();
    }
    assert_eq!(got, [1, 2, 3].map(Followed::Item));

    let mut appender = vec.appender().unwrap();
    let soon = follower.until(Duration::from_millis(2));
    let taken = soon.take_while(|_| appender.push(9).is_ok()).count();
    assert!(taken < ROOM - 6, "{taken}");

    // A truncation that has come is told, one that comes meanwhile is told and is the last.
    appender.truncate(2).unwrap();
    let mut got = Vec::new();
    for item in follower.until(Instant::now()) {
        got.push(item.unwrap());
        appender.push(9).unwrap();
    }
    assert_eq!(got, [Followed::Reset, Followed::Item(1), Followed::Item(2)]);
    appender.push(9).unwrap();
    let mut got = Vec::new();
    for item in follower.until(Instant::now()) {
        got.push(item.unwrap());
        appender.clear().unwrap();
        appender.push(9).unwrap();
    }
    assert_eq!(got, [Followed::Item(9), Followed::Reset]);
}

#[test]
fn bytes_that_are_no_value_are_read_again_for_a_while() {
    let invalid = || {
        Err(crate::Error::new(ErrorKind::InvalidValue {
            element: None,
            path: String::new(),
            found: 2,
            expected: "a `bool`",
        }))
    };
    let mut left = 50;
    let settled = super::read::settled(|| {
        left -= 1;
        if left > 0 { invalid() } else { Ok(7) }
    });
    assert_eq!(settled.unwrap(), 7);
    let mut reads = 0;
    let never = super::read::settled::<u32>(|| {
        reads += 1;
        invalid()
    });
    assert!(matches!(never.unwrap_err().kind(), ErrorKind::InvalidValue { .. }));
    assert!((50..1000).contains(&reads), "{reads}");
}
