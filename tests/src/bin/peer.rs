//! The other process of the integration tests: does what its arguments say and reports by lines.

use shmtypes::manager::SharedMemoryManager;
use shmtypes::{ArrayOptions, ShmArray, Trust};
use shmtypes_tests::python::unhex;
use std::io::stdin;
use std::path::Path;
use std::time::Duration;

fn main() {
    // In a process that was started as a manager this is the end of `main`.
    shmtypes::manager::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["hold", name] => hold(&ShmArray::options().name(*name)),
        ["hold-in", directory, name] => hold(&ShmArray::options().dir(*directory).name(*name)),
        // Until it is killed.
        ["open-wrongly", name] => {
            println!("ready");
            loop {
                assert!(ShmArray::<f32>::open(name).is_err());
            }
        }
        ["open-small", name] => {
            println!("ready");
            loop {
                assert!(ShmArray::<u64>::options().name(*name).max_bytes(64).open().is_err());
            }
        }
        ["open-distrusting", name] => {
            println!("ready");
            loop {
                assert!(ShmArray::<u64>::options().name(*name).trust(Trust::Uid(12_345)).open().is_err());
            }
        }
        ["follow", name, last] => follow(name, last.parse().expect("a number")),
        ["notify", name] => {
            let array = ShmArray::<u64>::open(name).expect("attach");
            array.set(0, 1).expect("store");
            array.notify();
            println!("notified");
        }
        ["plant", directory] => plant(Path::new(directory)),
        ["try-open", name] => match ShmArray::<u64>::open(name) {
            Ok(array) => println!("attached {}", array.len()),
            Err(error) => println!("{error}"),
        },
        ["manage"] => manage(),
        ["own-manager", socket, key] => {
            let options = SharedMemoryManager::options().address(Path::new(socket)).authkey(unhex(key));
            let _manager = options.start().expect("start");
            println!("ready");
            stdin().read_line(&mut String::new()).expect("wait");
        }
        other => panic!("unknown arguments {other:?}"),
    }
}

/// Starts a manager of its own, and ends it.
fn manage() {
    let manager = SharedMemoryManager::start().expect("start");
    let list = manager.shareable_list(&[0; 10]).expect("a list");
    println!("{}", list.name());
    manager.shutdown().expect("shut down");
}

/// Says element 0 each time that it has been told of a change, until it is `last`. Needs no write access.
fn follow(name: &str, last: u64) {
    let array = ShmArray::<u64>::open_read_only(name).expect("attach");
    println!("ready");
    loop {
        array.wait_changed(Duration::from_secs(600)).expect("a notification");
        let value = array.get(0).expect("load");
        println!("{value}");
        if value == last {
            return;
        }
    }
}

/// Creates a segment for everybody, and holds read locks wherever somebody might ask whether locks are kept.
fn plant(directory: &Path) {
    let _array = ShmArray::<u64>::options().dir(directory).name("planted").mode(0o666).create(1).expect("create");
    let file = std::fs::File::open(directory.join("planted")).expect("open the file");
    let range = nix::libc::flock {
        l_type: nix::libc::F_RDLCK as nix::libc::c_short,
        l_whence: nix::libc::SEEK_SET as nix::libc::c_short,
        l_start: (1 << 62) + (1 << 32),
        l_len: 1 << 32,
        l_pid: 0,
    };
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_OFD_SETLK(&range)).expect("lock");
    println!("ready");
    stdin().read_line(&mut String::new()).expect("wait");
}

/// Attaches to an array of `u64` and stays attached until its input closes.
fn hold(options: &ArrayOptions<u64>) {
    let array = options.open().expect("attach");
    println!("attached {}", array.len());
    wait_for_end_of_input();
    println!("{:?}", array.close().expect("close"));
}

fn wait_for_end_of_input() {
    let mut line = String::new();
    while stdin().read_line(&mut line).expect("read input") > 0 {}
}
