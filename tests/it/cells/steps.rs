//! A store, one instruction at a time: what a kill after each of them leaves.

use super::CELLS;
use shmtypes::{Persist, ShmCell};
use shmtypes_tests::cells::{Snapshot, number, snapshot};
use shmtypes_tests::scratch::Scratch;
use shmtypes_tests::single_step::Stepped;
use std::collections::HashSet;
use std::fs;
use std::time::Duration;

const OLD: u64 = 1;
const NEW: u64 = 2;

/// Lets a process store, and returns each distinct state of the segment's bytes on the way, and how many instructions there were.
fn images(scratch: &Scratch, file: &str, name: &str) -> (Vec<Vec<u8>>, usize) {
    let mut writer = Stepped::start(CELLS, &["step", name, &NEW.to_string()]);
    let (mut known, mut images, mut steps) = (HashSet::new(), Vec::new(), 0);
    loop {
        let image = fs::read(scratch.path(file)).expect("read the segment");
        if known.insert(image.clone()) {
            images.push(image);
        }
        if !writer.step() {
            break;
        }
        steps += 1;
    }
    // It never lets go of its slot in an orderly way.
    writer.kill();
    (images, steps)
}

#[test]
fn a_store_that_is_cut_after_any_instruction_leaves_the_old_value_or_the_new_one() {
    let scratch = Scratch::new();
    let name = scratch.name("cell");
    // Kept, so that the copies may be opened and closed as well.
    let options = ShmCell::<Snapshot>::options().name(&name).persist(Persist::Keep);
    let cell = options.create_from(snapshot(OLD)).unwrap();
    let (images, steps) = images(&scratch, "cell", cell.name());
    let mut seen = [0, 0];
    for (index, image) in images.iter().enumerate() {
        // Nobody holds a lock on the copy: the writer in it is dead.
        let copy = format!("copy-{index}");
        fs::write(scratch.path(&copy), image).expect("write a copy");
        let reader = ShmCell::<Snapshot>::open_read_only(&scratch.name(&copy)).unwrap();
        let found = number(&reader.load().unwrap());
        assert!(found == OLD || found == NEW, "image {index}: {found}");
        seen[usize::from(found == NEW)] += 1;
        let writer = ShmCell::<Snapshot>::open(&scratch.name(&copy)).unwrap();
        for next in 3..9 {
            writer.view().store_until(snapshot(next), Duration::from_secs(60)).unwrap();
            assert_eq!(number(&reader.load().unwrap()), next, "image {index}");
        }
        fs::remove_file(scratch.path(&copy)).expect("remove the copy");
    }
    println!(
        "{steps} instructions, {} states: {} with the old value, {} with the new one",
        images.len(),
        seen[0],
        seen[1]
    );
    // Lock, mark, parts of the value, version, count, unlock.
    assert!(seen[0] >= 5 && seen[1] >= 2, "{seen:?}");
}
