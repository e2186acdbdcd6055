//! A process that takes locks and lets go of them as it is told, line by line. Single-threaded, so that its child may do
//! anything.
//!
//! A child of its takes over with the guard that it finds. It obeys what comes after the word `child`, and everything once
//! its parent is gone.
#![allow(unsafe_code, reason = "forks")]

use nix::unistd::{ForkResult, fork, read};
use shmtypes::sync::{Deadline, LockResult, MutexGuard, RwLockReadGuard, RwLockWriteGuard};
use shmtypes::{ErrorKind, ShmBox};
use shmtypes_tests::locks::{Board, outcome};
use std::io::{PipeReader, PipeWriter, Write, pipe, stdin, stdout};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// A lock that this process has taken.
enum Held<'a> {
    Mutex(MutexGuard<'a, [u64; 2]>),
    Read(RwLockReadGuard<'a, [u64; 2]>),
    Write(RwLockWriteGuard<'a, [u64; 2]>),
}

impl Held<'_> {
    fn get(&self) -> [u64; 2] {
        match self {
            Held::Mutex(guard) => guard.get(),
            Held::Read(guard) => guard.get(),
            Held::Write(guard) => guard.get(),
        }
        .expect("numbers")
    }

    /// Stores one of the two numbers.
    fn set_one(&self, index: usize, number: u64) {
        match self {
            Held::Mutex(guard) => guard.view().at(index).set(number),
            Held::Write(guard) => guard.view().at(index).set(number),
            Held::Read(_) => panic!("a reader is told to write"),
        }
    }

    /// Adds one to both numbers, or says why not.
    fn update(&mut self) -> String {
        let change = |numbers: &mut [u64; 2]| numbers.iter_mut().for_each(|number| *number += 1);
        let outcome = match self {
            Held::Mutex(guard) => guard.update(change),
            Held::Write(guard) => guard.update(change),
            Held::Read(_) => panic!("a reader is told to write"),
        };
        match outcome {
            Ok(()) => "updated".to_owned(),
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported { .. }) => "refused".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    fn recover(self) -> Self {
        match self {
            Held::Mutex(guard) => Held::Mutex(guard.recover()),
            Held::Write(guard) => Held::Write(guard.recover()),
            Held::Read(_) => panic!("a reader is told to recover"),
        }
    }
}

/// Where orders come from, and where answers go.
struct Line {
    own: Option<PipeReader>,
    child: Option<PipeWriter>,
    prefix: &'static str,
}

impl Line {
    /// Byte by byte, so that nothing that belongs to the other process of a fork is taken.
    fn next(&mut self) -> Option<String> {
        loop {
            let mut line = Vec::new();
            let mut byte = [0];
            let ended = loop {
                let count = match &self.own {
                    Some(pipe) => read(pipe.as_fd(), &mut byte),
                    None => read(stdin().as_fd(), &mut byte),
                };
                match (count.expect("read orders"), byte[0]) {
                    (0, _) => break true,
                    (_, b'\n') => break false,
                    (_, other) => line.push(other),
                }
            };
            if !ended {
                return Some(String::from_utf8(line).expect("orders are text"));
            }
            self.own.take()?;
        }
    }

    fn say(&self, line: &str) {
        println!("{}{line}", self.prefix);
        stdout().flush().expect("flush");
    }
}

pub(super) fn run(name: &str) {
    let board = ShmBox::<Board>::open(name).expect("attach");
    let mut line = Line { own: None, child: None, prefix: "" };
    let mut held = None;
    line.say("ready");
    while let Some(order) = line.next() {
        if let (Some(order), Some(child)) = (order.strip_prefix("child "), &mut line.child) {
            writeln!(child, "{order}").expect("tell the child");
            continue;
        }
        let words: Vec<&str> = order.split(' ').collect();
        let answer = match words.as_slice() {
            ["fork"] => {
                divide(&mut line);
                "forked".to_owned()
            }
            ["get"] => format!("{:?}", held.as_ref().map(Held::get)),
            ["set", index, number] => {
                let (index, number) = (index.parse().expect("an index"), number.parse().expect("a number"));
                held.as_ref().expect("a lock").set_one(index, number);
                "set".to_owned()
            }
            ["update"] => held.as_mut().expect("a lock").update(),
            ["drop"] => {
                held = None;
                "dropped".to_owned()
            }
            ["recover"] => {
                held = held.map(Held::recover);
                "recovered".to_owned()
            }
            ["panic"] => {
                let unwound = catch_unwind(AssertUnwindSafe(|| {
                    let _held = held.take();
                    resume_unwind(Box::new("as told"));
                }));
                assert!(unwound.is_err());
                "panicked".to_owned()
            }
            words => {
                drop(held.take());
                let (answer, taken) = take(&board, words);
                held = taken;
                answer
            }
        };
        line.say(&answer);
    }
    drop(line.child);
}

/// `lock`, `lock MILLISECONDS`, `try-lock`, and the same for `read` and `write`.
fn take<'a>(board: &'a ShmBox<Board>, words: &[&str]) -> (String, Option<Held<'a>>) {
    let (mutex, rwlock) = (board.view().mutex(), board.view().rwlock());
    match words {
        ["lock"] => judge(mutex.lock(), Held::Mutex),
        ["lock", time] => judge(mutex.lock_until(deadline(time)), Held::Mutex),
        ["try-lock"] => judge(mutex.try_lock(), Held::Mutex),
        ["read"] => judge(rwlock.read(), Held::Read),
        ["read", time] => judge(rwlock.read_until(deadline(time)), Held::Read),
        ["try-read"] => judge(rwlock.try_read(), Held::Read),
        ["write"] => judge(rwlock.write(), Held::Write),
        ["write", time] => judge(rwlock.write_until(deadline(time)), Held::Write),
        ["try-write"] => judge(rwlock.try_write(), Held::Write),
        other => panic!("unknown order {other:?}"),
    }
}

fn judge<'a, G>(result: LockResult<G>, held: impl FnOnce(G) -> Held<'a>) -> (String, Option<Held<'a>>) {
    (outcome(&result), result.map_or_else(|error| error.into_guard(), Some).map(held))
}

fn deadline(milliseconds: &str) -> Deadline {
    Duration::from_millis(milliseconds.parse().expect("a time")).into()
}

/// Forks: the child has another line.
fn divide(line: &mut Line) {
    let (orders, to_child) = pipe().expect("a pipe");
    // SAFETY: the process has one thread, so the child may do whatever the parent may.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => *line = Line { own: Some(orders), child: None, prefix: "child " },
        ForkResult::Parent { .. } => line.child = Some(to_child),
    }
}
