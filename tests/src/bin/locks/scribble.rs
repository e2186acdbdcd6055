//! A process that writes nonsense into the words of locks, or into the table of slots, at full speed until it is killed.
#![allow(unsafe_code, reason = "writes to a mapping of its own, which the library knows nothing of")]

use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use shmtypes_tests::locks::Random;
use std::fs::File;
use std::num::NonZeroUsize;

/// How many slots a board has.
const SLOTS: u32 = 64;
/// The flags of a lock word, and bits that mean nothing.
const FLAGS: [u64; 6] = [0, 1 << 31, 1 << 30, 1 << 29, 7 << 29, 0x3ff << 10];

pub(super) fn run(path: &str, what: &str, seed: u64) {
    let file = File::options().read(true).write(true).open(path).expect("open the segment's file");
    let length = file.metadata().expect("its length").len() as usize;
    let table = shmtypes_tests::locks::slot_table(&file) as usize;
    let slots = u64::from(SLOTS);
    let (data, bytes) = shmtypes_tests::locks::data(&file);
    let size = NonZeroUsize::new(length).expect("a segment is not empty");
    // SAFETY: new address space, at an address that the kernel chooses.
    let start =
        unsafe { mmap(None, size, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED, &file, 0) };
    let words = start.expect("map the segment's file").cast::<u64>().as_ptr();
    let load = |offset: usize| {
        // SAFETY: aligned and inside the mapping, as the header says, which nobody scribbles on here.
        unsafe { words.wrapping_add(offset / 8).read_volatile() }
    };
    let store = |offset: usize, word: u64| {
        // SAFETY: as above.
        unsafe { words.wrapping_add(offset / 8).write_volatile(word) };
    };

    let mut random = Random::new(seed);
    println!("ready");
    loop {
        // Many writes meet words as the lock left them, and then stay for a while.
        for _ in 0..random.below(200) {
            std::hint::spin_loop();
        }
        let slot = if random.below(2) == 0 { random.below(4) } else { random.below(slots) };
        let generation = match random.below(4) {
            0 => random.next_number() as u32,
            1 => 0,
            _ => load(table + 16 * slot as usize) as u32,
        };
        let generation = u64::from(generation) << 32;
        if what == "slots" || what == "all" && random.below(4) == 0 {
            let record = table + 16 * slot as usize;
            match random.below(3) {
                0 => store(record, random.next_number()),
                1 => store(record, load(record).wrapping_add(random.below(3)).wrapping_sub(1)),
                _ => store(record + 8, random.next_number()),
            }
        } else {
            // The mutex's word, the writer's word, a count near the front, or any word, the values' too.
            let at = match random.below(4) {
                0 => 0,
                1 => 24,
                2 => 32 + 8 * random.below(4) as usize,
                _ => 8 * random.below(bytes / 8) as usize,
            };
            let flags = FLAGS[random.below(FLAGS.len() as u64) as usize];
            let word = match random.below(6) {
                0 => random.next_number(),
                1 => flags,
                2 => generation | flags | (slot + 1),
                3 => generation | flags | random.below(1024),
                4 => generation | random.below(3),
                _ => generation | (u64::from(u32::MAX) - random.below(2)),
            };
            store(data as usize + at, word);
        }
    }
}
