//! Cases that take turns, and the ratios between them.

use nix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

/// Nanoseconds of processor time that this process has used: what preemption by neighbours does not change.
fn processor_time() -> f64 {
    // The clock exists on every Linux; a failure would make the ratio NaN, which meets no target.
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(f64::NAN, |time| Duration::from(time).as_nanos() as f64)
}

/// The processor time of one call, over `iterations` of them.
pub(crate) fn cpu<T>(iterations: u32, mut call: impl FnMut() -> T) -> f64 {
    let start = processor_time();
    for _ in 0..iterations {
        drop(black_box(call()));
    }
    (processor_time() - start) / f64::from(iterations)
}

/// The processor time of one call, and what it returned, to be dropped off the clock.
pub(crate) fn cpu_once<T>(call: impl FnOnce() -> T) -> (f64, T) {
    let start = processor_time();
    let result = call();
    (processor_time() - start, result)
}

/// A case: its name, and a function that runs it once or many times and returns nanoseconds per operation.
pub(crate) type Case<'a> = (&'a str, &'a mut dyn FnMut() -> f64);

/// The times of cases, round by round.
#[derive(Default)]
pub(crate) struct Log {
    times: BTreeMap<String, Vec<f64>>,
    random: u64,
    warm: bool,
}

impl Log {
    /// Runs every case once, in random order. The first round is for warming up and is not kept; says whether it was.
    pub(crate) fn round(&mut self, cases: &mut [Case<'_>]) -> bool {
        for last in (1..cases.len()).rev() {
            let other = self.next_random() as usize % (last + 1);
            cases.swap(last, other);
        }
        for (name, run) in cases {
            let time = run();
            if self.warm {
                self.add(name, time);
            }
        }
        std::mem::replace(&mut self.warm, true)
    }

    /// Adds a time that a case measured besides its own.
    pub(crate) fn add(&mut self, name: &str, nanoseconds: f64) {
        self.times.entry(name.to_owned()).or_default().push(nanoseconds);
    }

    /// xorshift64*: the order only has to differ from round to round.
    fn next_random(&mut self) -> u64 {
        self.random = if self.random == 0 { 0x9e37_79b9_7f4a_7c15 } else { self.random };
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    /// How many times as long as `reference` a case takes.
    pub(crate) fn ratio(&self, case: &str, reference: &str) -> Ratio {
        let (Some(times), Some(references)) = (self.times.get(case), self.times.get(reference)) else {
            return Ratio { median: f64::NAN, best: f64::NAN, time: f64::NAN, reference_time: f64::NAN };
        };
        let ratios: Vec<f64> = times.iter().zip(references).map(|(time, reference)| time / reference).collect();
        Ratio {
            median: median(&ratios),
            best: least(times) / least(references),
            time: median(times),
            reference_time: median(references),
        }
    }
}

/// One case against another.
#[derive(Clone, Copy)]
pub(crate) struct Ratio {
    /// The median of the ratios of all rounds.
    pub(crate) median: f64,
    /// The least time of the one over the least time of the other.
    pub(crate) best: f64,
    /// The median times, in nanoseconds.
    pub(crate) time: f64,
    pub(crate) reference_time: f64,
}

impl Ratio {
    /// How many times as fast as the reference, by the medians.
    pub(crate) fn times_faster(self) -> f64 {
        self.reference_time / self.time
    }
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}
