//! Managers and clients killed at every system call: nothing is left that nobody finds.

use super::{MANAGER, World, is_gone, pid, until};
use shmtypes::Persist;
use shmtypes::manager::SharedMemoryManager;
use shmtypes_tests::python::hex;
use shmtypes_tests::trace::{Call, calls, describe, injected, run};
use shmtypes_tests::world;
use std::fs;
use std::os::unix::process::ExitStatusExt;

const SIGKILL: i32 = 9;

/// What an owner does, as far as it comes. `None` if all of it succeeded; else whether the segment that is kept was handed over.
fn life(world: &World, wrapper: &[&str], leaves: bool) -> Option<bool> {
    let kept = || world.folder.options::<u64>("kept").persist(Persist::Keep).create(10).unwrap();
    kept();
    let manager = match world.under(wrapper).start() {
        Ok(manager) => manager,
        Err(_) => return Some(false),
    };
    let is_tracked = manager.track("kept").is_ok();
    let block = manager.shared_memory(100);
    let array = manager.array::<u64>(10);
    let released = block.as_ref().is_ok_and(|block| manager.release(block.name()).is_ok());
    let shut_down = manager.shutdown_of(leaves);
    drop(array);
    (!(is_tracked && released && shut_down)).then_some(is_tracked)
}

trait ShutDown {
    fn shutdown_of(self, leaves: bool) -> bool;
}

impl ShutDown for SharedMemoryManager {
    /// Asks for the end, as a client does, and forgets the handle, so that nobody cleans up; or as the owner.
    fn shutdown_of(self, leaves: bool) -> bool {
        if !leaves {
            return self.shutdown().is_ok();
        }
        let client = Self::options().address(self.address()).authkey(self.authkey().as_bytes()).connect();
        let outcome = client.is_ok_and(|client| client.shutdown().is_ok());
        if !outcome {
            // It was killed, and its sockets go a moment before its locks. Nobody cleans up, or waits for the process.
            until("the manager has ended", || is_gone(pid(&self)));
            std::mem::forget(self);
        }
        outcome
    }
}

/// The calls of a log of strace from the first one that starts with `begin` on.
fn window(text: &str, begin: &str) -> Vec<Call> {
    let mut counts = std::collections::HashMap::<&str, usize>::new();
    let mut inside = false;
    let mut calls = Vec::new();
    for line in text.lines() {
        let Some((name, _)) = line.split_once('(') else { continue };
        let nth = counts.entry(name).or_default();
        *nth += 1;
        inside |= line.starts_with(begin);
        if inside {
            calls.push(Call { name: name.to_owned(), nth: *nth, line: line.to_owned() });
        }
    }
    calls
}

#[test]
fn a_manager_that_is_killed_at_any_system_call_leaves_nothing_that_reap_does_not_find() {
    let name = "manager::killed::a_manager_that_is_killed_at_any_system_call_leaves_nothing_that_reap_does_not_find";
    world::inside::<&str>(&[], name, || {
        let world = World::new();
        let logs = World::new();
        let log = logs.temp.file("log");
        let log = log.to_str().unwrap();
        assert_eq!(life(&world, &["strace", "-qq", "-s", "64", "-e", "signal=none", "-o", log], false), None);
        world.assert_empty("not killed");
        let window = window(&fs::read_to_string(log).unwrap(), "recvmsg(");
        assert!(window.len() > 100, "only {} calls: is it still the whole life?", window.len());
        let mut kills = 0;
        for call in &window {
            if call.name == "exit_group" {
                continue;
            }
            kills += 1;
            let kill = format!("inject={}:signal=KILL:when={}", call.name, call.nth);
            let trace = format!("trace={}", call.name);
            let leaves = kills % 3 != 0;
            // A kill on entering a call is a kill after the one before.
            let context = format!("killed before {}, handle left: {leaves}", call.line);
            // Some calls come or do not, by who is faster: then it lives.
            let tracked = life(&world, &["strace", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &kill], leaves);
            world.folder.segments().reap().unwrap();
            if tracked == Some(false) && world.exists("kept") {
                world.folder.segments().unlink("kept").unwrap();
            }
            world.assert_empty(&context);
        }
        println!("{kills} kills of a manager, {} calls", window.len());
        assert!(kills > 100, "only {kills} kills");
    });
}

/// Kills a client at each call of its request.
#[track_caller]
fn client_killed_everywhere(what: &str) {
    let world = World::new();
    let logs = World::new();
    let manager = world.start();
    let (address, key) = (manager.address().to_string(), hex(manager.authkey().as_bytes()));
    let arguments = [what, world.folder(), &address, &key];
    let (window, output) = calls(&[], &logs.temp.file("log"), MANAGER, &arguments);
    assert!(describe(&output).contains("end ok"), "{}", describe(&output));
    let (mut owned, mut kills) = (0, 0);
    for call in &window {
        let kill = format!("{}:signal=KILL:when={}", call.name, call.nth);
        let output = run(&mut injected(&[&kill], MANAGER, &arguments));
        // How often it looks for an answer before it sleeps is chance: then it lives.
        let is_look = ["recvfrom", "sched_yield"].contains(&call.name.as_str());
        assert!(is_look || output.status.signal() == Some(SIGKILL), "{kill}: {}", describe(&output));
        kills += usize::from(output.status.signal() == Some(SIGKILL));
        // Asked behind all that the client has asked.
        let names = manager.segments().unwrap();
        owned += usize::from(!names.is_empty());
        for name in &names {
            manager.release(name).unwrap();
        }
        if what == "one-array" {
            world.folder.segments().reap().unwrap();
        }
        assert_eq!(world.names(), [""; 0], "killed before {}", call.line);
    }
    println!("{what}: {kills} kills, {owned} of them left something to the manager");
    assert!(kills > 30 && owned > 3, "{kills} kills, {owned} owned");
    drop(manager);
    world.assert_empty("dropped");
}

#[test]
fn a_client_that_is_killed_at_any_system_call_leaves_its_block_to_the_manager_or_none() {
    client_killed_everywhere("one-block");
}

#[test]
fn a_client_that_is_killed_at_any_system_call_leaves_its_array_to_the_manager_or_to_reap() {
    client_killed_everywhere("one-array");
}
