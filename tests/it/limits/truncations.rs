//! A thousand truncations by a second process, at random times, while all accesses run under the guard.

use crate::INPUT;
use shmtypes::compat::{NdArray, ShareableList, SharedMemory, Value};
use shmtypes::{AccessMode, Elements, Error, ErrorKind, Followed, Persist, Result, ShmArray, ShmCell, ShmList, ShmVec};
use shmtypes_tests::folder::Folder;
use shmtypes_tests::peer::Peer;
use shmtypes_tests::world::inside;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

const ROUNDS: u64 = 1000;
const PAGE: usize = 4096;

/// A value none of whose bytes is zero, so that zeros stand out.
fn value(index: usize) -> u64 {
    (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 0x0101_0101_0101_0101
}

/// What the file was and will be, to judge what is read by.
#[derive(Clone, Copy)]
struct Cut {
    /// Where the elements start.
    data: usize,
    length: usize,
    to: usize,
}

impl Cut {
    /// Whether a byte of the file may be cleared without a signal: the kernel clears the rest of the last page that stands.
    fn may_clear(self, at: usize) -> bool {
        at >= self.to && at / PAGE == self.to / PAGE && !self.to.is_multiple_of(PAGE)
    }

    #[track_caller]
    fn judge(self, index: usize, found: u64) {
        for (byte, (found, whole)) in found.to_ne_bytes().into_iter().zip(value(index).to_ne_bytes()).enumerate() {
            let cleared = found == 0 && self.may_clear(self.data + 8 * index + byte);
            assert!(found == whole || cleared, "element {index} is {found:x} and no error; cut to {}", self.to);
        }
    }

    /// Whether the elements reach into a page that is gone.
    fn is_felt(self) -> bool {
        self.to.next_multiple_of(PAGE) < self.length && self.to.next_multiple_of(PAGE).max(self.data) < self.length
    }
}

/// The value, or `None` if the segment was truncated; no other error is one.
#[track_caller]
fn unless_truncated<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if is_truncated(&error) => None,
        Err(error) => panic!("{error}"),
    }
}

fn is_truncated(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Truncated { .. })
}

/// One pass over the accesses that only read. `None` once they have said that the segment is truncated.
fn read<M: AccessMode>(elements: &Elements<u64, M>, cut: Cut) -> Option<()> {
    let len = elements.len();
    for index in (0..len).step_by(7).chain([len - 1, 0]) {
        cut.judge(index, unless_truncated(elements.get(index))?);
    }
    for (index, element) in elements.iter().enumerate() {
        cut.judge(index, unless_truncated(element)?);
    }
    for (index, element) in unless_truncated(elements.to_vec())?.into_iter().enumerate() {
        cut.judge(index, element);
    }
    let mut half = vec![0; len - len / 2];
    unless_truncated(elements.copy_to_slice(len / 2, &mut half))?;
    for (index, element) in half.into_iter().enumerate() {
        cut.judge(len / 2 + index, element);
    }
    let seen = elements.fold_blocks(Vec::new(), |mut seen, block| {
        seen.extend_from_slice(block);
        seen
    });
    for (index, element) in unless_truncated(seen)?.into_iter().enumerate() {
        cut.judge(index, element);
    }
    let (all, sum) = ((0..len).map(|i| u128::from(value(i))).sum::<u128>(), unless_truncated(elements.sum())?);
    assert!(sum == all || sum < all && !cut.to.is_multiple_of(PAGE), "a wrong sum, cut to {}", cut.to);
    let least = unless_truncated(elements.min())?.unwrap();
    assert!(least != 0 || !cut.to.is_multiple_of(PAGE), "the least is zero, cut to {}", cut.to);
    unless_truncated(elements.max())?;
    unless_truncated(elements.dot(elements))?;
    // Views cannot say so; they read what stands there, or zeros.
    let found = unless_truncated(elements.try_at(len - 1))?.get();
    assert!(found.to_ne_bytes().into_iter().zip(value(len - 1).to_ne_bytes()).all(|(a, b)| a == b || a == 0));
    Some(())
}

/// The same with the accesses that write. They write what stands there.
fn write(elements: &Elements<u64>, cut: Cut) -> Option<()> {
    let len = elements.len();
    for index in (0..len).step_by(5).chain([len - 1]) {
        unless_truncated(elements.set(index, value(index)))?;
    }
    elements.at(len / 2).set(value(len / 2));
    let values: Vec<u64> = (0..len).map(value).collect();
    unless_truncated(elements.copy_from_slice(0, &values))?;
    unless_truncated(elements.map_in_place(|element| element))?;
    read(elements, cut)
}

