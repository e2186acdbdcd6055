//! Appenders that are killed at any instant, and what followers get.
//!
//! `SHMTYPES_SOAK=20` makes 1,000 kills of the 50.

use super::PEER;
use shmtypes::{Followed, ShmVec};
use shmtypes_tests::life::rounds;
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;
use shmtypes_tests::vecs::{END, Grown, Renewed};
use std::time::Instant;

const KILLS: usize = 50;

/// Room for what an appender pushes in its life of some milliseconds, telling of each push.
const PER_LIFE: usize = 40_000;

/// And for those who live longer.
const RESERVE: usize = 4_000_000;

#[test]
fn followers_get_every_element_once_and_in_order_whoever_is_killed() {
    let scratch = Scratch::new();
    let kills = rounds(KILLS);
    let vec = ShmVec::<u64>::options().name(scratch.name("vec")).create(RESERVE + kills * PER_LIFE).unwrap();
    let mut followers = ["one-by-one", "in-bulk"].map(|how| Peer::start(PEER, &["follow-grown", vec.name(), how]));
    followers.iter_mut().for_each(|follower| follower.expect_line("following"));

    let mut lens = Vec::new();
    for life in 0..kills {
        let mut appender = Peer::start(PEER, &["grow", vec.name()]);
        // Each one finds that its predecessor was killed with the lease in its hands.
        appender.expect_line(if life == 0 { "appending false" } else { "appending true" });
        let start = vec.len();
        // It is in the midst of it now.
        while vec.len() < start + 10 {
            std::thread::yield_now();
        }
        appender.kill();
        assert_eq!(appender.line(), None, "there must be room for all");
        lens.push(vec.len());
    }
    assert!(lens.is_sorted_by(|one, next| one < next), "{lens:?}");

    let mut appender = vec.appender().unwrap();
    assert!(appender.took_over());
    let len = appender.len();
    assert_eq!(len, *lens.last().unwrap(), "nothing goes, and nothing comes from the dead");
    appender.push(END).unwrap();
    drop(appender);
    for follower in &mut followers {
        follower.expect_line(&format!("followed {len}"));
        assert!(follower.wait().success());
    }
    let all = vec.snapshot().unwrap();
    let mut last = None;
    for &bits in &all[..len] {
        let next = Grown::from_bits(bits);
        assert!(next.follows(last), "{next:?} after {last:?}");
        last = Some(next);
    }
    println!("{kills} kills, {len} elements, once and in order to two followers");
}

#[test]
fn followers_never_mix_what_was_before_a_truncation_with_what_comes_after_whoever_is_killed() {
    let scratch = Scratch::new();
    let kills = rounds(KILLS);
    let vec = ShmVec::<[u64; 4]>::options().name(scratch.name("vec")).create(64).unwrap();
    let mut followers = [0, 1].map(|_| Peer::start(PEER, &["follow-renewed", vec.name()]));
    followers.iter_mut().for_each(|follower| follower.expect_line("following"));
    let (mut own, mut resets) = (vec.follow(), 0);

    for life in 1..=kills {
        // More generations than one could fill in its life.
        let mut appender = Peer::start(PEER, &["renew", vec.name(), &(life << 32).to_string()]);
        appender.expect_line(if life == 1 { "appending false" } else { "appending true" });
        let mut seen = 0;
        while seen < 100 {
            for followed in own.until(Instant::now()).take(100) {
                match followed.unwrap() {
                    Followed::Item(words) => drop(Renewed::from_words(words)),
                    _ => resets += 1,
                }
                seen += 1;
            }
        }
        appender.kill();
        let left = vec.snapshot().unwrap();
        let all: Vec<_> = left.into_iter().map(Renewed::from_words).collect();
        let one = all.iter().enumerate().all(|(index, item)| *item == Renewed { generation: all[0].generation, index });
        assert!(one, "{all:?}");
    }
    vec.clear().unwrap();
    vec.push([END; 4]).unwrap();
    for follower in &mut followers {
        follower.expect_line("resets true");
        assert!(follower.wait().success());
    }
    assert!(resets > kills, "{resets} resets seen");
}

#[test]
fn an_appender_that_is_stopped_keeps_its_lease_and_one_that_is_killed_does_not() {
    let scratch = Scratch::new();
    let vec = ShmVec::<u64>::options().name(scratch.name("vec")).create(10).unwrap();
    let mut holder = Peer::start(PEER, &["hold", vec.name()]);
    holder.expect_line("holding");
    let process = nix::unistd::Pid::from_raw(holder.id().cast_signed());
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGSTOP).unwrap();
    assert!(vec.try_appender().unwrap().is_none());
    let error = vec.appender_until(std::time::Duration::from_millis(30)).unwrap_err();
    let id = holder.id();
    assert!(
        matches!(*error.kind(), shmtypes::ErrorKind::LockTimedOut { pid, .. } if pid == id),
        "{error}, and not by {id}"
    );
    assert_eq!(vec.snapshot().unwrap(), [0; 0]);
    holder.kill();
    assert!(vec.try_appender().unwrap().expect("the dead hold nothing").took_over());
}
