//! Ends of owners and managers, in every way.

use super::{MANAGER, Owner, World, is_gone, join, pid, signal, until};
use nix::sys::signal::Signal;
use shmtypes::manager::SharedMemoryManager;
use shmtypes::{ErrorKind, Persist};
use shmtypes_tests::peer::Peer;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// An owner with one of each, which the manager removes once the owner has ended in this way.
#[track_caller]
fn ends(how: &str, end: impl FnOnce(&mut Owner)) {
    let world = World::new();
    let mut owner = world.owner();
    owner.run("block");
    owner.run("array");
    owner.run("keep kept");
    owner.run("track kept");
    assert_eq!(world.names().len(), 3);
    end(&mut owner);
    owner.until_the_manager_has_ended();
    world.assert_empty(how);
}

fn id(owner: &Owner) -> i32 {
    owner.peer.id().cast_signed()
}

#[test]
fn an_owner_that_returns_panics_aborts_or_exits_leaves_nothing() {
    ends("return", |owner| assert!(owner.peer.wait().success()));
    for order in ["panic", "abort", "exit"] {
        ends(order, |owner| {
            owner.peer.tell(order);
            assert!(!owner.peer.wait().success());
        });
    }
}

#[test]
fn an_owner_that_is_killed_leaves_nothing() {
    for by in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGQUIT] {
        ends(by.as_str(), |owner| signal(id(owner), by));
    }
}

#[test]
fn an_owner_that_becomes_another_program_leaves_nothing() {
    ends("exec", |owner| owner.peer.tell("exec"));
}

/// The child has a copy of the socket, which so stays open: the manager watches the process.
#[test]
fn an_owner_that_is_killed_leaves_nothing_to_its_child() {
    ends("fork", |owner| {
        let child: i32 = owner.run("fork").parse().unwrap();
        owner.peer.kill();
        owner.until_the_manager_has_ended();
        assert!(!is_gone(child), "the child waits for the end of its input");
    });
}

#[test]
fn a_child_that_drops_its_copy_of_the_handle_ends_nothing() {
    let world = World::new();
    let mut owner = world.owner();
    let block = owner.run("block");
    let child: i32 = owner.run("fork").parse().unwrap();
    signal(child, Signal::SIGTERM);
    until("the child has ended", || is_gone(child));
    assert_eq!(owner.run("segments"), block);
    owner.run("drop");
    world.assert_empty("dropped by the parent");
}

/// Process 1 of a container, which starts another container.
#[test]
fn a_child_that_has_its_parents_number_ends_nothing_either() {
    let world = World::new();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", MANAGER, "own", world.folder()]);
    let mut owner = Owner::from(Peer::spawn({
        command.env("TMPDIR", world.temp.path());
        command
    }));
    let block = owner.run("block");
    owner.run("drop-in-a-namespace");
    assert_eq!(owner.run("segments"), block);
    owner.run("drop");
    world.assert_empty("dropped by the parent");
}

#[test]
fn a_manager_that_is_told_to_end_leaves_nothing() {
    for by in [Signal::SIGTERM, Signal::SIGHUP] {
        let world = World::new();
        let manager = world.start();
        manager.shared_memory(100).unwrap();
        signal(pid(&manager), by);
        until("the manager has ended", || is_gone(pid(&manager)));
        world.assert_empty(by.as_str());
    }
}

#[test]
fn signals_of_the_keyboard_are_the_owners_business() {
    let world = World::new();
    let manager = world.start();
    let block = manager.shared_memory(100).unwrap();
    for by in [Signal::SIGINT, Signal::SIGQUIT] {
        signal(pid(&manager), by);
        assert_eq!(manager.segments().unwrap(), [block.name()], "{by}");
    }
}

#[test]
fn a_manager_of_an_owner_that_survives_hangups_survives_them_too() {
    let world = World::new();
    let manager = world.under(&["sh", "-c", "trap '' HUP; exec \"$0\""]).start().unwrap();
    let block = manager.shared_memory(100).unwrap();
    signal(pid(&manager), Signal::SIGHUP);
    assert_eq!(manager.segments().unwrap(), [block.name()]);
    drop(manager);
    world.assert_empty("dropped");
}

#[test]
fn what_a_killed_manager_owned_is_reaped() {
    let world = World::new();
    let owner = world.owner();
    let client = join(&world, &owner);
    let block = client.shared_memory(100).unwrap();
    let array = client.array::<u64>(100).unwrap();
    world.folder.options::<u64>("kept").persist(Persist::Keep).create(10).unwrap();
    client.track("kept").unwrap();
    world.folder.options::<u64>("never").persist(Persist::Keep).create(10).unwrap();
    // Taken over, and replaced since by what nobody has handed over.
    let replaced: Vec<_> = (0..3).map(|_| client.shared_memory(100).unwrap()).collect();
    for block in &replaced {
        fs::remove_file(world.folder.file(block.name())).unwrap();
    }
    fs::write(world.folder.file(replaced[0].name()), b"successor").unwrap();
    fs::create_dir(world.folder.file(replaced[1].name())).unwrap();
    std::os::unix::fs::symlink("kept", world.folder.file(replaced[2].name())).unwrap();

    signal(owner.manager, Signal::SIGKILL);
    owner.until_the_manager_has_ended();
    assert!(world.exists(block.name()) && world.exists(array.name()) && world.exists("kept"));
    assert_eq!(world.temp.left().len(), 1, "the directory of the socket");
    assert!(matches!(client.segments().unwrap_err().kind(), ErrorKind::ManagerUnreachable { .. }));
    let mut removed = world.folder.segments().reap().unwrap().removed;
    removed.retain(|name| !name.starts_with("manager_"));
    removed.sort();
    let mut expected = [block.name(), array.name(), "kept"];
    expected.sort_unstable();
    assert_eq!(removed, expected);
    let mut stays = ["never", replaced[0].name(), replaced[1].name(), replaced[2].name()];
    stays.sort_unstable();
    assert_eq!(world.folder.left(), stays);
    assert_eq!(world.temp.left(), [""; 0]);
}

