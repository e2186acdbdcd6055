//! Taking a lock and letting go of it, alone and against another process.

use crate::Fallible;
use crate::contest::{Contender, Kind};
use crate::measure::{Log, cpu_once};
use crate::pthread::{self, Mutex};
use crate::report::{NULL, REFERENCE, Report, Target};
use shmtypes::ShmBox;
use shmtypes::sync::{ShmMutex, ShmRwLock};
use std::hint::black_box;

const ROUNDS: usize = 60;
const LOCKS: u32 = 100_000;
const SECTIONS: u64 = 50_000;

pub(super) fn measure(report: &mut Report) -> Fallible {
    alone(report)?;
    reading(report)?;
    contended(report)
}

/// The processor time of one of [`LOCKS`].
fn per_lock(run: impl FnOnce()) -> f64 {
    cpu_once(run).0 / f64::from(LOCKS)
}

/// Loops in functions of their own: inside a larger one, where the compiler happens to put a guard on the stack makes some of them
/// half as fast again, now and then.
macro_rules! loops {
    ($($name:ident($lock:ident: $type:ty) $body:block)*) => {$(
        #[inline(never)]
        fn $name($lock: $type) {
            for _ in 0..LOCKS {
                let $lock = black_box($lock);
                $body
            }
        }
    )*};
}

loops! {
    lock_plain(mutex: &std::sync::Mutex<u64>) { drop(mutex.lock()) }
    lock_shared(mutex: &ShmBox<ShmMutex<u64>>) { drop(mutex.view().lock()) }
    lock_robust(mutex: Mutex) { mutex.lock(); mutex.unlock() }
    read_plain(lock: &std::sync::RwLock<u64>) { drop(lock.read()) }
    read_shared(lock: &ShmBox<ShmRwLock<u64>>) { drop(lock.view().read()) }
    write_plain(lock: &std::sync::RwLock<u64>) { drop(lock.write()) }
    write_shared(lock: &ShmBox<ShmRwLock<u64>>) { drop(lock.view().write()) }
}

fn alone(report: &mut Report) -> Fallible {
    let (std, null) = (std::sync::Mutex::new(0_u64), std::sync::Mutex::new(0_u64));
    let shared = ShmBox::<ShmMutex<u64>>::create()?;
    let place = ShmBox::<[u64; pthread::WORDS]>::create()?;
    let robust = Mutex::at(place.view().as_ptr().cast());
    robust.initialise(true);
    let mut log = Log::default();
    for _ in 0..=ROUNDS {
        log.round(&mut [
            (REFERENCE, &mut || per_lock(|| lock_plain(&std))),
            (NULL, &mut || per_lock(|| lock_plain(&null))),
            ("shm", &mut || per_lock(|| lock_shared(&shared))),
            ("robust", &mut || per_lock(|| lock_robust(robust))),
        ]);
    }
    report.row("mutex lock and unlock, alone", Target::AtMost(1.15), &log, "shm");
    let what = "mutex lock and unlock, alone, against a robust pthread mutex";
    report.row_against(what, Target::AtMost(0.75), &log, "shm", "robust", "");
    Ok(())
}

fn reading(report: &mut Report) -> Fallible {
    let (std, null) = (std::sync::RwLock::new(0_u64), std::sync::RwLock::new(0_u64));
    let shared = ShmBox::<ShmRwLock<u64>>::create()?;
    let (mut read, mut write) = (Log::default(), Log::default());
    for _ in 0..=ROUNDS {
        read.round(&mut [
            (REFERENCE, &mut || per_lock(|| read_plain(&std))),
            (NULL, &mut || per_lock(|| read_plain(&null))),
            ("shm", &mut || per_lock(|| read_shared(&shared))),
        ]);
        write.round(&mut [
            (REFERENCE, &mut || per_lock(|| write_plain(&std))),
            (NULL, &mut || per_lock(|| write_plain(&null))),
            ("shm", &mut || per_lock(|| write_shared(&shared))),
        ]);
    }
    report.row("reader-writer lock: read, alone", Target::AtMost(1.15), &read, "shm");
    report.row("reader-writer lock: write, alone", Target::Shown, &write, "shm");
    Ok(())
}

fn contended(report: &mut Report) -> Fallible {
    let contender = Contender::start()?;
    let mut log = Log::default();
    for _ in 0..=ROUNDS {
        log.round(&mut [
            (REFERENCE, &mut || contender.contend(Kind::Pthread, SECTIONS)),
            (NULL, &mut || contender.contend(Kind::Pthread, SECTIONS)),
            ("shm", &mut || contender.contend(Kind::Ours, SECTIONS)),
        ]);
    }
    report.row("mutex, two processes, against a shared pthread mutex", Target::AtMost(1.1), &log, "shm");
    Ok(())
}
