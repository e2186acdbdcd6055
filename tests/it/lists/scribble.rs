//! A process that scribbles over live blocks while every operation of this one runs on them.
//!
//! A few hundred rounds by default; as many seconds as SHMTYPES_SOAK says, if it says so. What the calls took is
//! printed, and nothing asserts it.

use super::LISTS;
use shmtypes::compat::{Dialect, ListError, NdArray, ShareableList, SharedMemory, Value, ValueRef};
use shmtypes::{Error, ErrorKind, ShmLayout, ShmView};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;
use shmtypes_tests::world;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

const ROUNDS: u64 = 300;

/// What happened to the calls.
#[derive(Default)]
struct Calls {
    good: u64,
    refused: u64,
    longest: BTreeMap<&'static str, Duration>,
}

impl Calls {
    fn call<T>(&mut self, name: &'static str, call: impl FnOnce() -> Result<T, Error>) -> Option<T> {
        let start = Instant::now();
        let result = call();
        let longest = self.longest.entry(name).or_default();
        *longest = (*longest).max(start.elapsed());
        match result {
            Ok(value) => {
                self.good += 1;
                Some(value)
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                self.refused += 1;
                None
            }
        }
    }
}

/// Repeats `round` while `count` processes scribble over the block of this name, and prints what came of it.
fn beside_scribblers(what: &str, name: &str, count: u64, mut round: impl FnMut(&mut Calls)) {
    let soak = std::env::var("SHMTYPES_SOAK").ok().map(|seconds| seconds.parse().expect("SHMTYPES_SOAK is seconds"));
    let mut peers: Vec<Peer> =
        (1..=count).map(|seed| Peer::start(LISTS, &["scribble", name, &(seed * 0x9e37_79b9).to_string()])).collect();
    for peer in &mut peers {
        peer.expect_line("ready");
    }
    let (start, mut rounds, mut calls) = (Instant::now(), 0, Calls::default());
    while soak.map_or(rounds < ROUNDS, |seconds| start.elapsed() < Duration::from_secs(seconds)) {
        round(&mut calls);
        rounds += 1;
    }
    let seconds = start.elapsed();
    let mut stores = 0;
    for peer in &mut peers {
        peer.close_input();
        stores += peer.line().expect("a count").parse::<u64>().expect("a count");
        assert!(peer.wait().success());
    }
    let slowest = calls.longest.iter().max_by_key(|(_, longest)| **longest).expect("a call");
    println!(
        "{what}: {seconds:.1?}, {rounds} rounds, {} calls gave a value, {} an error, {stores} stores of the peers, \
         slowest call {} with {:.1?}",
        calls.good, calls.refused, slowest.0, slowest.1
    );
    assert!(calls.good > 0 && calls.refused > 0, "the peers reach both sides");
}

fn values() -> Vec<Value> {
    let long = "a longer text, \u{e9}\u{20ac}\u{1f600} ".repeat(8);
    (0..40)
        .map(|index| match index % 6 {
            0 => Value::Int(index),
            1 => Value::Float(0.5),
            2 => Value::Str(long.clone()),
            3 => Value::Bytes(vec![7; 90]),
            4 => Value::None,
            _ => Value::Bool(true),
        })
        .collect()
}

fn use_list(list: &ShareableList, size: usize, calls: &mut Calls) {
    let mut scratch = Vec::new();
    let check = |value: ValueRef<'_>| match value {
        ValueRef::Str(text) => assert!(text.len() <= size && std::str::from_utf8(text.as_bytes()).is_ok()),
        ValueRef::Bytes(bytes) => assert!(bytes.len() <= size),
        other => drop(black_box(other.to_value())),
    };
    let len = list.len() as isize;
    for index in [0, 1, 2, 3, -1, -2, len, -len - 1, isize::MIN] {
        calls.call("get", || list.get(index).inspect(|value| check(value.as_ref())));
        calls.call("get_ref", || list.get_ref(index, &mut scratch).map(check));
        for value in
            [ValueRef::Int(1), ValueRef::Float(2.5), ValueRef::None, ValueRef::Str("t\u{fc}xt"), ValueRef::Bytes(b"b")]
        {
            calls.call("set_ref", || list.set_ref(index, value));
        }
        calls.call("set", || list.set(index, "x".repeat(120)));
    }
    calls.call("for_each", || list.for_each(|_, value| check(value)));
    for outcome in list.iter().chain(list.iter().rev()) {
        calls.call("iter", || outcome.map(|value| check(value.as_ref())));
    }
    if let Some(all) = calls.call("to_vec", || list.to_vec()) {
        assert_eq!(all.len(), list.len());
        assert!(bytes_of(&all) <= size, "more text than the block has bytes");
    }
    calls.call("count", || list.count(1.0));
    calls.call("index", || list.index("t\u{fc}xt"));
    calls.call("format", || list.format());
    calls.call("show", || Ok(black_box((list.to_string(), format!("{list:?}")))));
    calls.call("pickle", || ShareableList::from_pickle(&list.to_pickle(4)?));
}

fn bytes_of(values: &[Value]) -> usize {
    let bytes = |value: &Value| match value {
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    };
    values.iter().map(bytes).sum()
}

