//! A vector: appending, reading, following.

use super::{KIB, MIB, numbers, size};
use crate::appender::Appending;
use crate::kernels::{self, Aligned};
use crate::measure::{Log, cpu};
use crate::report::{NULL, REFERENCE, Report, Target};
use crate::{Fallible, scratch};
use shmtypes::{Appender, Deadline, Followed, ShmVec};
use std::hint::black_box;
use std::time::Instant;

const ACCESSES: usize = 8192;
const FOLLOWED: u32 = 4_000_000;

pub(super) fn measure(report: &mut Report) -> Fallible {
    push(report)?;
    get(report)?;
    snapshot(report)?;
    follow(report)
}

#[inline(never)]
fn push_plain(vec: &mut Vec<u64>, n: usize) {
    for value in 0..n as u64 {
        vec.push(value);
    }
}

#[inline(never)]
fn push_shared(appender: &mut Appender<'_, u64>, n: usize) {
    for value in 0..n as u64 {
        appender.push(value).expect("there is room");
    }
}

fn push(report: &mut Report) -> Fallible {
    for (bytes, iterations) in [(64 * KIB, 100), (8 * MIB, 2)] {
        let n = numbers(bytes);
        let per_push = |run: &mut dyn FnMut()| cpu(iterations, run) / n as f64;
        let mut log = Log::default();
        for _ in 0..60 {
            let (mut plain, mut null) = (Vec::with_capacity(n), Vec::with_capacity(n));
            let vec = ShmVec::<u64>::create(n)?;
            let mut appender = vec.appender()?;
            // All pages are there before the clock runs.
            plain.resize(n, 1);
            null.resize(n, 1);
            appender.extend_from_slice(&plain)?;
            let fill = |vec: &mut Vec<u64>| {
                per_push(&mut || {
                    vec.clear();
                    push_plain(vec, n);
                })
            };
            log.round(&mut [
                (REFERENCE, &mut || fill(&mut plain)),
                (NULL, &mut || fill(&mut null)),
                ("shm", &mut || {
                    per_push(&mut || {
                        appender.clear().expect("it is ours");
                        push_shared(&mut appender, n);
                    })
                }),
            ]);
        }
        let what = format!("`push`, {}, against `Vec::push` into reserved capacity", size(bytes));
        report.row(&what, Target::AtMost(1.5), &log, "shm");
    }
    Ok(())
}

#[inline(never)]
fn gather(vec: &ShmVec<f64>, indices: &[u32]) -> u64 {
    indices.iter().fold(0, |sum, &index| sum ^ vec.get(index as usize).expect("in sight").to_bits())
}

fn get(report: &mut Report) -> Fallible {
    let n = numbers(64 * KIB);
    let indices = kernels::random_indices(ACCESSES, n);
    let per_access = |run: &mut dyn FnMut() -> u64| cpu(100, run) / ACCESSES as f64;
    let mut log = Log::default();
    for _ in 0..60 {
        let (plain, null) = (Aligned::new(n, 1.0), Aligned::new(n, 1.0));
        let vec = ShmVec::create_from_slice(n, plain.as_slice())?;
        log.round(&mut [
            (REFERENCE, &mut || per_access(&mut || kernels::gather(black_box(plain.as_slice()), &indices))),
            (NULL, &mut || per_access(&mut || kernels::gather(black_box(null.as_slice()), &indices))),
            ("shm", &mut || per_access(&mut || gather(black_box(&vec), &indices))),
        ]);
    }
    report.row("`get(i)`, random, 64 KiB, against a slice", Target::Shown, &log, "shm");
    Ok(())
}

fn snapshot(report: &mut Report) -> Fallible {
    for (bytes, iterations) in [(64 * KIB, 500), (8 * MIB, 4)] {
        let n = numbers(bytes);
        let mut log = Log::default();
        for _ in 0..60 {
            let plain = Aligned::new(n, 1.0);
            let vec = ShmVec::create_from_slice(n, plain.as_slice())?;
            let copy = || cpu(iterations, || black_box(plain.as_slice()).to_vec());
            log.round(&mut [
                (REFERENCE, &mut || copy()),
                (NULL, &mut || copy()),
                ("shm", &mut || cpu(iterations, || vec.snapshot().expect("nobody truncates"))),
            ]);
        }
        let what = format!("`snapshot`, {}, against `to_vec` of a slice", size(bytes));
        report.row(&what, Target::AtMost(1.1), &log, "shm");
    }
    Ok(())
}

/// Millions of elements per second, on the clock, from another process.
fn follow(report: &mut Report) -> Fallible {
    let (mut one_by_one, mut in_bulk) = (Vec::new(), Vec::new());
    for round in 0..10 {
        let vec = ShmVec::<u64>::options().name(scratch::name()).prefault(true).create(FOLLOWED as usize)?;
        let mut appending = Appending::start(vec.name(), FOLLOWED)?;
        let mut follower = vec.follow();
        appending.go()?;
        follower.wait(Deadline::NEVER)?;
        let start = Instant::now();
        if round % 2 == 0 {
            for value in 0..u64::from(FOLLOWED) {
                if follower.next(Deadline::NEVER)? != Followed::Item(value) {
                    return Err("another element".into());
                }
            }
            one_by_one.push(start.elapsed());
        } else {
            let mut items = Vec::with_capacity(FOLLOWED as usize);
            while items.len() < FOLLOWED as usize {
                follower.wait(Deadline::NEVER)?;
                follower.read_available(&mut items)?;
            }
            in_bulk.push(start.elapsed());
        }
        appending.end()?;
    }
    let rates = |mut times: Vec<std::time::Duration>| {
        times.sort();
        let rate = |time: std::time::Duration| f64::from(FOLLOWED) / time.as_secs_f64() / 1e6;
        format!("{:.0} ({:.0} to {:.0})", rate(times[times.len() / 2]), rate(times[times.len() - 1]), rate(times[0]))
    };
    report.note(&format!(
        "Following an appender in another process, which tells once per 1,000 of {FOLLOWED} elements of 8 bytes, in millions per \
         second: one by one {}, in bulk {}.",
        rates(one_by_one),
        rates(in_bulk)
    ));
    Ok(())
}
