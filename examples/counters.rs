//! Several processes count in one struct of atomics; one of them is killed in the middle, and no count is lost.
//!
//! ```text
//! cargo run --release --example counters
//! ```
//!
//! The struct is a `ShmBox<Counters>`. Each worker process, which is this program again with the box's *name* as its
//! argument, adds to a total and to a number of its own, over and over. After a while the parent kills one of them with
//! SIGKILL and starts another in its place, which goes on where the dead one stopped: an atomic has its old value or its new
//! one, whenever a process dies. Two atomics are not one, though: the dead worker may have added to its own number and not
//! yet to the total. The last lines say whether it had.

use shmtypes::{ShmBox, ShmEvent, ShmLayout};
use std::error::Error;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const WORKERS: usize = 3;
/// Which of them is killed.
const VICTIM: usize = 1;
/// How far each worker counts.
const GOAL: u64 = 2_000_000;
/// How long to wait for anything at all. A worker that has not got there by then is taken for dead.
const PATIENCE: Duration = Duration::from_secs(30);

/// What all processes share.
#[derive(ShmLayout)]
#[repr(C)]
struct Counters {
    total: AtomicU64,
    /// What each worker has added.
    by_worker: [AtomicU64; WORKERS],
    /// Told when a worker is halfway, and when it is at its goal.
    progress: ShmEvent,
    unused: [u8; 4],
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        [] => run(),
        ["--worker", name, number] => work(name, number),
        _ => Err("usage: counters".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("counters: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result {
    let counters = ShmBox::<Counters>::create()?;
    println!("{WORKERS} processes count to {GOAL} each, in {:?}.", counters.name());
    let mut workers = (0..WORKERS).map(|number| Worker::start(counters.name(), number)).collect::<Result<Vec<_>>>()?;

    wait_until(&counters, "worker halfway", |view| view.by_worker().at(VICTIM).load(Acquire) >= GOAL / 2)?;
    let signal = workers[VICTIM].kill()?;
    let reached = counters.view().by_worker().at(VICTIM).load(Acquire);
    match signal {
        Some(signal) => println!("Worker {VICTIM} was killed by signal {signal} at {reached}."),
        None => println!("Worker {VICTIM} was at its goal before it could be killed."),
    }

    workers[VICTIM] = Worker::start(counters.name(), VICTIM)?;
    println!("Another process goes on in its place.");
    wait_until(&counters, "end of all workers", all_at_their_goals)?;
    for worker in workers {
        worker.end()?;
    }

    let view = counters.view();
    let by_worker: Vec<u64> = (0..WORKERS).map(|number| view.by_worker().at(number).load(Acquire)).collect();
    let (sum, total) = (by_worker.iter().sum::<u64>(), view.total().load(Acquire));
    println!("By worker: {by_worker:?}, together {sum}; the total says {total}.");
    match sum - total {
        0 => println!("The dead worker was not between its two additions."),
        1 => println!(
            "The dead worker had made one of its two additions: what belongs together in two fields needs a lock."
        ),
        lost => return Err(format!("{lost} counts are lost").into()),
    }
    Ok(())
}

fn all_at_their_goals(view: CountersView<'_>) -> bool {
    (0..WORKERS).all(|number| view.by_worker().at(number).load(Acquire) >= GOAL)
}

/// Waits for notifications until `reached` holds.
fn wait_until(counters: &ShmBox<Counters>, what: &str, reached: impl Fn(CountersView<'_>) -> bool) -> Result {
    let deadline = Instant::now() + PATIENCE;
    let view = counters.view();
    let mut seen = view.progress().count();
    while !reached(view) {
        seen = view.progress().wait_changed(seen, deadline).map_err(|error| format!("no {what}: {error}"))?;
    }
    Ok(())
}

fn work(name: &str, number: &str) -> Result {
    let number: usize = number.parse()?;
    let counters = ShmBox::<Counters>::open(name)?;
    let view = counters.view();
    let own = view.by_worker().try_at(number).ok_or("there is no such worker")?;
    // From where a predecessor stopped.
    while own.load(Relaxed) < GOAL {
        let count = own.fetch_add(1, Release) + 1;
        view.total().fetch_add(1, Release);
        if count == GOAL / 2 {
            view.progress().notify();
        }
    }
    view.progress().notify();
    Ok(())
}

/// A worker process. Dropping it ends it.
struct Worker(Child);

impl Worker {
    fn start(name: &str, number: usize) -> Result<Self> {
        let program = std::env::current_exe()?;
        Ok(Self(Command::new(program).args(["--worker", name, &number.to_string()]).spawn()?))
    }

    /// Kills it with SIGKILL, and says by which signal it ended.
    fn kill(&mut self) -> Result<Option<i32>> {
        self.0.kill()?;
        Ok(self.0.wait()?.signal())
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
