//! A manager: asking it, creating through it, ending it.

use crate::answerer::{Answerer, exchange};
use crate::measure::{Case, Log};
use crate::python::Python;
use crate::report::{NULL, REFERENCE, Report, Target};
use crate::{Fallible, scratch};
use shmtypes::compat::SharedMemory;
use shmtypes::manager::SharedMemoryManager;
use std::path::Path;
use std::time::Instant;

const ROUNDS: usize = 40;
const CALLS: u32 = 100;
const PAGE: usize = 4096;
const SEGMENTS: usize = 1000;
const REQUESTS: u32 = 100_000;

/// For every line with a number, has a manager of its own track a name so many times, and answers with the time of one in
/// nanoseconds, there and back.
const PYTHONS: &str = r#"
import sys, time
from multiprocessing.connection import Client
from multiprocessing.managers import SharedMemoryManager, dispatch
from multiprocessing.shared_memory import SharedMemory
if __name__ == "__main__":
    manager = SharedMemoryManager(authkey=b"sekrit")
    manager.start()
    block = SharedMemory(sys.argv[1], create=True, size=4096)
    print("%d.%d.%d" % sys.version_info[:3], flush=True)
    for line in sys.stdin:
        count = int(line)
        start = time.perf_counter_ns()
        for _ in range(count):
            connection = Client(manager.address, authkey=b"sekrit")
            try:
                dispatch(connection, None, "track_segment", (sys.argv[1],))
            finally:
                connection.close()
        print((time.perf_counter_ns() - start) / count, flush=True)
    block.close()
    block.unlink()
    # The manager has tracked a name many times that is gone: it cannot be asked to end.
    manager._process.terminate()
    manager._process.join()
"#;

pub(super) fn measure(report: &mut Report) -> Fallible {
    calls(report)?;
    creations(report)?;
    endings(report)?;
    memory(report)
}

/// Nanoseconds for one of `count` calls, by the clock: most of it is spent in other processes.
fn wall(count: u32, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..count {
        call();
    }
    start.elapsed().as_nanos() as f64 / f64::from(count)
}

