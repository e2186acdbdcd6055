//! Every call on the locks of a board, while others scribble on it: each must come back, with anything but a panic.

use shmtypes::sync::{LockError, LockResult};
use shmtypes::{ErrorKind, ShmBox, inspect};
use shmtypes_tests::locks::Board;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a call may wait.
const DEADLINE: Duration = Duration::from_millis(50);
/// A call that takes so long hangs.
const HANGS: Duration = Duration::from_secs(20);

/// How often calls ended how, and the longest one.
#[derive(Default)]
struct Record {
    outcomes: BTreeMap<&'static str, u64>,
    longest: Duration,
}

static RECORD: Mutex<Option<Record>> = Mutex::new(None);

pub(super) fn run(name: &str, rounds: u64) {
    *RECORD.lock().expect("no panic") = Some(Record::default());
    let handles = [0, 1].map(|_| ShmBox::<Board>::open(name).expect("attach"));
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).expect("wait");
    for round in 0..rounds {
        std::thread::scope(|scope| {
            for handle in [&handles[0], &handles[1], &handles[0]] {
                scope.spawn(|| {
                    use_mutex(handle);
                    use_rwlock(handle);
                });
            }
        });
        attach(name);
        println!("round {round}");
    }
    let record = RECORD.lock().expect("no panic").take().expect("a record");
    println!("{:?}, longest {:?}", record.outcomes, record.longest);
    println!("done");
}

/// Makes a call and records how it ends.
fn call<G>(call: impl FnOnce() -> LockResult<G>) -> Option<G> {
    let start = Instant::now();
    let result = call();
    let elapsed = start.elapsed();
    assert!(elapsed < HANGS, "a call took {elapsed:?}");
    let outcome = match &result {
        Ok(_) => "Ok",
        Err(LockError::OwnerDied(_)) => "OwnerDied",
        Err(LockError::Poisoned(_)) => "Poisoned",
        Err(LockError::TimedOut(_)) => "TimedOut",
        Err(LockError::Held(_)) => "Held",
        Err(LockError::Failed(error)) if *error.kind() == ErrorKind::Busy => "Busy",
        Err(other) => panic!("{other:?}"),
    };
    let mut record = RECORD.lock().expect("no panic");
    let record = record.as_mut().expect("a record");
    *record.outcomes.entry(outcome).or_default() += 1;
    record.longest = record.longest.max(elapsed);
    result.map_or_else(LockError::into_guard, Some)
}

fn use_mutex(handle: &ShmBox<Board>) {
    let mutex = handle.view().mutex();
    black_box(mutex.is_poisoned());
    if let Some(mut guard) = call(|| mutex.lock_until(DEADLINE)) {
        guard.set([1, 2]);
        black_box((guard.get().expect("numbers"), guard.is_poisoned()));
        drop(call(|| mutex.try_lock()));
    }
    if let Some(mut guard) = call(|| mutex.lock()) {
        guard.update(|value| value.swap(0, 1)).expect("numbers");
        guard.view().at(1).set(3);
        drop(guard.recover());
    }
    drop(call(|| mutex.try_lock()));
}

fn use_rwlock(handle: &ShmBox<Board>) {
    let lock = handle.view().rwlock();
    black_box(lock.is_poisoned());
    let readers = [call(|| lock.read_until(DEADLINE)), call(|| lock.try_read()), call(|| lock.read())];
    for reader in readers.iter().flatten() {
        black_box((reader.get().expect("numbers"), reader.view().at(0).get(), reader.is_poisoned()));
    }
    drop(call(|| lock.try_write()));
    drop(readers);
    if let Some(mut guard) = call(|| lock.write_until(DEADLINE)) {
        guard.set([1, 2]);
        drop(call(|| lock.try_read()));
        drop(guard.recover());
    }
    if let Some(mut guard) = call(|| lock.write()) {
        guard.update(|value| value.swap(0, 1)).expect("numbers");
    }
}

/// Another attachment comes and goes, whatever stands in the table of slots.
fn attach(name: &str) {
    let handle = ShmBox::<Board>::open(name).expect("attach");
    drop(call(|| handle.view().mutex().try_lock()));
    drop(call(|| handle.view().rwlock().try_read()));
    let slots = inspect(name).expect("inspect").slots.expect("slots");
    assert!(slots.count == 64 && slots.taken.len() >= 3, "the kernel knows who is there: {slots:?}");
}
