//! Attaching and detaching, against the system calls alone.

use super::{KIB, MIB, numbers, size};
use crate::measure::{Case, Log, cpu};
use crate::report::{Report, Target};
use crate::{Fallible, protocol, raw, scratch};
use shmtypes::{Persist, ShmArray};
use std::ffi::CString;

const ROUNDS: usize = 60;
const ITERATIONS: u32 = 200;

type Run<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// A segment, and the names of the cases that attach to it.
struct Subject {
    array: ShmArray<f64>,
    raw_name: CString,
    path: CString,
    bytes: usize,
    cases: [String; 4],
}

impl Subject {
    fn new(bytes: usize, persist: Persist) -> Fallible<Self> {
        let array = ShmArray::<f64>::options().name(scratch::name()).persist(persist).create(numbers(bytes))?;
        let raw_name = CString::new(format!("/{}", array.name()))?;
        let path = CString::new(format!("/dev/shm/{}", array.name()))?;
        let cases = ["attach", "raw", "raw again", "calls"].map(|case| format!("{case} {persist:?} {bytes}"));
        Ok(Self { array, raw_name, path, bytes, cases })
    }

    fn runs(&self) -> [(&str, Run<'_>); 4] {
        let [attach, raw, again, calls] = &self.cases;
        [
            (attach, Box::new(|| self.attach())),
            (raw, Box::new(|| self.raw())),
            (again, Box::new(|| self.raw())),
            (calls, Box::new(|| self.calls())),
        ]
    }

    fn attach(&self) -> f64 {
        cpu(ITERATIONS, || drop(ShmArray::<f64>::open(self.array.name()).expect("the segment is there")))
    }

    fn calls(&self) -> f64 {
        let leaving = self.array.persist() == Persist::UntilLastDetach;
        cpu(ITERATIONS, || protocol::attach_and_drop(&self.path, leaving).expect("the segment is there"))
    }

    fn raw(&self) -> f64 {
        cpu(ITERATIONS, || raw::attach_and_drop(&self.raw_name).expect("the segment is there"))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // The name of an `UntilLastDetach` segment as well.
        let _ = shmtypes::unlink(self.array.name());
    }
}

pub(super) fn measure(report: &mut Report) -> Fallible {
    const SIZES: [usize; 3] = [4 * KIB, MIB, 256 * MIB];
    for (persist, what) in
        [(Persist::Keep, "attach and drop, `Keep`"), (Persist::UntilLastDetach, "attach and drop, `UntilLastDetach`")]
    {
        let subjects = SIZES.map(|bytes| Subject::new(bytes, persist));
        let subjects = subjects.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut log = Log::default();
        for _ in 0..ROUNDS {
            let mut runs: Vec<_> = subjects.iter().flat_map(Subject::runs).collect();
            let mut cases: Vec<Case<'_>> = Vec::new();
            for (name, run) in &mut runs {
                cases.push((name, run));
            }
            log.round(&mut cases);
        }
        for Subject { bytes, cases: [attach, raw, again, calls], .. } in &subjects {
            let target = match persist {
                Persist::Keep => Target::AtMost(1.1),
                Persist::UntilLastDetach if *bytes <= MIB => Target::AtMost(1.45),
                Persist::UntilLastDetach => Target::AtMost(1.1),
            };
            let what = format!("{what}, {}", size(*bytes));
            report.row_against(&what, target, &log, attach, raw, again);
            let alone = format!("{what}: the system calls of the library's protocol alone");
            report.row_against(&alone, Target::Shown, &log, calls, raw, again);
        }
        if let [small, .., large] = subjects.as_slice() {
            let what = format!("{what}, 256 MiB against 4 KiB");
            report.row_against(&what, Target::AtMost(1.1), &log, &large.cases[0], &small.cases[0], "");
        }
    }
    Ok(())
}
