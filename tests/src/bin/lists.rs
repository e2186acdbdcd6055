//! The other process of the tests of lists and blocks: stores values, or anything at all, into what another one uses.

use shmtypes::compat::memory::{Memory, MemoryMut};
use shmtypes::compat::{ShareableList, SharedMemory, Value};
use std::io::stdin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["scribble", name, seed] => scribble(&open(name), seed.parse().expect("a seed")),
        ["bounds", name] => bounds(&open(name)),
        ["numbers", name, first, second] => {
            numbers(name, first.parse().expect("a number"), second.parse().expect("a number"));
        }
        ["texts", name] => texts(name),
        ["kinds", name, progress] => kinds(name, &open(progress)),
        ["churn", name] => churn(name),
        other => panic!("unknown arguments {other:?}"),
    }
}

fn open(name: &str) -> SharedMemory {
    SharedMemory::open(name).expect("attach")
}

/// Says that the work begins, repeats it until the input closes, and says how often.
fn until_told(mut work: impl FnMut(u64)) {
    static OVER: AtomicBool = AtomicBool::new(false);
    std::thread::spawn(|| {
        let mut line = String::new();
        while stdin().read_line(&mut line).expect("read input") > 0 {}
        OVER.store(true, Relaxed);
    });
    println!("ready");
    let mut times = 0;
    while !OVER.load(Relaxed) {
        work(times);
        times += 1;
    }
    println!("{times}");
}

/// Random bytes anywhere, and random words where a list has its table, its formats, its codes and its values. Most of
/// the time most of the block is as it was, so that every check is reached.
fn scribble(block: &SharedMemory, seed: u64) {
    // xorshift64 (Marsaglia 2003): any sequence that reaches everything will do.
    let mut state = seed | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let original = block.to_vec().expect("copy");
    let size = original.len() as u64;
    let count = block.read_word(0).min(size / 17);
    let texts: Vec<u64> =
        ["q", "d", "xxxxxxx?", "xxxxxx?x", "8s", "0s", "16s", "104s", "9999999s", "99999999", "s", "-8s", "\u{ff}"]
            .iter()
            .map(|text| {
                let mut word = [0; 8];
                word[..text.len().min(8)].copy_from_slice(&text.as_bytes()[..text.len().min(8)]);
                u64::from_ne_bytes(word)
            })
            .collect();
    until_told(|_| {
        let edges = [0, 1, 8, 16, 24, 1 << 20, 1 << 62, u64::MAX, i64::MIN as u64, size, count, random() % (2 * size)];
        let word = match random() % 4 {
            0 => random(),
            1 => texts[random() as usize % texts.len()],
            _ => edges[random() as usize % edges.len()],
        };
        // The table in front, the formats and codes behind, or anywhere.
        let at = match random() % 4 {
            0 => 8 * (random() % (count + 2)),
            1 => (size - 9 * count).saturating_add(8 * (random() % (count + 1))),
            2 => size - 1 - random() % count.max(1),
            _ => random() % size,
        };
        let at = at.min(size - 1) as usize;
        if random().is_multiple_of(2) && at + 8 <= original.len() {
            block.write_word(at, word);
        } else {
            block.write_byte(at, [0, 1, 2, 3, 4, 0xff, word as u8][random() as usize % 7]);
        }
        let healed = (random() % size) as usize;
        block.write(healed, &original[healed..(healed + 64).min(original.len())]);
    });
}

/// Moves the bounds of all slots to and fro, so that each of them seems to hold all bytes.
fn bounds(block: &SharedMemory) {
    let count = block.read_word(0) as usize;
    let all = block.read_word(8 * (count + 1));
    until_told(|times| {
        for index in 0..count {
            block.write_word(8 * (index + 1), if (index as u64 + times).is_multiple_of(2) { 0 } else { all });
        }
    });
}

/// Two numbers by turns, at index 0.
fn numbers(name: &str, first: i64, second: i64) {
    let list = ShareableList::open(name).expect("attach");
    until_told(|times| {
        let number = if times.is_multiple_of(2) { first } else { second };
        list.set(0, number).expect("store");
        list.set(1, f64::from_bits(number.cast_unsigned())).expect("store");
    });
}

/// Text that says its number in every word, at index 0; never twice the same.
fn texts(name: &str) {
    let list = ShareableList::open(name).expect("attach");
    until_told(|times| list.set(0, format!("{times:07} ").repeat(12)).expect("store"));
}

/// Values of all kinds that say their number, at index 0, each after the reader has finished two reads: so no read meets
/// two stores, which could deceive it.
fn kinds(name: &str, progress: &SharedMemory) {
    let list = ShareableList::open(name).expect("attach");
    until_told(|times| {
        let number = times as i64;
        let value = match times % 5 {
            0 => Value::Int(number),
            1 => Value::Float(number as f64),
            2 => Value::Str(format!("{number:07} ").repeat(12)),
            3 => Value::Bytes(format!("{number:07} ").repeat(5).into_bytes()),
            _ => Value::Str(format!("{number:07} ")),
        };
        list.set_ref(0, value.as_ref()).expect("store");
        let reads = progress.read_word(0);
        // The reader goes on until it closes the input, and then gives way by moving its count out of reach.
        while progress.read_word(0) < reads.saturating_add(2) && progress.read_word(0) != u64::MAX {
            std::hint::spin_loop();
        }
    });
}

/// The values of `churn`, which the test knows too, until it is killed.
fn churn(name: &str) {
    let list = ShareableList::open(name).expect("attach");
    println!("ready");
    loop {
        for value in shmtypes_tests::stores::churned() {
            list.set_ref(0, value.as_ref()).expect("store");
        }
    }
}
