//! First touch and teardown of 256 MiB: prefaulting and huge pages.

use super::{MIB, numbers};
use crate::measure::{Log, cpu_once};
use crate::report::{NULL, REFERENCE, Report, Target};
use crate::{Fallible, raw, scratch};
use shmtypes::{HugePages, ShmArray};
use std::cell::RefCell;

const BYTES: usize = 256 * MIB;
const ROUNDS: usize = 14;
/// One number in every small page.
const STEP: usize = 4096 / size_of::<f64>();

pub(super) fn measure(report: &mut Report) -> Fallible {
    let raw_name = scratch::raw_name();
    prefault(report, &raw_name)?;
    huge_pages(report, &raw_name)
}

fn prefault(report: &mut Report, raw_name: &std::ffi::CStr) -> Fallible {
    let alone = || {
        let object = raw::create(raw_name, BYTES).expect("there is room");
        object.map.populate().expect("the kernel knows MADV_POPULATE_WRITE");
        object
    };
    let name = scratch::name();
    let options = ShmArray::<f64>::options().name(name).prefault(true);
    let mut log = Log::default();
    for _ in 0..ROUNDS {
        log.round(&mut [
            (REFERENCE, &mut || cpu_once(alone).0),
            (NULL, &mut || cpu_once(alone).0),
            ("shm", &mut || cpu_once(|| options.create(numbers(BYTES)).expect("there is room")).0),
        ]);
    }
    report.row("create with `prefault`, 256 MiB, against MADV_POPULATE_WRITE", Target::AtLeast(0.95), &log, "shm");
    Ok(())
}

fn huge_pages(report: &mut Report, raw_name: &std::ffi::CStr) -> Fallible {
    let name = scratch::name();
    let options = ShmArray::<f64>::options().name(&name).huge_pages(true);
    let probe = options.create(numbers(2 * MIB))?;
    let granted = shmtypes::inspect(&name)?.huge_pages;
    drop(probe);
    if granted != HugePages::Granted {
        report
            .absent("`huge_pages`, 256 MiB: first touch, teardown", "the kernel refuses huge pages, as `inspect` says");
        return Ok(());
    }

    let alone = || {
        let object = raw::create(raw_name, BYTES).expect("there is room");
        object.map.touch_pages();
        object
    };
    let huge = || {
        let array = options.create(numbers(BYTES)).expect("there is room");
        for index in (0..array.len()).step_by(STEP) {
            array.set(index, 1.0).expect("in range");
        }
        array
    };
    let (mut touch, mut teardown) = (Log::default(), Log::default());
    let drops = RefCell::new(Vec::new());
    for _ in 0..ROUNDS {
        let kept = touch.round(&mut [
            (REFERENCE, &mut || two_times(alone, REFERENCE, &drops)),
            (NULL, &mut || two_times(alone, NULL, &drops)),
            ("shm", &mut || two_times(huge, "shm", &drops)),
        ]);
        for (name, time) in drops.borrow_mut().drain(..).filter(|_| kept) {
            teardown.add(name, time);
        }
    }
    let what = "create with `huge_pages` and first touch, 256 MiB, against the first touch of a plain mapping";
    report.row(what, Target::AtLeast(5.0), &touch, "shm");
    report.row("drop of the same, against munmap, close, unlink", Target::AtLeast(20.0), &teardown, "shm");
    Ok(())
}

/// The time of making; that of dropping goes to `drops`.
fn two_times<T>(make: impl Fn() -> T, name: &'static str, drops: &RefCell<Vec<(&'static str, f64)>>) -> f64 {
    let (time, made) = cpu_once(make);
    drops.borrow_mut().push((name, cpu_once(|| drop(made)).0));
    time
}
