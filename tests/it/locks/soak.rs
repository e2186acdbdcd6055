//! Processes that are killed at random, over and over, while they take a lock and change what it protects.
//!
//! ```text
//! SHMTYPES_SOAK=25 cargo test -p shmtypes-tests --test it locks::soak -- --nocapture --test-threads=1
//! ```

use super::LOCKS;
use shmtypes::{LockedArray, ShmBox, ShmRef};
use shmtypes_tests::life::rounds;
use shmtypes_tests::locks::{Arena, Random, TallyView, WORDS, WORKERS, array_beside};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Kills in the short version.
const KILLS: usize = 200;
/// A worker that makes no progress for so long hangs.
const HANGS: Duration = Duration::from_secs(10);

struct Soak<'a> {
    kind: &'a str,
    arena: &'a ShmBox<Arena>,
    workers: Vec<Peer>,
    /// How many calls each place had made when it was last looked at, and when that last changed.
    progress: [(u64, Instant); WORKERS],
    random: Random,
}

impl<'a> Soak<'a> {
    fn new(kind: &'a str, arena: &'a ShmBox<Arena>) -> Self {
        let progress = [(0, Instant::now()); WORKERS];
        let mut soak = Self { kind, arena, workers: Vec::new(), progress, random: Random::new(1) };
        soak.workers = (0..WORKERS).map(|place| soak.start(place)).collect();
        soak
    }

    fn start(&mut self, place: usize) -> Peer {
        let seed = self.random.next_number().to_string();
        Peer::start(LOCKS, &["work", self.kind, self.arena.name(), &place.to_string(), &seed])
    }

    fn calls(&self, place: usize) -> u64 {
        self.arena.view().tallies().at(place).calls().load(Relaxed)
    }

    fn look_for_hangs(&mut self) {
        for place in 0..WORKERS {
            let calls = self.calls(place);
            let (seen, since) = &mut self.progress[place];
            if calls != *seen {
                (*seen, *since) = (calls, Instant::now());
            }
            assert!(since.elapsed() < HANGS, "{}: worker {place} hangs after {calls} calls", self.kind);
        }
    }

    /// Kills a worker after it has made some calls, and puts another in its place.
    fn kill_one(&mut self) {
        let place = self.random.below(WORKERS as u64) as usize;
        // A new one must have come as far as the lock; how far from there to the kill is anybody's guess.
        let enough = self.calls(place) + 1 + self.random.below(200);
        while self.calls(place) < enough {
            self.look_for_hangs();
            // Leaves the processors to the workers.
            std::thread::sleep(Duration::from_micros(100));
        }
        for _ in 0..self.random.below(2_000) {
            std::hint::spin_loop();
        }
        self.workers[place].kill();
        self.workers[place] = self.start(place);
    }

    /// Lets the workers end by themselves.
    fn end(&mut self) {
        self.arena.view().over().store(1, Relaxed);
        for worker in &mut self.workers {
            assert!(worker.wait().success(), "{}: a worker failed", self.kind);
        }
    }

    fn sum<'s>(&'s self, count: impl Fn(TallyView<'s>) -> ShmRef<'s, AtomicU64>) -> u64 {
        (0..WORKERS).map(|place| count(self.arena.view().tallies().at(place)).load(Relaxed)).sum()
    }
}

fn soak(kind: &str) {
    let scratch = Scratch::new();
    let arena = ShmBox::options().name(scratch.name("arena")).create().unwrap();
    let array = LockedArray::<u64>::options().name(array_beside(arena.name())).create(WORDS).unwrap();
    let (least, mut kills) = (rounds(KILLS) as u64, 0);
    let start = Instant::now();
    let mut soak = Soak::new(kind, &arena);
    // One of some forty kills comes in the middle of a change.
    while kills < least || soak.sum(TallyView::repairs) == 0 && kills < 20 * least {
        soak.kill_one();
        kills += 1;
    }
    soak.end();

    let [sections, reads, refusals] =
        [soak.sum(TallyView::sections), soak.sum(TallyView::reads), soak.sum(TallyView::refusals)];
    let [takeovers, repairs, warnings] =
        [soak.sum(TallyView::takeovers), soak.sum(TallyView::repairs), soak.sum(TallyView::warnings)];
    let [violations, torn, impossible] =
        [soak.sum(TallyView::violations), soak.sum(TallyView::torn), soak.sum(TallyView::impossible)];
    println!(
        "{kind}: {kills} kills in {:?}, {sections} sections, {reads} reads, {refusals} refusals, {takeovers} takeovers, \
         {repairs} of them with half changed words, {warnings} reads warned, {violations} violations, {torn} torn, \
         {impossible} impossible outcomes, 0 hangs",
        start.elapsed()
    );
    assert_eq!((violations, torn, impossible), (0, 0, 0), "{kind}");
    assert!(takeovers <= kills, "{kind}: {takeovers} takeovers after {kills} kills");
    assert!(
        0 < repairs && repairs <= takeovers,
        "{kind}: {repairs} of {takeovers} repaired: do kills still hit sections?"
    );
    // Whoever was killed last may have held it.
    drop(arena.view().mutex().lock().map_or_else(|error| error.into_guard(), Some).unwrap().recover());
    drop(arena.view().rwlock().write().map_or_else(|error| error.into_guard(), Some).unwrap().recover());
    drop(array.write().map_or_else(|error| error.into_guard(), Some).unwrap().recover());
    assert!(arena.view().mutex().try_lock().is_ok() && arena.view().rwlock().try_write().is_ok());
    assert!(array.try_write().is_ok());
}

#[test]
fn a_mutex_survives_its_holders() {
    soak("mutex");
}

#[test]
fn a_reader_writer_lock_survives_its_holders() {
    soak("rwlock");
}

#[test]
fn a_locked_array_survives_the_holders_of_its_slices() {
    soak("slices");
}
