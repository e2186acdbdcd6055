//! Events between threads, on whatever plays the operating system.

use crate::layout::Writable;
use crate::{Error, ErrorKind, ShmArray, ShmBox, ShmEvent, ShmLayout, ShmRef};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

fn timed_out(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut { waited_for: "a notification" })
}

fn set_count<M: Writable>(event: ShmRef<'_, ShmEvent, M>, count: u32) {
    event.word().store(count, Ordering::Relaxed);
}

#[test]
fn a_notification_that_was_not_seen_ends_a_wait_at_once() {
    let events = ShmArray::<ShmEvent>::create(1).unwrap();
    let event = events.at(0);
    let seen = event.count();
    assert!(timed_out(&event.wait_changed(seen, Instant::now()).unwrap_err()));
    event.notify();
    assert_eq!(event.wait_changed(seen, Instant::now()).unwrap(), seen + 1);
    assert!(timed_out(&event.wait_changed(seen + 1, Duration::from_millis(2)).unwrap_err()));
}

#[test]
fn whoever_has_waited_sees_what_was_written_before() {
    let events = ShmArray::<ShmEvent>::create(1).unwrap();
    let data = ShmArray::<u64>::create(1).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut seen = 0;
                while seen < 50 {
                    seen = events.at(0).wait_changed(seen, LONG).unwrap();
                    let found = data.get(0).unwrap();
                    assert!(found >= seen.into(), "{found} after {seen} notifications");
                }
            });
        }
        for round in 1..=50 {
            data.set(0, round).unwrap();
            events.at(0).notify();
        }
    });
}

#[test]
fn the_count_wraps() {
    let events = ShmArray::<ShmEvent>::create(1).unwrap();
    set_count(events.at(0), u32::MAX);
    events.at(0).notify();
    assert_eq!(events.at(0).wait_changed(u32::MAX, Instant::now()).unwrap(), 0);
}

#[test]
fn each_handle_of_an_array_sees_each_notification_once() {
    let array = ShmArray::<u64>::create(1).unwrap();
    let reader = ShmArray::<u64>::open_read_only(array.name()).unwrap();
    assert!(timed_out(&array.wait_changed(Instant::now()).unwrap_err()));
    array.notify();
    array.notify();
    array.wait_changed(Instant::now()).unwrap();
    let clone = array.clone();
    reader.wait_changed(Instant::now()).unwrap();
    for outcome in [array.wait_changed(Instant::now()), clone.wait_changed(Instant::now())] {
        assert!(timed_out(&outcome.unwrap_err()));
    }
    assert!(timed_out(&reader.wait_changed(Instant::now()).unwrap_err()));
    // Who attaches later has seen none.
    let late = ShmArray::<u64>::open(array.name()).unwrap();
    late.wait_changed(Instant::now()).unwrap();
}

#[test]
fn the_schema_says_what_an_event_is() {
    #[derive(ShmLayout)]
    #[repr(C)]
    struct Votes {
        count: AtomicU32,
    }
    let (plain, votes) = (ShmArray::<AtomicU32>::create(1).unwrap(), ShmArray::<Votes>::create(1).unwrap());
    for name in [plain.name(), votes.name()] {
        let error = ShmArray::<ShmEvent>::open(name).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::LayoutMismatch { .. }), "{error}");
    }
    let events = ShmArray::<ShmEvent>::create(1).unwrap();
    assert!(ShmArray::<Votes>::open(events.name()).is_err());
    assert_eq!((ShmEvent::SCHEMA.size(), ShmEvent::SCHEMA.align()), (4, 4));
}

#[test]
fn an_event_stands_beside_a_field_that_is_never_zero() {
    #[derive(ShmLayout)]
    #[repr(C)]
    struct Queue {
        capacity: NonZeroU32,
        changed: ShmEvent,
    }
    let queue = ShmBox::create_from(Queue { capacity: NonZeroU32::MIN, changed: ShmEvent::new() }).unwrap();
    queue.view().changed().notify();
    assert_eq!((queue.view().changed().count(), queue.view().capacity().try_get().unwrap()), (1, NonZeroU32::MIN));
    let rust = <Queue as ShmLayout>::SCHEMA.to_rust("Queue");
    assert!(rust.contains("pub changed: shmtypes::ShmEvent,"), "{rust}");
}

#[test]
fn a_wait_that_ends_names_the_segment_where_the_event_can_know_it() {
    #[derive(ShmLayout)]
    #[repr(C)]
    struct Door {
        lock: crate::ShmMutex<u64>,
        opened: ShmEvent,
        unused: [u8; 4],
    }
    let door = ShmBox::<Door>::create().unwrap();
    let error = door.view().opened().wait_changed(0, Instant::now()).unwrap_err();
    assert_eq!(error.segment(), Some(door.name()));
    assert!(timed_out(&error) && error.to_string().starts_with(&format!("{:?}: ", door.name())), "{error}");
    let array = ShmArray::<u64>::create(1).unwrap();
    assert_eq!(array.wait_changed(Instant::now()).unwrap_err().segment(), Some(array.name()));
    // An event in a segment without locks, through a view.
    let single = ShmBox::<ShmEvent>::create().unwrap();
    let error = single.view().wait_changed(0, Instant::now()).unwrap_err();
    assert!(timed_out(&error) && error.segment().is_none() && !error.to_string().contains("unnamed"), "{error}");
}