fn list_beside_scribblers(dialect: Dialect) {
    let scratch = Scratch::new();
    let name = scratch.name("list");
    let text = shmtypes::compat::list::Text::AsCPython;
    let list = ShareableList::options().name(&name).dialect(dialect).text(text).create(&values()).unwrap();
    let size = list.shared_memory().size();
    beside_scribblers(&format!("list {dialect:?}"), &name, 2, |calls| {
        assert_eq!(list.len(), values().len(), "the length is private");
        use_list(&list, size, calls);
        // Whatever it looks like now.
        if let Some(other) = calls.call("open", || ShareableList::open(&name)) {
            use_list(&other, size, calls);
        }
    });
}

// In processes of their own, so that a signal ends no other test.

#[test]
fn a_list_of_offsets() {
    world::inside::<&str>(&[], "lists::scribble::a_list_of_offsets", || list_beside_scribblers(Dialect::Portable));
}

#[test]
fn a_list_of_sizes() {
    world::inside::<&str>(&[], "lists::scribble::a_list_of_sizes", || list_beside_scribblers(Dialect::Py38));
}

#[derive(ShmLayout, Clone, Copy, Debug)]
#[repr(u8)]
enum State {
    Idle = 0,
    Done = 200,
}

#[derive(ShmLayout, Clone, Copy, Debug)]
#[repr(C)]
struct Job {
    letter: char,
    weight: NonZeroU16,
    state: State,
    open: bool,
}

#[test]
fn a_block_and_its_arrays() {
    world::inside::<&str>(&[], "lists::scribble::a_block_and_its_arrays", || {
        let scratch = Scratch::new();
        let name = scratch.name("block");
        let block = SharedMemory::create_named(&name, 800).unwrap();
        let jobs = NdArray::<Job>::open(&name, &[10, 10]).unwrap();
        let floats = NdArray::<f64>::open(&name, &[100]).unwrap();
        let flags = NdArray::<bool>::open(&name, &[800]).unwrap();
        let valid = Job { letter: 'x', weight: NonZeroU16::MIN, state: State::Done, open: true };
        for index in 0..jobs.len() {
            jobs.set(index, valid).unwrap();
        }
        beside_scribblers("block", &name, 1, |calls| {
            let mut bytes = [0; 100];
            for start in [0, 1, 700, 701, usize::MAX] {
                calls.call("bytes out", || block.copy_to_slice(start, &mut bytes));
                calls.call("bytes in", || block.copy_from_slice(start, &bytes[..9]));
            }
            calls.call("all bytes", || block.to_vec().inspect(|all| assert_eq!(all.len(), 800)));
            for index in [0, 50, 99, 100] {
                calls.call("job", || jobs.get(index).inspect(|job| drop(black_box(format!("{job:?}")))));
                calls.call("job's fields", || {
                    let view = jobs.try_at(index)?;
                    black_box((view.letter().try_get().ok(), view.state().try_get().ok(), view.open().try_get().ok()));
                    black_box(view.try_get().is_ok());
                    Ok(())
                });
                calls.call("store a job", || jobs.set(index, valid));
                calls.call("flag", || flags.get(index));
            }
            calls.call("jobs", || jobs.to_vec().inspect(|jobs| assert!(jobs.iter().all(|job| job.weight.get() > 0))));
            calls.call("blocks of jobs", || {
                jobs.fold_blocks(0, |sum, jobs| sum + jobs.iter().map(|job| job.letter as usize).sum::<usize>())
            });
            calls.call("flags", || flags.to_vec());
            let mut part = [valid; 7];
            calls.call("some jobs", || jobs.copy_to_slice(3, &mut part));
            calls.call("store some jobs", || jobs.copy_from_slice(3, &part));
            calls.call("numbers", || Ok(black_box((floats.sum()?, floats.min()?, floats.max()?))));
            calls.call("change numbers", || floats.map_in_place(|float| float + 1.0));
            calls.call("fill", || floats.fill(1.0));
            calls.call("open", || NdArray::<Job>::open(&name, &[100]));
        });
    });
}

/// A peer that moves the bounds of slots to and fro cannot have one text copied for every value.
#[test]
fn a_copy_of_a_list_is_never_larger_than_its_block() {
    let scratch = Scratch::new();
    let list = ShareableList::options().name(scratch.name("list")).create(&vec!["x".repeat(900); 2]).unwrap();
    let block = list.shared_memory();
    // Each text as long as both slots, which is what the bounds will say.
    for index in 0..2 {
        for (at, byte) in (0..).zip(*b"1808s\0\0\0") {
            block.set(block.size() - 18 + 8 * index + at, byte).unwrap();
        }
    }
    let mut peer = Peer::start(LISTS, &["bounds", list.name()]);
    peer.expect_line("ready");
    // The text stands still, so that nothing else makes a value busy.
    let is_too_much = |error: &Error| matches!(error.kind(), ErrorKind::List(ListError::Busy { index: 1 }));
    let (mut copies, mut refused) = (0, 0);
    while refused < 10 {
        match list.to_vec() {
            Ok(all) => assert!(bytes_of(&all) <= block.size(), "{} of {} bytes", bytes_of(&all), block.size()),
            Err(error) => refused += usize::from(is_too_much(&error)),
        }
        copies += 1;
        assert!(copies < 100_000_000, "the peer was never met");
    }
    println!("{copies} copies, {refused} refused as larger than the block");
}
