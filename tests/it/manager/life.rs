//! What a manager owns, from its creation to its end.

use super::{World, is_gone, pid, until};
use shmtypes::compat::memory::Memory;
use shmtypes::compat::{ShareableList, SharedMemory};
use shmtypes::manager::{Address, SharedMemoryManager};
use shmtypes::{ErrorKind, LockedArray, Persist, ShmArray, ShmBox, ShmCell, ShmList, ShmVec};
use std::fs;

#[track_caller]
fn refused<T: std::fmt::Debug>(result: shmtypes::Result<T>) -> String {
    match result.unwrap_err().kind() {
        ErrorKind::ManagerRefused { traceback } => traceback.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_manager_that_is_dropped_takes_everything_with_it() {
    let world = World::new();
    let manager = world.start();
    let process = pid(&manager);
    let block = manager.shared_memory(100).unwrap();
    let array = manager.array::<u64>(100).unwrap();
    array.set(99, 7).unwrap();
    assert_eq!(manager.segments().unwrap(), [block.name(), array.name()]);
    assert!(world.exists(block.name()) && world.exists(array.name()));
    drop(manager);
    world.assert_empty("dropped");
    assert!(is_gone(process));
    assert_eq!(array.get(99).unwrap(), 7, "who is attached goes on");
}

#[test]
fn shutdown_goes_on_past_what_is_gone_already() {
    let world = World::new();
    let manager = world.start();
    let blocks: Vec<_> = (0..3).map(|_| manager.shared_memory(100).unwrap()).collect();
    fs::remove_file(world.folder.file(blocks[0].name())).unwrap();
    manager.shutdown().unwrap();
    world.assert_empty("shut down");
    assert!(matches!(manager.segments().unwrap_err().kind(), ErrorKind::ManagerUnreachable { .. }));
    assert!(matches!(manager.shutdown().unwrap_err().kind(), ErrorKind::ManagerUnreachable { .. }));
    assert!(matches!(manager.shared_memory(1).unwrap_err().kind(), ErrorKind::ManagerUnreachable { .. }));
    world.assert_empty("nothing was made in vain");
}

#[test]
fn a_name_whose_file_somebody_else_has_removed_is_free() {
    let world = World::new();
    let manager = world.start();
    let create = || manager.blocks().name("prices").create(100);
    let first = create().unwrap();
    assert!(matches!(create().unwrap_err().kind(), ErrorKind::AlreadyExists { .. }));
    fs::remove_file(world.folder.file("prices")).unwrap();
    let second = create().unwrap();
    second.copy_from_slice(0, b"second").unwrap();
    assert_eq!(first.to_vec().unwrap()[..6], [0; 6]);
    assert_eq!(manager.segments().unwrap(), ["prices"]);
    manager.release("prices").unwrap();
    assert!(!world.exists("prices"));

    // What was owned under it was a segment.
    let array = ShmArray::<u64>::options().dir(world.folder.path()).name("prices").create(100).unwrap();
    manager.track("prices").unwrap();
    assert!(matches!(create().unwrap_err().kind(), ErrorKind::AlreadyExists { .. }));
    fs::remove_file(world.folder.file("prices")).unwrap();
    let third = create().unwrap();
    drop((array, third));

    // Somebody else's by now.
    fs::remove_file(world.folder.file("prices")).unwrap();
    fs::write(world.folder.file("prices"), "another").unwrap();
    assert!(matches!(create().unwrap_err().kind(), ErrorKind::AlreadyExists { .. }));
    drop(manager);
    assert_eq!(world.folder.left(), ["prices"]);
}

#[test]
fn a_client_may_shut_the_manager_down() {
    let world = World::new();
    let manager = world.start();
    let block = manager.shared_memory(100).unwrap();
    let mut client = world.client(&manager);
    assert_eq!(client.run("segments"), block.name());
    client.run("shutdown");
    until("the manager has ended", || is_gone(pid(&manager)));
    world.assert_empty("shut down by a client");
    drop(manager);
}

#[test]
fn two_managers_share_no_list() {
    let world = World::new();
    let (one, two) = (world.start(), world.start());
    let (first, second) = (one.shared_memory(1).unwrap(), two.shared_memory(1).unwrap());
    assert_eq!(
        (one.segments().unwrap(), two.segments().unwrap()),
        (vec![first.name().into()], vec![second.name().into()])
    );
    drop(one);
    assert_eq!(world.names(), [second.name()]);
    drop(two);
    world.assert_empty("both dropped");
}

/// In one process, where Python's managers shared their list (cpython.md: `_SharedMemoryTracker(segment_names=[])`).
#[test]
fn two_managers_that_serve_in_one_process_share_no_list() {
    let world = World::new();
    let addresses = ["one", "two"].map(|name| Address::Unix(world.temp.file(name)));
    std::thread::scope(|scope| {
        let clients: Vec<_> = addresses
            .iter()
            .map(|address| {
                let options =
                    SharedMemoryManager::options().dir(world.folder.path()).address(address).authkey(b"sekrit");
                let (sender, ready) = std::sync::mpsc::channel();
                let serving = options.clone();
                scope.spawn(move || serving.serve(|_, _| sender.send(()).unwrap()).unwrap());
                ready.recv().unwrap();
                options.connect().unwrap()
            })
            .collect();
        let block = clients[0].shared_memory(1).unwrap();
        assert_eq!(clients[0].segments().unwrap(), [block.name()]);
        assert_eq!(clients[1].segments().unwrap(), [""; 0]);
        clients.iter().for_each(|client| client.shutdown().unwrap());
    });
    world.assert_empty("both have ended");
}

#[test]
fn every_container_outlives_its_creator_and_ends_with_the_manager() {
    let world = World::new();
    let manager = world.start();
    let mut client = world.client(&manager);
    let kinds = ["block", "shareable", "array", "locked", "vec", "list", "cell", "box"];
    let names = kinds.map(|kind| client.run(kind));
    client.peer.kill();
    assert_eq!(manager.segments().unwrap(), names);
    let dir = world.folder.path();
    let [block, shareable, array, locked, vec, list, cell, shm_box] = &names;
    assert_eq!(SharedMemory::options().dir(dir).name(block).open().unwrap().len(), 100);
    assert_eq!(ShareableList::options().dir(dir).name(shareable).open().unwrap().len(), 3);
    assert_eq!(ShmArray::<u64>::options().dir(dir).name(array).open().unwrap().len(), 100);
    assert_eq!(LockedArray::<u64>::options().dir(dir).name(locked).open().unwrap().len(), 100);
    assert_eq!(ShmVec::<u64>::options().dir(dir).name(vec).open().unwrap().capacity(), 100);
    assert_eq!(ShmList::options().dir(dir).name(list).open().unwrap().len(), 3);
    assert_eq!(ShmCell::<u64>::options().dir(dir).name(cell).open().unwrap().load().unwrap(), 7);
    drop(ShmBox::<u64>::options().dir(dir).name(shm_box).open().unwrap());
    assert_eq!(world.folder.segments().reap().unwrap().removed, [""; 0], "the manager is attached");
    assert_eq!(world.names().len(), kinds.len());
    drop(manager);
    world.assert_empty("dropped");
}

#[test]
fn what_is_released_is_gone_and_the_rest_keeps_its_order() {
    let world = World::new();
    let manager = world.start();
    let names: Vec<String> = (0..4).map(|_| manager.shared_memory(100).unwrap().name().to_owned()).collect();
    manager.release(&names[1]).unwrap();
    assert!(!world.exists(&names[1]));
    assert_eq!(manager.segments().unwrap(), [names[0].clone(), names[2].clone(), names[3].clone()]);
    assert!(refused(manager.release(&names[1])).contains("ValueError: list.remove(x): x not in list"));
    assert!(refused(manager.release("never")).contains("ValueError"));
    // What somebody else has removed is forgotten.
    fs::remove_file(world.folder.file(&names[2])).unwrap();
    manager.release(&names[2]).unwrap();
    assert_eq!(manager.segments().unwrap(), [names[0].clone(), names[3].clone()]);
}

#[test]
fn a_segment_that_is_kept_ends_with_a_manager_that_was_handed_it() {
    let world = World::new();
    let manager = world.start();
    let kept = world.folder.options::<u64>("kept").persist(Persist::Keep).create(10).unwrap();
    drop(kept);
    manager.track("kept").unwrap();
    manager.track("kept").unwrap();
    assert_eq!(manager.segments().unwrap(), ["kept"], "once");
    drop(manager);
    world.assert_empty("dropped");
}

#[test]
fn a_name_that_another_file_has_by_now_is_not_removed() {
    let world = World::new();
    let manager = world.start();
    let old = manager.shared_memory(100).unwrap();
    let name = old.name().to_owned();
    for release in [true, false] {
        // `old` is still mapped, so that its number is not given out again.
        fs::remove_file(world.folder.file(&name)).unwrap();
        fs::write(world.folder.file(&name), b"successor").unwrap();
        if release {
            manager.release(&name).unwrap();
            assert!(world.exists(&name), "released");
            // Handed over under the same name, the successor is another thing.
            manager.track(&name).unwrap();
            assert_eq!(manager.segments().unwrap(), [name.as_str()]);
        }
    }
    manager.shutdown().unwrap();
    assert_eq!(world.names(), [name.as_str()], "the file that was handed over was replaced once more");
}

#[test]
fn a_name_that_is_handed_over_again_means_the_file_that_has_it_now() {
    let world = World::new();
    let manager = world.start();
    let old = manager.shared_memory(100).unwrap();
    let other = manager.shared_memory(100).unwrap();
    fs::remove_file(world.folder.file(old.name())).unwrap();
    fs::write(world.folder.file(old.name()), b"successor").unwrap();
    manager.track(old.name()).unwrap();
    assert_eq!(manager.segments().unwrap(), [other.name(), old.name()]);
    manager.shutdown().unwrap();
    world.assert_empty("shut down");
}

#[test]
fn what_is_no_file_of_the_directory_is_not_taken_over() {
    let world = World::new();
    fs::write(world.temp.file("outside"), b"x").unwrap();
    fs::create_dir(world.folder.file("directory")).unwrap();
    std::os::unix::fs::symlink(world.temp.file("outside"), world.folder.file("link")).unwrap();
    nix::unistd::mkfifo(&world.folder.file("fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    let manager = world.start();
    let outside = format!("../{}/outside", world.temp.path().file_name().unwrap().to_str().unwrap());
    let absolute = world.temp.file("outside");
    let long = "x".repeat(300);
    let registry = world.folder.left().into_iter().find(|name| name.starts_with("manager_")).unwrap();
    for name in [
        "absent",
        "directory",
        "link",
        "fifo",
        &outside,
        absolute.to_str().unwrap(),
        "",
        ".",
        "..",
        "a\0b",
        &long,
        &registry,
    ] {
        let traceback = refused(manager.track(name));
        assert!(traceback.starts_with("Traceback (most recent call last):\n"), "{name:?}: {traceback}");
        refused(manager.release(name));
    }
    assert_eq!(manager.segments().unwrap(), [""; 0]);
    drop(manager);
    assert_eq!(world.folder.left(), ["directory", "fifo", "link"]);
    assert_eq!(world.temp.left(), ["outside"]);
}

#[test]
fn a_thousand_segments_go_together() {
    let world = World::new();
    let manager = world.start();
    // Three parts of the registry.
    let names: Vec<String> = (0..1000).map(|_| manager.shared_memory(8).unwrap().name().to_owned()).collect();
    assert_eq!(manager.segments().unwrap(), names);
    for name in names.iter().step_by(2) {
        manager.release(name).unwrap();
    }
    assert_eq!(world.names().len(), 500);
    manager.shutdown().unwrap();
    world.assert_empty("shut down");
}
