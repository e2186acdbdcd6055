//! Several processes, and rayon inside each, compute how heat spreads over a plate: on plain slices of two locked arrays.
//!
//! ```text
//! cargo run --release --example stencil
//! ```
//!
//! The plate stands in two `LockedArray<f64>` of one shape, which are read and written in turns. Each worker process, which is this
//! program again with the *names* as arguments, has a band of rows. A step of it is:
//!
//! 1. with the lock of the one array for *reading*, which all workers hold at once: `&[f64]` of the whole plate, from which
//!    rayon's threads compute the band;
//! 2. with the lock of the other one for *writing*, which excludes everybody for a moment: `&mut [f64]`, into which the band goes;
//! 3. waiting until the others have done this step.
//!
//! That slices may be had at all rests on one promise, which is this program's: whoever is told the names uses `LockedArray`. If a
//! worker is killed while it writes, the next one to write is told, and the program ends with that error.

#![allow(unsafe_code, reason = "promises that all processes of this program go through the locks")]

use rayon::prelude::*;
use shmtypes::{Cooperative, LockedArray, ShmArray, ShmBox, ShmEvent, ShmLayout};
use std::error::Error;
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const WORKERS: usize = 3;
/// In each of them.
const THREADS: usize = 2;
const ROWS: usize = 602;
const COLUMNS: usize = 800;
const STEPS: u64 = 1000;
/// How much of the difference to its neighbours a point makes up for in a step.
const CONDUCTION: f64 = 0.2;
/// How long to wait for another worker.
const PATIENCE: Duration = Duration::from_secs(30);

