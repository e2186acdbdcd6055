//! Managers with real processes: started, asked, killed, scribbled on, crowded.

mod crowd;
mod ends;
mod hostile;
mod killed;
mod life;
mod scarce;
mod start;
mod storm;
mod table;
mod wire;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shmtypes::manager::{ManagerOptions, SharedMemoryManager};
use shmtypes_tests::folder::Folder;
use shmtypes_tests::peer::Peer;
use shmtypes_tests::python::unhex;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// The program that is the manager, and plays its owner and its clients.
const MANAGER: &str = env!("CARGO_BIN_EXE_shmtypes-manager");

/// A directory of segments, and one for sockets, both empty at first.
#[derive(Debug)]
struct World {
    folder: Folder,
    temp: Folder,
}

impl World {
    fn new() -> Self {
        Self { folder: Folder::new(), temp: Folder::new() }
    }

    fn folder(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    fn temp(&self) -> String {
        format!("TMPDIR={}", self.temp.path().display())
    }

    /// Options of a manager that this process owns, run under the shell words of `wrapper`.
    fn under(&self, wrapper: &[&str]) -> ManagerOptions {
        let words = [self.temp()].into_iter().chain(wrapper.iter().map(|word| (*word).to_owned()));
        let words = words.chain([MANAGER.to_owned()]);
        SharedMemoryManager::options().dir(self.folder.path()).program("env", words)
    }

    fn options(&self) -> ManagerOptions {
        self.under(&[])
    }

    fn start(&self) -> SharedMemoryManager {
        self.options().start().unwrap()
    }

    /// A process that owns a manager.
    fn owner(&self) -> Owner {
        let mut command = Command::new(MANAGER);
        command.args(["own", self.folder()]).env("TMPDIR", self.temp.path());
        Owner::from(Peer::spawn(command))
    }

    /// A process that is a client.
    fn client(&self, manager: &SharedMemoryManager) -> Owner {
        let address = manager.address().to_string();
        let key = shmtypes_tests::python::hex(manager.authkey().as_bytes());
        let mut peer = Peer::start(MANAGER, &["client", self.folder(), &address, &key]);
        peer.expect_line("connected");
        Owner { peer, manager: 0, address, key: unhex(&key) }
    }

    /// The names in the directory that are no registries.
    fn names(&self) -> Vec<String> {
        self.folder.left().into_iter().filter(|name| !name.starts_with("manager_")).collect()
    }

    fn exists(&self, name: &str) -> bool {
        self.folder.file(name).exists()
    }

    #[track_caller]
    fn assert_empty(&self, context: &str) {
        assert_eq!((self.folder.left(), self.temp.left()), (vec![], vec![]), "{context}");
    }
}

/// A process that owns a manager, or is a client of one.
#[derive(Debug)]
struct Owner {
    peer: Peer,
    manager: i32,
    address: String,
    key: Vec<u8>,
}

impl From<Peer> for Owner {
    fn from(mut peer: Peer) -> Self {
        let line = peer.line().unwrap_or_default();
        let words: Vec<&str> = line.split(' ').collect();
        let ["manager", pid, address, key] = words[..] else { panic!("an owner says {line:?}") };
        Self { peer, manager: pid.parse().unwrap(), address: address.to_owned(), key: unhex(key) }
    }
}

impl Owner {
    fn ask(&mut self, order: &str) -> String {
        self.peer.tell(order);
        self.peer.line().unwrap_or_else(|| panic!("it ended at {order:?}"))
    }

    /// What an order that must succeed gives.
    #[track_caller]
    fn run(&mut self, order: &str) -> String {
        let answer = self.ask(order);
        let said = answer.strip_prefix("ok").unwrap_or_else(|| panic!("{order}: {answer}"));
        said.trim_start().to_owned()
    }

    /// Waits until the manager has ended.
    #[track_caller]
    fn until_the_manager_has_ended(&self) {
        until("the manager has ended", || is_gone(self.manager));
    }
}

/// Whether a process has ended. It may be a zombie that nobody waits for.
fn is_gone(pid: i32) -> bool {
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    text.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Waits until something is so, and fails after a minute.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

fn pid(manager: &SharedMemoryManager) -> i32 {
    manager.process_id().unwrap().cast_signed()
}

/// Joins a manager, as its clients do.
fn join(world: &World, owner: &Owner) -> SharedMemoryManager {
    let address: shmtypes::manager::Address = owner.address.parse().unwrap();
    SharedMemoryManager::options().dir(world.folder.path()).address(address).authkey(&owner.key).connect().unwrap()
}
