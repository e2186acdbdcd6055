//! Reading beside one Rust process that writes.

use super::LISTS;
use shmtypes::compat::memory::MemoryMut;
use shmtypes::compat::{ListError, ShareableList, SharedMemory, Value};
use shmtypes::{Error, ErrorKind};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;

const READS: usize = 1_000_000;

/// More reads than any machine needs to meet its peer a few times; beyond them the test fails.
const LIMIT: usize = 1_000 * READS;

fn is_busy(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::List(ListError::Busy { index: 0 }))
}

/// The number that a value says, which is the same in all its words.
fn number(value: &Value) -> u64 {
    let text = match value {
        Value::Int(int) => return int.cast_unsigned(),
        Value::Float(float) => return *float as u64,
        Value::Str(text) => text.as_bytes(),
        Value::Bytes(bytes) => bytes,
        other => panic!("{other:?} was never stored"),
    };
    let word = &text[..8.min(text.len())];
    assert!(text.chunks(8).all(|other| other == word), "mixed: {value:?}");
    std::str::from_utf8(word).ok().and_then(|word| word.trim().parse().ok()).unwrap_or_else(|| panic!("{value:?}"))
}

#[test]
fn numbers_of_one_kind_are_never_torn() {
    let scratch = Scratch::new();
    let (first, second) = (0x0123_4567_89ab_cdef_i64, -0x0123_4567_89ab_cdef_i64);
    let list = ShareableList::options().name(scratch.name("list"));
    let list = list.create(&[Value::Int(first), Value::Float(f64::from_bits(first.cast_unsigned()))]).unwrap();
    let mut peer = Peer::start(LISTS, &["numbers", list.name(), &first.to_string(), &second.to_string()]);
    peer.expect_line("ready");
    let (mut reads, mut changes, mut last) = (0, 0, first);
    while reads < READS || changes < 100 {
        let Value::Int(int) = list.get(0).unwrap() else { panic!("no int") };
        let Value::Float(float) = list.get(1).unwrap() else { panic!("no float") };
        for seen in [int, float.to_bits().cast_signed()] {
            assert!(seen == first || seen == second, "{seen:#x}");
        }
        changes += usize::from(int != last);
        last = int;
        reads += 2;
        assert!(reads < LIMIT, "the writer was never met");
    }
    peer.close_input();
    println!("{reads} reads, {changes} changes seen, {:?} stores", peer.line());
}

#[test]
fn text_over_text_is_seen_whole_or_busy() {
    let scratch = Scratch::new();
    let list = ShareableList::options().name(scratch.name("list")).create(&["0000000 ".repeat(12)]).unwrap();
    let mut peer = Peer::start(LISTS, &["texts", list.name()]);
    peer.expect_line("ready");
    let (mut reads, mut changes, mut busy, mut last) = (0, 0, 0, 0);
    while reads < READS / 2 || changes < 100 {
        match list.get(0) {
            Ok(value) => {
                let seen = number(&value);
                assert!(seen >= last, "{seen} after {last}");
                changes += usize::from(seen != last);
                last = seen;
            }
            Err(error) => {
                assert!(is_busy(&error), "{error}");
                busy += 1;
            }
        }
        reads += 1;
        assert!(reads < LIMIT, "the writer was never met");
    }
    peer.close_input();
    println!("{reads} reads, {busy} busy, {changes} changes seen, {:?} stores", peer.line());
}

#[test]
fn changes_of_kind_are_seen_whole_or_busy() {
    let scratch = Scratch::new();
    let list = ShareableList::options().name(scratch.name("list")).create(&["0000000 ".repeat(12)]).unwrap();
    let progress = SharedMemory::create_named(&scratch.name("progress"), 8).unwrap();
    let mut peer = Peer::start(LISTS, &["kinds", list.name(), progress.name()]);
    peer.expect_line("ready");
    let (mut reads, mut changes, mut busy, mut last) = (0, 0, 0, 0);
    while reads < READS / 2 || changes < 100 {
        match list.get(0) {
            Ok(value) => {
                let seen = number(&value);
                let kind = match (&value, seen % 5) {
                    (Value::Int(_), 0) | (Value::Float(_), 1) | (Value::Bytes(_), 3) => true,
                    (Value::Str(text), 2) => text.len() == 96,
                    (Value::Str(text), 4) => text.len() == 8,
                    // Before the first store.
                    (Value::Str(_), 0) => last == 0,
                    _ => false,
                };
                assert!(kind && seen >= last, "{value:?} after {last}");
                changes += usize::from(seen != last);
                last = seen;
            }
            Err(error) => {
                assert!(is_busy(&error), "{error}");
                busy += 1;
            }
        }
        reads += 1;
        progress.write_word(0, reads as u64);
        assert!(reads < LIMIT, "the writer was never met");
    }
    peer.close_input();
    progress.write_word(0, u64::MAX);
    println!("{reads} reads, {busy} busy, {changes} changes seen, {:?} stores", peer.line());
}
