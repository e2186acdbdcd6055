//! Writers that are killed at any instant.

use super::CELLS;
use shmtypes::{ReadOnly, ShmCell};
use shmtypes_tests::cells::{Snapshot, number, snapshot};
use shmtypes_tests::life::rounds;
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const KILLS: usize = 200;

/// Reads until told to stop: every value whole, and none older than the one before.
fn watch(reader: &ShmCell<Snapshot, ReadOnly>, stop: &AtomicBool, reads: &AtomicU64) {
    let mut last = 0;
    while !stop.load(Relaxed) {
        let found = number(&reader.load().expect("read beside a writer that may be dead"));
        assert!(found >= last, "{found} after {last}");
        last = found;
        reads.fetch_add(1, Relaxed);
    }
}

#[test]
fn killed_writers_leave_whole_values_and_the_next_one_goes_on() {
    let scratch = Scratch::new();
    let cell = ShmCell::<Snapshot>::options().name(scratch.name("cell")).create().unwrap();
    let reader = ShmCell::<Snapshot>::open_read_only(cell.name()).unwrap();
    let (stop, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&reader, &stop, &reads));
        for kill in 0..rounds(KILLS) {
            let before = number(&cell.load().unwrap());
            let mut peer = Peer::start(CELLS, &["store-on-and-on", cell.name()]);
            peer.expect_line("ready");
            // Until its stores are seen, and some reads more, another number each time: the instant is any.
            while number(&cell.load().unwrap()) == before {}
            for _ in 0..kill * 37 % 101 {
                let _ = cell.load().unwrap();
            }
            peer.kill();
            let left = number(&cell.load().unwrap());
            assert!(left > before);
            // Whoever holds the lock is dead, and is asked about.
            cell.view().store_until(snapshot(left + 1), Duration::from_secs(60)).expect("take the lock over");
            assert_eq!(number(&cell.load().unwrap()), left + 1);
            if watcher.is_finished() {
                break;
            }
        }
        stop.store(true, Relaxed);
        watcher.join().expect("whole values only");
    });
    println!("{} reads beside the writers", reads.load(Relaxed));
    assert!(reads.load(Relaxed) > 0);
}
