//! The other process of the tests of `ShmList`: stores, counts or scribbles, until it is told otherwise or killed.

use shmtypes::ShmList;
use shmtypes_tests::shm_lists::{Data, pattern};
use std::fs::OpenOptions;
use std::io::stdin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["churn", name, first] => churn(&open(name), first.parse().expect("a number")),
        ["count", name, times] => count(&open(name), times.parse().expect("a number")),
        ["scribble", path, seed] => scribble(path, seed.parse().expect("a seed")),
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        ["step", name, "int", value] => step(&open(name), value.parse::<i64>().expect("a number")),
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        ["step", name, "text", value] => step(&open(name), *value),
        other => panic!("unknown arguments {other:?}"),
    }
}

fn open(name: &str) -> ShmList {
    ShmList::open(name).expect("attach")
}

/// Long texts, one after the other, until it is killed.
fn churn(list: &ShmList, first: u64) {
    println!("ready");
    for number in first.. {
        list.set(0, pattern(number)).expect("store");
    }
}

/// Counts up, half the time by one call and half the time by exchanging.
fn count(list: &ShmList, times: u64) {
    println!("ready");
    let mut line = String::new();
    stdin().read_line(&mut line).expect("the word to go");
    for time in 0..times {
        if time.is_multiple_of(2) {
            list.fetch_add(0, 1).expect("add");
            continue;
        }
        let mut seen = 0;
        while let Err(found) = list.compare_exchange(0, seen, seen + 1).expect("exchange") {
            seen = found;
        }
    }
}

/// Random words anywhere in the data, or words that mean something in a record, and now and then what was there at first.
fn scribble(path: &str, seed: u64) {
    static OVER: AtomicBool = AtomicBool::new(false);
    std::thread::spawn(|| {
        let mut line = String::new();
        while stdin().read_line(&mut line).expect("read input") > 0 {}
        OVER.store(true, Relaxed);
    });
    let data = Data::of(OpenOptions::new().read(true).write(true).open(path).expect("open the file"));
    let original = data.read_all();
    // xorshift64 (Marsaglia 2003): any sequence that reaches everything will do.
    let mut state = seed | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    println!("ready");
    while !OVER.load(Relaxed) {
        let value = match random() % 4 {
            0 => random(),
            1 => (random() % 8) | ((random() % 64) << 32),
            2 => 1 << (random() % 64),
            _ => random() % (2 * data.words),
        };
        data.write(random(), value);
        for _ in 0..4 {
            let healed = random() % data.words;
            data.write(healed, original[healed as usize]);
        }
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn step(list: &ShmList, value: impl shmtypes::compat::list::AsValue) {
    shmtypes_tests::single_step::traced(|| list.set(0, value)).expect("store");
}
