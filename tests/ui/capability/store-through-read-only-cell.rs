//! A cell that was opened read-only is read and waited for, and not stored into.

use shmtypes::{SeqCell, ShmBox, ShmCell};

fn main() {
    let cell = ShmCell::<u64>::open_read_only("name").unwrap();
    println!("{:?}", cell.load());
    cell.store(1).unwrap();
    cell.update(|value| *value += 1).unwrap();
    cell.notify();
    let shared = ShmBox::<SeqCell<u64>>::open_read_only("name").unwrap();
    println!("{:?}", shared.view().load());
    shared.view().try_store(1).unwrap();
}
