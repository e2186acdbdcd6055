//! Models of the locks: loom runs the code that ships through the interleavings and the reorderings of a few threads.
//!
//! Each property is also run with a mistake seeded into the ground that the code stands on (a fence that does nothing, a
//! sleep that does not compare, …), and must fail then.

#![allow(unsafe_code, reason = "reads and writes cells that loom watches")]

use super::word::{Found, Patience, Peers, Wake, Word};
use super::{exclusive, shared};
use crate::error::Result;
use crate::participants::Identity;
use crate::sync::model::{complaint, explore, explore_to, mistake};
use core::marker::PhantomData;
use core::sync::atomic::Ordering;
use core::time::Duration;
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicU64, fence};
use loom::sync::{Arc, Condvar, Mutex};

/// What a model does wrong.
trait Seed: Copy + Send + Sync + 'static {
    /// Exchanges release nothing.
    const RELEASES: bool = true;
    /// Sleepers compare the word first.
    const COMPARES: bool = true;
    const WAKES: bool = true;
    /// The store and the load after it stay in order.
    const FENCES: bool = true;
    /// A load of the word sees what is there.
    const LOOKS: bool = true;
    /// Sleeps end by themselves.
    const TIMES_OUT: bool = false;
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
    NoCompare { COMPARES = false }
    NoWake { WAKES = false }
    NoFence { FENCES = false }
    NoLook { LOOKS = false }
    Impatient { TIMES_OUT = true }
}

#[derive(Debug)]
struct Place {
    value: AtomicU64,
    gate: Mutex<()>,
    bell: Condvar,
}

impl Place {
    fn new() -> Self {
        Self { value: AtomicU64::new(0), gate: Mutex::new(()), bell: Condvar::new() }
    }

    fn word<S: Seed>(&self) -> ModelWord<'_, S> {
        ModelWord(self, PhantomData)
    }
}

#[derive(Clone, Copy)]
struct ModelWord<'a, S>(&'a Place, PhantomData<S>);

impl<S: Seed> Word for ModelWord<'_, S> {
    fn load(self, order: Ordering) -> u64 {
        if S::LOOKS || order == Ordering::Relaxed { self.0.value.load(order) } else { 0 }
    }

    fn compare_exchange(self, current: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        let success = if S::RELEASES {
            success
        } else {
            match success {
                Ordering::Release => Ordering::Relaxed,
                Ordering::AcqRel | Ordering::SeqCst => Ordering::Acquire,
                other => other,
            }
        };
        self.0.value.compare_exchange(current, new, success, failure)
    }

    fn after_exchange() {
        // loom treats `SeqCst` accesses as acquire and release; the fence is what it knows of a total order.
        if S::FENCES {
            fence(Ordering::SeqCst);
        }
    }

    fn sleep(self, expected: u64, _: Duration) -> Result<()> {
        if S::TIMES_OUT {
            loom::thread::yield_now();
            return Ok(());
        }
        let gate = self.0.gate.lock().unwrap();
        // The kernel compares the lower half.
        if S::COMPARES && self.0.value.load(Ordering::Relaxed) as u32 != expected as u32 {
            return Ok(());
        }
        drop(self.0.bell.wait(gate).unwrap());
        Ok(())
    }

    fn wake(self, how_many: Wake) {
        if S::WAKES {
            let _gate = self.0.gate.lock().unwrap();
            match how_many {
                Wake::One => self.0.bell.notify_one(),
                Wake::All => self.0.bell.notify_all(),
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Forever;

impl Patience for Forever {
    fn slice(&mut self) -> Option<Duration> {
        Some(Duration::ZERO)
    }
    fn looks(&self) -> u32 {
        0
    }
}

fn participant(slot: u64) -> Identity {
    Identity::from_bits(1 << 32 | (slot + 1)).unwrap()
}

/// The state of each model: two slots, a value that the lock protects, and who is dead.
struct World<S> {
    writer: Place,
    counts: [Place; 2],
    value: UnsafeCell<u64>,
    dead: [AtomicBool; 2],
    seed: PhantomData<S>,
}

impl<S: Seed> World<S> {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            writer: Place::new(),
            counts: [Place::new(), Place::new()],
            value: UnsafeCell::new(0),
            dead: [AtomicBool::new(false), AtomicBool::new(false)],
            seed: PhantomData,
        })
    }

    fn lock(&self, slot: u64) -> Found {
        let (word, me) = (self.writer.word::<S>(), participant(slot));
        if exclusive::try_take(word, me) {
            return Found::Whole;
        }
        exclusive::take(word, me, self, &mut Forever).unwrap_or_else(|refusal| panic!("{refusal:?}"))
    }

    fn unlock(&self, slot: u64, left: u64) {
        exclusive::release(self.writer.word::<S>(), participant(slot), left, Wake::One);
    }

    fn add(&self, number: u64) {
        self.value.with_mut(|value| {
            // SAFETY: loom panics if another thread has access meanwhile.
            unsafe { *value += number }
        });
    }

    fn get(&self) -> u64 {
        self.value.with(|value| {
            // SAFETY: loom panics if another thread writes meanwhile.
            unsafe { *value }
        })
    }

    fn die(&self, slot: u64) {
        // The kernel orders a process's last instruction before the end of its lock.
        self.dead[slot as usize].store(true, Ordering::Release);
    }

    fn read(&self, slot: u64) -> Found {
        if shared::try_read(&self, participant(slot)) {
            return Found::Whole;
        }
        shared::read(&self, participant(slot), self, &mut Forever).unwrap_or_else(|refusal| panic!("{refusal:?}"))
    }

    fn write(&self, slot: u64) -> Found {
        shared::write(&self, participant(slot), self, &mut Forever).unwrap_or_else(|refusal| panic!("{refusal:?}"))
    }
}

