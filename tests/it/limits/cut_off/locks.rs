//! Every access to what a lock guards, and every wait for a lock.

use super::*;

#[test]
fn every_access_to_a_locked_array_tells() {
    fn locked(folder: &Folder) -> LockedArray<u64> {
        LockedArray::options().dir(folder.path()).name(NAME).create_from_slice(&[7; LEN]).unwrap()
    }
    fn sevens(found: &[u64]) {
        assert!(found.iter().all(|&element| element == 7), "zeros came out as elements");
    }
    alone("locks::every_access_to_a_locked_array_tells", || {
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
    alone("locks::what_a_lock_guards_tells", || {
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
    alone("locks::a_locked_array_tells", || {
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

/// Zeros in the place of a lock are a free one.
#[test]
fn who_waits_for_a_lock_gets_it_and_is_told() {
    alone("locks::who_waits_for_a_lock_gets_it_and_is_told", || {
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

#[derive(ShmLayout)]
#[repr(C)]
struct Tailed {
    mutex: ShmMutex<u64>,
    rwlock: ShmRwLock<u64>,
    tail: [u64; 4 * PAGE / 8],
}

/// The words of the locks still stand, and other processes use them.
#[test]
fn a_lock_that_is_refused_for_a_loss_elsewhere_is_free_for_others() {
    alone("locks::a_lock_that_is_refused_for_a_loss_elsewhere_is_free_for_others", || {
        let folder = Folder::new();
        let options = || ShmBox::<Tailed>::options().dir(folder.path()).name(NAME);
        let (one, other) = (options().create().unwrap(), options().open().unwrap());
        cut(&folder, fs::metadata(folder.file(NAME)).unwrap().len() as usize - 2 * PAGE);
        let _zero = one.view().tail().at(4 * PAGE / 8 - 1).get();
        for _ in 0..2 {
            assert!(is_truncated(&taken(one.view().mutex().lock()).unwrap_err()));
            assert!(is_truncated(&taken(one.view().mutex().try_lock()).unwrap_err()));
            assert!(is_truncated(&taken(one.view().rwlock().read()).unwrap_err()));
            assert!(is_truncated(&taken(one.view().rwlock().write()).unwrap_err()));
        }
        taken(other.view().mutex().try_lock()).unwrap();
        taken(other.view().rwlock().try_write()).unwrap();
    });
}
