//! The processes of the tests of managers: the manager itself, its owner, its clients. Does what its arguments and then the
//! lines of its input say, and answers each line by one.
#![allow(unsafe_code, reason = "forks")]

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use shmtypes::compat::SharedMemory;
use shmtypes::manager::{self, Address, SharedMemoryManager};
use shmtypes::{Persist, Result, ShmArray};
use shmtypes_tests::python::{hex, unhex};
use std::any::Any;
use std::io::stdin;
use std::os::unix::process::CommandExt;
use std::process::Command;

fn main() {
    manager::init();
    // Many of these processes end by signals on purpose.
    setrlimit(Resource::RLIMIT_CORE, 0, 0).expect("no core files");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["own", folder] => talk(folder, Some(start(folder))),
        ["client", folder, address, key] => talk(folder, Some(connect(folder, address, key))),
        ["plain", folder] => {
            println!("ready");
            talk(folder, None);
        }
        ["start-in-a-fork", folder] => start_in_a_fork(folder),
        ["churn", folder, address, key] => churn(folder, address, key),
        ["one-block", folder, address, key] => {
            let manager = connect(folder, address, key);
            println!("begin");
            let block = manager.shared_memory(100);
            println!("end {}", answer(block.map(|block| block.name().to_owned())));
        }
        ["one-array", folder, address, key] => {
            let manager = connect(folder, address, key);
            println!("begin");
            let array = manager.array::<u64>(100);
            println!("end {}", answer(array.map(|array| array.name().to_owned())));
        }
        other => panic!("unknown arguments {other:?}"),
    }
}

fn start(folder: &str) -> SharedMemoryManager {
    let manager = SharedMemoryManager::options().dir(folder).start().expect("start a manager");
    let pid = manager.process_id().expect("it is this process's");
    println!("manager {pid} {} {}", manager.address(), hex(manager.authkey().as_bytes()));
    manager
}

fn connect(folder: &str, address: &str, key: &str) -> SharedMemoryManager {
    let address: Address = address.parse().expect("an address");
    let options = SharedMemoryManager::options().dir(folder).address(address).authkey(unhex(key));
    let manager = options.connect().expect("connect to the manager");
    println!("connected");
    manager
}

/// What a call came to, on one line.
fn answer<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Ok(value) => format!("ok {value:?}").replace('"', ""),
        Err(error) => format!("error {error}").replace('\n', " "),
    }
}

fn start_in_a_fork(folder: &str) {
    // SAFETY: this process has one thread.
    if let ForkResult::Child = unsafe { fork() }.expect("fork") {
        let manager = start(folder);
        let made = manager.shared_memory(100).map(|block| block.name().to_owned());
        println!("{}", answer(made));
        drop(manager);
        println!("dropped");
    } else {
        wait_for_end_of_input();
    }
}

/// Joins a manager and creates through it, over and over, until the end of the input. The manager may end at any time.
fn churn(folder: &str, address: &str, key: &str) {
    let address: Address = address.parse().expect("an address");
    let options = SharedMemoryManager::options().dir(folder).address(address).authkey(unhex(key));
    let input = std::thread::spawn(wait_for_end_of_input);
    for number in 0_u64.. {
        if input.is_finished() {
            break;
        }
        let made = options.connect().and_then(|manager| match number % 2 {
            0 => manager.shared_memory(10).map(drop),
            _ => manager.array::<u64>(10).map(drop),
        });
        if made.is_ok() {
            println!("created");
        }
    }
    input.join().expect("the input was read");
}

/// Drops a copy of the handle in a forked child that has this process's number, in a namespace of its own. 0 if it had.
fn drop_in_a_namespace(manager: &mut Option<SharedMemoryManager>) -> i32 {
    unshare(CloneFlags::CLONE_NEWPID).expect("a namespace for the next child");
    let own = std::process::id();
    // SAFETY: this process has one thread.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Parent { child } => match waitpid(child, None).expect("the child ends") {
            WaitStatus::Exited(_, status) => status,
            status => panic!("{status:?}"),
        },
        ForkResult::Child => {
            drop(manager.take());
            let status = if std::process::id() == own { 0 } else { 1 };
            // SAFETY: ends this process at once, whose parent has all else that is to be done.
            unsafe { nix::libc::_exit(status) }
        }
    }
}

