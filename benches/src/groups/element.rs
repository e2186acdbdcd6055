//! Single elements, in no order, against indexing a `Vec`.

use super::{KIB, MIB, numbers, size};
use crate::Fallible;
use crate::kernels::{self, Aligned};
use crate::measure::{Log, cpu};
use crate::report::{NULL, REFERENCE, Report, Target};
use shmtypes::ShmArray;
use std::hint::black_box;

const ACCESSES: usize = 8192;

pub(super) fn measure(report: &mut Report) -> Fallible {
    for bytes in [64 * KIB, 8 * MIB] {
        let n = numbers(bytes);
        let indices = kernels::random_indices(ACCESSES, n);
        let (mut get, mut set) = (Log::default(), Log::default());
        for _ in 0..60 {
            let (mut vec, mut null) = (Aligned::new(n, 1.0), Aligned::new(n, 1.0));
            let array = ShmArray::<f64>::create_with(n, |slots| slots.fill(1.0))?;
            get.round(&mut [
                (REFERENCE, &mut || per_access(|| kernels::gather(black_box(vec.as_slice()), &indices))),
                (NULL, &mut || per_access(|| kernels::gather(black_box(null.as_slice()), &indices))),
                ("shm", &mut || per_access(|| kernels::shm_gather(black_box(&array), &indices))),
            ]);
            set.round(&mut [
                (REFERENCE, &mut || per_access(|| kernels::scatter(vec.as_mut_slice(), &indices))),
                (NULL, &mut || per_access(|| kernels::scatter(null.as_mut_slice(), &indices))),
                ("shm", &mut || per_access(|| kernels::shm_scatter(&array, &indices))),
            ]);
        }
        report.row(&format!("`get(i)`, random, {}", size(bytes)), Target::AtMost(1.15), &get, "shm");
        report.row(&format!("`set(i)`, random, {}", size(bytes)), Target::AtMost(1.15), &set, "shm");
    }
    Ok(())
}

fn per_access<T>(run: impl FnMut() -> T) -> f64 {
    cpu(100, run) / ACCESSES as f64
}
