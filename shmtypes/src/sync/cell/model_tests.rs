//! Models of the cell: loom runs the code that ships through interleavings and reorderings of a writer and two readers.
//!
//! The value is two words that are always equal, moved by relaxed accesses. Each property is also run with a mistake
//! seeded into the ground that the code stands on, and must fail then.

use super::change::{self, Bell};
use super::protocol::{Buffers, BuffersMut, try_read, write};
use crate::error::Result;
use crate::sync::model::{complaint, explore, mistake};
use core::cell::Cell;
use core::marker::PhantomData;
use core::sync::atomic::Ordering;
use core::time::Duration;
use loom::sync::atomic::{AtomicU32, AtomicU64, fence};
use loom::sync::{Arc, Condvar, Mutex};

/// What a model does wrong.
trait Seed: Copy + Send + Sync + 'static {
    const RELEASE_FENCE: bool = true;
    const ACQUIRE_FENCE: bool = true;
    /// A look at a version sees what is there, not what is hoped for.
    const LOOKS: bool = true;
    /// `current` is stored with release ordering.
    const RELEASES: bool = true;
    /// `current` is loaded with acquire ordering.
    const ACQUIRES: bool = true;
    /// A buffer is marked before it is written.
    const MARKS: bool = true;
    /// Who waits, or has stored, has a fence before looking for the other.
    const ORDERED: bool = true;
    /// Who sleeps is asleep only if nothing has changed.
    const COMPARES: bool = true;
    /// Who waits asks to be woken.
    const ASKS: bool = true;
    /// A question is replaced only by who has seen it.
    const KEEPS: bool = true;
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
    NoReleaseFence { RELEASE_FENCE = false }
    NoAcquireFence { ACQUIRE_FENCE = false }
    NoLook { LOOKS = false }
    NoRelease { RELEASES = false }
    NoAcquire { ACQUIRES = false }
    NoMark { MARKS = false }
    NoOrder { ORDERED = false }
    NoCompare { COMPARES = false }
    NoQuestion { ASKS = false }
    NoKeeping { KEEPS = false }
}

const COUNT: usize = 2;

/// The cell: two buffers of two words.
struct Shared {
    current: AtomicU64,
    versions: [AtomicU64; COUNT],
    values: [[AtomicU64; 2]; COUNT],
    asked: AtomicU32,
    gate: Mutex<()>,
    bell: Condvar,
}

impl Shared {
    fn new() -> Arc<Self> {
        let word = || AtomicU64::new(0);
        Arc::new(Self {
            current: word(),
            versions: [word(), word()],
            values: [[word(), word()], [word(), word()]],
            asked: AtomicU32::new(0),
            gate: Mutex::new(()),
            bell: Condvar::new(),
        })
    }
}

/// How many stores a writer makes before it is killed: those after that do not happen.
#[derive(Clone, Copy)]
struct View<'a, S> {
    shared: &'a Shared,
    life: &'a Cell<u32>,
    found: &'a Cell<u64>,
    seed: PhantomData<S>,
}

/// Calls `body` with a view whose owner makes `life` stores to shared memory.
fn with_view<S: Seed, R>(shared: &Shared, life: u32, body: impl FnOnce(View<'_, S>) -> R) -> R {
    body(View { shared, life: &Cell::new(life), found: &Cell::new(0), seed: PhantomData })
}

impl<S: Seed> View<'_, S> {
    fn lives(self) -> bool {
        let life = self.life.get();
        self.life.set(life.saturating_sub(1));
        life > 0
    }

    fn read(self) -> Option<(u64, u64)> {
        let mut value = [0, 0];
        if !try_read(self, &mut value) {
            return None;
        }
        assert_eq!(value[0], value[1], "torn");
        Some((self.found.get(), value[0]))
    }

    fn write(self, value: u64) {
        write(self, &[value, value]);
    }
}

