//! A peer that overwrites random bytes of a live vector at full speed, while every call is made on it.

use crate::INPUT;
use shmtypes::{Followed, Follower, Persist, ShmLayout, ShmVec};
use shmtypes_tests::life::{Folder, rounds};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::world;
use std::hint::black_box;
use std::time::{Duration, Instant};

#[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
enum Side {
    Buy = 1,
    Sell = 2,
}

#[derive(ShmLayout, Clone, Copy, Debug)]
#[repr(C)]
struct Trade {
    price: f64,
    side: Side,
    open: bool,
    amount: [u16; 3],
}

const CAPACITY: usize = 100;
const TRADE: Trade = Trade { price: 1.5, side: Side::Sell, open: true, amount: [1, 2, 3] };
const SHORT: Duration = Duration::from_millis(20);

fn use_vec(vec: &ShmVec<Trade>, follower: &mut Follower<Trade>) {
    assert_eq!(vec.capacity(), CAPACITY, "the capacity is private");
    assert!(vec.len() <= CAPACITY && vec.get(CAPACITY).is_err());
    for index in [0, 1, CAPACITY / 2, CAPACITY - 1] {
        if let Ok(trade) = vec.get(index) {
            black_box(matches!(trade.side, Side::Buy | Side::Sell) && trade.open);
        }
    }
    if let Ok(trades) = vec.snapshot() {
        assert!(trades.len() <= CAPACITY);
    }
    assert!(vec.iter().count() <= CAPACITY);
    let mut part = [TRADE; 7];
    black_box(vec.copy_to_slice(3, &mut part).is_ok());

    for followed in follower.until(Instant::now()).take(3 * CAPACITY) {
        black_box(followed.is_ok());
    }
    let mut items = Vec::new();
    for _ in 0..5 {
        if let Ok(Followed::Item(count)) = follower.read_available(&mut items) {
            assert!(count <= CAPACITY);
        }
    }
    black_box(follower.wait(Duration::from_millis(1)).is_ok());
    assert!(follower.position() <= CAPACITY);

    black_box(vec.try_appender().is_ok());
    if let Ok(mut appender) = vec.appender_until(SHORT) {
        black_box((
            appender.push(TRADE).is_ok(),
            appender.extend_from_slice(&part).is_ok(),
            appender.set(0, TRADE).is_ok(),
        ));
        black_box((appender.flush().is_ok(), appender.pop().is_ok(), appender.truncate(5).is_ok()));
        assert!(appender.len() <= CAPACITY);
    }
    black_box((vec.push(TRADE).is_ok(), vec.clear().is_ok()));
}

/// In a process of its own, so that a signal ends no other test.
#[test]
fn a_peer_that_writes_anywhere_causes_no_signal_no_panic_and_no_hang() {
    const NONE: &[&str] = &[];
    world::inside(NONE, "vecs::scribble::a_peer_that_writes_anywhere_causes_no_signal_no_panic_and_no_hang", || {
        let folder = Folder::new();
        let options =
            ShmVec::<Trade>::options().dir(folder.path()).name("vec").persist(Persist::Keep).lock_timeout(Some(SHORT));
        let vec = options.create_from_slice(CAPACITY, &[TRADE; 50]).unwrap();
        let path = folder.path().join("vec");
        let length = std::fs::metadata(&path).unwrap().len().to_string();
        // Two, of which one keeps to the front, where the lease, the state and the slots are.
        let mut peers = [length.as_str(), "2048"].map(|length| {
            let mut peer = Peer::start(INPUT, &["mutate", path.to_str().unwrap(), length]);
            peer.expect_line("mutating");
            peer
        });
        let mut follower = vec.follow();
        for _ in 0..rounds(100) {
            use_vec(&vec, &mut follower);
            match options.open() {
                Ok(other) => use_vec(&other, &mut other.follow()),
                Err(error) => drop(black_box(error.to_string())),
            }
        }
        for peer in &mut peers {
            peer.close_input();
            peer.expect_line("done");
            assert!(peer.wait().success());
        }
    });
}
