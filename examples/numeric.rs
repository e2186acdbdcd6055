//! A computation split over processes: heat spreads on a plate, and a picture of the result is written.
//!
//! ```text
//! cargo run --release --example numeric -- out.png [--size 512] [--steps 2000] [--processes 2]
//! ```
//!
//! The plate is a grid in a `ShmArray<f64>` of shape `[size, size]`. In each step every point moves towards the mean of
//! its four neighbours (the heat equation, explicit, five-point stencil); the edges stay cold. There are two grids, the
//! old one and the new one, which change places after every step. Each worker process, which is this program again with
//! the arrays' *names* as arguments, computes a band of rows. It needs one row of each neighbour, and so may start step
//! n + 1 as soon as its neighbours have finished step n: that is what the counters in a third array are for.
//!
//! At the end the same is computed on a plain `Vec` in one process; the two results must be equal bit for bit.

use shmtypes::{ShmArray, ShmLayout};
use std::error::Error;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};
use std::{env, fs, hint, thread};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A worker's band of rows, and how far it has got. Each has a cache line of its own, so that one worker's counting does
/// not slow down another's; the layout has no padding, so what is left of the line is a field too.
#[derive(ShmLayout)]
#[repr(C, align(64))]
struct Band {
    /// How many steps are finished. Its worker writes it, the neighbours and the parent read it.
    finished: AtomicU64,
    steps: u64,
    first_row: u64,
    end_row: u64,
    unused: [u64; 4],
}

/// How much of the difference to its neighbours a point takes over in a step; up to 0.25 the computation is stable.
const RATE: f64 = 0.24;
/// How long a step may take. A worker that has not finished it by then is taken for dead.
const PATIENCE: Duration = Duration::from_secs(20);

const USAGE: &str = "\
usage: numeric PICTURE [--size N] [--steps N] [--processes N]

  PICTURE         where to write the result: a file that ends in .png or .pgm
  --size N        rows and columns of the grid, 16 to 4096 (512)
  --steps N       how many time steps to compute (2000)
  --processes N   how many processes share the work, 1 to 64 (2)
";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let outcome = match words[..] {
        ["-h" | "--help"] => say(USAGE),
        ["--worker", bands, even, odd, index] => worker(bands, even, odd, index),
        _ => match Plan::parse(&arguments) {
            Ok(plan) => run(&plan),
            Err(wrong) => {
                eprint!("numeric: {wrong}\n\n{USAGE}");
                return ExitCode::from(2);
            }
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("numeric: {error}");
            ExitCode::FAILURE
        }
    }
}

// ---------------------------------------------------------------------------------------------------------- parent

