//! A peer that overwrites random bytes of a live segment at full speed, while every call is made on it.

use crate::INPUT;
use shmtypes::{Persist, ShmArray, ShmLayout, ShmStr, ShmView};
use shmtypes_tests::folder::Folder;
use shmtypes_tests::peer::Peer;
use shmtypes_tests::world;
use std::hint::black_box;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

#[derive(ShmLayout, Clone, Copy, Debug)]
#[repr(u8)]
enum State {
    Idle = 0,
    Busy = 1,
    Done = 200,
}

#[derive(ShmLayout, Clone, Copy, Debug)]
#[repr(C)]
struct Job {
    name: ShmStr<11>,
    state: State,
    weight: NonZeroU16,
    flags: [bool; 2],
    letter: char,
}

const LEN: usize = 100;

fn job(_: usize) -> Job {
    Job {
        name: ShmStr::truncated("æon flux"),
        state: State::Busy,
        weight: NonZeroU16::MIN,
        flags: [true, false],
        letter: 'x',
    }
}

/// Every call that reads or writes elements.
fn use_jobs(array: &ShmArray<Job>) {
    assert_eq!((array.len(), array.shape()), (LEN, &[LEN][..]), "the geometry is private");
    for index in [0, 1, LEN / 2, LEN - 1] {
        if let Ok(job) = array.get(index) {
            assert!(job.name.len() <= 11 && std::str::from_utf8(job.name.as_bytes()).is_ok());
            black_box((job.state, job.weight, job.flags, job.letter));
        }
        let view = array.at(index);
        black_box((view.name().try_get().ok(), view.state().try_get().ok(), view.flags().at(1).try_get().ok()));
        black_box(view.try_get().is_ok());
        view.letter().set('y');
        array.set(index, job(index)).unwrap();
    }
    assert!(array.get(LEN).is_err() && array.try_at(LEN).is_err() && array.get_nd(&[0, 0]).is_err());
    black_box(array.to_vec().map(|jobs| jobs.iter().map(|job| job.name.as_str().chars().count()).sum::<usize>()).ok());
    black_box(
        array
            .fold_blocks(0, |sum, jobs| sum + jobs.iter().map(|job| usize::from(job.weight.get())).sum::<usize>())
            .ok(),
    );
    assert_eq!(array.iter().count(), LEN);
    let mut target = [job(0); 7];
    black_box(array.copy_to_slice(3, &mut target).is_ok());
    array.copy_from_slice(5, &target).unwrap();
    black_box(array.to_ndarray().is_ok());
}

#[derive(ShmLayout)]
#[repr(C)]
struct Counter {
    hits: AtomicU32,
    flag: std::sync::atomic::AtomicBool,
    rest: [u8; 3],
}

/// Every call that opens, lists or inspects the segment, with a header that changes under its eyes.
fn attach<T: ShmLayout>(folder: &Folder, name: &str, used: impl Fn(&ShmArray<T>)) {
    match folder.options::<T>(name).open() {
        Ok(array) => used(&array),
        Err(error) => drop(black_box(error.to_string())),
    }
    drop(black_box(folder.options::<T>(name).open_read_only().map(|array| array.len())));
    drop(black_box(folder.segments().inspect(name).map(|info| info.layout.to_rust(&info.type_name))));
    drop(black_box(folder.segments().list().map(|listing| listing.segments.len())));
    // A peer may make it look like an orphan's, but its processes are attached.
    assert!(folder.segments().reap().unwrap().removed.is_empty());
    assert!(folder.segments().reap_named(name).is_err());
    assert!(folder.options::<T>(name).create_from_fn(1, |_| unreachable!("the name is taken")).is_err());
}

/// In a process of its own, so that a signal ends no other test.
#[test]
fn a_peer_that_writes_anywhere_causes_no_signal_and_no_panic() {
    const NONE: &[&str] = &[];
    world::inside(NONE, "bad_input::mutator::a_peer_that_writes_anywhere_causes_no_signal_and_no_panic", || {
        let folder = Folder::new();
        let jobs = folder.options("jobs").persist(Persist::Keep).create_from_fn(LEN, job).unwrap();
        let numbers = folder.options("numbers").create_from_slice(&[1.5_f64; 600]).unwrap();
        let counters = folder.options::<Counter>("counters").create(50).unwrap();
        let mut peers: Vec<Peer> = ["jobs", "numbers", "counters"]
            .into_iter()
            .map(|name| {
                let path = folder.file(name);
                let length = std::fs::metadata(&path).unwrap().len().to_string();
                let mut peer = Peer::start(INPUT, &["mutate", path.to_str().unwrap(), &length]);
                peer.expect_line("mutating");
                peer
            })
            .collect();
        for _ in 0..300 {
            use_jobs(&jobs);
            attach(&folder, "jobs", use_jobs);
            let use_numbers = |numbers: &ShmArray<f64>| {
                black_box((
                    numbers.sum().unwrap(),
                    numbers.min().unwrap(),
                    numbers.max().unwrap(),
                    numbers.dot(numbers).unwrap(),
                ));
                numbers.map_in_place(|x| x + 1.0).unwrap();
                numbers.fill(2.0).unwrap();
                assert_eq!(numbers.to_vec().unwrap().len(), 600);
            };
            use_numbers(&numbers);
            attach(&folder, "numbers", use_numbers);
            let use_counters = |counters: &ShmArray<Counter>| {
                for index in 0..counters.len() {
                    counters.at(index).hits().fetch_add(1, Relaxed);
                    black_box(counters.at(index).flag().load(Relaxed));
                }
            };
            use_counters(&counters);
            attach(&folder, "counters", use_counters);
        }
        for peer in &mut peers {
            peer.close_input();
            peer.expect_line("done");
            assert!(peer.wait().success());
        }
        assert_eq!(folder.left(), ["counters", "jobs", "numbers"]);
    });
}