fn calls(report: &mut Report) -> Fallible {
    let manager = SharedMemoryManager::start()?;
    let block = SharedMemory::create_named(&scratch::name(), PAGE)?;
    let mut track = || wall(CALLS, || manager.track(block.name()).expect("the manager answers"));
    let answerer = Answerer::start()?;
    let connected = || wall(CALLS, || exchange(&answerer.connect()));
    let (mut first, mut second) = (connected, connected);
    let mut python = Python::start(PYTHONS);
    let mut python_run = || match &mut python {
        Ok(python) => python.ask(&CALLS.to_string()).unwrap_or(f64::NAN),
        Err(_) => f64::NAN,
    };
    let mut log = Log::default();
    for _ in 0..=ROUNDS {
        let mut cases: [Case<'_>; 4] =
            [(REFERENCE, &mut first), (NULL, &mut second), ("track", &mut track), ("python", &mut python_run)];
        log.round(&mut cases);
    }
    report.row("`track_segment` against connecting and one exchange over a Unix socket", Target::Shown, &log, "track");
    let what = "`track_segment`, against a Python client of a Python manager";
    match &python {
        Ok(python) => {
            let what = format!("{what}, {}", python.version);
            report.row_against(&what, Target::AtLeast(10.0), &log, "track", "python", "");
        }
        Err(error) => report.absent(what, &error.to_string()),
    }
    Ok(())
}

fn creations(report: &mut Report) -> Fallible {
    let manager = SharedMemoryManager::start()?;
    let answerer = Answerer::start()?;
    // Removing them is off the clock, on both sides.
    let direct = || {
        let mut blocks = Vec::new();
        let time = wall(CALLS, || {
            blocks.push(SharedMemory::create(PAGE).expect("there is room"));
            exchange(&answerer.connect());
        });
        blocks.iter().for_each(|block| block.unlink().expect("it is there"));
        time
    };
    let (mut first, mut second) = (direct, direct);
    let mut managed = || {
        let mut blocks = Vec::new();
        let time = wall(CALLS, || blocks.push(manager.shared_memory(PAGE).expect("there is room")));
        blocks.iter().for_each(|block| manager.release(block.name()).expect("it is there"));
        time
    };
    let mut typed = || {
        let mut arrays = Vec::new();
        let time = wall(CALLS, || arrays.push(manager.array::<u8>(PAGE).expect("there is room")));
        arrays.iter().for_each(|array| manager.release(array.name()).expect("it is there"));
        time
    };
    let mut log = Log::default();
    for _ in 0..=ROUNDS {
        let mut cases: [Case<'_>; 4] =
            [(REFERENCE, &mut first), (NULL, &mut second), ("block", &mut managed), ("array", &mut typed)];
        log.round(&mut cases);
    }
    let what = "a block of 4 KiB by the manager, against creating it, connecting, and one exchange";
    report.row(what, Target::AtMost(3.0), &log, "block");
    report.row("an array of 4 KiB by the manager, against the same", Target::Shown, &log, "array");
    Ok(())
}

fn endings(report: &mut Report) -> Fallible {
    let blocks =
        || -> Vec<SharedMemory> { (0..SEGMENTS).map(|_| SharedMemory::create(PAGE).expect("there is room")).collect() };
    let unlink = || {
        let blocks = blocks();
        let start = Instant::now();
        blocks.iter().for_each(|block| block.unlink().expect("it is there"));
        start.elapsed().as_nanos() as f64
    };
    let (mut first, mut second) = (unlink, unlink);
    let mut shutdown = || {
        let manager = SharedMemoryManager::start().expect("it starts");
        let blocks = blocks();
        blocks.iter().for_each(|block| manager.track(block.name()).expect("it answers"));
        // By a client, which does not wait for the end of the process.
        let key = manager.authkey().as_bytes();
        let client = SharedMemoryManager::connect(manager.address(), key).expect("it answers");
        let start = Instant::now();
        client.shutdown().expect("it answers");
        start.elapsed().as_nanos() as f64
    };
    let mut owners = || {
        let manager = SharedMemoryManager::start().expect("it starts");
        let blocks = blocks();
        blocks.iter().for_each(|block| manager.track(block.name()).expect("it answers"));
        let start = Instant::now();
        manager.shutdown().expect("it answers");
        start.elapsed().as_nanos() as f64
    };
    let mut log = Log::default();
    for _ in 0..=10 {
        let mut cases: [Case<'_>; 4] =
            [(REFERENCE, &mut first), (NULL, &mut second), ("client", &mut shutdown), ("owner", &mut owners)];
        log.round(&mut cases);
    }
    let what = format!("shutdown of {SEGMENTS} blocks of 4 KiB, against unlinking them in a loop");
    report.row(&what, Target::AtMost(2.0), &log, "client");
    report.row("the same, and the end of the manager's process", Target::Shown, &log, "owner");
    Ok(())
}

fn memory(report: &mut Report) -> Fallible {
    let manager = SharedMemoryManager::start()?;
    let block = manager.shared_memory(PAGE)?;
    let pid = manager.process_id().ok_or("it was started here")?;
    let ask = |count: u32| -> Fallible {
        for _ in 0..count {
            manager.track(block.name())?;
        }
        Ok(())
    };
    ask(REQUESTS / 100)?;
    let before = resident(pid)?;
    ask(REQUESTS)?;
    let after = resident(pid)?;
    let measured = format!("{before} KiB before, {after} KiB after");
    // What the kernel counts is a little behind.
    report.count(
        &format!("resident memory of a manager over {REQUESTS} requests"),
        "flat",
        &measured,
        after <= before + 128,
    );
    Ok(())
}

fn resident(pid: u32) -> Fallible<u64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