impl<S: Seed> Buffers for View<'_, S> {
    type Private = [u64; 2];
    const COUNT: u64 = COUNT as u64;

    fn current(self, order: Ordering) -> u64 {
        let order = if S::ACQUIRES { order } else { Ordering::Relaxed };
        self.found.set(self.shared.current.load(order));
        self.found.get()
    }

    fn version_of(self, buffer: usize, order: Ordering) -> u64 {
        if S::LOOKS { self.shared.versions[buffer].load(order) } else { 2 * self.found.get() }
    }

    fn copy_from_buffer(self, buffer: usize, target: &mut [u64; 2]) {
        for (word, target) in self.shared.values[buffer].iter().zip(target) {
            *target = word.load(Ordering::Relaxed);
        }
    }

    fn fence(order: Ordering) {
        let there = match order {
            Ordering::Acquire => S::ACQUIRE_FENCE,
            _ => S::RELEASE_FENCE,
        };
        if there {
            fence(order);
        }
    }
}

impl<S: Seed> BuffersMut for View<'_, S> {
    type Value = [u64; 2];

    fn set_current(self, number: u64, order: Ordering) {
        if self.lives() {
            self.shared.current.store(number, if S::RELEASES { order } else { Ordering::Relaxed });
        }
    }

    fn set_version(self, buffer: usize, version: u64, order: Ordering) {
        if self.lives() && (S::MARKS || version.is_multiple_of(2)) {
            self.shared.versions[buffer].store(version, order);
        }
    }

    fn copy_into_buffer(self, buffer: usize, value: &[u64; 2]) {
        for (word, value) in self.shared.values[buffer].iter().zip(value) {
            if self.lives() {
                word.store(*value, Ordering::Relaxed);
            }
        }
    }
}

impl<S: Seed> Bell for View<'_, S> {
    fn current(self, order: Ordering) -> u64 {
        Buffers::current(self, order)
    }

    fn question(self) -> u32 {
        self.shared.asked.load(Ordering::Relaxed)
    }

    fn exchange(self, current: u32, new: u32) -> bool {
        if !S::ASKS {
            return true;
        }
        if S::KEEPS {
            self.shared.asked.compare_exchange(current, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        } else {
            self.shared.asked.store(new, Ordering::Relaxed);
            true
        }
    }

    fn order() {
        if S::ORDERED {
            fence(Ordering::SeqCst);
        }
    }

    fn sleep(self, seen: u64, _: Duration) -> Result<()> {
        let gate = self.shared.gate.lock().unwrap();
        if S::COMPARES && self.shared.current.load(Ordering::Relaxed) as u32 != seen as u32 {
            return Ok(());
        }
        drop(self.shared.bell.wait(gate).unwrap());
        Ok(())
    }

    fn wake(self) -> usize {
        let _gate = self.shared.gate.lock().unwrap();
        self.shared.bell.notify_all();
        0
    }
}

/// Stores that nobody interrupts.
const FOR_EVER: u32 = u32::MAX;

fn spawn(shared: &Arc<Shared>, body: impl FnOnce(&Shared) + 'static) -> loom::thread::JoinHandle<()> {
    let shared = Arc::clone(shared);
    loom::thread::spawn(move || body(&shared))
}

/// A writer stores 1 and 2, the second time into the buffer that readers have begun with; two readers look. Both buffers
/// are used again.
fn reading<S: Seed>() {
    let shared = Shared::new();
    let writer = spawn(&shared, |shared| {
        with_view::<S, _>(shared, FOR_EVER, |view| {
            view.write(1);
            view.write(2);
        });
    });
    let reader = spawn(&shared, |shared| {
        with_view::<S, _>(shared, 0, |view| {
            if let Some((number, value)) = view.read() {
                assert_eq!(number, value);
            }
        });
    });
    with_view::<S, _>(&shared, 0, |view| {
        let first = view.read();
        if let Some((number, value)) = first {
            assert_eq!(number, value);
        }
        // What a reader has seen it does not see older.
        if let (Some(first), Some(second)) = (first, view.read()) {
            assert!(first <= second, "{first:?}, then {second:?}");
        }
    });
    writer.join().unwrap();
    reader.join().unwrap();
    with_view::<S, _>(&shared, 0, |view| assert_eq!(view.read(), Some((2, 2))));
}

