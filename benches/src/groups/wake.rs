//! Waking a waiter in another process, and being woken by it: there and back, on the clock.

use crate::Fallible;
use crate::echo::{Echo, Events, Raw, Services, Side};
use crate::measure::Log;
use crate::report::{NULL, REFERENCE, Report, Target};
use std::time::Instant;

const ROUNDS: usize = 60;
const WAKES: u32 = 300;

pub(super) fn measure(report: &mut Report) -> Fallible {
    let raw = Echo::start::<Raw>()?;
    let null = Echo::start::<Raw>()?;
    let events = Echo::start::<Events>()?;
    let services = Echo::start::<Services>();
    let mut log = Log::default();
    for _ in 0..=ROUNDS {
        let mut raw = || one_way(&raw.side);
        let mut null = || one_way(&null.side);
        let mut events = || one_way(&events.side);
        match &services {
            Ok(services) => log.round(&mut [
                (REFERENCE, &mut raw),
                (NULL, &mut null),
                ("event", &mut events),
                ("service", &mut || one_way(&services.side)),
            ]),
            Err(_) => log.round(&mut [(REFERENCE, &mut raw), (NULL, &mut null), ("event", &mut events)]),
        };
    }
    report.row("wake a waiter in another process, against a raw futex", Target::AtMost(1.15), &log, "event");
    let what = "wake a waiter in another process, against an iceoryx2 event";
    match &services {
        Ok(_) => report.row_against(what, Target::AtLeast(1.0), &log, "event", "service", ""),
        Err(error) => report.absent(what, &error.to_string()),
    }
    Ok(())
}

/// Nanoseconds from one process to the other.
fn one_way(side: &impl Side) -> f64 {
    let start = Instant::now();
    for _ in 0..WAKES {
        side.tell();
        side.hear();
    }
    start.elapsed().as_nanos() as f64 / f64::from(2 * WAKES)
}
