//! Writers that are killed in the middle of a store.

use super::SHM_LISTS;
use shmtypes::compat::Value;
use shmtypes::{ReadOnly, ShmList};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;
use shmtypes_tests::shm_lists::{LONGEST, number_of, pattern};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

const KILLS: u64 = 200;

fn read(list: &ShmList<ReadOnly>) -> u64 {
    match list.get(0) {
        Ok(Value::Str(text)) => number_of(&text),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_killed_writer_leaves_a_whole_text_and_the_next_one_goes_on() {
    let scratch = Scratch::new();
    let slots = [(pattern(0), LONGEST), ("another".to_owned(), 8)];
    let list = ShmList::options().name(scratch.name("list")).create_with_capacities(slots).unwrap();
    let reader = ShmList::open_read_only(list.name()).unwrap();
    let (over, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut changes = 0;
    std::thread::scope(|scope| {
        let beside = reader.clone();
        scope.spawn(|| {
            let beside = beside;
            while !over.load(Relaxed) {
                read(&beside);
                reads.fetch_add(1, Relaxed);
            }
        });
        // Ends the thread also if something below panics.
        let _over = SetOnDrop(&over);
        for kill in 0..KILLS {
            let first = 1000 * (kill + 1);
            let mut peer = Peer::start(SHM_LISTS, &["churn", list.name(), &first.to_string()]);
            peer.expect_line("ready");
            // Until its stores are seen, and some reads more, another number each time: the instant is any.
            while read(&reader) < first {}
            for _ in 0..kill * 37 % 101 {
                read(&reader);
            }
            peer.kill();
            let left = read(&reader);
            assert!(left >= first && read(&reader) == left, "nobody writes any more");
            changes += left - first;
            // Whatever state the lock is in.
            list.set(0, pattern(first + 999)).unwrap();
            assert_eq!(read(&reader), first + 999);
        }
    });
    assert_eq!(list.get(1).unwrap(), Value::from("another"));
    println!("{KILLS} kills, {} reads beside {changes} stores", reads.load(Relaxed));
    assert!(reads.load(Relaxed) > KILLS && changes > KILLS, "{reads:?} reads beside {changes} stores");
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
