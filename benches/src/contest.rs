//! Another process that wants the same lock all the time.

use crate::pthread::{self, Mutex};
use crate::{Fallible, scratch};
use shmtypes::sync::ShmMutex;
use shmtypes::{Deadline, ShmBox, ShmEvent, ShmLayout};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

pub(crate) const CONTEND: &str = "--contend";

/// What both processes see.
#[derive(ShmLayout)]
#[repr(C)]
pub(crate) struct Contest {
    /// 0 for none, or the kind of lock to be wanted.
    wanted: AtomicU64,
    /// What the other process is at.
    at: AtomicU64,
    changed: ShmEvent,
    answered: ShmEvent,
    /// Sections of both, counted under the lock.
    sections: AtomicU64,
    pthread: [u64; pthread::WORDS],
    mutex: ShmMutex<u64>,
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Pthread = 1,
    Ours = 2,
}

/// The other process.
pub(crate) struct Contender {
    shared: ShmBox<Contest>,
    child: Child,
}

impl Contender {
    pub(crate) fn start() -> Fallible<Self> {
        let shared = ShmBox::<Contest>::options().name(scratch::name()).create()?;
        pthread_of(&shared).initialise(false);
        let mut child =
            Command::new(std::env::current_exe()?).args([CONTEND, shared.name()]).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or("no pipe")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let contender = Self { shared, child };
        if line == "ready\n" { Ok(contender) } else { Err("the process that contends failed".into()) }
    }

    /// Wall-clock nanoseconds per section of either process, while both want the lock.
    pub(crate) fn contend(&self, kind: Kind, sections: u64) -> f64 {
        self.tell(kind as u64);
        let contest = self.shared.view();
        let before = contest.sections().load(Ordering::Relaxed);
        let start = Instant::now();
        for _ in 0..sections {
            section(&self.shared, kind as u64);
        }
        let time = start.elapsed().as_nanos() as f64;
        let both = contest.sections().load(Ordering::Relaxed) - before;
        self.tell(0);
        time / both as f64
    }

    /// Tells the other process what to want, and waits until it does.
    fn tell(&self, wanted: u64) {
        let contest = self.shared.view();
        contest.wanted().store(wanted, Ordering::Release);
        contest.changed().notify();
        loop {
            let seen = contest.answered().count();
            if contest.at().load(Ordering::Acquire) == wanted {
                return;
            }
            contest.answered().wait_changed(seen, Deadline::NEVER).expect("wait");
        }
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pthread_of(shared: &ShmBox<Contest>) -> Mutex {
    Mutex::at(shared.view().pthread().as_ptr().cast())
}

#[inline(always)]
fn section(shared: &ShmBox<Contest>, kind: u64) {
    let contest = shared.view();
    // Not an atomic addition: the lock makes it one.
    let count = || {
        let sections = contest.sections();
        sections.store(sections.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    };
    if kind == Kind::Pthread as u64 {
        let mutex = pthread_of(shared);
        mutex.lock();
        count();
        mutex.unlock();
    } else {
        let guard = contest.mutex().lock().expect("lock");
        count();
        drop(guard);
    }
}

pub(crate) fn contend(name: &str) -> Fallible {
    let shared = ShmBox::<Contest>::open(name)?;
    println!("ready");
    std::io::stdout().flush()?;
    let contest = shared.view();
    let mut at = 0;
    loop {
        let seen = contest.changed().count();
        let wanted = contest.wanted().load(Ordering::Acquire);
        if wanted != at {
            at = wanted;
            contest.at().store(at, Ordering::Release);
            contest.answered().notify();
        } else if at == 0 {
            contest.changed().wait_changed(seen, Deadline::NEVER)?;
        }
        if at != 0 {
            for _ in 0..100 {
                section(&shared, at);
            }
        }
    }
}
