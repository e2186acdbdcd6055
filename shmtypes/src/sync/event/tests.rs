//! Events between threads, on whatever plays the operating system.

use crate::layout::Writable;
use crate::{Error, ErrorKind, ShmArray, ShmEvent, ShmRef};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

fn timed_out(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut { waited_for: "a notification" })
}

fn set_count<M: Writable>(event: ShmRef<'_, ShmEvent, M>, count: u32) {
    event.field::<AtomicU32, 0>().store(count, Ordering::Relaxed);
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
fn every_waiter_is_woken_and_sees_what_was_written_before() {
    let events = ShmArray::<ShmEvent>::create(1).unwrap();
    let data = ShmArray::<u64>::create(1).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for round in 1..=20 {
                    let mut seen = 0;
                    while data.get(0).unwrap() < round {
                        seen = events.at(0).wait_changed(seen, LONG).unwrap();
                    }
                }
            });
        }
        for round in 1..=20 {
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
    assert_eq!(size_of::<ShmEvent>(), 4);
    let plain = ShmArray::<AtomicU32>::create(1).unwrap();
    let error = ShmArray::<ShmEvent>::open(plain.name()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::LayoutMismatch { .. }), "{error}");
}
