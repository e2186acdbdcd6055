//! What an attachment costs while many others are attached.

use super::{KIB, numbers};
use crate::helper::Holder;
use crate::measure::{Log, cpu};
use crate::report::{NULL, REFERENCE, Report};
use crate::{Fallible, raw, scratch};
use shmtypes::ShmArray;
use std::ffi::CString;
use std::fmt::Write;

const ROUNDS: usize = 20;

pub(super) fn measure(report: &mut Report) -> Fallible {
    let mut table = String::from(
        "| attachers | attach and drop | system calls alone | ratio (median) | ratio (best) | null control |\n\
         |---|---|---|---|---|---|\n",
    );
    for attachers in [1, 10, 100, 1000, 10_000] {
        let array = ShmArray::<f64>::options().name(scratch::name()).create(numbers(4 * KIB))?;
        let raw_name = CString::new(format!("/{}", array.name()))?;
        // This process holds one, another one the rest.
        let holder = Holder::start(array.name(), attachers - 1)?;
        let iterations = if attachers > 1000 { 50 } else { 200 };
        let attach = || drop(ShmArray::<f64>::open(array.name()).expect("the segment is there"));
        let alone = || raw::attach_and_drop(&raw_name).expect("the segment is there");
        let mut log = Log::default();
        for _ in 0..ROUNDS {
            log.round(&mut [
                (REFERENCE, &mut || cpu(iterations, alone)),
                (NULL, &mut || cpu(iterations, alone)),
                ("attach", &mut || cpu(iterations, attach)),
            ]);
        }
        drop(holder);
        let ratio = log.ratio("attach", REFERENCE);
        writeln!(
            table,
            "| {attachers} | {:.1} µs | {:.1} µs | {:.2} | {:.2} | {:.2} |",
            ratio.time / 1e3,
            ratio.reference_time / 1e3,
            ratio.median,
            ratio.best,
            log.ratio(NULL, REFERENCE).median,
        )?;
    }
    report.note(&table);
    Ok(())
}
