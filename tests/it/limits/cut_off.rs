//! What cells, vectors, lists and locks say under the guard when their file is cut off: every access by itself, and every wait.

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

#[test]
fn every_access_to_a_cell_tells() {
    alone("every_access_to_a_cell_tells", || {
        every_access_tells(
            cell,
            &[
                ("load", |cell, cut| {
                    cut();
                    cell.load().map(whole)
                }),
                ("load_into", |cell, cut| {
                    let mut value = [0; 700];
                    cut();
                    cell.load_into(&mut value)?;
                    whole(value);
                    Ok(())
                }),
                ("store", |cell, cut| {
                    cut();
                    cell.store([7; 700])
                }),
                ("update", |cell, cut| {
                    cut();
                    cell.update(|value| whole(*value))
                }),
                ("update, cut inside", |cell, cut| {
                    cell.update(|value| {
                        whole(*value);
                        cut();
                    })
                }),
                ("wait_changed", |cell, cut| {
                    cut();
                    match cell.wait_changed(Duration::ZERO) {
                        Err(error) if matches!(error.kind(), ErrorKind::TimedOut { .. }) => Ok(()),
                        other => other,
                    }
                }),
            ],
        );
        every_access_tells(
            read_only_cell,
            &[("load", |cell, cut| {
                cut();
                cell.load().map(whole)
            })],
        );
    });
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

#[test]
fn every_access_to_a_vector_tells() {
    alone("every_access_to_a_vector_tells", || {
        every_access_tells(
            vec,
            &[
                ("get", |vec, cut| {
                    cut();
                    vec.get(LEN - 1).map(|found| sevens(&[found]))
                }),
                ("snapshot", |vec, cut| {
                    cut();
                    let found = vec.snapshot()?;
                    sevens(&found);
                    assert_eq!(found.len(), LEN);
                    Ok(())
                }),
                ("copy_to_slice", |vec, cut| {
                    let mut target = [0; LEN];
                    cut();
                    vec.copy_to_slice(0, &mut target).map(|()| sevens(&target))
                }),
                ("iter", |vec, cut| {
                    cut();
                    sevens(&vec.iter().collect::<Result<Vec<_>>>()?);
                    assert_eq!(vec.iter().count(), LEN);
                    Ok(())
                }),
                ("iter, made before", |vec, cut| {
                    let mut iter = vec.iter();
                    cut();
                    sevens(&iter.by_ref().collect::<Result<Vec<_>>>()?);
                    assert!(iter.next().is_none());
                    Ok(())
                }),
                ("push", |vec, cut| {
                    cut();
                    vec.push(7)
                }),
                ("extend_from_slice", |vec, cut| {
                    cut();
                    vec.extend_from_slice(&[7; 10])
                }),
                ("set", |vec, cut| {
                    cut();
                    vec.set(0, 7)
                }),
                ("pop", |vec, cut| {
                    cut();
                    vec.pop().map(|found| sevens(&[found.expect("not empty")]))
                }),
                ("clear", |vec, cut| {
                    cut();
                    vec.clear()
                }),
                ("try_appender", |vec, cut| {
                    cut();
                    vec.try_appender().map(|appender| assert!(appender.is_some()))
                }),
                ("Appender::push", |vec, cut| {
                    let mut appender = vec.appender()?;
                    cut();
                    appender.push(7)
                }),
                ("Appender::extend_from_slice", |vec, cut| {
                    let mut appender = vec.appender()?;
                    cut();
                    appender.extend_from_slice(&[7; 10])
                }),
                ("Appender::set", |vec, cut| {
                    let mut appender = vec.appender()?;
                    cut();
                    appender.set(0, 7)
                }),
                ("Appender::pop", |vec, cut| {
                    let mut appender = vec.appender()?;
                    cut();
                    appender.pop().map(|found| sevens(&[found.expect("not empty")]))
                }),
                ("Appender::truncate", |vec, cut| {
                    let mut appender = vec.appender()?;
                    cut();
                    appender.truncate(5)
                }),
                ("Appender::flush", |vec, cut| {
                    let mut appender = vec.appender()?;
                    appender.push(7)?;
                    cut();
                    appender.flush()
                }),
                ("Follower::try_next", |vec, cut| {
                    let mut follower = vec.follow_from_end();
                    cut();
                    follower.try_next().map(|next| assert_eq!(next, None))
                }),
                ("Follower::try_next, made before", |vec, cut| {
                    let mut follower = vec.follow();
                    cut();
                    while let Some(next) = follower.try_next()? {
                        assert_eq!(next, Followed::Item(7));
                    }
                    Ok(())
                }),
                ("Follower::read_available", |vec, cut| {
                    let (mut follower, mut items) = (vec.follow(), Vec::new());
                    cut();
                    let read = follower.read_available(&mut items)?;
                    sevens(&items);
                    assert_eq!(read, Followed::Item(LEN));
                    Ok(())
                }),
                ("Follower::read_available, at the end", |vec, cut| {
                    let mut follower = vec.follow_from_end();
                    cut();
                    follower.read_available(&mut Vec::new()).map(|read| assert_eq!(read, Followed::Item(0)))
                }),
                ("Follower::wait", |vec, cut| {
                    let mut follower = vec.follow_from_end();
                    cut();
                    match follower.wait(Duration::ZERO) {
                        Err(error) if matches!(error.kind(), ErrorKind::TimedOut { .. }) => Ok(()),
                        other => other,
                    }
                }),
            ],
        );
    });
}

#[test]
fn every_access_to_a_list_tells() {
    fn seven(found: Value) {
        assert!([Value::from("seven"), Value::from(7)].contains(&found), "{found} came out");
    }
    alone("every_access_to_a_list_tells", || {
        every_access_tells(
            list,
            &[
                ("get text", |list, cut| {
                    cut();
                    list.get(-2).map(seven)
                }),
                ("get number", |list, cut| {
                    cut();
                    list.get(-1).map(seven)
                }),
                ("get_ref", |list, cut| {
                    cut();
                    list.get_ref(-1, &mut Vec::new()).map(|found| seven(Value::from(found)))
                }),
                ("to_vec", |list, cut| {
                    cut();
                    list.to_vec().map(|found| found.into_iter().for_each(seven))
                }),
                ("iter", |list, cut| {
                    cut();
                    list.iter().try_for_each(|found| found.map(seven))
                }),
                ("for_each", |list, cut| {
                    cut();
                    list.for_each(|_, _| ())
                }),
                ("count", |list, cut| {
                    cut();
                    list.count(7).map(|count| assert_eq!(count, 100))
                }),
                ("index", |list, cut| {
                    cut();
                    list.index(7).map(|index| assert_eq!(index, 1))
                }),
                ("index of what zeros look like", |list, cut| {
                    cut();
                    let found = list.index(0);
                    assert!(found.is_err(), "zeros were found at {found:?}");
                    found.map(drop).or_else(|error| if is_truncated(&error) { Err(error) } else { Ok(()) })
                }),
                ("capacity", |list, cut| {
                    cut();
                    list.capacity(-1).map(|capacity| assert_eq!(capacity, 104))
                }),
                ("kind", |list, cut| {
                    cut();
                    list.kind(-1).map(|kind| assert_eq!(kind.name(), "int"))
                }),
                ("format", |list, cut| {
                    cut();
                    list.format().map(|format| assert_eq!(format.len(), 100 * "104sq".len()))
                }),
                ("set", |list, cut| {
                    cut();
                    list.set(-1, 7)
                }),
                ("update", |list, cut| {
                    cut();
                    list.update(-1, |value| {
                        seven(value);
                        7
                    })
                }),
                ("update, cut inside", |list, cut| {
                    list.update(-1, |value| {
                        cut();
                        value
                    })
                }),
                ("fetch_add", |list, cut| {
                    cut();
                    list.fetch_add(-1, 1).map(|before| assert_eq!(before, 7))
                }),
                ("compare_exchange", |list, cut| {
                    cut();
                    list.compare_exchange(-1, 7, 8).map(|before| assert_eq!(before, Ok(7)))
                }),
                ("wait_changed", |list, cut| {
                    cut();
                    match list.wait_changed(Duration::ZERO) {
                        Err(error) if matches!(error.kind(), ErrorKind::TimedOut { .. }) => Ok(()),
                        other => other,
                    }
                }),
            ],
        );
    });
}

#[test]
fn every_access_to_a_locked_array_tells() {
    fn locked(folder: &Folder) -> LockedArray<u64> {
        LockedArray::options().dir(folder.path()).name(NAME).create_from_slice(&[7; LEN]).unwrap()
    }
    fn sevens(found: &[u64]) {
        assert!(found.iter().all(|&element| element == 7), "zeros came out as elements");
    }
    alone("every_access_to_a_locked_array_tells", || {
        every_access_tells(
            locked,
            &[
                ("get", |array, cut| {
                    cut();
                    array.get(LEN - 1).map(|found| sevens(&[found]))
                }),
                ("set", |array, cut| {
                    cut();
                    array.set(LEN - 1, 7)
                }),
                ("to_vec", |array, cut| {
                    cut();
                    array.to_vec().map(|found| sevens(&found))
                }),
                ("copy_from_slice", |array, cut| {
                    cut();
                    array.copy_from_slice(1, &[7; LEN - 1])
                }),
                ("sum under a guard for reading", |array, cut| {
                    let guard = array.read()?;
                    cut();
                    guard.sum().map(|sum| assert_eq!(sum, 7 * LEN as u128))
                }),
                ("map_in_place under a guard for writing", |array, cut| {
                    let guard = array.write()?;
                    cut();
                    guard.map_in_place(|element| element)
                }),
                ("wait_changed", |array, cut| {
                    cut();
                    match array.wait_changed(Duration::ZERO) {
                        Err(error) if matches!(error.kind(), ErrorKind::TimedOut { .. }) => Ok(()),
                        other => other,
                    }
                }),
            ],
        );
    });
}

#[test]
fn what_a_lock_guards_tells() {
    fn mutex(folder: &Folder) -> ShmBox<ShmMutex<Large>> {
        ShmBox::options().dir(folder.path()).name(NAME).create_from(ShmMutex::new([7; 700])).unwrap()
    }
    fn rwlock(folder: &Folder) -> ShmBox<ShmRwLock<Large>> {
        ShmBox::options().dir(folder.path()).name(NAME).create_from(ShmRwLock::new([7; 700])).unwrap()
    }
    alone("what_a_lock_guards_tells", || {
        every_access_tells(
            mutex,
            &[
                ("get", |shared, cut| {
                    let guard = shared.view().lock()?;
                    cut();
                    guard.get().map(whole)
                }),
                ("lock", |shared, cut| {
                    cut();
                    taken(shared.view().lock())
                }),
                ("try_lock", |shared, cut| {
                    cut();
                    taken(shared.view().try_lock())
                }),
                ("lock_until", |shared, cut| {
                    cut();
                    taken(shared.view().lock_until(Duration::ZERO))
                }),
                ("lock and get", |shared, cut| {
                    cut();
                    shared.view().lock()?.get().map(whole)
                }),
                ("update", |shared, cut| {
                    let mut guard = shared.view().lock()?;
                    cut();
                    guard.update(|value| whole(*value))
                }),
                ("update, cut inside", |shared, cut| {
                    shared.view().lock()?.update(|value| {
                        whole(*value);
                        cut();
                    })
                }),
            ],
        );
        every_access_tells(
            rwlock,
            &[
                ("read", |shared, cut| {
                    let guard = shared.view().read()?;
                    cut();
                    guard.get().map(whole)
                }),
                ("write", |shared, cut| {
                    let mut guard = shared.view().write()?;
                    cut();
                    guard.get().map(whole)?;
                    guard.update(|value| whole(*value))
                }),
                ("write, cut inside", |shared, cut| {
                    shared.view().write()?.update(|value| {
                        whole(*value);
                        cut();
                    })
                }),
                ("read alone", |shared, cut| {
                    cut();
                    taken(shared.view().read())
                }),
                ("try_read", |shared, cut| {
                    cut();
                    taken(shared.view().try_read())
                }),
                ("read_until", |shared, cut| {
                    cut();
                    taken(shared.view().read_until(Duration::ZERO))
                }),
                ("write alone", |shared, cut| {
                    cut();
                    taken(shared.view().write())
                }),
                ("try_write", |shared, cut| {
                    cut();
                    taken(shared.view().try_write())
                }),
                ("write_until", |shared, cut| {
                    cut();
                    taken(shared.view().write_until(Duration::ZERO))
                }),
                ("read and write later", |shared, cut| {
                    cut();
                    shared.view().read()?.get().map(whole)?;
                    shared.view().write()?.update(|value| whole(*value))
                }),
            ],
        );
    });
}

#[allow(unsafe_code, reason = "asks for slices, which nobody looks at")]
#[test]
fn a_locked_array_tells() {
    fn locked(folder: &Folder) -> LockedArray<u64> {
        LockedArray::options().dir(folder.path()).name(NAME).create_with(LEN, |slots| slots.fill(7)).unwrap()
    }
    fn cooperative(folder: &Folder) -> Cooperative<u64> {
        // SAFETY: no slice is looked at: who gets one drops it. (The file is cut, which breaks the promise to those who look.)
        unsafe { locked(folder).assume_cooperative() }
    }
    alone("a_locked_array_tells", || {
        every_access_tells(
            locked,
            &[
                ("get", |array, cut| {
                    cut();
                    array.get(0).map(|found| sevens(&[found]))
                }),
                ("set", |array, cut| {
                    cut();
                    array.set(0, 7)
                }),
                ("to_vec", |array, cut| {
                    cut();
                    array.to_vec().map(|found| sevens(&found))
                }),
                ("copy_from_slice", |array, cut| {
                    cut();
                    array.copy_from_slice(0, &[7; 10])
                }),
                ("wait_changed", |array, cut| {
                    cut();
                    match array.wait_changed(Duration::ZERO) {
                        Err(error) if matches!(error.kind(), ErrorKind::TimedOut { .. }) => Ok(()),
                        other => other,
                    }
                }),
                ("read", |array, cut| {
                    cut();
                    taken(array.read())
                }),
                ("try_read", |array, cut| {
                    cut();
                    taken(array.try_read())
                }),
                ("read_until", |array, cut| {
                    cut();
                    taken(array.read_until(Duration::ZERO))
                }),
                ("write", |array, cut| {
                    cut();
                    taken(array.write())
                }),
                ("try_write", |array, cut| {
                    cut();
                    taken(array.try_write())
                }),
                ("write_until", |array, cut| {
                    cut();
                    taken(array.write_until(Duration::ZERO))
                }),
                ("guard's get", |array, cut| {
                    let guard = array.read()?;
                    cut();
                    guard.get(LEN - 1).map(|found| sevens(&[found]))
                }),
                ("guard's fill", |array, cut| {
                    let guard = array.write()?;
                    cut();
                    guard.fill(7)
                }),
            ],
        );
        every_access_tells(
            cooperative,
            &[
                ("read", |array, cut| {
                    cut();
                    taken(array.read())
                }),
                ("try_read", |array, cut| {
                    cut();
                    taken(array.try_read())
                }),
                ("read_until", |array, cut| {
                    cut();
                    taken(array.read_until(Duration::ZERO))
                }),
                ("write", |array, cut| {
                    cut();
                    taken(array.write())
                }),
                ("try_write", |array, cut| {
                    cut();
                    taken(array.try_write())
                }),
                ("write_until", |array, cut| {
                    cut();
                    taken(array.write_until(Duration::ZERO))
                }),
            ],
        );
    });
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

#[test]
fn who_waits_for_a_change_is_told() {
    #[track_caller]
    fn told(outcome: Result<impl std::fmt::Debug>) {
        assert!(is_truncated(outcome.as_ref().unwrap_err()), "{outcome:?}");
    }
    alone("who_waits_for_a_change_is_told", || {
        for pause in PAUSES {
            in_a_folder(|folder| {
                let cell = cell_kept(folder);
                told(ended(folder, pause, || cell.wait_changed(Deadline::NEVER)));
            });
            in_a_folder(|folder| {
                let cell = read_only_cell(folder);
                told(ended(folder, pause, || cell.wait_changed(Deadline::NEVER)));
            });
            in_a_folder(|folder| {
                let list = list(folder);
                told(ended(folder, pause, || list.wait_changed(Deadline::NEVER)));
            });
            // Empty, as zeros are.
            let options = |folder: &Folder| ShmVec::<u64>::options().dir(folder.path()).name(NAME);
            in_a_folder(|folder| {
                let vec = options(folder).create(LEN).unwrap();
                told(ended(folder, pause, || vec.follow().next(Deadline::NEVER)));
            });
            in_a_folder(|folder| {
                let _vec = options(folder).create(LEN).unwrap();
                let read_only = options(folder).open_read_only().unwrap();
                told(ended(folder, pause, || read_only.follow().next(Deadline::NEVER)));
            });
            in_a_folder(|folder| {
                let options = ShmArray::<u64>::options().dir(folder.path()).name(NAME);
                let array = options.create(LEN).unwrap();
                told(ended(folder, pause, || array.wait_changed(Deadline::NEVER)));
            });
            in_a_folder(|folder| {
                let options = ShmArray::<u64>::options().dir(folder.path()).name(NAME);
                let array = options.locked().create(LEN).unwrap();
                told(ended(folder, pause, || array.wait_changed(Deadline::NEVER)));
            });
            // Their views know the mapping, because it has a lock.
            in_a_folder(|folder| {
                let options = ShmBox::<Board>::options().dir(folder.path()).name(NAME);
                let board = options.create().unwrap();
                told(ended(folder, pause, || board.view().changed().wait_changed(0, Deadline::NEVER)));
            });
            in_a_folder(|folder| {
                let options = ShmBox::<SeqCell<Large>>::options().dir(folder.path()).name(NAME);
                let cell = options.create().unwrap();
                told(ended(folder, pause, || cell.view().wait_changed(0, Deadline::NEVER)));
            });
        }
    });
}

/// Zeros in the place of a lock are a free one.
#[test]
fn who_waits_for_a_lock_gets_it_and_is_told() {
    alone("who_waits_for_a_lock_gets_it_and_is_told", || {
        for pause in PAUSES {
            in_a_folder(|folder| {
                let shared = cell(folder);
                let other: ShmCell<Large> = ShmCell::options().dir(folder.path()).name(NAME).open().unwrap();
                let held = shared.update(|_| {
                    let waited = ended(folder, pause, || other.store([9; 700]));
                    assert!(is_truncated(&waited.unwrap_err()), "the one who waited");
                });
                assert!(is_truncated(&held.unwrap_err()), "the holder");
            });
            in_a_folder(|folder| {
                let vec = vec(folder);
                let held = vec.appender().unwrap();
                let waited = ended(folder, pause, || vec.appender_until(Deadline::NEVER).map(drop));
                assert!(is_truncated(&waited.unwrap_err()));
                drop(held);
            });
            in_a_folder(|folder| {
                let list = list(folder);
                let held = list.update(1, |value| {
                    let waited = ended(folder, pause, || list.set_until(1, 8, Deadline::NEVER));
                    assert!(is_truncated(&waited.unwrap_err()));
                    value
                });
                assert!(is_truncated(&held.unwrap_err()));
            });
            in_a_folder(|folder| {
                let options = ShmBox::options().dir(folder.path()).name(NAME);
                let shared = options.create_from(ShmRwLock::new([7; 700])).unwrap();
                let held = shared.view().read().unwrap();
                let waited = ended(folder, pause, || shared.view().write_until(Deadline::NEVER)?.get());
                assert!(is_truncated(&waited.unwrap_err()));
                assert!(is_truncated(&held.get().unwrap_err()));
            });
        }
    });
}
