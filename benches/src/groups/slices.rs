//! Slices of a segment against slices of a `Vec`: what the mapping itself costs.
#![allow(unsafe_code, reason = "measures the escape hatch")]

use super::MIB;
use crate::kernels::{self, Aligned};
use crate::measure::{Log, cpu};
use crate::report::{NULL, REFERENCE, Report, Target};
use crate::{Fallible, raw, scratch};
use shmtypes::ShmArray;
use std::ffi::CString;
use std::hint::black_box;

const VEC: &str = "vec";
const BARE: &str = "bare mapping";
const SHM: &str = "shm";

#[derive(Default)]
struct Logs {
    sum: Log,
    saxpy: Log,
    copy: Log,
}

pub(super) fn measure(report: &mut Report) -> Fallible {
    for (n, rounds, iterations, label, limit) in
        [(8 << 10, 60, 1000, "8 Ki elements", 1.05), (32 << 20, 13, 1, "32 Mi elements", 1.10)]
    {
        let (mut unpublished, mut escaped) = (Logs::default(), Logs::default());
        for round in 0..rounds {
            // What is allocated first gets other pages than what comes later: they take turns.
            let (early, swapped) = (round % 4 < 2, round % 2 == 1);
            let names = (scratch::raw_name(), scratch::raw_name());
            let mut peers = if early { Some(Peers::new(n, swapped, &names)?) } else { None };
            let mut outcome = Ok(());
            let to = ShmArray::<f64>::create_with(n, |to| {
                to.fill(1.0);
                let from = ShmArray::<f64>::create_with(n, |from| {
                    from.fill(2.0);
                    match peers.take().map_or_else(|| Peers::new(n, swapped, &names), Ok) {
                        Ok(peers) => unpublished.round(iterations, peers, from, to),
                        Err(error) => outcome = Err(error),
                    }
                });
                if let Err(error) = from {
                    outcome = Err(error.into());
                }
            });
            outcome?;
            drop(to?);

            let peers = if early { Some(Peers::new(n, swapped, &names)?) } else { None };
            let mut from = ShmArray::<f64>::create_with(n, |slots| slots.fill(2.0))?;
            let mut to = ShmArray::<f64>::create_with(n, |slots| slots.fill(1.0))?;
            let peers = if let Some(peers) = peers { peers } else { Peers::new(n, swapped, &names)? };
            // SAFETY: nobody else knows the name, and no other handle exists.
            let from = unsafe { from.as_mut_slice() };
            // SAFETY: as above.
            escaped.round(iterations, peers, from, unsafe { to.as_mut_slice() });
        }
        for (logs, place) in [(&unpublished, "before publication"), (&escaped, "escape hatch")] {
            for (what, log) in [("sum", &logs.sum), ("saxpy", &logs.saxpy), ("copy", &logs.copy)] {
                // Both arrays have the same power of two of bytes: the row of the issue that the data offset decides.
                let limit = if what == "saxpy" && n > MIB { 1.25 } else { limit };
                report.row(&format!("{what}, {label}, {place}"), Target::AtMost(limit), log, SHM);
            }
        }
        for (what, log) in [("sum", &escaped.sum), ("saxpy", &escaped.saxpy), ("copy", &escaped.copy)] {
            report.row(&format!("{what}, {label}: a plain `Vec`"), Target::Shown, log, VEC);
            report.row(&format!("{what}, {label}: a bare mapping of exactly the size"), Target::Shown, log, BARE);
        }
    }
    Ok(())
}

/// Pairs of buffers that are no segments.
struct Peers<'a> {
    aligned: (Aligned, Aligned),
    null: (Aligned, Aligned),
    vec: (Vec<f64>, Vec<f64>),
    bare: (raw::Object<'a>, raw::Object<'a>),
}

impl<'a> Peers<'a> {
    fn new(n: usize, swapped: bool, names: &'a (CString, CString)) -> Fallible<Self> {
        let pair = || (Aligned::new(n, 2.0), Aligned::new(n, 1.0));
        let (mut aligned, mut null) = (pair(), pair());
        if swapped {
            (aligned, null) = (null, aligned);
        }
        let vec = (vec![2.0; n], vec![1.0; n]);
        let bytes = n * size_of::<f64>();
        let mut bare = (raw::create(&names.0, bytes)?, raw::create(&names.1, bytes)?);
        bare.0.map.numbers().fill(2.0);
        bare.1.map.numbers().fill(1.0);
        Ok(Self { aligned, null, vec, bare })
    }
}

impl Logs {
    fn round(&mut self, iterations: u32, peers: Peers<'_>, from: &mut [f64], to: &mut [f64]) {
        let Peers { aligned, mut null, vec, bare } = peers;
        let ((aligned_from, mut aligned_to), (null_from, null_to)) = (aligned, (&null.0, &mut null.1));
        let (vec_from, mut vec_to) = vec;
        let (mut bare_from, mut bare_to) = bare;
        let (bare_from, bare_to) = (bare_from.map.numbers(), bare_to.map.numbers());
        let sum = |values: &[f64]| cpu(iterations, || kernels::sum(black_box(values)));
        self.sum.round(&mut [
            (REFERENCE, &mut || sum(aligned_from.as_slice())),
            (NULL, &mut || sum(null_from.as_slice())),
            (VEC, &mut || sum(&vec_from)),
            (BARE, &mut || sum(bare_from)),
            (SHM, &mut || sum(from)),
        ]);
        // The factor keeps the values from growing.
        let saxpy = |from: &[f64], to: &mut [f64]| cpu(iterations, || kernels::saxpy(black_box(1e-9), from, to));
        self.saxpy.round(&mut [
            (REFERENCE, &mut || saxpy(aligned_from.as_slice(), aligned_to.as_mut_slice())),
            (NULL, &mut || saxpy(null_from.as_slice(), null_to.as_mut_slice())),
            (VEC, &mut || saxpy(&vec_from, &mut vec_to)),
            (BARE, &mut || saxpy(bare_from, bare_to)),
            (SHM, &mut || saxpy(from, to)),
        ]);
        let copy = |from: &[f64], to: &mut [f64]| cpu(iterations, || kernels::copy(from, to));
        self.copy.round(&mut [
            (REFERENCE, &mut || copy(aligned_from.as_slice(), aligned_to.as_mut_slice())),
            (NULL, &mut || copy(null_from.as_slice(), null_to.as_mut_slice())),
            (VEC, &mut || copy(&vec_from, &mut vec_to)),
            (BARE, &mut || copy(bare_from, bare_to)),
            (SHM, &mut || copy(from, to)),
        ]);
    }
}
