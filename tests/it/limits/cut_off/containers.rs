//! Every access to a cell, a vector or a list, and every wait for a change.

use super::*;

#[test]
fn every_access_to_a_cell_tells() {
    alone("containers::every_access_to_a_cell_tells", || {
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

#[test]
fn every_access_to_a_vector_tells() {
    alone("containers::every_access_to_a_vector_tells", || {
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
    alone("containers::every_access_to_a_list_tells", || {
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
fn who_waits_for_a_change_is_told() {
    #[track_caller]
    fn told(outcome: Result<impl std::fmt::Debug>) {
        assert!(is_truncated(outcome.as_ref().unwrap_err()), "{outcome:?}");
    }
    alone("containers::who_waits_for_a_change_is_told", || {
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
