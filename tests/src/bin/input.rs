//! The other process of the tests of bad input and limits: does what its arguments say and reports by lines.

use shmtypes::compat::SharedMemory;
use shmtypes::{Error, Persist, SegmentDirectory, ShmArray, Trust};
use shmtypes_tests::tour::{tour, unnamed_tour};
use std::fs::File;
use std::io::stdin;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["tour", directory, listed] => report(tour(Path::new(directory), Path::new(listed))),
        ["unnamed"] => report(unnamed_tour()),
        ["create", directory, name, mode] => create(directory, name, mode),
        ["open", directory, name, trust] => open(directory, name, trust),
        ["leave", directory, name] => leave(directory, name),
        ["reap", directory] => report(SegmentDirectory::new(*directory).reap()),
        ["attach-once", directory, name] => {
            report(ShmArray::<u64>::options().dir(*directory).name(*name).open().map(|array| array.len()));
        }
        ["create-once", directory, name] => {
            report(ShmArray::<u64>::options().dir(*directory).name(*name).create(100).map(|array| array.len()));
        }
        ["create-length", directory, name, length] => {
            report(
                ShmArray::<u64>::options()
                    .dir(*directory)
                    .name(*name)
                    .create(length.parse().expect("a length"))
                    .map(|array| array.len()),
            );
        }
        ["block-short-of-memory", directory, name] => block_short_of_memory(directory, name),
        ["truncate", directory, name] => truncate(&Path::new(directory).join(name)),
        ["mutate", path, length] => mutate(path, length.parse().expect("a length")),
        other => panic!("unknown arguments {other:?}"),
    }
}

/// For each line of input, a length and a time in microseconds: opens the file, waits so long, and cuts the file there.
fn truncate(path: &Path) {
    for line in stdin().lines() {
        let line = line.expect("read input");
        let (length, pause) = line.split_once(' ').expect("a length and a time");
        let file = File::options().write(true).open(path).expect("open the file");
        std::thread::sleep(std::time::Duration::from_micros(pause.parse().expect("a time")));
        file.set_len(length.parse().expect("a length")).expect("truncate");
        println!("cut");
    }
}

/// One line for the kind of the outcome, and for an error one with its text.
fn report<T: std::fmt::Debug>(result: Result<T, Error>) {
    match result {
        Ok(value) => println!("Ok({value:?})"),
        Err(error) => println!("{:?}\n{error}", error.kind()),
    }
}

/// Creates an array of three that stays.
fn create(directory: &str, name: &str, mode: &str) {
    let mode = u32::from_str_radix(mode, 8).expect("an octal mode");
    let options = ShmArray::<u64>::options().dir(directory).name(name).mode(mode).persist(Persist::Keep);
    report(options.create_from_slice(&[1, 2, 3]).map(|array| array.len()));
}

/// Creates a block where there is room for it and no room for a copy of it.
fn block_short_of_memory(directory: &str, name: &str) {
    const SIZE: u64 = 64 << 20;
    let pages = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: u64 = pages.split(' ').next().and_then(|pages| pages.parse().ok()).expect("a number of pages");
    let limit = pages * 4096 + SIZE * 3 / 2;
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_AS, limit, limit).expect("a limit");
    let options = SharedMemory::options().dir(directory).name(name);
    report(options.create_with(SIZE as usize, |_| Ok(())).map(|block| block.size()));
    report(options.create(SIZE as usize).map(|block| block.size()));
}

fn open(directory: &str, name: &str, trust: &str) {
    let trust = match trust {
        "owner" => Trust::Owner,
        "anyone" => Trust::Anyone,
        uid => Trust::Uid(uid.parse().expect("a user id")),
    };
    let options = ShmArray::<u64>::options().dir(directory).name(name).trust(trust);
    report(options.open().and_then(|array| array.set(0, 7)));
    report(options.open_read_only().and_then(|array| array.get(1)));
}

/// Attaches to an array of anybody's, detaches, and says what became of it.
fn leave(directory: &str, name: &str) {
    let options = ShmArray::<u64>::options().dir(directory).name(name).trust(Trust::Anyone);
    report(options.open().and_then(ShmArray::close));
    report(SegmentDirectory::new(directory).reap_named(name));
    report(SegmentDirectory::new(directory).unlink(name));
    report(SegmentDirectory::new(directory).reap());
}

/// Writes random bytes at random places of the first `length` bytes of a file until its input closes.
fn mutate(path: &str, length: u64) {
    static OVER: AtomicBool = AtomicBool::new(false);
    let file = File::options().read(true).write(true).open(path).expect("open the segment's file");
    std::thread::spawn(|| {
        let mut line = String::new();
        while stdin().read_line(&mut line).expect("read input") > 0 {}
        OVER.store(true, Relaxed);
    });
    let mut original = vec![0; length as usize];
    file.read_exact_at(&mut original, 0).expect("read the segment's file");
    println!("mutating");
    // xorshift64 (Marsaglia 2003): any sequence that reaches everything will do.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    while !OVER.load(Relaxed) {
        let at = random() % length;
        let edges = [0, 1, 2, 0x7f, 0x80, 0xff, random() as u8, original[at as usize]];
        file.write_all_at(&[edges[random() as usize % edges.len()]], at).expect("write the segment's file");
        // Most of the time most of the header is as it was, so that every check is reached.
        let healed = random() % length;
        let end = (healed + 64).min(length);
        file.write_all_at(&original[healed as usize..end as usize], healed).expect("write the segment's file");
    }
    println!("done");
}
