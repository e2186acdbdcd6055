//! Slices of locked arrays against `Vec`s behind the standard library's lock: what the mapping and our lock cost.
#![allow(unsafe_code, reason = "measures slices under the lock")]

use crate::Fallible;
use crate::kernels::{self, Aligned};
use crate::measure::{Log, cpu};
use crate::report::{NULL, REFERENCE, Report, Target};
use shmtypes::{Cooperative, LockedArray};
use std::hint::black_box;
use std::sync::RwLock;

const ROUNDS: usize = 60;
const LOCKS: u32 = 100_000;
const VEC: &str = "vec";
const SAFE: &str = "safe";
const SHM: &str = "shm";

pub(super) fn measure(report: &mut Report) -> Fallible {
    for (n, iterations, label) in [(1 << 10, 10_000, "1 Ki elements"), (32 << 10, 300, "32 Ki elements")] {
        slices(report, n, iterations, label)?;
    }
    locks(report)
}

fn locked(n: usize, value: f64) -> Fallible<Cooperative<f64>> {
    let array = LockedArray::create_with(n, |slots| slots.fill(value))?;
    // SAFETY: the name is fresh, and nobody is told.
    Ok(unsafe { array.assume_cooperative() })
}

fn slices(report: &mut Report, n: usize, iterations: u32, label: &str) -> Fallible {
    let (mut sum, mut saxpy) = (Log::default(), Log::default());
    for round in 0..=ROUNDS {
        // What is allocated first gets other pages than what comes later: they take turns.
        let early = round % 2 == 0;
        let ours = || Ok::<_, Box<dyn std::error::Error>>((locked(n, 2.0)?, locked(n, 1.0)?));
        let before = if early { Some(ours()?) } else { None };
        let pair = || (RwLock::new(Aligned::new(n, 2.0)), RwLock::new(Aligned::new(n, 1.0)));
        let (behind_lock, null) = (pair(), pair());
        let (vec_from, mut vec_to) = (Aligned::new(n, 2.0), Aligned::new(n, 1.0));
        let (from, to) = if let Some(ours) = before { ours } else { ours()? };

        let std_sum = |from: &RwLock<Aligned>| {
            cpu(iterations, || from.read().map(|guard| kernels::sum(black_box(guard.as_slice()))).unwrap_or(f64::NAN))
        };
        sum.round(&mut [
            (REFERENCE, &mut || std_sum(&behind_lock.0)),
            (NULL, &mut || std_sum(&null.0)),
            (VEC, &mut || cpu(iterations, || kernels::sum(black_box(vec_from.as_slice())))),
            (SAFE, &mut || {
                let safe: &LockedArray<f64> = &from;
                cpu(iterations, || safe.read().map(|guard| black_box(&*guard).sum().unwrap_or(f64::NAN)).ok())
            }),
            (SHM, &mut || {
                cpu(iterations, || from.read().map(|guard| kernels::sum(black_box(&guard))).unwrap_or(f64::NAN))
            }),
        ]);
        // The factor keeps the values from growing.
        let factor = || black_box(1e-9);
        let std_saxpy = |(from, to): &(RwLock<Aligned>, RwLock<Aligned>)| {
            cpu(iterations, || {
                if let (Ok(from), Ok(mut to)) = (from.read(), to.write()) {
                    kernels::saxpy(factor(), from.as_slice(), to.as_mut_slice());
                }
            })
        };
        saxpy.round(&mut [
            (REFERENCE, &mut || std_saxpy(&behind_lock)),
            (NULL, &mut || std_saxpy(&null)),
            (VEC, &mut || cpu(iterations, || kernels::saxpy(factor(), vec_from.as_slice(), vec_to.as_mut_slice()))),
            (SHM, &mut || {
                cpu(iterations, || {
                    if let (Ok(from), Ok(mut to)) = (from.read(), to.write()) {
                        kernels::saxpy(factor(), &from, &mut to);
                    }
                })
            }),
        ]);
    }
    // In short sections the lock itself shows: its writers look at all slots.
    let limit = if n > 1 << 10 { Target::AtMost(1.05) } else { Target::Shown };
    report.row(&format!("sum, {label}, against a `Vec` and one lock"), limit, &sum, SHM);
    report.row(&format!("saxpy, {label}, against `Vec`s and two locks"), limit, &saxpy, SHM);
    report.row(&format!("sum, {label}: safe, by blocks under the lock"), Target::Shown, &sum, SAFE);
    report.row(&format!("sum, {label}: a `Vec` without a lock"), Target::Shown, &sum, VEC);
    report.row(&format!("saxpy, {label}: `Vec`s without a lock"), Target::Shown, &saxpy, VEC);
    Ok(())
}

fn locks(report: &mut Report) -> Fallible {
    let (std, null) = (RwLock::new(0_u64), RwLock::new(0_u64));
    let shared = locked(8, 0.0)?;
    let small = LockedArray::<f64>::options().slots(4).create(8)?;
    // SAFETY: as in `locked`.
    let small = unsafe { small.assume_cooperative() };
    let (mut read, mut write) = (Log::default(), Log::default());
    for _ in 0..=ROUNDS {
        read.round(&mut [
            (REFERENCE, &mut || cpu(LOCKS, || drop(black_box(&std).read()))),
            (NULL, &mut || cpu(LOCKS, || drop(black_box(&null).read()))),
            (SHM, &mut || cpu(LOCKS, || drop(black_box(&shared).read()))),
        ]);
        write.round(&mut [
            (REFERENCE, &mut || cpu(LOCKS, || drop(black_box(&std).write()))),
            (NULL, &mut || cpu(LOCKS, || drop(black_box(&null).write()))),
            (SHM, &mut || cpu(LOCKS, || drop(black_box(&shared).write()))),
            ("4 slots", &mut || cpu(LOCKS, || drop(black_box(&small).write()))),
        ]);
    }
    report.row("lock and unlock for reading, against `std::sync::RwLock`", Target::Shown, &read, SHM);
    report.row("lock and unlock for writing, 64 slots", Target::Shown, &write, SHM);
    report.row("lock and unlock for writing, 4 slots", Target::Shown, &write, "4 slots");
    Ok(())
}
