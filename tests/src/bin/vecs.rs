//! The other process of the tests of vectors: does what its arguments say and reports by lines.
#![allow(unsafe_code, reason = "forks")]

use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use shmtypes::{ErrorKind, Followed, ShmVec};
use shmtypes_tests::vecs::{BATCH, END, Grown, Renewed};
use std::io::{Write, stdout};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["grow", name] => grow(name),
        ["renew", name, generation] => renew(name, generation.parse().expect("a number")),
        ["follow-grown", name, how] => follow_grown(name, how),
        ["follow-renewed", name] => follow_renewed(name),
        ["take-turns", name, own, turns] => {
            take_turns(name, own.parse().expect("a number"), turns.parse().expect("a number"));
        }
        ["hold", name] => {
            let vec = ShmVec::<u64>::open(name).expect("attach");
            let _appender = vec.appender().expect("take the appender");
            say("holding");
            std::io::stdin().read_line(&mut String::new()).expect("wait");
        }
        ["fork", name] => forks(name),
        other => panic!("unknown arguments {other:?}"),
    }
}

fn say(line: &str) {
    println!("{line}");
    stdout().flush().expect("write");
}

/// Appends for ever, one by one and in batches, without giving the appender back: until it is killed.
fn grow(name: &str) {
    let vec = ShmVec::<u64>::open(name).expect("attach");
    let mut appender = vec.appender_until(LONG).expect("take the appender");
    say(&format!("appending {}", appender.took_over()));
    loop {
        let at = appender.len();
        let outcome = if at.is_multiple_of(3) {
            let batch: Vec<u64> =
                (0..BATCH).map(|place| Grown { index: at + place, place: place + 1 }.to_bits()).collect();
            appender.extend_from_slice(&batch)
        } else {
            appender.push(Grown { index: at, place: 0 }.to_bits())
        };
        if let Err(error) = outcome {
            assert!(matches!(error.kind(), ErrorKind::Full { .. }), "{error}");
            say("full");
            std::thread::park();
        }
        appender.flush().expect("tell");
    }
}

/// Appends and clears for ever; each filling has a generation of its own.
fn renew(name: &str, generations: u64) {
    let vec = ShmVec::<[u64; 4]>::open(name).expect("attach");
    let mut appender = vec.appender_until(LONG).expect("take the appender");
    say(&format!("appending {}", appender.took_over()));
    for generation in generations.. {
        appender.clear().expect("clear");
        for index in 0..(generation as usize % appender.capacity()) {
            appender.push(Renewed { generation, index }.to_words()).expect("push");
        }
        if generation.is_multiple_of(5) {
            appender.flush().expect("tell");
        }
    }
}

/// Checks everything that comes until the end, and says how much that was.
fn follow_grown(name: &str, how: &str) {
    let vec = ShmVec::<u64>::open_read_only(name).expect("attach");
    let mut follower = vec.follow();
    let mut last = None;
    let mut check = |bits: u64, position: usize| {
        let next = Grown::from_bits(bits);
        assert!(next.follows(last), "{next:?} after {last:?}");
        assert_eq!(next.index, position);
        last = Some(next);
    };
    say("following");
    let mut count = 0;
    let mut items = Vec::new();
    loop {
        if how == "one-by-one" {
            match follower.next(LONG).expect("a further element") {
                Followed::Item(item) => items.push(item),
                other => panic!("{other:?}"),
            }
        } else {
            follower.wait(LONG).expect("a further element");
            let read = follower.read_available(&mut items).expect("a further element");
            assert_eq!(read, Followed::Item(items.len()));
        }
        for item in items.drain(..) {
            if item == END {
                say(&format!("followed {count}"));
                return;
            }
            check(item, count);
            count += 1;
        }
    }
}

/// Checks that nothing of two generations comes mixed, and says how many resets there were.
fn follow_renewed(name: &str) {
    let vec = ShmVec::<[u64; 4]>::open_read_only(name).expect("attach");
    let mut follower = vec.follow();
    let (mut current, mut resets) = (0, 0);
    say("following");
    loop {
        match follower.next(LONG).expect("a further element") {
            Followed::Item(words) if words == [END; 4] => break,
            Followed::Item(words) => {
                let item = Renewed::from_words(words);
                assert_eq!(item.index, follower.position() - 1, "{item:?}");
                assert!(item.generation >= current && (item.index == 0 || item.generation == current), "{item:?}");
                current = item.generation;
            }
            Followed::Reset => resets += 1,
            other => panic!("{other:?}"),
        }
    }
    say(&format!("resets {}", resets > 0));
}

/// Appends its own number five times without a gap, again and again.
fn take_turns(name: &str, own: u64, turns: u32) {
    let vec = ShmVec::<u64>::open(name).expect("attach");
    say("ready");
    std::io::stdin().read_line(&mut String::new()).expect("wait for the start");
    for _ in 0..turns {
        let mut appender = vec.appender_until(LONG).expect("take the appender");
        for _ in 0..5 {
            appender.push(own).expect("push");
        }
    }
    say("done");
}

/// Forks with an appender in hand.
fn forks(name: &str) {
    let vec = ShmVec::<u64>::open(name).expect("attach");
    let mut appender = vec.appender().expect("take the appender");
    appender.push(1).expect("push");
    // SAFETY: the process has one thread, so the child may do whatever the parent may.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            let pushed = appender.push(9).expect_err("it is the parent's");
            say(&format!("child: {:?}", pushed.kind()));
            let lost = appender.flush().expect_err("it is the parent's");
            say(&format!("child: {:?}", lost.kind()));
            let kept = appender.clear().expect_err("it is the parent's");
            say(&format!("child: {:?}", kept.kind()));
            drop(appender);
            let held = vec.appender_until(Instant::now()).expect_err("the parent has it");
            say(&format!("child: {}", matches!(held.kind(), ErrorKind::LockTimedOut { .. })));
            std::process::exit(0);
        }
        ForkResult::Parent { child } => waitpid(child, None).expect("wait"),
    };
    appender.push(2).expect("push");
    appender.flush().expect("it is this process's");
    drop(appender);
    let mut kept = vec.appender().expect("take the appender");
    // SAFETY: as above.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            let held = vec.try_appender().expect("ask");
            say(&format!("child: {}", held.is_none()));
            // It has registered, and is another one all the same.
            let lost = [kept.push(9), kept.extend_from_slice(&[9]), kept.pop().map(drop), kept.set(0, 9)]
                .map(|outcome| outcome.expect_err("it is the parent's"));
            say(&format!("child: {}", lost.iter().all(|lost| *lost.kind() == ErrorKind::LeaseLost)));
            std::process::exit(0);
        }
        ForkResult::Parent { child } => waitpid(child, None).expect("wait"),
    };
    drop(kept);
    // SAFETY: as above.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            vec.push(3).expect("a child that registers anew may append");
            std::process::exit(0);
        }
        ForkResult::Parent { child } => waitpid(child, None).expect("wait"),
    };
    vec.push(4).expect("push");
    say(&format!("parent: {:?}", vec.snapshot().expect("read")));
}
