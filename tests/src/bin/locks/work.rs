//! A worker of the soak: takes a lock over and over, and is killed somewhere.
#![allow(unsafe_code, reason = "makes the promise that the soak keeps")]

use shmtypes::sync::{LockError, LockResult, MutexGuard, RwLockWriteGuard};
use shmtypes::{
    AccessMode, Cooperative, LockedArray, LockedWriteGuard, ShmBox, ShmRef, SliceReadGuard, SliceWriteGuard, Writable,
};
use shmtypes_tests::locks::{Arena, ArenaView, Random, TallyView, WORDS, array_beside};
use std::hint::black_box;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

/// A deadline that passes now and then.
const SHORT: Duration = Duration::from_micros(300);

pub(super) fn run(kind: &str, name: &str, place: usize, seed: u64) {
    let arena = ShmBox::<Arena>::open(name).expect("attach");
    let view = arena.view();
    let tally = view.tallies().at(place);
    let mut random = Random::new(seed);
    let slices = (kind == "slices").then(|| {
        let array = LockedArray::open(&array_beside(name)).expect("attach to the array");
        // SAFETY: the name is random, and all workers go through the lock.
        unsafe { array.assume_cooperative() }
    });
    while view.over().load(Relaxed) == 0 {
        match kind {
            "mutex" => {
                let mutex = view.mutex();
                let result = match random.below(4) {
                    0 => mutex.try_lock(),
                    1 => mutex.lock_until(SHORT),
                    _ => mutex.lock(),
                };
                take(result, tally, |guard, told| change(view, tally, &mut guard.view(), told), MutexGuard::recover);
            }
            "rwlock" if random.below(4) == 0 => {
                let lock = view.rwlock();
                let result = match random.below(4) {
                    0 => lock.try_write(),
                    1 => lock.write_until(SHORT),
                    _ => lock.write(),
                };
                let section = |guard: &mut RwLockWriteGuard<'_, _>, told| change(view, tally, &mut guard.view(), told);
                take(result, tally, section, RwLockWriteGuard::recover);
            }
            "rwlock" => {
                let lock = view.rwlock();
                let result = match random.below(4) {
                    0 => lock.try_read(),
                    1 => lock.read_until(SHORT),
                    _ => lock.read(),
                };
                look(result, view, tally, |guard| read_words(guard.view()));
            }
            "slices" => use_slices(slices.as_ref().expect("opened above"), view, tally, &mut random),
            other => panic!("unknown kind {other:?}"),
        }
        tally.calls().fetch_add(1, Relaxed);
    }
}

/// One call with slices or, as often, one without, which is as far apart from all others.
fn use_slices(slices: &Cooperative<u64>, view: ArenaView<'_>, tally: TallyView<'_>, random: &mut Random) {
    let safe: &LockedArray<u64> = slices;
    match random.below(10) {
        0 => take_slices(slices.try_write(), view, tally),
        1 => take_slices(slices.write_until(SHORT), view, tally),
        2 => take_slices(slices.write(), view, tally),
        3 => {
            let section = |guard: &mut LockedWriteGuard<'_, u64>, told| change(view, tally, guard, told);
            take(safe.write(), tally, section, LockedWriteGuard::recover);
        }
        4 => look(slices.try_read(), view, tally, copy_slice),
        5 => look(slices.read_until(SHORT), view, tally, copy_slice),
        6 | 7 => look(slices.read(), view, tally, copy_slice),
        _ => look(safe.read(), view, tally, |guard| std::array::from_fn(|index| guard.at(index).get())),
    }
}

fn take_slices(result: LockResult<SliceWriteGuard<'_, u64>>, view: ArenaView<'_>, tally: TallyView<'_>) {
    take(result, tally, |guard, told| change(view, tally, &mut **guard, told), SliceWriteGuard::recover);
}

fn copy_slice(guard: &SliceReadGuard<'_, u64>) -> [u64; WORDS] {
    std::array::from_fn(|index| *black_box(&guard[index]))
}

/// What a lock guards, as its kind of guard lends it.
trait Words {
    fn get(&self, index: usize) -> u64;

    fn set(&mut self, index: usize, value: u64);
}

impl<M: Writable> Words for ShmRef<'_, [u64; WORDS], M> {
    fn get(&self, index: usize) -> u64 {
        self.at(index).get()
    }

    fn set(&mut self, index: usize, value: u64) {
        self.at(index).set(value);
    }
}

impl Words for LockedWriteGuard<'_, u64> {
    fn get(&self, index: usize) -> u64 {
        self.at(index).get()
    }

    fn set(&mut self, index: usize, value: u64) {
        self.at(index).set(value);
    }
}

/// In memory one by one, so that a kill or a look can fall in between.
impl Words for [u64] {
    fn get(&self, index: usize) -> u64 {
        *black_box(&self[index])
    }

    fn set(&mut self, index: usize, value: u64) {
        *black_box(&mut self[index]) = value;
    }
}

/// Runs a section that may write, and recovers after a death. Every dead holder's successor recovers or is told itself, so
/// that nobody who may write finds the lock poisoned.
fn take<G>(
    result: LockResult<G>,
    tally: TallyView<'_>,
    section: impl FnOnce(&mut G, bool),
    recover: impl FnOnce(G) -> G,
) {
    match result {
        Ok(mut guard) => section(&mut guard, false),
        Err(LockError::OwnerDied(mut guard)) => {
            tally.takeovers().fetch_add(1, Relaxed);
            section(&mut guard, true);
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
fn change<W: Words + ?Sized>(view: ArenaView<'_>, tally: TallyView<'_>, words: &mut W, told: bool) {
    let me = u64::from(std::process::id());
    let before = view.inside().swap(me, SeqCst);
    let values: [u64; WORDS] = std::array::from_fn(|index| words.get(index));
    let whole = values.iter().all(|&value| value == values[0]);
    if !told && (before != 0 || !whole) {
        tally.violations().fetch_add(1, Relaxed);
    }
    if !whole {
        tally.repairs().fetch_add(1, Relaxed);
    }
    let next = values.iter().max().expect("there are words").wrapping_add(1);
    for index in 0..WORDS {
        words.set(index, next);
    }
    if view.inside().compare_exchange(me, 0, SeqCst, SeqCst).is_err() {
        tally.violations().fetch_add(1, Relaxed);
    }
    tally.sections().fetch_add(1, Relaxed);
}

/// Reads the words, which must be equal unless a writer died.
fn look<G>(result: LockResult<G>, view: ArenaView<'_>, tally: TallyView<'_>, copy: impl FnOnce(&G) -> [u64; WORDS]) {
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
    let values = copy(&guard);
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
