//! Cells inside one process, on whatever plays the operating system.
#![allow(unsafe_code, reason = "reaches the words of a cell by their offsets")]

use super::protocol::LOSSES;
use super::{BuffersMut, SeqCell};
use crate::layout::{Guard, Kind};
use crate::{Error, ErrorKind, ReadWrite, ShmBox, ShmLayout, ShmRef};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

type Words = [u64; 8];

fn words(number: u64) -> Words {
    [number; 8]
}

fn is_whole(words: &Words) -> bool {
    words.iter().all(|word| *word == words[0])
}

fn timed_out(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut { waited_for: "a store" })
}

/// What a cell of two buffers looks like from outside: its places, by the layout that the format fixes.
fn word<const K: usize>(cell: ShmRef<'_, SeqCell<Words, K>, ReadWrite>, offset: usize) -> ShmRef<'_, AtomicU64> {
    // SAFETY: the places of the lock, `current` and the versions.
    unsafe { cell.part(offset) }
}
const LOCK: usize = 0;
const CURRENT: usize = 8;
const fn version(buffer: usize) -> usize {
    24 + buffer * (8 + size_of::<Words>())
}

#[test]
fn zeroed_memory_is_a_cell_that_holds_zero() {
    let shared = ShmBox::<SeqCell<Words>>::create().unwrap();
    let cell = shared.view();
    assert_eq!((cell.load().unwrap(), cell.version()), (words(0), 0));
    for number in 1..=10 {
        cell.store(words(number)).unwrap();
        assert_eq!((cell.load().unwrap(), cell.version()), (words(number), number));
    }
}

#[test]
fn a_type_without_zero_has_its_value_from_the_start() {
    let one = [NonZeroU64::MIN; 2];
    let shared = ShmBox::create_from(SeqCell::<_, 2>::new(one)).unwrap();
    let reader = ShmBox::<SeqCell<[NonZeroU64; 2], 2>>::open_read_only(shared.name()).unwrap();
    assert_eq!(reader.view().load().unwrap(), one);
    shared.view().store([NonZeroU64::MAX; 2]).unwrap();
    assert_eq!(reader.view().load().unwrap(), [NonZeroU64::MAX; 2]);
}

#[test]
fn values_of_every_size_and_alignment_go_through_a_cell() {
    #[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
    #[repr(C, align(64))]
    struct Line {
        bytes: [u8; 64],
    }
    #[derive(ShmLayout)]
    #[repr(C)]
    struct Cells {
        byte: SeqCell<u8>,
        three: SeqCell<[u8; 3], 3>,
        short: SeqCell<[u16; 5], 2>,
        flag: SeqCell<bool, 64>,
        page: SeqCell<[u32; 1024]>,
    }
    let shared = ShmBox::<Cells>::create().unwrap();
    let cells = shared.view();
    for round in 1..=9 {
        cells.byte().store(round).unwrap();
        cells.three().store([round, 2, 3]).unwrap();
        cells.short().store([u16::from(round), 2, 3, 4, 5]).unwrap();
        cells.flag().store(round % 2 == 1).unwrap();
        cells.page().store([u32::from(round); 1024]).unwrap();
        assert_eq!(cells.byte().load().unwrap(), round);
        assert_eq!(cells.three().load().unwrap(), [round, 2, 3]);
        assert_eq!(cells.short().load().unwrap(), [u16::from(round), 2, 3, 4, 5]);
        assert_eq!(cells.flag().load().unwrap(), round % 2 == 1);
        assert_eq!(cells.page().load().unwrap(), [u32::from(round); 1024]);
    }
    let lines = ShmBox::<[SeqCell<Line>; 2]>::create().unwrap();
    let line = Line { bytes: [7; 64] };
    lines.view().at(1).store(line).unwrap();
    assert_eq!(lines.view().at(1).load().unwrap(), line);
    assert_eq!(lines.view().at(0).load().unwrap(), Line { bytes: [0; 64] });
}

#[test]
fn the_schema_says_that_it_is_a_cell_and_how_many_buffers_it_has() {
    let Kind::Guarded { guard, value } = *<SeqCell<u32>>::SCHEMA.kind() else { panic!("no guard") };
    assert_eq!((guard, *value), (Guard::Cell { buffers: 4 }, u32::SCHEMA));
    let shared = ShmBox::<SeqCell<u32, 3>>::create().unwrap();
    let error = ShmBox::<SeqCell<u32, 4>>::open(shared.name()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::LayoutMismatch { .. }), "{error}");
}

#[test]
fn updates_of_several_threads_are_all_there() {
    let shared = ShmBox::<SeqCell<Words, 2>>::create().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let number = shared.view().update(|words| {
                        words.iter_mut().for_each(|word| *word += 1);
                        words[0]
                    });
                    assert!(number.unwrap() > 0);
                }
            });
        }
    });
    assert_eq!((shared.view().load().unwrap(), shared.view().version()), (words(300), 300));
}

