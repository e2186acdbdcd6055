//! The other process of the tests of cells: stores, or waits for stores.

use shmtypes::{Deadline, ShmCell};
use shmtypes_tests::cells::{Snapshot, snapshot};
use std::io::stdin;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        // Until it is killed.
        ["store-on-and-on", name] => {
            let cell = ShmCell::<Snapshot>::open(name).expect("attach");
            println!("ready");
            loop {
                cell.update(|value| *value = snapshot(value[0] + 1)).expect("store");
            }
        }
        ["store-once", name, number] => {
            let cell = ShmCell::<Snapshot>::open(name).expect("attach");
            let value = snapshot(number.parse().expect("a number"));
            println!("ready");
            stdin().read_line(&mut String::new()).expect("read input");
            cell.store(value).expect("store");
            println!("stored");
        }
        ["follow", name, last] => follow(name, last.parse().expect("a number")),
        other => panic!("unknown arguments {other:?}"),
    }
}

/// Says what it finds each time that there is a new value, until it is `last`.
fn follow(name: &str, last: u64) {
    let cell = ShmCell::<Snapshot>::open(name).expect("attach");
    println!("ready");
    loop {
        cell.wait_changed(Deadline::NEVER).expect("a store");
        let value = cell.load().expect("load")[0];
        println!("{value}");
        if value == last {
            return;
        }
    }
}