fn wait_for_end_of_input() {
    // Not through `stdin`, which a forked child may have inherited locked. An error is an end, too.
    while nix::unistd::read(stdin(), &mut [0; 64]).is_ok_and(|count| count > 0) {}
}

/// Each line is an order. At the end of the input, `main` returns and everything is dropped.
fn talk(folder: &str, mut manager: Option<SharedMemoryManager>) {
    let mut handles: Vec<Box<dyn Any>> = Vec::new();
    for line in stdin().lines() {
        let line = line.expect("a line");
        let words: Vec<&str> = line.split(' ').collect();
        if let ["drop"] = words[..] {
            drop(manager.take());
            println!("ok");
            continue;
        }
        if let ["forget"] = words[..] {
            handles.clear();
            println!("ok");
            continue;
        }
        if let ["drop-in-a-namespace"] = words[..] {
            match drop_in_a_namespace(&mut manager) {
                0 => println!("ok"),
                number => println!("error the child has number {number}"),
            }
            continue;
        }
        let said = match &manager {
            Some(manager) => managed(manager, &mut handles, &words),
            None => None,
        };
        match said.unwrap_or_else(|| plain(folder, &mut handles, &words)) {
            Ok(text) => println!("ok {text}"),
            Err(error) => println!("error {error}"),
        }
    }
}

fn keep<T: Any>(handles: &mut Vec<Box<dyn Any>>, handle: T, name: impl FnOnce(&T) -> &str) -> String {
    let name = name(&handle).to_owned();
    handles.push(Box::new(handle));
    name
}

fn managed(manager: &SharedMemoryManager, handles: &mut Vec<Box<dyn Any>>, words: &[&str]) -> Option<Result<String>> {
    let said = |result: Result<()>| result.map(|()| String::new());
    Some(match words {
        ["block"] => manager.shared_memory(100).map(|made| keep(handles, made, |made| made.name())),
        ["shareable"] => manager.shareable_list(&[1, 2, 3]).map(|made| keep(handles, made, |made| made.name())),
        ["array"] => manager.array::<u64>(100).map(|made| keep(handles, made, |made| made.name())),
        ["locked"] => manager.locked_array::<u64>(100).map(|made| keep(handles, made, |made| made.name())),
        ["vec"] => manager.vec::<u64>(100).map(|made| keep(handles, made, |made| made.name())),
        ["list"] => manager.list(&[1, 2, 3]).map(|made| keep(handles, made, |made| made.name())),
        ["cell"] => manager.cell(7_u64).map(|made| keep(handles, made, |made| made.name())),
        ["box"] => manager.shm_box::<u64>().map(|made| keep(handles, made, |made| made.name())),
        ["segments"] => manager.segments().map(|names| names.join(" ")),
        ["track", name] => said(manager.track(name)),
        ["release", name] => said(manager.release(name)),
        ["shutdown"] => said(manager.shutdown()),
        _ => return None,
    })
}

fn plain(folder: &str, handles: &mut Vec<Box<dyn Any>>, words: &[&str]) -> Result<String> {
    let array = || ShmArray::<u64>::options().dir(folder);
    match words {
        ["typed", name] => array().name(*name).create(100).map(|made| keep(handles, made, |made| made.name())),
        ["keep", name] => {
            array().name(*name).persist(Persist::Keep).create(100).map(|made| keep(handles, made, |made| made.name()))
        }
        ["plain", name] => SharedMemory::options()
            .dir(folder)
            .name(*name)
            .create(100)
            .map(|made| keep(handles, made, |made| made.name())),
        ["panic"] => panic!("on purpose"),
        ["abort"] => std::process::abort(),
        ["exit"] => std::process::exit(3),
        ["exec"] => panic!("{}", Command::new("sleep").arg("600").exec()),
        // SAFETY: this process has one thread.
        ["fork"] => match unsafe { fork() }.expect("fork") {
            ForkResult::Parent { child } => Ok(child.to_string()),
            ForkResult::Child => {
                wait_for_end_of_input();
                handles.clear();
                // SAFETY: ends this process at once, whose parent has all else that is to be done.
                unsafe { nix::libc::_exit(0) }
            }
        },
        other => panic!("unknown order {other:?}"),
    }
}
