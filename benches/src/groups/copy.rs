//! Bulk copies, against `copy_nonoverlapping` between the same addresses.
#![allow(unsafe_code, reason = "the peer copies through slices of the segment")]

use super::{KIB, MIB, numbers, size};
use crate::Fallible;
use crate::kernels::{self, Aligned};
use crate::measure::{Log, cpu};
use crate::report::{NULL, REFERENCE, Report, Target};
use shmtypes::ShmArray;
use std::cell::RefCell;

pub(super) fn measure(report: &mut Report) -> Fallible {
    for (bytes, rounds, iterations) in [(64 * KIB, 60, 1000), (8 * MIB, 60, 6), (256 * MIB, 15, 1)] {
        let n = numbers(bytes);
        let (mut inward, mut outward) = (Log::default(), Log::default());
        for _ in 0..rounds {
            let buffer = RefCell::new(Aligned::new(n, 2.0));
            let array = RefCell::new(ShmArray::<f64>::create_with(n, |slots| slots.fill(1.0))?);
            let plain_in = || {
                let mut array = array.borrow_mut();
                // SAFETY: nobody else knows the name, and the handle is borrowed exclusively.
                cpu(iterations, || kernels::copy(buffer.borrow().as_slice(), unsafe { array.as_mut_slice() }))
            };
            let plain_out = || {
                let array = array.borrow();
                // SAFETY: nobody else knows the name, and no copy inward runs meanwhile.
                cpu(iterations, || kernels::copy(unsafe { array.as_slice() }, buffer.borrow_mut().as_mut_slice()))
            };
            inward.round(&mut [
                (REFERENCE, &mut || plain_in()),
                (NULL, &mut || plain_in()),
                ("shm", &mut || {
                    let copy = || array.borrow().copy_from_slice(0, buffer.borrow().as_slice());
                    cpu(iterations, || copy().expect("they are as long"))
                }),
            ]);
            outward.round(&mut [
                (REFERENCE, &mut || plain_out()),
                (NULL, &mut || plain_out()),
                ("shm", &mut || {
                    let copy = || array.borrow().copy_to_slice(0, buffer.borrow_mut().as_mut_slice());
                    cpu(iterations, || copy().expect("they are as long"))
                }),
            ]);
        }
        report.row(&format!("`copy_from_slice`, {}", size(bytes)), Target::AtLeast(0.95), &inward, "shm");
        report.row(&format!("`copy_to_slice`, {}", size(bytes)), Target::AtLeast(0.95), &outward, "shm");
    }
    Ok(())
}
