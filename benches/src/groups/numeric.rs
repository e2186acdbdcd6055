//! Safe sums, dot products and maps, against the same kernels on slices.

use super::{KIB, MIB, numbers, size};
use crate::Fallible;
use crate::kernels::{self, Aligned};
use crate::measure::{Log, cpu};
use crate::report::{NULL, REFERENCE, Report, Target};
use shmtypes::ShmArray;
use std::hint::black_box;

pub(super) fn measure(report: &mut Report) -> Fallible {
    for (bytes, rounds, iterations) in [(64 * KIB, 60, 1000), (8 * MIB, 60, 6), (256 * MIB, 21, 1)] {
        let n = numbers(bytes);
        let (mut sum, mut dot, mut map) = (Log::default(), Log::default(), Log::default());
        for round in 0..rounds {
            // Anew in every round: which physical pages a buffer gets decides more than the code does.
            let early = if round % 4 < 2 { Some(arrays(n)?) } else { None };
            let (mut left, mut right) = (Aligned::new(n, 1.0), Aligned::new(n, 2.0));
            let (mut null_left, mut null_right) = (Aligned::new(n, 1.0), Aligned::new(n, 2.0));
            if round % 2 == 1 {
                // What is allocated first gets other pages than what comes later.
                (left, null_left) = (null_left, left);
                (right, null_right) = (null_right, right);
            }
            let (shm_left, shm_right) = if let Some(arrays) = early { arrays } else { arrays(n)? };
            sum.round(&mut [
                (REFERENCE, &mut || cpu(iterations, || kernels::sum(black_box(left.as_slice())))),
                (NULL, &mut || cpu(iterations, || kernels::sum(black_box(null_left.as_slice())))),
                ("shm", &mut || cpu(iterations, || kernels::shm_sum(black_box(&shm_left)))),
            ]);
            dot.round(&mut [
                (REFERENCE, &mut || cpu(iterations, || kernels::dot(black_box(left.as_slice()), right.as_slice()))),
                (NULL, &mut || {
                    cpu(iterations, || kernels::dot(black_box(null_left.as_slice()), null_right.as_slice()))
                }),
                ("shm", &mut || cpu(iterations, || kernels::shm_dot(black_box(&shm_left), &shm_right))),
            ]);
            map.round(&mut [
                (REFERENCE, &mut || cpu(iterations, || kernels::map_in_place(left.as_mut_slice()))),
                (NULL, &mut || cpu(iterations, || kernels::map_in_place(null_left.as_mut_slice()))),
                ("shm", &mut || cpu(iterations, || kernels::shm_map_in_place(&shm_left))),
            ]);
        }
        for (what, log) in [("sum", &sum), ("dot", &dot), ("map_in_place", &map)] {
            report.row(&format!("safe `{what}`, {}", size(bytes)), Target::AtLeast(0.95), log, "shm");
        }
    }
    Ok(())
}

fn arrays(n: usize) -> Fallible<(ShmArray<f64>, ShmArray<f64>)> {
    let array = |value| ShmArray::<f64>::create_with(n, |slots| slots.fill(value));
    Ok((array(1.0)?, array(2.0)?))
}
