//! Taking a lock and letting go of it, alone and against another process.

use crate::Fallible;
use crate::contest::{Contender, Kind};
use crate::measure::{Log, cpu};
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

fn alone(report: &mut Report) -> Fallible {
    let (std, null) = (std::sync::Mutex::new(0_u64), std::sync::Mutex::new(0_u64));
    let shared = ShmBox::<ShmMutex<u64>>::create()?;
    let place = ShmBox::<[u64; pthread::WORDS]>::create()?;
    let robust = Mutex::at(place.view().as_ptr().cast());
    robust.initialise(true);
    let mut log = Log::default();
    for _ in 0..=ROUNDS {
        log.round(&mut [
            (REFERENCE, &mut || cpu(LOCKS, || drop(black_box(&std).lock()))),
            (NULL, &mut || cpu(LOCKS, || drop(black_box(&null).lock()))),
            ("shm", &mut || cpu(LOCKS, || drop(black_box(&shared).view().lock()))),
            ("robust", &mut || {
                cpu(LOCKS, || {
                    let mutex = black_box(robust);
                    mutex.lock();
                    mutex.unlock();
                })
            }),
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
            (REFERENCE, &mut || cpu(LOCKS, || drop(black_box(&std).read()))),
            (NULL, &mut || cpu(LOCKS, || drop(black_box(&null).read()))),
            ("shm", &mut || cpu(LOCKS, || drop(black_box(&shared).view().read()))),
        ]);
        write.round(&mut [
            (REFERENCE, &mut || cpu(LOCKS, || drop(black_box(&std).write()))),
            (NULL, &mut || cpu(LOCKS, || drop(black_box(&null).write()))),
            ("shm", &mut || cpu(LOCKS, || drop(black_box(&shared).view().write()))),
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