#[test]
fn readers_beside_a_writer_never_see_half_a_value() {
    let shared = ShmBox::<SeqCell<Words, 2>>::create().unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = || {
            let mut last = 0;
            let mut reads = 0_u32;
            while !stop.load(Ordering::Relaxed) || reads == 0 {
                match shared.view().load() {
                    Ok(found) => {
                        assert!(is_whole(&found), "{found:?}");
                        assert!(found[0] >= last, "{found:?} after {last}");
                        last = found[0];
                        reads += 1;
                    }
                    Err(error) => assert_eq!(*error.kind(), ErrorKind::Busy),
                }
            }
        };
        scope.spawn(reader);
        scope.spawn(reader);
        for number in 1..=if cfg!(miri) { 50 } else { 100_000 } {
            shared.view().store(words(number)).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn an_update_that_panics_changes_nothing_and_blocks_nobody() {
    let shared = ShmBox::<SeqCell<u64>>::create().unwrap();
    let cell = shared.view();
    cell.store(5).unwrap();
    let panicked = std::panic::catch_unwind(|| {
        shared.view().update(|value| {
            *value = 6;
            panic!("on purpose");
        })
    });
    assert!(panicked.is_err());
    assert_eq!((cell.load().unwrap(), cell.version()), (5, 1));
    cell.try_store(7).unwrap();
    assert_eq!(cell.load().unwrap(), 7);
}

#[test]
fn a_writer_that_is_in_the_way_is_named_and_readers_do_not_mind() {
    let shared = ShmBox::<SeqCell<u64>>::options().lock_timeout(Some(Duration::from_millis(2))).create().unwrap();
    let cell = shared.view();
    cell.store(5).unwrap();
    let other = ShmBox::<SeqCell<u64>>::open(shared.name()).unwrap();
    let pid = crate::sys::process_id();
    let outcome = cell.update(|value| {
        let held = |error: Error| matches!(*error.kind(), ErrorKind::LockHeld { pid: found, .. } if found == pid);
        let late = |error: Error| matches!(*error.kind(), ErrorKind::LockTimedOut { pid: found, .. } if found == pid);
        assert!(held(other.view().try_store(1).unwrap_err()));
        assert!(held(other.view().try_update(|value| *value += 1).unwrap_err()));
        assert!(late(other.view().store(1).unwrap_err()));
        assert!(late(other.view().update(|value| *value += 1).unwrap_err()));
        assert!(late(other.view().store_until(1, Duration::from_millis(1)).unwrap_err()));
        assert!(late(other.view().update_until(|value| *value += 1, Instant::now()).unwrap_err()));
        // And itself.
        assert!(late(shared.view().store(1).unwrap_err()));
        assert_eq!(other.view().load().unwrap(), 5);
        *value += 1;
    });
    outcome.unwrap();
    other.view().try_update(|value| *value *= 2).unwrap();
    assert_eq!(cell.load().unwrap(), 12);
}

#[test]
fn a_place_without_slots_has_readers_only() {
    let shared = ShmBox::<SeqCell<u64>>::create().unwrap();
    // SAFETY: the same place, for as long.
    let cell: ShmRef<'_, SeqCell<u64>> = unsafe { ShmRef::new(shared.view().as_ptr(), None) };
    assert_eq!(cell.load().unwrap(), 0);
    let error = cell.store(1).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unsupported { .. }), "{error}");
}

#[test]
fn a_store_that_was_not_seen_ends_a_wait_at_once() {
    let shared = ShmBox::<SeqCell<u64>>::create().unwrap();
    let reader = ShmBox::<SeqCell<u64>>::open_read_only(shared.name()).unwrap();
    let cell = shared.view();
    assert!(timed_out(&cell.wait_changed(0, Instant::now()).unwrap_err()));
    assert!(timed_out(&reader.view().wait_changed(0, Duration::from_millis(7)).unwrap_err()));
    cell.store(1).unwrap();
    assert_eq!(cell.wait_changed(0, Instant::now()).unwrap(), 1);
    assert_eq!(reader.view().wait_changed(0, Instant::now()).unwrap(), 1);
    assert!(timed_out(&cell.wait_changed(1, Duration::from_millis(2)).unwrap_err()));
}

#[test]
fn whoever_waits_is_told_of_each_change_and_then_finds_it() {
    let shared = ShmBox::<SeqCell<Words>>::create().unwrap();
    let reader = ShmBox::<SeqCell<Words>>::open_read_only(shared.name()).unwrap();
    const STORES: u64 = if cfg!(miri) { 5 } else { 200 };
    let follow = |wait: &dyn Fn(u64) -> u64, load: &dyn Fn() -> Words| {
        let mut seen = 0;
        while seen < STORES {
            seen = wait(seen);
            let found = load();
            assert!(is_whole(&found) && found[0] >= seen, "{found:?} after {seen}");
        }
    };
    let (cell, reading) = (shared.view(), reader.view());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| follow(&|seen| cell.wait_changed(seen, LONG).unwrap(), &|| cell.load().unwrap()));
        }
        scope.spawn(|| follow(&|seen| reading.wait_changed(seen, LONG).unwrap(), &|| reading.load().unwrap()));
        for number in 1..=STORES {
            shared.view().store(words(number)).unwrap();
            std::thread::yield_now();
        }
        shared.view().notify();
    });
}

