//! The other process of the tests of locked arrays: does what its arguments say and reports by lines.
#![allow(
    unsafe_code,
    reason = "makes the promise that the tests keep, and writes to a mapping the library knows nothing of"
)]

use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use shmtypes::sync::LockResult;
use shmtypes::{AccessMode, Cooperative, Elements, ErrorKind};
use shmtypes::{LockedArray, LockedReadGuard, LockedWriteGuard, SliceReadGuard, SliceWriteGuard};
use shmtypes_tests::locks::{Random, outcome, slot_table};
use std::fs::File;
use std::hint::black_box;
use std::io::stdin;
use std::num::NonZeroUsize;
use std::time::Duration;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["talk", name] => talk(name),
        ["work", name, rounds] => work(name, number(rounds)),
        ["exercise", name, rounds] => exercise(name, number(rounds)),
        ["scribble", path, seed] => scribble(path, number(seed)),
        other => panic!("unknown arguments {other:?}"),
    }
}

fn number(word: &str) -> u64 {
    word.parse().expect("a number")
}

fn cooperative(name: &str) -> Cooperative<u64> {
    let array = LockedArray::open(name).expect("attach");
    // SAFETY: all processes of these tests, but for those that scribble, go through the lock; who scribbles is beside none that
    // calls this.
    unsafe { array.assume_cooperative() }
}

/// A lock that this process has taken.
enum Held<'a> {
    Read(SliceReadGuard<'a, u64>),
    Write(SliceWriteGuard<'a, u64>),
    SafeRead(LockedReadGuard<'a, u64>),
    SafeWrite(LockedWriteGuard<'a, u64>),
}

impl Held<'_> {
    fn get(&self) -> Vec<u64> {
        match self {
            Held::Read(guard) => guard.to_vec(),
            Held::Write(guard) => guard.to_vec(),
            Held::SafeRead(guard) => guard.to_vec().expect("copy"),
            Held::SafeWrite(guard) => guard.to_vec().expect("copy"),
        }
    }

    fn set(&mut self, index: usize, value: u64) {
        match self {
            Held::Write(guard) => guard[index] = value,
            Held::SafeWrite(guard) => guard.set(index, value).expect("store"),
            _ => panic!("a reader is told to write"),
        }
    }

    fn recover(self) -> Self {
        match self {
            Held::Write(guard) => Held::Write(guard.recover()),
            Held::SafeWrite(guard) => Held::SafeWrite(guard.recover()),
            _ => panic!("a reader is told to recover"),
        }
    }
}

/// Takes the lock and lets go of it as it is told, line by line.
fn talk(name: &str) {
    let slices = cooperative(name);
    let mut held: Option<Held<'_>> = None;
    println!("ready");
    for order in stdin().lines().map_while(Result::ok) {
        let words: Vec<&str> = order.split(' ').collect();
        let answer = match words.as_slice() {
            ["get"] => format!("{:?}", held.as_ref().expect("a lock").get()),
            ["set", index, value] => {
                held.as_mut().expect("a lock").set(number(index) as usize, number(value));
                "set".to_owned()
            }
            ["drop"] => {
                held = None;
                "dropped".to_owned()
            }
            ["recover"] => {
                held = held.map(Held::recover);
                "recovered".to_owned()
            }
            ["forked-calls"] => {
                forked_calls(held.as_ref().expect("a lock"));
                "forked".to_owned()
            }
            ["fork"] => {
                fork_with(&mut held, &slices);
                "forked".to_owned()
            }
            words => {
                drop(held.take());
                let (answer, taken) = take(&slices, words);
                held = taken;
                answer
            }
        };
        println!("{answer}");
    }
}

/// The child says which calls on many elements its copy of a safe guard does not refuse, and ends.
fn forked_calls(held: &Held<'_>) {
    // SAFETY: the process has one thread, so the child may do whatever the parent may.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            let mut allowed = Vec::new();
            match held {
                Held::SafeRead(guard) => bulk_reads(guard, &mut allowed),
                Held::SafeWrite(guard) => {
                    bulk_reads(guard, &mut allowed);
                    note("fill", guard.fill(3), &mut allowed);
                    note("copy_from_slice", guard.copy_from_slice(0, &[3]), &mut allowed);
                    note("map_in_place", guard.map_in_place(|_| 3), &mut allowed);
                }
                _ => panic!("of safe guards only"),
            }
            println!("child {allowed:?}");
            std::process::exit(0);
        }
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
        }
    }
}

fn bulk_reads<M: AccessMode>(elements: &Elements<u64, M>, allowed: &mut Vec<&str>) {
    note("to_vec", elements.to_vec(), allowed);
    note("copy_to_slice", elements.copy_to_slice(0, &mut [0]), allowed);
    note("fold_blocks", elements.fold_blocks((), |(), _| ()), allowed);
    note("for_each_block", elements.for_each_block(|_| ()), allowed);
    note("sum", elements.sum(), allowed);
    note("dot", elements.dot(elements), allowed);
    note("max", elements.max(), allowed);
}