impl<S: Seed> Peers for World<S> {
    fn is_dead(&self, holder: Identity) -> Result<bool> {
        Ok(self.dead[holder.slot() as usize].load(Ordering::Acquire))
    }
}

impl<'a, S: Seed> shared::Words for &'a World<S> {
    type Word = ModelWord<'a, S>;

    fn writer(&self) -> Self::Word {
        let world: &'a World<S> = self;
        world.writer.word()
    }

    fn count(&self, slot: u32) -> Option<Self::Word> {
        let world: &'a World<S> = self;
        world.counts.get(slot as usize).map(Place::word)
    }

    fn slots(&self) -> u32 {
        2
    }
}

/// The path of the test below.
const MISTAKEN: &str = "sync::lock::model_tests::mistaken";

/// The other side of [`complaint`]; without a mistake there is nothing to do.
#[test]
fn mistaken() {
    match mistake().as_deref() {
        Some("mutex: no release") => explore(exclusion::<NoRelease>),
        Some("mutex: no compare") => explore(exclusion::<NoCompare>),
        Some("mutex: no wake") => explore(exclusion::<NoWake>),
        Some("rwlock: no fence") => explore(reading::<NoFence>),
        Some("rwlock: no look") => explore(reading::<NoLook>),
        Some("rwlock: no release") => explore(reading::<NoRelease>),
        Some("rwlock: no compare") => explore(reading::<NoCompare>),
        Some("rwlock: no wake") => explore(reading::<NoWake>),
        Some(unknown) => unreachable!("{unknown}"),
        None => {}
    }
}

#[test]
fn mistakes_in_the_mutex_are_found() {
    for (mistake, word) in [
        ("mutex: no release", "Causality violation"),
        ("mutex: no compare", "deadlock"),
        ("mutex: no wake", "deadlock"),
    ] {
        let said = complaint(MISTAKEN, mistake);
        assert!(said.contains(word), "{mistake}: {said}");
    }
}

#[test]
fn mistakes_in_the_reader_writer_lock_are_found() {
    for (mistake, word) in [
        ("rwlock: no fence", "Causality violation"),
        ("rwlock: no look", "Causality violation"),
        ("rwlock: no release", "Causality violation"),
        ("rwlock: no compare", "deadlock"),
        ("rwlock: no wake", "deadlock"),
    ] {
        let said = complaint(MISTAKEN, mistake);
        assert!(said.contains(word), "{mistake}: {said}");
    }
}

fn spawn<S: Seed>(world: &Arc<World<S>>, body: impl FnOnce(&World<S>) + 'static) -> loom::thread::JoinHandle<()> {
    let world = Arc::clone(world);
    loom::thread::spawn(move || body(&world))
}

/// Three threads of two participants take the mutex one after the other.
fn exclusion<S: Seed>() {
    let world = World::<S>::new();
    let threads = [0, 1].map(|slot| {
        spawn(&world, move |world| {
            assert_eq!(world.lock(slot), Found::Whole);
            world.add(1);
            world.unlock(slot, 0);
        })
    });
    assert_eq!(world.lock(1), Found::Whole);
    world.add(1);
    world.unlock(1, 0);
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(world.get(), 3);
}

#[test]
fn a_mutex_excludes_and_wakes() {
    explore(exclusion::<Right>);
}

/// Takes the mutex, and counts if this is who is told of a death.
fn survive<S: Seed>(world: &World<S>, told: &AtomicU64) {
    if world.lock(1) == Found::OwnerDied {
        told.fetch_add(1, Ordering::Relaxed);
    }
    world.add(1);
    world.unlock(1, 0);
}