fn run(plan: &Plan) -> Result<()> {
    // First of all, so that nobody computes for a picture that cannot be written.
    try_to_write(&plan.picture)?;
    let size = plan.size;

    let grid = || ShmArray::<f64>::options().shape(&[size, size]);
    let even = grid().create_with(size * size, |points| start(points, size))?;
    let odd = grid().create_with(size * size, |points| start(points, size))?;
    let heat_before = even.sum()?;

    // The edges are not computed, so the bands divide the rows between them.
    let border = |index: usize| (1 + index * (size - 2) / plan.processes) as u64;
    let bands = ShmArray::create_from_fn(plan.processes, |index| Band {
        finished: AtomicU64::new(0),
        steps: plan.steps,
        first_row: border(index),
        end_row: border(index + 1),
        unused: [0; 4],
    })?;

    let clock = Instant::now();
    let mut workers = Workers(Vec::new());
    for index in 0..plan.processes {
        let index = index.to_string();
        let names = ["--worker", bands.name(), even.name(), odd.name(), &index];
        workers.0.push(Command::new(env::current_exe()?).args(names).spawn()?);
    }
    workers.finish(&bands)?;
    let shared = clock.elapsed();
    let result = if plan.steps.is_multiple_of(2) { &even } else { &odd };

    let clock = Instant::now();
    let expected = in_one_process(size, plan.steps);
    let alone = clock.elapsed();

    let points = result.to_vec()?;
    let difference = points.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let rate = |time: Duration| plan.steps as f64 * (size * size) as f64 / time.as_secs_f64() / 1e6;
    say(&format!(
        "{size} x {size} points, {} steps\n\
         {:>5} processes, ShmArray {:>8.3} s {:>7.0} million points/s\n\
         {:>5} process, Vec        {:>8.3} s {:>7.0} million points/s\n\
         the greatest difference between the two is {difference:?}\n",
        plan.steps,
        plan.processes,
        shared.as_secs_f64(),
        rate(shared),
        1,
        alone.as_secs_f64(),
        rate(alone),
    ))?;
    if points.iter().zip(&expected).any(|(a, b)| a.to_bits() != b.to_bits()) {
        return Err("the processes together do not compute what one alone does".into());
    }

    // Heat leaves through the cold edges and comes from nowhere; no point gets hotter or colder than the extremes were.
    let (heat, least, greatest) = (result.sum()?, result.min()?, result.max()?);
    let (Some(least), Some(greatest)) = (least, greatest) else { return Err("the grid is empty".into()) };
    let left = 100.0 * heat / heat_before;
    say(&format!("{left:.1} % of the heat is left, the temperatures are {least:.3} to {greatest:.3}\n"))?;
    if heat > heat_before * (1.0 + 1e-9) || least < 0.0 || greatest > HOT {
        return Err("the result breaks the laws of physics".into());
    }
    write_picture(&plan.picture, &points, size)?;
    say(&format!("the picture is in {}\n", plan.picture.display()))
}

/// Prints, with an error where `print!` would panic: the other end of a pipe may be gone.
fn say(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    Ok(out.write_all(text.as_bytes()).and_then(|()| out.flush())?)
}

const HOT: f64 = 1.0;
const WARM: f64 = 0.25;

/// Warm, with hot spots of several sizes, and cold edges.
fn start(points: &mut [f64], size: usize) {
    // Row, column and radius, as parts of the size.
    const SPOTS: [(f64, f64, f64); 6] = [
        (0.30, 0.28, 0.13),
        (0.22, 0.70, 0.07),
        (0.52, 0.55, 0.05),
        (0.74, 0.76, 0.12),
        (0.78, 0.30, 0.08),
        (0.55, 0.12, 0.04),
    ];
    let scale = size as f64;
    for (row, line) in points.chunks_exact_mut(size).enumerate() {
        for (column, point) in line.iter_mut().enumerate() {
            let edge = [row, column].iter().any(|&at| at == 0 || at == size - 1);
            let in_spot =
                |&(y, x, radius): &(f64, f64, f64)| (row as f64 / scale - y).hypot(column as f64 / scale - x) < radius;
            *point = if edge {
                0.0
            } else if SPOTS.iter().any(in_spot) {
                HOT
            } else {
                WARM
            };
        }
    }
}

/// One row of a step. Used by the workers and by the check, so that both do the same arithmetic in the same order.
fn relax(above: &[f64], row: &[f64], below: &[f64], new: &mut [f64]) {
    let last = new.len() - 1;
    (new[0], new[last]) = (row[0], row[last]);
    let vertical = above[1..last].iter().zip(&below[1..last]);
    for ((new, near), (above, below)) in new[1..last].iter_mut().zip(row.windows(3)).zip(vertical) {
        *new = near[1] + RATE * (above + below + near[0] + near[2] - 4.0 * near[1]);
    }
}

fn in_one_process(size: usize, steps: u64) -> Vec<f64> {
    let mut old = vec![0.0; size * size];
    start(&mut old, size);
    let mut new = old.clone();
    for _ in 0..steps {
        for row in 1..size - 1 {
            let at = |row: usize| &old[row * size..][..size];
            relax(at(row - 1), at(row), at(row + 1), &mut new[row * size..][..size]);
        }
        std::mem::swap(&mut old, &mut new);
    }
    old
}