fn note<'a, R>(call: &'a str, outcome: shmtypes::Result<R>, allowed: &mut Vec<&'a str>) {
    match outcome {
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported { .. }) && error.segment().is_some() => {}
        _ => allowed.push(call),
    }
}

/// The child drops its copy of the guard, asks for the lock, and ends.
fn fork_with<'a>(held: &mut Option<Held<'a>>, slices: &'a Cooperative<u64>) {
    // SAFETY: the process has one thread, so the child may do whatever the parent may.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            drop(held.take());
            let safe: &LockedArray<u64> = slices;
            println!("child {} {}", outcome(&slices.try_write()), outcome(&safe.try_read()));
            std::process::exit(0);
        }
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
        }
    }
}

fn take<'a>(slices: &'a Cooperative<u64>, words: &[&str]) -> (String, Option<Held<'a>>) {
    let safe: &LockedArray<u64> = slices;
    let soon = |time: &str| Duration::from_millis(number(time));
    match words {
        ["read"] => judge(slices.read(), Held::Read),
        ["read", time] => judge(slices.read_until(soon(time)), Held::Read),
        ["try-read"] => judge(slices.try_read(), Held::Read),
        ["write"] => judge(slices.write(), Held::Write),
        ["write", time] => judge(slices.write_until(soon(time)), Held::Write),
        ["try-write"] => judge(slices.try_write(), Held::Write),
        ["safe-read"] => judge(safe.read(), Held::SafeRead),
        ["safe-read", time] => judge(safe.read_until(soon(time)), Held::SafeRead),
        ["safe-write"] => judge(safe.write(), Held::SafeWrite),
        ["safe-write", time] => judge(safe.write_until(soon(time)), Held::SafeWrite),
        other => panic!("unknown order {other:?}"),
    }
}

fn judge<'a, G>(result: LockResult<G>, held: impl FnOnce(G) -> Held<'a>) -> (String, Option<Held<'a>>) {
    (outcome(&result), result.map_or_else(|error| error.into_guard(), Some).map(held))
}

/// Counts all elements up, one after the other, so often; then ends.
fn work(name: &str, rounds: u64) {
    let slices = cooperative(name);
    println!("ready");
    for _ in 0..rounds {
        let mut guard = slices.write().expect("lock");
        let first = guard[0];
        for value in guard.iter_mut() {
            assert_eq!(*value, first, "somebody else wrote in between");
            // In memory one by one, so that a look that is not kept out can fall in between.
            *black_box(value) += 1;
        }
    }
    println!("done");
}

/// Makes every call that takes the lock, and says so after each round.
fn exercise(name: &str, rounds: u64) {
    let array = LockedArray::<u64>::open(name).expect("attach");
    let soon = Duration::from_millis(1);
    println!("ready");
    for round in 0..rounds {
        let taken = [
            is_taken(array.try_read()),
            is_taken(array.try_write()),
            is_taken(array.read_until(soon)),
            is_taken(array.write_until(soon)),
            is_taken(array.read()),
            is_taken(array.write()),
        ];
        let calls = [array.get(0).is_ok(), array.set(0, 1).is_ok(), array.to_vec().is_ok()];
        black_box((taken, calls, array.is_poisoned()));
        println!("round {round}");
    }
}

/// Whether the lock was taken; it is let go of again.
fn is_taken<G>(result: LockResult<G>) -> bool {
    result.map_or_else(|error| error.into_guard(), Some).is_some()
}

/// Writes nonsense into the words of the lock until it is killed.
fn scribble(path: &str, seed: u64) {
    let file = File::options().read(true).write(true).open(path).expect("open the segment's file");
    let bytes = NonZeroUsize::new(file.metadata().expect("its length").len() as usize).expect("not empty");
    let table = slot_table(&file) as usize;
    // The writer's word, and the counts of as many slots as somebody may have (docs/format.md).
    let places = [table - 640 + 64, table - 512, table - 504, table - 496];
    // SAFETY: new address space, at an address that the kernel chooses.
    let start =
        unsafe { mmap(None, bytes, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED, &file, 0) };
    let words = start.expect("map the segment's file").cast::<u64>().as_ptr();
    let mut random = Random::new(seed);
    println!("ready");
    loop {
        for _ in 0..random.below(200) {
            std::hint::spin_loop();
        }
        let place = places[random.below(places.len() as u64) as usize];
        let word = match random.below(4) {
            0 => random.next_number(),
            1 => 0,
            // A name that could be somebody's, with flags.
            _ => 1 << 32 | random.below(8) << 28 | random.below(4),
        };
        // SAFETY: aligned and inside the mapping, as the header says, which nobody scribbles on here.
        unsafe { words.wrapping_add(place / 8).write_volatile(word) };
    }
}