#[test]
fn readers_see_whole_values_and_never_older_ones() {
    explore(reading::<Right>);
}

/// A writer is killed after so many stores to shared memory, of which one value takes five. Another one goes on, beside a
/// reader.
fn killed<S: Seed>(life: u32) {
    let shared = Shared::new();
    with_view::<S, _>(&shared, FOR_EVER, |view| view.write(1));
    let victim = spawn(&shared, move |shared| with_view::<S, _>(shared, life, |view| view.write(2)));
    let reader = spawn(&shared, |shared| {
        with_view::<S, _>(shared, 0, |view| {
            if let Some((number, value)) = view.read() {
                assert!(matches!((number, value), (1, 1) | (2, 2 | 3) | (3, 3)), "{number}: {value}");
            }
        });
    });
    victim.join().unwrap();
    with_view::<S, _>(&shared, FOR_EVER, |view| {
        // The old value or the new one, at once.
        let whole = if life < 5 { (1, 1) } else { (2, 2) };
        assert_eq!(view.read(), Some(whole));
        view.write(3);
        assert_eq!(view.read(), Some((whole.0 + 1, 3)));
    });
    reader.join().unwrap();
}

#[test]
fn a_killed_writer_leaves_the_old_value_or_the_new_one_and_the_next_one_goes_on() {
    for life in 0..=5 {
        explore(move || killed::<Right>(life));
    }
}

/// A waiter sleeps until it is woken; another one has been there before and asked.
fn waiting<S: Seed>() {
    let shared = Shared::new();
    let waiter = |shared: &Shared| {
        with_view::<S, _>(shared, 0, |view| {
            let mut seen = 0;
            while seen < 2 {
                seen = change::wait(view, seen, || Some(Duration::MAX), || Ok(())).unwrap();
            }
        });
    };
    let first = spawn(&shared, waiter);
    let writer = spawn(&shared, |shared| {
        with_view::<S, _>(shared, FOR_EVER, |view| {
            for value in [1, 2] {
                view.write(value);
                change::tell(view);
            }
        });
    });
    waiter(&shared);
    first.join().unwrap();
    writer.join().unwrap();
}

#[test]
fn whoever_waits_is_woken() {
    explore(waiting::<Right>);
}

/// The path of the test below.
const MISTAKEN: &str = "sync::cell::model_tests::mistaken";

/// The other side of [`complaint`]; without a mistake there is nothing to do.
#[test]
fn mistaken() {
    match mistake().as_deref() {
        Some("no release fence") => explore(reading::<NoReleaseFence>),
        Some("no acquire fence") => explore(reading::<NoAcquireFence>),
        Some("no look") => explore(reading::<NoLook>),
        Some("no release") => explore(reading::<NoRelease>),
        Some("no acquire") => explore(reading::<NoAcquire>),
        Some("no mark") => explore(reading::<NoMark>),
        Some("no order") => explore(waiting::<NoOrder>),
        Some("no compare") => explore(waiting::<NoCompare>),
        Some("no keeping") => explore(waiting::<NoKeeping>),
        Some("no question") => explore(waiting::<NoQuestion>),
        Some(unknown) => unreachable!("{unknown}"),
        None => {}
    }
}

#[test]
fn mistakes_are_found() {
    for (mistake, word) in [
        ("no release fence", "torn"),
        ("no acquire fence", "torn"),
        ("no look", "torn"),
        ("no release", "left == right"),
        ("no acquire", "left == right"),
        ("no mark", "torn"),
        ("no order", "deadlock"),
        ("no compare", "deadlock"),
        ("no question", "deadlock"),
        ("no keeping", "deadlock"),
    ] {
        let said = complaint(MISTAKEN, mistake);
        assert!(said.contains(word), "{mistake}: {said}");
    }
}
