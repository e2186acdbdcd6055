//! What cells, vectors, lists and locks say under the guard when their file is cut off: every access by itself, and every wait.

mod containers;
mod locks;

use shmtypes::compat::Value;
use shmtypes::sync::{LockGuard, LockResult, ShmMutex, ShmRwLock};
use shmtypes::{
    Cooperative, Deadline, Error, ErrorKind, Followed, LockedArray, ReadOnly, Result, SeqCell, ShmArray, ShmBox,
};
use shmtypes::{ShmCell, ShmEvent, ShmLayout, ShmList, ShmVec, sigbus};
use shmtypes_tests::folder::Folder;
use shmtypes_tests::world::inside;
use std::fs::{self, File};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const PAGE: usize = 4096;
const NAME: &str = "a";
/// Each buffer of a cell, and what else stands in these segments, takes more than a page.
type Large = [u64; 700];
const LEN: usize = 3000;
/// Much longer than any wait that ends, and shorter than the lock timeout: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn alone(name: &str, body: impl FnOnce()) {
    const NONE: &[&str] = &[];
    inside(NONE, &format!("limits::cut_off::{name}"), || {
        sigbus::install().unwrap();
        body();
    });
}

fn cut(folder: &Folder, length: usize) {
    File::options().write(true).open(folder.file(NAME)).unwrap().set_len(length as u64).unwrap();
}

/// Also whether it names the segment.
fn is_truncated(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Truncated { .. }) && error.segment() == Some(NAME)
}

/// An access by a handle of type `H`, which need not be the same value that made it.
type Access<H> = (&'static str, fn(&H, &dyn Fn()) -> Result<()>);

/// Makes a new segment for every access and cuts it off: the access is the first one to meet what is missing. `before` in an
/// access is called when all is ready; then the file is cut.
#[track_caller]
fn every_access_tells<H>(make: impl Fn(&Folder) -> H, accesses: &[Access<H>]) {
    for (name, access) in accesses {
        for pages in 0.. {
            let folder = Folder::new();
            let handle = make(&folder);
            let length = fs::metadata(folder.file(NAME)).unwrap().len() as usize;
            if pages * PAGE >= length {
                break;
            }
            let outcome = access(&handle, &|| cut(&folder, pages * PAGE));
            match outcome {
                Err(error) if is_truncated(&error) => {}
                Ok(()) if pages > 0 => {}
                other => panic!("{name}, cut to {pages} pages: {other:?}"),
            }
        }
    }
}

fn cell(folder: &Folder) -> ShmCell<Large> {
    ShmCell::options().dir(folder.path()).name(NAME).create_from([7; 700]).unwrap()
}

fn read_only_cell(folder: &Folder) -> ShmCell<Large, ReadOnly> {
    drop(cell_kept(folder));
    ShmCell::options().dir(folder.path()).name(NAME).open_read_only().unwrap()
}

fn cell_kept(folder: &Folder) -> ShmCell<Large> {
    let options = ShmCell::options().dir(folder.path()).name(NAME).persist(shmtypes::Persist::Keep);
    options.create_from([7; 700]).unwrap()
}

fn vec(folder: &Folder) -> ShmVec<u64> {
    ShmVec::options().dir(folder.path()).name(NAME).create_from_slice(LEN + 10, &[7; LEN]).unwrap()
}

fn list(folder: &Folder) -> ShmList {
    let values = (0..200).map(|index| if index % 2 == 0 { Value::from("seven") } else { Value::from(7) });
    ShmList::options().dir(folder.path()).name(NAME).slot_capacity(100).create(values).unwrap()
}

fn whole(value: Large) {
    assert_eq!(value, [7; 700], "zeros came out as a value");
}

/// Whether a lock is taken, and nothing more.
fn taken<G: LockGuard>(lock: LockResult<G>) -> Result<()> {
    lock?;
    Ok(())
}

#[track_caller]
fn sevens(found: &[u64]) {
    assert!(found.iter().all(|&element| element == 7), "zeros came out as values");
}

/// One at a time, so that a test which must end its process leaves none.
fn in_a_folder(body: impl FnOnce(&Folder)) {
    body(&Folder::new());
}

/// Runs `wait` on a thread, cuts the file off once it has had time to fall asleep, and gives what it ended with.
#[track_caller]
fn ended<R: Send>(folder: &Folder, pause: Duration, wait: impl FnOnce() -> R + Send) -> R {
    let (told, tell) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || told.send(wait()));
        thread::sleep(pause);
        cut(folder, 0);
        match tell.recv_timeout(PATIENCE) {
            Ok(outcome) => outcome,
            Err(_) => {
                // The thread cannot be ended otherwise.
                fs::remove_dir_all(folder.path()).unwrap();
                eprintln!("it waits for ever");
                std::process::abort();
            }
        }
    })
}

const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_micros(200), Duration::from_millis(7), Duration::from_millis(70)];

#[derive(ShmLayout)]
#[repr(C)]
struct Board {
    lock: ShmMutex<u64>,
    changed: ShmEvent,
    unused: [u8; 4],
}