/// Once truncated, always truncated.
fn assert_poisoned(elements: &Elements<u64, impl AccessMode>, cut: Cut) {
    let (last, mut target) = (elements.len() - 1, [0; 1]);
    for result in [
        elements.get(0).map(drop),
        elements.get(last).map(drop),
        elements.iter().next().unwrap().map(drop),
        elements.iter().next_back().unwrap().map(drop),
        elements.to_vec().map(drop),
        elements.copy_to_slice(0, &mut target),
        elements.sum().map(drop),
        elements.min().map(drop),
        elements.for_each_block(|_| ()),
        elements.try_at(0).map(drop),
    ] {
        let ErrorKind::Truncated { expected, found } = *result.unwrap_err().kind() else { panic!("another error") };
        assert_eq!(expected, cut.length as u64);
        assert!(
            found < expected && found >= cut.to as u64 && found.is_multiple_of(PAGE as u64),
            "{found} of {expected}"
        );
    }
}

/// A second process that cuts a file, and random numbers.
struct Truncater<'f> {
    folder: &'f Folder,
    peer: Peer,
    random: u64,
}

impl Truncater<'_> {
    fn below(&mut self, end: u64) -> u64 {
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % end
    }

    /// Loops `pass` on two threads until the file was cut and one more pass is done on each.
    fn during(&mut self, to: usize, pass: impl Fn(usize) -> Option<()> + Sync) {
        let pause = self.below(400);
        self.peer.tell(&format!("{to} {pause}"));
        let cut = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let (cut, pass) = (&cut, &pass);
                scope.spawn(move || {
                    loop {
                        let last = cut.load(Relaxed);
                        if pass(thread).is_none() || last {
                            break;
                        }
                    }
                });
            }
            self.peer.expect_line("cut");
            cut.store(true, Relaxed);
        });
    }

    fn length(&self) -> usize {
        fs::metadata(self.folder.file("a")).unwrap().len() as usize
    }

    fn target(&mut self, length: usize, round: u64) -> usize {
        let any = self.below(length as u64) as usize;
        [0, 1, 4095, 4096, length - 1, length / 2, any][round as usize % 7].min(length)
    }

    /// A segment of ours, writable or not.
    fn array(&mut self, round: u64, read_only: bool) -> bool {
        let n = 100 + self.below(4000) as usize;
        let array: ShmArray<u64> =
            self.folder.options("a").persist(Persist::Keep).create_from_fn(n, value).expect("create");
        let bytes = fs::read(self.folder.file("a")).unwrap();
        // The header says where (docs/format.md).
        let data = u64::from_ne_bytes(bytes[48..56].try_into().unwrap()) as usize;
        let cut = Cut { data, length: bytes.len(), to: self.target(bytes.len(), round) };
        if read_only {
            drop(array);
            let array = self.folder.options::<u64>("a").open_read_only().expect("attach");
            self.during(cut.to, |_| read(&array, cut));
            self.settle(&array, cut)
        } else {
            self.during(cut.to, |thread| if thread == 0 { read(&array, cut) } else { write(&array, cut) });
            self.settle(&array, cut)
        }
    }

    /// A block with numbers, as NumPy has them.
    fn nd_array(&mut self, round: u64) -> bool {
        let n = 100 + self.below(4000) as usize;
        let values: Vec<u64> = (0..n).map(value).collect();
        let options = NdArray::<u64>::options().dir(self.folder.path()).name("a");
        let array = options.create_from_slice(&[n], &values).expect("create");
        let length = self.length();
        let cut = Cut { data: length - 8 * n, length, to: self.target(length, round) };
        self.during(cut.to, |thread| if thread == 0 { read(&array, cut) } else { write(&array, cut) });
        self.settle(&array, cut)
    }

    fn settle(&self, elements: &Elements<u64, impl AccessMode>, cut: Cut) -> bool {
        let felt = elements.to_vec().is_err_and(|error| is_truncated(&error));
        assert_eq!(felt, cut.is_felt(), "cut to {} of {}", cut.to, cut.length);
        if felt {
            assert_poisoned(elements, cut);
        }
        felt
    }

    fn block(&mut self, round: u64) -> bool {
        let size = 5000 + self.below(30_000) as usize;
        let block = SharedMemory::options().dir(self.folder.path()).name("a");
        let fill = |bytes: &mut [u8]| {
            bytes.fill(7);
            Ok(())
        };
        let block = block.create_with(size, fill).expect("create");
        let length = self.length();
        let cut = Cut { data: 0, length, to: self.target(length, round) };
        let judge = |at: usize, byte: u8| assert!(byte == 7 || byte == 0 && cut.may_clear(at), "byte {at} is {byte}");
        self.during(cut.to, |_| {
            for at in (0..size).step_by(100).chain([size - 1]) {
                judge(at, unless_truncated(block.get(at))?);
                unless_truncated(block.set(at, 7))?;
            }
            let mut copy = vec![0; size / 2];
            unless_truncated(block.copy_to_slice(size / 2, &mut copy))?;
            copy.into_iter().enumerate().for_each(|(at, byte)| judge(size / 2 + at, byte));
            unless_truncated(block.copy_from_slice(0, &vec![7; size]))?;
            unless_truncated(block.to_vec())?.into_iter().enumerate().for_each(|(at, byte)| judge(at, byte));
            Some(())
        });
        let felt = block.to_vec().is_err_and(|error| is_truncated(&error));
        assert_eq!(felt, cut.is_felt(), "cut to {} of {}", cut.to, cut.length);
        assert!(!felt || block.get(0).is_err_and(|error| is_truncated(&error)));
        felt
    }

    /// A list of Python's. Where the kernel clears the rest of a page, anything may stand, so cuts are at pages.
    fn list(&mut self, round: u64) -> bool {
        let values: Vec<Value> = (0..2000)
            .map(|index| {
                if index % 3 == 0 {
                    Value::from(format!("text {index}").as_str())
                } else {
                    Value::from(value(index) as i64)
                }
            })
            .collect();
        let list = ShareableList::options().dir(self.folder.path()).name("a").create(&values).expect("create");
        let length = self.length();
        let to = self.target(length, round) / PAGE * PAGE;
        self.during(to, |_| {
            for index in (0..values.len()).step_by(50) {
                assert_eq!(unless_truncated(list.get(index as isize))?, values[index]);
                unless_truncated(list.set(index as isize, values[index].clone()))?;
            }
            assert_eq!(unless_truncated(list.to_vec())?, values);
            assert_eq!(unless_truncated(list.index(&values[1999]))?, 1999);
            assert_eq!(unless_truncated(list.count(&values[1]))?, 1);
            unless_truncated(list.format())?;
            for (found, value) in list.iter().zip(&values) {
                assert_eq!(unless_truncated(found)?, *value);
            }
            Some(())
        });
        assert!(list.to_vec().is_err_and(|error| is_truncated(&error)), "cut to {to} of {length}");
        assert!(list.get(0).is_err_and(|error| is_truncated(&error)));
        true
    }
}