/// The worker processes. None outlives the parent's interest in them.
struct Workers(Vec<Child>);

impl Workers {
    /// Waits until all have done their work; an error as soon as one ends without, or none gets on.
    fn finish(&mut self, bands: &ShmArray<Band>) -> Result<()> {
        let (mut moved, mut sum) = (Instant::now(), 0);
        loop {
            let mut running = false;
            for (index, child) in self.0.iter_mut().enumerate() {
                match child.try_wait()? {
                    None => running = true,
                    Some(status) if status.success() => {}
                    Some(status) => {
                        let finished = bands.at(index).finished().load(Relaxed);
                        return Err(format!("worker {index} ended after {finished} steps, with {status}").into());
                    }
                }
            }
            if !running {
                return Ok(());
            }
            let now = (0..bands.len()).map(|index| bands.at(index).finished().load(Relaxed)).sum();
            if now != sum {
                (moved, sum) = (Instant::now(), now);
            } else if moved.elapsed() > PATIENCE {
                return Err(format!("no worker has finished a step for {PATIENCE:?}").into());
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Both fail if it has ended already, and that is all that is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

// ---------------------------------------------------------------------------------------------------------- worker

fn worker(bands: &str, even: &str, odd: &str, index: &str) -> Result<()> {
    let bands = ShmArray::<Band>::open(bands)?;
    let grids = [ShmArray::<f64>::open(even)?, ShmArray::<f64>::open(odd)?];
    let [_, columns] = grids[0].shape()[..] else {
        return Err(format!("{even:?} is no grid of two dimensions").into());
    };
    let index: usize = index.parse()?;
    let band = bands.try_at(index)?;
    let (first, end) = (band.first_row().get() as usize, band.end_row().get() as usize);
    let neighbours = [index.checked_sub(1), Some(index + 1).filter(|&next| next < bands.len())];
    let parent = parent_id();

    // Shared memory is never lent as a slice, so rows are copied out and in. One row at a time they stay in the
    // first-level cache, which is 1.1 (size 512) to 1.5 (size 2048) times as fast as copying the whole band. A private
    // band of which only the edges are shared would be another 1.4 times as fast, but then nobody else could look at the
    // plate before the end.
    let [mut above, mut row, mut below, mut new] = [(); 4].map(|()| vec![0.0; columns]);
    for step in 0..band.steps().get() {
        for neighbour in neighbours.into_iter().flatten() {
            wait(neighbour, bands.at(neighbour), step, parent)?;
        }
        let (from, to) = if step.is_multiple_of(2) { (&grids[0], &grids[1]) } else { (&grids[1], &grids[0]) };
        from.copy_to_slice((first - 1) * columns, &mut above)?;
        from.copy_to_slice(first * columns, &mut row)?;
        for at in first..end {
            from.copy_to_slice((at + 1) * columns, &mut below)?;
            relax(&above, &row, &below, &mut new);
            to.copy_from_slice(at * columns, &new)?;
            (above, row, below) = (row, below, above);
        }
        band.finished().store(step + 1, Release); // pairs with the Acquire in `wait`
    }
    Ok(())
}

/// Waits until a neighbour has finished `steps`. Then its edge row is there to be read, and it no longer reads this
/// worker's row of the grid that is written next.
fn wait(neighbour: usize, band: BandView<'_>, steps: u64, parent: u32) -> Result<()> {
    let mut tries = 0_u32;
    let start = Instant::now();
    while band.finished().load(Acquire) < steps {
        tries = tries.saturating_add(1);
        match tries {
            0..1000 => hint::spin_loop(),
            1000..1100 => thread::yield_now(),
            _ if parent_id() != parent => return Err("the parent has died".into()),
            _ if start.elapsed() > PATIENCE => {
                return Err(format!("worker {neighbour} has not finished step {steps} within {PATIENCE:?}").into());
            }
            _ => thread::sleep(Duration::from_micros(50)),
        }
    }
    Ok(())
}

// --------------------------------------------------------------------------------------------------------- picture

/// Whether the picture can be written. Leaves what is in the file, in case the computation fails.
fn try_to_write(path: &Path) -> Result<()> {
    match OpenOptions::new().write(true).create(true).truncate(false).open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{}: {error}", path.display()).into()),
    }
}

fn write_picture(path: &Path, points: &[f64], size: usize) -> Result<()> {
    let is_png = path.extension().is_some_and(|extension| extension == "png");
    let outcome = if is_png { write_png(path, points, size) } else { write_pgm(path, points, size) };
    outcome.map_err(|error| format!("{}: {error}", path.display()).into())
}

fn write_png(path: &Path, points: &[f64], size: usize) -> Result<()> {
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), size.try_into()?, size.try_into()?);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&points.iter().flat_map(|&point| colour(point)).collect::<Vec<u8>>())?;
    Ok(writer.finish()?)
}

