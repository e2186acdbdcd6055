//! A process that lets another one step through a piece of its work.

use shmtypes::ShmBox;
use shmtypes_tests::locks::{Board, CHANGED};
use shmtypes_tests::single_step::traced;

pub(super) fn run(name: &str, what: &str) {
    let board = ShmBox::<Board>::open(name).expect("attach");
    let (mutex, rwlock) = (board.view().mutex(), board.view().rwlock());
    match what {
        "lock" => drop(traced(|| mutex.lock())),
        "change" => {
            let mut guard = mutex.lock().expect("the lock is free");
            traced(|| guard.set(CHANGED));
        }
        "unlock" => {
            let mut guard = mutex.lock().expect("the lock is free");
            guard.set(CHANGED);
            traced(|| drop(guard));
        }
        "read" => drop(traced(|| rwlock.read())),
        "end-read" => {
            let guard = rwlock.read().expect("the lock is free");
            traced(|| drop(guard));
        }
        "write" => drop(traced(|| rwlock.write())),
        "end-write" => {
            let mut guard = rwlock.write().expect("the lock is free");
            guard.set(CHANGED);
            traced(|| drop(guard));
        }
        other => panic!("unknown work {other:?}"),
    }
}