#[test]
fn an_owner_whose_manager_was_killed_removes_what_it_owned() {
    for stopped in [false, true] {
        let world = World::new();
        let manager = world.options().timeout(Duration::from_millis(300)).start().unwrap();
        // Of two parts of the registry, the first is empty when it ends.
        let names: Vec<String> = (0..300).map(|_| manager.shared_memory(8).unwrap().name().to_owned()).collect();
        names[..256].iter().for_each(|name| manager.release(name).unwrap());
        if stopped {
            signal(pid(&manager), Signal::SIGSTOP);
            let error = manager.segments().unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::TimedOut { waited_for: "the manager's answer" });
            let error = manager.shared_memory(8).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::TimedOut { waited_for: "the manager's answer" });
        } else {
            signal(pid(&manager), Signal::SIGKILL);
        }
        drop(manager);
        world.assert_empty(&format!("stopped: {stopped}"));
    }
}

#[test]
fn an_owner_whose_manager_was_killed_in_the_middle_of_its_end_removes_the_rest() {
    let world = World::new();
    let manager = world.start();
    let names: Vec<String> = (0..300).map(|_| manager.shared_memory(8).unwrap().name().to_owned()).collect();
    names[..256].iter().for_each(|name| manager.release(name).unwrap());
    signal(pid(&manager), Signal::SIGKILL);
    until("the manager has ended", || is_gone(pid(&manager)));
    // It had come as far as the first part of its registry, which also knew its socket.
    let first = world.folder.left().into_iter().find(|name| name.starts_with("manager_") && name.ends_with("-0"));
    fs::remove_file(world.folder.file(&first.unwrap())).unwrap();
    drop(manager);
    assert_eq!(world.folder.left(), [""; 0]);
}

/// As a child that another thread forks while the manager is started.
#[test]
fn an_end_of_the_pair_that_somebody_holds_open_keeps_no_owner() {
    let world = World::new();
    let holder = world.temp.file("holder");
    // What runs in the background gets another input, but may have a copy of this one.
    let script = format!("exec 3<&0; sleep 120 <&3 & echo $! > {}; exec \"$0\" 3<&-", holder.display());
    let options = SharedMemoryManager::options().dir(world.folder.path()).program("sh", ["-c", &script, MANAGER]);
    let manager = options.timeout(Duration::from_secs(600)).start().unwrap();
    manager.shared_memory(8).unwrap();
    let holding: i32 = fs::read_to_string(&holder).unwrap().trim().parse().unwrap();
    let ending = std::thread::spawn(move || drop(manager));
    until("the owner has gone on", || ending.is_finished());
    ending.join().unwrap();
    assert!(!is_gone(holding), "it was held open all the time");
    signal(holding, Signal::SIGKILL);
    assert_eq!(world.folder.left(), [""; 0]);
}

/// What was started is not what serves, and does not end with it.
#[test]
fn a_program_that_closes_its_input_and_lives_on_is_killed() {
    let world = World::new();
    let script = "exec 3<&0; \"$0\" <&3 3<&- & exec sleep 120 <&- 3<&-";
    let options = world.under(&["sh", "-c", script]).timeout(Duration::from_secs(2));
    let manager = options.start().unwrap();
    manager.shared_memory(8).unwrap();
    let program = pid(&manager);
    let ending = std::thread::spawn(move || drop(manager));
    until("the owner has gone on", || ending.is_finished());
    ending.join().unwrap();
    assert!(is_gone(program));
    world.assert_empty("killed");
}

#[test]
fn shutdown_kills_a_manager_that_does_not_answer() {
    let world = World::new();
    let manager = world.options().timeout(Duration::from_millis(300)).start().unwrap();
    manager.shared_memory(8).unwrap();
    signal(pid(&manager), Signal::SIGSTOP);
    let error = manager.shutdown().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::TimedOut { waited_for: "the manager's answer" });
    assert!(is_gone(pid(&manager)));
    world.assert_empty("killed");
}

#[test]
fn a_name_that_is_something_else_by_now_is_forgotten() {
    let world = World::new();
    let manager = world.start();
    let segments = [manager.array::<u64>(10).unwrap(), manager.array::<u64>(10).unwrap()];
    let files = segments.each_ref().map(|array| world.folder.file(array.name()));
    for file in &files {
        fs::remove_file(file).unwrap();
    }
    fs::create_dir(&files[0]).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(&files[1]).unwrap();
    manager.release(segments[0].name()).unwrap();
    manager.shutdown().unwrap();
    fs::remove_dir(&files[0]).unwrap();
    fs::remove_file(&files[1]).unwrap();
    drop((segments, socket));
    world.assert_empty("shut down");
}