/// The lock is one of a process that is gone, the next buffer is in every state that a killed writer can leave.
#[test]
fn the_next_writer_goes_on_from_whatever_a_killed_one_left() {
    let shared = ShmBox::<SeqCell<Words, 3>>::create().unwrap();
    let cell = shared.view();
    for round in 0..20 {
        let (number, old) = (cell.version(), cell.load().unwrap());
        let (next, buffer) = (number + 1, ((number + 1) % 3) as usize);
        let ghost = ShmBox::<SeqCell<Words, 3>>::open(shared.name()).unwrap();
        let holder = ghost.view().participant().unwrap().registered().unwrap();
        word(cell, LOCK).store(holder.to_bits(), Ordering::Relaxed);
        drop(ghost);
        if round % 4 > 0 {
            word(cell, version(buffer)).store(2 * next + 1, Ordering::Relaxed);
        }
        if round % 4 > 1 {
            cell.copy_into_buffer(buffer, &[1, 2, 3, 4, 5, 6, 7, 8]);
        }
        if round % 4 > 2 {
            word(cell, version(buffer)).store(2 * next, Ordering::Relaxed);
        }
        assert_eq!((cell.load().unwrap(), cell.version()), (old, number));
        cell.store_until(words(next), LONG).unwrap();
        assert_eq!((cell.load().unwrap(), cell.version()), (words(next), next));
        assert_eq!(word(cell, LOCK).load(Ordering::Relaxed), 0);
    }
}

/// Whatever stands in the words: a value or an error, soon, and a store repairs it.
#[test]
fn hostile_words_give_a_value_or_an_error() {
    let shared = ShmBox::<SeqCell<Words, 3>>::create().unwrap();
    let cell = shared.view();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        match random % 4 {
            0 => random >> (random >> 58),
            1 => u64::MAX - (random >> 60),
            2 => random >> 60,
            _ => random,
        }
    };
    let (mut busy, mut read) = (0, 0);
    for _ in 0..if cfg!(miri) { 5 } else { 2_000 } {
        for offset in [CURRENT, version(0), version(1), version(2)] {
            word(cell, offset).store(next(), Ordering::Relaxed);
        }
        match cell.load() {
            Ok(_) => read += 1,
            Err(error) => {
                assert_eq!(*error.kind(), ErrorKind::Busy);
                busy += 1;
            }
        }
        // A live holder by that word, a dead one, or none.
        word(cell, LOCK).store(next(), Ordering::Relaxed);
        match cell.store_until(words(7), Duration::from_millis(1)) {
            Ok(()) => assert_eq!(cell.load().unwrap(), words(7)),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::LockTimedOut { .. } | ErrorKind::Busy), "{error}");
                word(cell, LOCK).store(0, Ordering::Relaxed);
                cell.store(words(7)).unwrap();
                assert_eq!(cell.load().unwrap(), words(7));
            }
        }
    }
    assert!(busy > 0 && read + busy > 0, "{busy} busy, {read} read");
}

#[test]
fn bytes_that_are_no_value_are_an_error_until_the_next_store() {
    let shared = ShmBox::<SeqCell<[bool; 4]>>::create().unwrap();
    let cell = shared.view();
    // SAFETY: bytes, of the first buffer's value.
    unsafe { cell.part::<[u8; 4]>(32) }.set([0, 1, 2, 3]);
    let error = cell.load().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::InvalidValue { element: None, path, found: 2, .. } if path == "[2]"),
        "{error}"
    );
    assert!(cell.update(|value| value[0] = true).is_err());
    cell.store([true; 4]).unwrap();
    assert_eq!(cell.load().unwrap(), [true; 4]);
}

#[test]
fn the_number_of_stores_wraps() {
    let shared = ShmBox::<SeqCell<Words, 3>>::create().unwrap();
    let cell = shared.view();
    cell.set_current(u64::MAX - 1, Ordering::Relaxed);
    for number in 1..=6 {
        cell.store(words(number)).unwrap();
        assert_eq!((cell.load().unwrap(), cell.version()), (words(number), number.wrapping_sub(2)));
    }
}

/// A buffer that is being written for good costs a reader no copies and little time.
#[test]
fn a_reader_gives_up_in_the_end() {
    const { assert!(LOSSES >= 1_000) };
    let shared = ShmBox::<SeqCell<[u64; 10_000]>>::create().unwrap();
    let cell = shared.view();
    cell.set_version(0, 1, Ordering::Relaxed);
    let error = cell.load().unwrap_err();
    assert_eq!((error.kind(), error.hint().is_some_and(|hint| hint.contains("buffers"))), (&ErrorKind::Busy, true));
}