/// How far the workers are.
#[derive(ShmLayout)]
#[repr(C)]
struct Progress {
    /// How many steps each of them has done.
    done: [AtomicU64; WORKERS],
    /// Told when one has done a step.
    changed: ShmEvent,
    unused: [u8; 4],
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        [] => run(),
        ["--worker", even, odd, progress, number] => work([even, odd], progress, number),
        _ => Err("usage: stencil".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stencil: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result {
    let plate = || ShmArray::options().shape(&[ROWS, COLUMNS]).locked();
    let plates = [plate().create_with(ROWS * COLUMNS, heat)?, plate().create_with(ROWS * COLUMNS, heat)?];
    let progress = ShmBox::<Progress>::create()?;
    println!(
        "{WORKERS} processes with {THREADS} threads each compute {STEPS} steps of {ROWS} x {COLUMNS} points, in {:?} and {:?}.",
        plates[0].name(),
        plates[1].name()
    );
    let start = Instant::now();
    let workers = (0..WORKERS).map(|number| Worker::start(&plates, &progress, number)).collect::<Result<Vec<_>>>()?;
    for worker in workers {
        worker.end()?;
    }
    println!("They took {:.2} s.", start.elapsed().as_secs_f64());

    let start = Instant::now();
    let expected = serial();
    println!("This process alone, on a `Vec`, took {:.2} s.", start.elapsed().as_secs_f64());
    let [even, odd] = plates.map(cooperative);
    let last = if STEPS.is_multiple_of(2) { even } else { odd };
    let result = last.read().map_err(shmtypes::Error::from)?;
    // The same operations in the same order for each point: the same bits.
    if let Some(at) = (0..result.len()).find(|&at| result[at].to_bits() != expected[at].to_bits()) {
        let (row, column) = (at / COLUMNS, at % COLUMNS);
        return Err(format!("row {row}, column {column} is {}, and should be {}", result[at], expected[at]).into());
    }
    let middle = result[ROWS / 2 * COLUMNS + COLUMNS / 2];
    println!("All {} points are the same, bit for bit; the one in the middle has {middle:.3} degrees.", result.len());
    Ok(())
}

/// By the promise that this program keeps.
fn cooperative(plate: LockedArray<f64>) -> Cooperative<f64> {
    // SAFETY: the names are fresh, and only this program's workers are told them; all open them as locked arrays.
    unsafe { plate.assume_cooperative() }
}

/// A cold plate with a hot upper edge and a hot spot.
fn heat(plate: &mut [f64]) {
    plate.fill(0.0);
    plate[..COLUMNS].fill(100.0);
    for row in ROWS / 2 - 20..ROWS / 2 + 20 {
        plate[row * COLUMNS + COLUMNS / 2 - 20..][..40].fill(500.0);
    }
}

/// A row after a step, from itself and its neighbours. Its ends stay as they are.
fn step_row(plate: &[f64], row: usize, target: &mut [f64]) {
    let line = |row: usize| &plate[row * COLUMNS..][..COLUMNS];
    let (above, own, below) = (line(row - 1), line(row), line(row + 1));
    target.copy_from_slice(own);
    for column in 1..COLUMNS - 1 {
        let around = above[column] + below[column] + own[column - 1] + own[column + 1];
        target[column] += CONDUCTION * (around - 4.0 * own[column]);
    }
}

fn work(plates: [&str; 2], progress: &str, number: &str) -> Result {
    let number: usize = number.parse()?;
    let [even, odd] = [LockedArray::open(plates[0])?, LockedArray::open(plates[1])?].map(cooperative);
    let progress = ShmBox::<Progress>::open(progress)?;
    let threads = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build()?;
    // The first and the last row stay as they are.
    let rows = (ROWS - 2) / WORKERS;
    let first = 1 + number * rows;
    let mut band = vec![0.0; rows * COLUMNS];
    for step in 0..STEPS {
        let (from, to) = if step % 2 == 0 { (&even, &odd) } else { (&odd, &even) };
        step_band(from, first, &mut band, &threads)?;
        put_band(to, first, &band)?;
        progress.view().done().at(number).fetch_add(1, Release);
        progress.view().changed().notify();
        wait_for_all(&progress, step + 1)?;
    }
    Ok(())
}

/// Computes the band that starts with row `first`.
fn step_band(
    from: &Cooperative<f64>,
    first: usize,
    band: &mut [f64],
    threads: &rayon::ThreadPool,
) -> shmtypes::Result<()> {
    let guard = from.read()?;
    // The guard stays in this thread, the slice goes to the others.
    let plate: &[f64] = &guard;
    threads.install(|| {
        let rows = band.par_chunks_exact_mut(COLUMNS).enumerate();
        rows.for_each(|(row, target)| step_row(plate, first + row, target));
    });
    Ok(())
}

fn put_band(to: &Cooperative<f64>, first: usize, band: &[f64]) -> shmtypes::Result<()> {
    to.write()?[first * COLUMNS..][..band.len()].copy_from_slice(band);
    Ok(())
}

/// Waits until all workers have done so many steps.
fn wait_for_all(progress: &ShmBox<Progress>, steps: u64) -> Result {
    let deadline = Instant::now() + PATIENCE;
    let view = progress.view();
    let mut seen = view.changed().count();
    while !(0..WORKERS).all(|number| view.done().at(number).load(Acquire) >= steps) {
        let woken = view.changed().wait_changed(seen, deadline);
        seen = woken.map_err(|error| format!("another worker does not get on: {error}"))?;
    }
    Ok(())
}

/// The same without any other process or thread.
fn serial() -> Vec<f64> {
    let mut plate = vec![0.0; ROWS * COLUMNS];
    heat(&mut plate);
    let mut next = plate.clone();
    for _ in 0..STEPS {
        for (row, target) in next.chunks_exact_mut(COLUMNS).enumerate().skip(1).take(ROWS - 2) {
            step_row(&plate, row, target);
        }
        std::mem::swap(&mut plate, &mut next);
    }
    plate
}

/// A worker process. Dropping it ends it.
struct Worker(Child);

impl Worker {
    fn start(plates: &[LockedArray<f64>; 2], progress: &ShmBox<Progress>, number: usize) -> Result<Self> {
        let program = std::env::current_exe()?;
        let names = [plates[0].name(), plates[1].name(), progress.name()];
        Ok(Self(Command::new(program).arg("--worker").args(names).arg(number.to_string()).spawn()?))
    }

    fn end(mut self) -> Result {
        let status = self.0.wait()?;
        if status.success() { Ok(()) } else { Err(format!("a worker failed: {status}").into()) }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
