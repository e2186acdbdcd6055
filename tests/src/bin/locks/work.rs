//! A worker of the soak: takes a lock over and over, and is killed somewhere.

use shmtypes::sync::{LockError, LockResult, MutexGuard, RwLockReadGuard, RwLockWriteGuard};
use shmtypes::{AccessMode, ShmBox, ShmRef, Writable};
use shmtypes_tests::locks::{Arena, ArenaView, Random, TallyView, WORDS};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

/// A deadline that passes now and then.
const SHORT: Duration = Duration::from_micros(300);

pub(super) fn run(kind: &str, name: &str, place: usize, seed: u64) {
    let arena = ShmBox::<Arena>::open(name).expect("attach");
    let view = arena.view();
    let tally = view.tallies().at(place);
    let mut random = Random::new(seed);
    while view.over().load(Relaxed) == 0 {
        match kind {
            "mutex" => {
                let mutex = view.mutex();
                let result = match random.below(4) {
                    0 => mutex.try_lock(),
                    1 => mutex.lock_until(SHORT),
                    _ => mutex.lock(),
                };
                take(result, tally, |guard, told| change(view, tally, guard.view(), told), MutexGuard::recover);
            }
            "rwlock" if random.below(4) == 0 => {
                let lock = view.rwlock();
                let result = match random.below(4) {
                    0 => lock.try_write(),
                    1 => lock.write_until(SHORT),
                    _ => lock.write(),
                };
                take(result, tally, |guard, told| change(view, tally, guard.view(), told), RwLockWriteGuard::recover);
            }
            "rwlock" => {
                let lock = view.rwlock();
                let result = match random.below(4) {
                    0 => lock.try_read(),
                    1 => lock.read_until(SHORT),
                    _ => lock.read(),
                };
                look(result, view, tally);
            }
            other => panic!("unknown kind {other:?}"),
        }
        tally.calls().fetch_add(1, Relaxed);
    }
}

/// Runs a section that may write, and recovers after a death. Every dead holder's successor recovers or is told itself, so
/// that nobody who may write finds the lock poisoned.
fn take<G>(result: LockResult<G>, tally: TallyView<'_>, section: impl FnOnce(&G, bool), recover: impl FnOnce(G) -> G) {
    match result {
        Ok(guard) => section(&guard, false),
        Err(LockError::OwnerDied(guard)) => {
            tally.takeovers().fetch_add(1, Relaxed);
            section(&guard, true);
            drop(recover(guard));
        }
        Err(LockError::TimedOut(_) | LockError::Held(_)) => {
            tally.refusals().fetch_add(1, Relaxed);
        }
        Err(_) => {
            tally.impossible().fetch_add(1, Relaxed);
        }
    }
}

/// Changes the words one after the other. `told`: the last holder died, so they may be half changed.
fn change<M: Writable>(view: ArenaView<'_>, tally: TallyView<'_>, words: ShmRef<'_, [u64; WORDS], M>, told: bool) {
    let me = u64::from(std::process::id());
    let before = view.inside().swap(me, SeqCst);
    let values: [u64; WORDS] = std::array::from_fn(|index| words.at(index).get());
    let whole = values.iter().all(|&value| value == values[0]);
    if !told && (before != 0 || !whole) {
        tally.violations().fetch_add(1, Relaxed);
    }
    if !whole {
        tally.repairs().fetch_add(1, Relaxed);
    }
    let next = values.iter().max().expect("there are words").wrapping_add(1);
    for index in 0..WORDS {
        words.at(index).set(next);
    }
    if view.inside().compare_exchange(me, 0, SeqCst, SeqCst).is_err() {
        tally.violations().fetch_add(1, Relaxed);
    }
    tally.sections().fetch_add(1, Relaxed);
}

/// Reads the words, which must be equal unless a writer died.
fn look<M: Writable>(
    result: LockResult<RwLockReadGuard<'_, [u64; WORDS], M>>,
    view: ArenaView<'_>,
    tally: TallyView<'_>,
) {
    let (guard, told) = match result {
        Ok(guard) => (guard, false),
        Err(LockError::Poisoned(guard)) => (guard, true),
        Err(LockError::TimedOut(_) | LockError::Held(_)) => {
            tally.refusals().fetch_add(1, Relaxed);
            return;
        }
        Err(_) => {
            tally.impossible().fetch_add(1, Relaxed);
            return;
        }
    };
    let values = read_words(guard.view());
    if told {
        tally.warnings().fetch_add(1, Relaxed);
    } else {
        if values.iter().any(|&value| value != values[0]) {
            tally.torn().fetch_add(1, Relaxed);
        }
        if view.inside().load(SeqCst) != 0 {
            tally.violations().fetch_add(1, Relaxed);
        }
    }
    tally.reads().fetch_add(1, Relaxed);
}

fn read_words<M: AccessMode>(words: ShmRef<'_, [u64; WORDS], M>) -> [u64; WORDS] {
    std::array::from_fn(|index| words.at(index).get())
}
