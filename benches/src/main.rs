//! Measures the library against its peers, and prints one table.
//!
//! `cargo run --release` measures everything, `cargo run --release -- attach create` some groups. `-- soak` looks for torn
//! values, and runs only by its name.
//!
//! Rules:
//!
//! 1. A figure is a *ratio within one run*: the cases of a row take turns, in a new order each round, and each round
//!    gives one ratio. Times of different runs are never compared.
//! 2. Every row has a null control: the reference measured twice, in turn with the rest. What it is away from 1 is
//!    noise.
//! 3. A peer that cannot be run is a row that says so.
//! 4. The measuring process is a child. Its parent removes what it leaves in /dev/shm, however it ends.

mod answerer;
mod appender;
mod contest;
mod echo;
mod groups;
mod helper;
mod kernels;
mod measure;
mod protocol;
mod pthread;
mod python;
mod raw;
mod report;
mod scratch;
mod snapshots;

use report::Report;
use std::process::ExitCode;

type Fallible<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    // The managers that are measured are this program, started again.
    shmtypes::manager::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        [helper::HOLD, name, count] => helper::hold(name, count),
        [helper::DESCRIPTORS] => helper::many_segments(),
        [answerer::ANSWER, path] => answerer::answer(path),
        [appender::APPEND, name, count] => appender::append(name, count),
        [contest::CONTEND, name] => contest::contend(name),
        [echo::ECHO, kind, name] => echo::answer(kind, name),
        [scratch::WORKER, groups @ ..] => measure_all(groups),
        groups => return scratch::supervise(groups),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure_all(wanted: &[&str]) -> Fallible {
    for name in wanted {
        let mut known = groups::ALL.iter().chain(groups::ON_REQUEST);
        if known.all(|(known, _)| known != name) {
            let known = groups::ALL.iter().chain(groups::ON_REQUEST);
            let known: Vec<&str> = known.map(|(name, _)| *name).collect();
            return Err(format!("no group is called {name:?}; there are {}", known.join(", ")).into());
        }
    }
    let mut report = Report::start();
    let usual = groups::ALL.iter().filter(|(name, _)| wanted.is_empty() || wanted.contains(name));
    for (name, group) in usual.chain(groups::ON_REQUEST.iter().filter(|(name, _)| wanted.contains(name))) {
        eprintln!("measuring: {name}");
        report.begin(name);
        group(&mut report)?;
    }
    report.finish();
    Ok(())
}
