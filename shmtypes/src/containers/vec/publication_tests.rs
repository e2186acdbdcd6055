//! Models of the publication: loom runs the code that ships through the interleavings and the reorderings of an appender and
//! a reader. Elements are pairs of relaxed atomics, so that torn and stale ones show.
//!
//! Each property is also run with a mistake seeded into the ground that the code stands on, and must fail then.

use super::publication::{self, Cursor, OwnStateWord, State, StateWord, Taken};
use core::cell::Cell;
use core::marker::PhantomData;
use core::sync::atomic::Ordering::{self, Acquire, Relaxed, Release};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, fence};
use std::process::Command;

const CAPACITY: usize = 2;

/// What a model does wrong.
trait Seed: Copy + Send + Sync + 'static {
    /// Stores of the word release what was stored before.
    const RELEASES: bool = true;
    /// Fences between a truncation and later stores of elements.
    const FENCES: bool = true;
    /// Fences between the copy and the second look.
    const FENCES_COPIES: bool = true;
    /// The second look sees what is there.
    const LOOKS_AGAIN: bool = true;
}

macro_rules! seeds {
    ($($name:ident { $($constant:ident = $value:literal),* })*) => { $(
        #[derive(Clone, Copy)]
        struct $name;
        impl Seed for $name { $( const $constant: bool = $value; )* }
    )* };
}
seeds! {
    Right {}
    NoRelease { RELEASES = false }
    NoFence { FENCES = false }
    NoFenceOfCopies { FENCES_COPIES = false }
    NoSecondLook { LOOKS_AGAIN = false }
}

struct World<S> {
    word: AtomicU64,
    elements: [[AtomicU64; 2]; CAPACITY],
    seed: PhantomData<S>,
}

#[derive(Clone, Copy)]
struct ModelWord<'a, S> {
    world: &'a World<S>,
    /// What a reader without a second look goes by.
    first: &'a Cell<Option<u64>>,
}

impl<S: Seed> StateWord for ModelWord<'_, S> {
    fn load(self, order: Ordering) -> u64 {
        match self.first.get() {
            Some(first) if !S::LOOKS_AGAIN => first,
            _ => {
                let found = self.world.word.load(order);
                self.first.set(Some(found));
                found
            }
        }
    }

    fn fence(order: Ordering) {
        if order == Acquire && S::FENCES_COPIES || order == Release && S::FENCES {
            fence(order);
        }
    }
}

impl<S: Seed> OwnStateWord for ModelWord<'_, S> {
    fn store(self, bits: u64, order: Ordering) {
        self.world.word.store(bits, if S::RELEASES { order } else { Relaxed });
    }
}

impl<S: Seed> World<S> {
    fn new(state: State, first: u64) -> Arc<Self> {
        let element = |value| [AtomicU64::new(value), AtomicU64::new(value)];
        Arc::new(Self { word: AtomicU64::new(state.bits()), elements: [element(first), element(0)], seed: PhantomData })
    }

    /// What a thread does as the only holder of the lease.
    fn write(&self, work: impl FnOnce(&mut Writer<'_, S>)) {
        let first = Cell::new(None);
        let word = ModelWord { world: self, first: &first };
        let state = publication::begin(word, CAPACITY);
        work(&mut Writer { word, state });
    }

    fn element(&self, index: usize) -> [u64; 2] {
        [0, 1].map(|half: usize| self.elements[index][half].load(Relaxed))
    }

    /// The epoch and the elements of a successful read.
    fn read(&self) -> Option<(u64, Vec<[u64; 2]>)> {
        let first = Cell::new(None);
        let word = ModelWord { world: self, first: &first };
        let copy = |state: State| {
            let elements = (0..state.len(CAPACITY)).map(|index| self.element(index)).collect();
            (state.epoch(), elements)
        };
        publication::read(word, || false, copy)
    }
}

struct Writer<'a, S> {
    word: ModelWord<'a, S>,
    state: State,
}

impl<S: Seed> Writer<'_, S> {
    fn append(&mut self, value: u64) {
        let world = self.word.world;
        let store = |index: usize| {
            world.elements[index].iter().for_each(|half| half.store(value, Relaxed));
            true
        };
        assert!(publication::append(self.word, &mut self.state, CAPACITY, 1, store));
    }

    fn truncate(&mut self, len: usize) {
        publication::truncate(self.word, &mut self.state, len);
    }
}

fn spawn<S: Seed>(world: &Arc<World<S>>, body: impl FnOnce(&World<S>) + 'static) -> loom::thread::JoinHandle<()> {
    let world = Arc::clone(world);
    loom::thread::spawn(move || body(&world))
}

// The readers are the second threads: loom remembers one access to each word, and the look with which a writer begins hides a
// reader's that came before.

