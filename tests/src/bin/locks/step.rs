//! A process that lets another one step through a piece of its work: it stops itself before and after.

use nix::sys::ptrace::traceme;
use nix::sys::signal::{Signal, raise};
use shmtypes::ShmBox;
use shmtypes_tests::locks::{Board, CHANGED};

pub(super) fn run(name: &str, what: &str) {
    let board = ShmBox::<Board>::open(name).expect("attach");
    let (mutex, rwlock) = (board.view().mutex(), board.view().rwlock());
    traceme().expect("be traced");
    match what {
        "lock" => drop(between_stops(|| mutex.lock())),
        "change" => {
            let mut guard = mutex.lock().expect("the lock is free");
            between_stops(|| guard.set(CHANGED));
        }
        "unlock" => {
            let mut guard = mutex.lock().expect("the lock is free");
            guard.set(CHANGED);
            between_stops(|| drop(guard));
        }
        "read" => drop(between_stops(|| rwlock.read())),
        "end-read" => {
            let guard = rwlock.read().expect("the lock is free");
            between_stops(|| drop(guard));
        }
        "write" => drop(between_stops(|| rwlock.write())),
        "end-write" => {
            let mut guard = rwlock.write().expect("the lock is free");
            guard.set(CHANGED);
            between_stops(|| drop(guard));
        }
        other => panic!("unknown work {other:?}"),
    }
}

fn between_stops<R>(work: impl FnOnce() -> R) -> R {
    raise(Signal::SIGSTOP).expect("stop");
    let result = work();
    raise(Signal::SIGSTOP).expect("stop");
    result
}