fn write_pgm(path: &Path, points: &[f64], size: usize) -> Result<()> {
    let mut content = format!("P5\n{size} {size}\n255\n").into_bytes();
    content.extend(points.iter().map(|point| (point / HOT * 255.0).round() as u8));
    Ok(fs::write(path, content)?)
}

/// From black over purple and orange to pale yellow.
fn colour(temperature: f64) -> [u8; 3] {
    const MAP: [[f64; 3]; 6] = [
        [0.0, 0.0, 4.0],
        [66.0, 10.0, 104.0],
        [147.0, 38.0, 103.0],
        [221.0, 81.0, 58.0],
        [252.0, 165.0, 10.0],
        [252.0, 255.0, 164.0],
    ];
    let place = (temperature / HOT).clamp(0.0, 1.0) * (MAP.len() - 1) as f64;
    let step = (place as usize).min(MAP.len() - 2);
    let part = place - step as f64;
    std::array::from_fn(|i| (MAP[step][i] + part * (MAP[step + 1][i] - MAP[step][i])).round() as u8)
}

// ----------------------------------------------------------------------------------------------------- command line

/// What to compute.
struct Plan {
    picture: PathBuf,
    size: usize,
    steps: u64,
    processes: usize,
}

impl Plan {
    fn parse(arguments: &[OsString]) -> Result<Self> {
        let (mut picture, mut size, mut steps, mut processes) = (None, 512, 2000, 2);
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments.next().ok_or(format!("{} needs a number", argument.display()))?;
                let number = value.to_str().and_then(|value| value.parse::<u32>().ok());
                number.ok_or(format!("{} cannot be {value:?}", argument.display()))
            };
            match argument.to_str() {
                Some("--size") => size = number()? as usize,
                Some("--steps") => steps = number()?.into(),
                Some("--processes") => processes = number()? as usize,
                Some(option) if option.starts_with('-') => return Err(format!("there is no option {option:?}").into()),
                _ if picture.is_some() => return Err(format!("one picture is enough, {argument:?} is too much").into()),
                _ => picture = Some(PathBuf::from(argument)),
            }
        }
        let picture = picture.ok_or("say where to write the picture")?;
        if !picture.extension().is_some_and(|extension| extension == "png" || extension == "pgm") {
            return Err(format!("{picture:?} ends neither in .png nor in .pgm").into());
        }
        if !(16..=4096).contains(&size) {
            return Err(format!("--size {size} is not between 16 and 4096").into());
        }
        if !(1..=64.min(size - 2)).contains(&processes) {
            return Err(format!("--processes {processes} is not between 1 and {}", 64.min(size - 2)).into());
        }
        Ok(Self { picture, size, steps, processes })
    }
}
