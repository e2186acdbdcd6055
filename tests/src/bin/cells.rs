//! The other process of the tests of cells: stores, or waits for stores.
#![allow(unsafe_code, reason = "forks")]

use shmtypes::{Deadline, ErrorKind, ShmCell};
use shmtypes_tests::cells::{Snapshot, snapshot};
use shmtypes_tests::single_step::traced;

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
        ["step", name, number] => {
            let cell = ShmCell::<Snapshot>::open(name).expect("attach");
            let value = snapshot(number.parse().expect("a number"));
            traced(|| cell.store(value)).expect("store");
        }
        ["fork-inside", name] => fork_inside(name),
        ["follow", name, last] => follow(name, last.parse().expect("a number")),
        other => panic!("unknown arguments {other:?}"),
    }
}

/// Forks in the middle of an update. The child must not store, and must not let go of its parent's lock.
fn fork_inside(name: &str) {
    let cell = ShmCell::<Snapshot>::open(name).expect("attach");
    let mut is_child = false;
    let outcome = cell.update(|value| {
        // SAFETY: this process has one thread.
        match unsafe { nix::unistd::fork() }.expect("fork") {
            nix::unistd::ForkResult::Child => {
                is_child = true;
                *value = snapshot(666);
            }
            nix::unistd::ForkResult::Parent { child } => {
                let ended = nix::sys::wait::waitpid(child, None).expect("wait");
                println!("{ended:?}");
                let held = cell.view().try_store(snapshot(667)).map_err(|error| format!("{:?}", error.kind()));
                println!("{}", held.is_err_and(|kind| kind.starts_with("LockHeld")));
                *value = snapshot(value[0] + 1);
            }
        }
    });
    if is_child {
        let refused = outcome.is_err_and(|error| matches!(error.kind(), ErrorKind::Unsupported { .. }));
        std::process::exit(if refused { 7 } else { 8 });
    }
    println!("{outcome:?}");
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
