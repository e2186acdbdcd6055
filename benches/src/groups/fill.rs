//! Creating a segment and writing all of it, where the reservation pays for itself.

use super::{MIB, numbers, size};
use crate::measure::{Log, cpu_once};
use crate::report::{NULL, REFERENCE, Report, Target};
use crate::{Fallible, kernels, raw, scratch};
use shmtypes::ShmArray;
use std::cell::RefCell;

const WITH_DROP: [(&str, &str); 3] =
    [(REFERENCE, "reference and drop"), (NULL, "null control and drop"), ("shm", "shm and drop")];

pub(super) fn measure(report: &mut Report) -> Fallible {
    for (bytes, rounds, iterations) in [(MIB, 40, 20), (16 * MIB, 25, 3), (256 * MIB, 14, 1)] {
        let raw_name = scratch::raw_name();
        let raw = || {
            let mut object = raw::create(&raw_name, bytes).expect("there is room");
            kernels::fill(object.map.numbers());
            object
        };
        let name = scratch::name();
        let array = || {
            ShmArray::<f64>::options().name(&name).create_with(numbers(bytes), kernels::fill).expect("there is room")
        };
        let whole = RefCell::new(Vec::new());
        let mut log = Log::default();
        for _ in 0..rounds {
            let kept = log.round(&mut [
                (REFERENCE, &mut || repeat(iterations, raw, WITH_DROP[0].1, &whole)),
                (NULL, &mut || repeat(iterations, raw, WITH_DROP[1].1, &whole)),
                ("shm", &mut || repeat(iterations, array, WITH_DROP[2].1, &whole)),
            ]);
            for (name, time) in whole.borrow_mut().drain(..).filter(|_| kept) {
                log.add(name, time);
            }
        }
        let what = format!("create and first fill, {}", size(bytes));
        report.row(&what, Target::AtMost(1.1), &log, "shm");
        let [reference, null, shm] = WITH_DROP.map(|(_, whole)| whole);
        report.row_against(&format!("{what}, and drop"), Target::Shown, &log, shm, reference, null);
    }
    Ok(())
}

/// The time of making, and, in `whole`, that of making and dropping.
fn repeat<T>(
    iterations: u32,
    make: impl Fn() -> T,
    name: &'static str,
    whole: &RefCell<Vec<(&'static str, f64)>>,
) -> f64 {
    let (mut making, mut dropping) = (0.0, 0.0);
    for _ in 0..iterations {
        let (time, made) = cpu_once(&make);
        making += time;
        dropping += cpu_once(|| drop(made)).0;
    }
    whole.borrow_mut().push((name, (making + dropping) / f64::from(iterations)));
    making / f64::from(iterations)
}