/// Two elements come.
fn growing<S: Seed>() {
    let world = World::<S>::new(State::new(0, 0), 0);
    let reader = spawn(&world, |world| {
        let (_, seen) = world.read().expect("nothing is truncated");
        assert_eq!(seen, [[7, 7], [8, 8]][..seen.len()]);
    });
    world.write(|writer| {
        writer.append(7);
        writer.append(8);
    });
    reader.join().unwrap();
}

/// One element goes, another one takes its place.
fn replacing<S: Seed>() {
    let world = World::<S>::new(State::new(5, 1), 1);
    let reader = spawn(&world, |world| check_replaced(world.read()));
    world.write(|writer| {
        writer.truncate(0);
        writer.append(2);
    });
    reader.join().unwrap();
}

fn check_replaced(read: Option<(u64, Vec<[u64; 2]>)>) {
    match read {
        None => {}
        Some((5, seen)) => assert_eq!(seen, [[1, 1]]),
        Some((6, seen)) => assert!(seen.is_empty() || seen == [[2, 2]], "{seen:?}"),
        Some((epoch, _)) => panic!("epoch {epoch}"),
    }
}

/// The same by two appenders, of which the first is killed right after the store of its truncation.
fn succeeding<S: Seed>() {
    let world = World::<S>::new(State::new(5, 1), 1);
    let reader = spawn(&world, |world| check_replaced(world.read()));
    let first = spawn(&world, |world| {
        let order = if S::RELEASES { Release } else { Relaxed };
        world.word.store(State::new(6, 0).bits(), order);
    });
    // The kernel orders a process's last instruction before the end of its lock.
    first.join().unwrap();
    world.write(|writer| writer.append(2));
    reader.join().unwrap();
}

/// A follower beside an appender that truncates.
fn following<S: Seed>() {
    let world = World::<S>::new(State::new(0, 1), 1);
    let follower = spawn(&world, |world| {
        let mut cursor = Cursor::new(State::new(0, 1), 0);
        let (mut seen, first) = (Vec::new(), Cell::new(Some(State::new(0, 1).bits())));
        for _ in 0..3 {
            let word = ModelWord { world, first: &first };
            match cursor.take(word, CAPACITY, |position, _| (world.element(position), 1)) {
                Taken::Nothing => {}
                Taken::Reset => seen.push([0, 0]),
                Taken::Copied(element) => seen.push(element),
            }
        }
        let whole = [[1, 1], [0, 0], [2, 2]];
        assert!(whole.starts_with(&seen) || whole[1..].starts_with(&seen), "the follower saw {seen:?}");
    });
    world.write(|writer| {
        writer.truncate(0);
        writer.append(2);
    });
    follower.join().unwrap();
}

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn a_reader_sees_a_prefix_of_what_was_pushed() {
    explore(growing::<Right>);
}

#[test]
fn a_reader_never_mixes_what_was_truncated_with_what_came_then() {
    explore(replacing::<Right>);
    explore(succeeding::<Right>);
}

#[test]
fn a_follower_sees_a_truncation_before_what_comes_then() {
    explore(following::<Right>);
}

/// The variable that names the mistake to a second process.
const MISTAKE: &str = "SHMTYPES_MODEL_MISTAKE";

/// The other side of the test below; without a mistake there is nothing to do.
#[test]
fn mistaken() {
    match std::env::var(MISTAKE).as_deref() {
        Ok("growing: no release") => explore(growing::<NoRelease>),
        Ok("replacing: no fence") => explore(replacing::<NoFence>),
        Ok("replacing: no fence of copies") => explore(replacing::<NoFenceOfCopies>),
        Ok("replacing: no second look") => explore(replacing::<NoSecondLook>),
        Ok("succeeding: no fence") => explore(succeeding::<NoFence>),
        Ok("following: no release") => explore(following::<NoRelease>),
        Ok("following: no fence") => explore(following::<NoFence>),
        Ok("following: no second look") => explore(following::<NoSecondLook>),
        Ok(unknown) => unreachable!("{unknown}"),
        Err(_) => {}
    }
}

/// In processes of their own: loom ends them in the middle of a panic.
#[test]
fn mistakes_are_found() {
    for mistake in [
        "growing: no release",
        "replacing: no fence",
        "replacing: no fence of copies",
        "replacing: no second look",
        "succeeding: no fence",
        "following: no release",
        "following: no fence",
        "following: no second look",
    ] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "containers::vec::publication_tests::mistaken", "--nocapture"])
            .env(MISTAKE, mistake)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let noticed = said.contains("assertion") || said.contains("the follower saw");
        assert!(!output.status.success() && noticed, "{mistake}: nobody notices\n{said}");
    }
}