/// The holder has died; two threads of another participant come.
fn survivors<S: Seed>() {
    let world = World::<S>::new();
    let victim = spawn(&world, |world| {
        world.lock(0);
        world.add(1);
        world.die(0);
    });
    victim.join().unwrap();
    let told = Arc::new(AtomicU64::new(0));
    let other = {
        let told = Arc::clone(&told);
        spawn(&world, move |world| survive(world, &told))
    };
    survive(&world, &told);
    other.join().unwrap();
    assert_eq!(told.load(Ordering::Relaxed), 1);
    assert_eq!(world.get(), 3);
}

/// The holder dies while another thread comes.
fn witness<S: Seed>() {
    let world = World::<S>::new();
    let victim = spawn(&world, |world| {
        world.lock(0);
        world.add(1);
        world.die(0);
    });
    let told = AtomicU64::new(0);
    survive(&world, &told);
    victim.join().unwrap();
    // It may have come before.
    let next = if told.load(Ordering::Relaxed) == 0 { Found::OwnerDied } else { Found::Whole };
    assert_eq!(world.lock(1), next);
    assert_eq!(world.get(), 2);
}

#[test]
fn a_death_is_told_once() {
    explore(survivors::<Impatient>);
    explore(witness::<Impatient>);
}

/// What a poisoned word becomes is what the one who lets go of it says.
#[test]
fn a_mutex_stays_poisoned_until_somebody_says_otherwise() {
    explore(|| {
        let world = World::<Impatient>::new();
        let victim = spawn(&world, |world| {
            world.lock(0);
            world.die(0);
        });
        victim.join().unwrap();
        assert_eq!(world.lock(1), Found::OwnerDied);
        world.unlock(1, super::word::POISONED);
        assert_eq!(world.lock(1), Found::Poisoned);
        world.unlock(1, 0);
        assert_eq!(world.lock(1), Found::Whole);
    });
}

/// A writer of one participant and a reader of another.
fn reading<S: Seed>() {
    let world = World::<S>::new();
    let writer = spawn(&world, |world| {
        world.write(0);
        world.add(1);
        shared::release_write(&world, participant(0), 0);
    });
    world.read(1);
    let seen = world.get();
    shared::release_read(&&*world, participant(1));
    writer.join().unwrap();
    assert!(seen <= 1 && world.get() == 1);
}

/// The same, and a second thread that reads as the same participant.
fn crowd<S: Seed>() {
    let world = World::<S>::new();
    let reader = spawn(&world, |world| {
        world.read(1);
        assert!(world.get() <= 1);
        shared::release_read(&world, participant(1));
    });
    let writer = spawn(&world, |world| {
        world.write(0);
        world.add(1);
        shared::release_write(&world, participant(0), 0);
    });
    world.read(1);
    assert!(world.get() <= 1);
    shared::release_read(&&*world, participant(1));
    writer.join().unwrap();
    reader.join().unwrap();
    assert_eq!(world.get(), 1);
}

#[test]
fn readers_and_a_writer_exclude_each_other() {
    explore(reading::<Right>);
    explore_to(1, crowd::<Right>);
}

/// Two writers, which also need the whole protocol against each other.
#[test]
fn writers_exclude_each_other() {
    explore(|| {
        let world = World::<Right>::new();
        let writer = spawn(&world, |world| {
            world.write(0);
            world.add(1);
            shared::release_write(&world, participant(0), 0);
        });
        world.write(1);
        world.add(1);
        shared::release_write(&&*world, participant(1), 0);
        writer.join().unwrap();
        assert_eq!(world.get(), 2);
    });
}

/// A writer dies, a reader and a writer come: the writer is told, the reader sees that something is wrong.
#[test]
fn the_death_of_a_writer_is_told_to_one_writer() {
    explore_to(1, || {
        let world = World::<Impatient>::new();
        let victim = spawn(&world, |world| {
            world.write(0);
            world.add(1);
            world.die(0);
        });
        victim.join().unwrap();
        let reader = spawn(&world, |world| {
            let found = world.read(1);
            assert!(found != Found::OwnerDied);
            shared::release_read(&world, participant(1));
        });
        assert_eq!(world.write(1), Found::OwnerDied);
        world.add(1);
        shared::release_write(&&*world, participant(1), 0);
        reader.join().unwrap();
        assert_eq!(world.read(1), Found::Whole);
        assert_eq!(world.get(), 2);
    });
}

/// A reader dies, a writer comes.
#[test]
fn the_death_of_a_reader_harms_nothing() {
    explore(|| {
        let world = World::<Impatient>::new();
        let victim = spawn(&world, |world| {
            world.read(0);
            world.get();
            world.die(0);
        });
        assert_eq!(world.write(1), Found::Whole);
        world.add(1);
        shared::release_write(&&*world, participant(1), 0);
        victim.join().unwrap();
        assert_eq!(world.write(1), Found::Whole);
    });
}