/// The containers with a protocol, where the kernel's clearing of the rest of a page could stand for anything: cuts are at pages.
impl Truncater<'_> {
    /// One thread reads and one stores values that are all of one number.
    fn cell(&mut self, round: u64) -> bool {
        type Wide = [u64; 700];
        let cell: ShmCell<Wide> = ShmCell::options()
            .dir(self.folder.path())
            .name("a")
            .persist(Persist::Keep)
            .create_from([1; 700])
            .expect("create");
        let length = self.length();
        let to = self.target(length, round) / PAGE * PAGE;
        let judge = |value: &Wide| assert!(value[0] != 0 && value.iter().all(|n| *n == value[0]), "torn or zeros");
        self.during(to, |thread| {
            for round in 1..20 {
                if thread == 0 {
                    judge(&unless_truncated(cell.load())?);
                    let mut value = [0; 700];
                    unless_truncated(cell.load_into(&mut value))?;
                    judge(&value);
                } else {
                    unless_truncated(cell.store([round; 700]))?;
                    let add = |value: &mut Wide| {
                        judge(value);
                        *value = [value[0] + 1; 700];
                    };
                    unless_truncated(cell.update(add))?;
                }
            }
            Some(())
        });
        // Into every buffer.
        let felt = (0..5).any(|_| cell.store([1; 700]).is_err_and(|error| is_truncated(&error)));
        assert!(felt, "cut to {to} of {length}");
        assert!(cell.load().is_err_and(|error| is_truncated(&error)));
        felt
    }

    /// One thread reads and follows, one takes elements away and appends them again.
    fn vec(&mut self, round: u64) -> bool {
        // More than a page, so that every cut takes some.
        let n = 600 + self.below(4000) as usize;
        let values: Vec<u64> = (0..n).map(value).collect();
        let options = ShmVec::<u64>::options().dir(self.folder.path()).name("a").persist(Persist::Keep);
        let vec = options.create_from_slice(n, &values).expect("create");
        let length = self.length();
        let to = self.target(length, round) / PAGE * PAGE;
        let read = || {
            let mut follower = vec.follow();
            for index in (0..n / 2).step_by(7) {
                assert_eq!(unless_truncated(vec.get(index))?, value(index));
            }
            let found = unless_truncated(vec.snapshot())?;
            assert!(found.len() >= n / 2 && found == values[..found.len()], "another snapshot, cut to {to}");
            let mut half = vec![0; n / 2];
            unless_truncated(vec.copy_to_slice(0, &mut half))?;
            assert!(half == values[..n / 2], "another copy, cut to {to}");
            for (index, found) in vec.iter().enumerate() {
                assert_eq!(unless_truncated(found)?, value(index));
            }
            let mut items = Vec::new();
            match unless_truncated(follower.read_available(&mut items))? {
                Followed::Item(count) => assert!(items.len() == count && items == values[..count]),
                _ => assert!(items.is_empty()),
            }
            if let Some(Followed::Item(found)) = unless_truncated(follower.try_next())? {
                assert_eq!(found, value(follower.position() - 1));
            }
            Some(())
        };
        let write = || {
            let mut appender = unless_truncated(vec.appender())?;
            unless_truncated(appender.truncate(n / 2))?;
            for index in n / 2..n - n / 4 {
                unless_truncated(appender.push(value(index)))?;
            }
            unless_truncated(appender.extend_from_slice(&values[n - n / 4..]))?;
            assert_eq!(unless_truncated(appender.pop())?, Some(value(n - 1)));
            unless_truncated(appender.push(value(n - 1)))?;
            unless_truncated(appender.set(n / 3, value(n / 3)))?;
            unless_truncated(appender.flush())
        };
        self.during(to, |thread| if thread == 0 { read() } else { write() });
        let felt = write().is_none();
        assert!(felt, "cut to {to} of {length}");
        assert!(read().is_none() && vec.appender().is_err_and(|error| is_truncated(&error)));
        felt
    }

    /// A list of ours.
    fn shm_list(&mut self, round: u64) -> bool {
        let of = |index: usize| match index % 3 {
            0 => Value::from(format!("text {index}").as_str()),
            1 => Value::from(value(index) as i64),
            _ => Value::from(index as f64 + 0.5),
        };
        let values: Vec<Value> = (0..200 + self.below(300) as usize).map(of).collect();
        let (len, last) = (values.len(), values[values.len() - 1].clone());
        let list = ShmList::options()
            .dir(self.folder.path())
            .name("a")
            .persist(Persist::Keep)
            .create(&values)
            .expect("create");
        let length = self.length();
        let to = self.target(length, round) / PAGE * PAGE;
        self.during(to, |_| {
            for index in (0..len).step_by(20) {
                assert_eq!(unless_truncated(list.get(index as isize))?, values[index]);
                unless_truncated(list.set(index as isize, values[index].clone()))?;
                unless_truncated(list.update(index as isize, |found| {
                    assert_eq!(found, values[index]);
                    found
                }))?;
            }
            assert_eq!(unless_truncated(list.fetch_add(1, 0))?, value(1) as i64);
            assert_eq!(unless_truncated(list.to_vec())?, values);
            assert_eq!(unless_truncated(list.index(&last))?, len - 1);
            assert_eq!(unless_truncated(list.count(&last))?, 1);
            unless_truncated(list.format())?;
            for (found, value) in list.iter().zip(&values) {
                assert_eq!(unless_truncated(found)?, *value);
            }
            Some(())
        });
        // Both areas of the last slot are touched by two stores.
        let felt = (0..2).any(|_| list.set(-1, last.clone()).is_err_and(|error| is_truncated(&error)));
        assert!(felt, "cut to {to} of {length}");
        assert!(list.to_vec().is_err_and(|error| is_truncated(&error)));
        felt
    }
}

/// In a process of its own, which has the guard.
#[test]
fn a_thousand_truncations_are_survived_under_the_guard() {
    const NONE: &[&str] = &[];
    inside(NONE, "limits::truncations::a_thousand_truncations_are_survived_under_the_guard", || {
        shmtypes::sigbus::install().unwrap();
        let folder = Folder::new();
        let peer = Peer::start(INPUT, &["truncate", folder.path().to_str().unwrap(), "a"]);
        let random: u64 = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos().into();
        println!("seed {random}");
        let mut truncater = Truncater { folder: &folder, peer, random: random | 1 };
        let mut felt = 0;
        for round in 0..ROUNDS {
            felt += u64::from(match round % 8 {
                0 => truncater.array(round, false),
                1 => truncater.array(round, true),
                2 => truncater.nd_array(round),
                3 => truncater.block(round),
                4 => truncater.list(round),
                5 => truncater.cell(round),
                6 => truncater.vec(round),
                _ => truncater.shm_list(round),
            });
            fs::remove_file(folder.file("a")).unwrap();
        }
        println!("{ROUNDS} truncations survived, {felt} of them reported");
        assert!(felt > ROUNDS / 2, "only {felt} cuts were felt");
    });
}
