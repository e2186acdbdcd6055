//! Managers of shared memory, with Python on either side of the conversation.

mod clients;
mod deaths;
mod keys;
mod ported;
mod servers;

use serde_json::{Value as Json, json};
use shmtypes::manager::{Address, ManagerOptions, SharedMemoryManager};
use shmtypes_tests::folder::Folder;
use shmtypes_tests::python::{Interpreter, Python, hex};
use shmtypes_tests::scratch::{SHM, Scratch};
use std::path::{Path, PathBuf};

/// What both sides know.
const KEY: &[u8] = b"known to\0both\xff";

/// Where a test has its segments, sockets and temporary files, and what it must leave as it found it.
struct Place {
    scratch: Scratch,
    folder: Folder,
    /// Files in /dev/shm whose names somebody else chose.
    others: Vec<PathBuf>,
}

impl Place {
    fn new() -> Self {
        Self { scratch: Scratch::new(), folder: Folder::below(&std::env::temp_dir()), others: Vec::new() }
    }

    fn name(&self, suffix: &str) -> String {
        self.scratch.name(suffix)
    }

    /// Has a segment removed, too, that carries a random name.
    fn adopt(&mut self, name: &str) -> String {
        self.others.push(Path::new(SHM).join(name));
        name.to_owned()
    }

    fn socket(&self) -> Address {
        self.folder.file("socket").into()
    }

    /// An abstract socket that no other test has.
    fn abstract_socket(&self) -> Address {
        Address::Abstract(self.name("socket").into_bytes())
    }

    /// A Python process whose segments carry the test's prefix, and which takes with it what it starts.
    fn python(&self, interpreter: &Interpreter) -> Python {
        let mut python = Python::start_family(interpreter, self.folder.path());
        python.run(&json!({"op": "names", "prefix": self.name("python-")}));
        python
    }

    /// The same, with a manager that it has joined. It leaves to the manager what it creates and attaches to.
    fn client(&self, interpreter: &Interpreter, address: &Address) -> Python {
        let mut python = self.python(interpreter);
        python.run(&json!({"op": "untrack all"}));
        python.run(&manager_command(address, KEY));
        python.run(&json!({"op": "connect"}));
        python
    }

    /// Options of a Rust manager in a process of its own.
    fn options(&self, address: impl Into<Address>) -> ManagerOptions {
        let program = env!("CARGO_BIN_EXE_shmtypes-peer");
        SharedMemoryManager::options().program(program, ["manager"]).authkey(KEY).address(address)
    }

    /// Nothing is left, neither in /dev/shm nor among the temporary files.
    #[track_caller]
    fn assert_clean(&self) {
        assert!(self.scratch.left().is_empty(), "{:?}", self.scratch.left());
        let others: Vec<&PathBuf> = self.others.iter().filter(|path| path.exists()).collect();
        assert!(others.is_empty(), "{others:?}");
        let files: Vec<_> = std::fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.is_empty(), "{files:?}");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for path in &self.others {
            // Gone, where the test did not fail.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// An address as `SharedMemoryManager(address=…)` takes it.
fn spelt(address: &Address) -> Json {
    match address {
        Address::Unix(path) => json!(path),
        Address::Abstract(name) => json!(format!("\0{}", String::from_utf8_lossy(name))),
        Address::Tcp(address) => json!([address.ip().to_string(), address.port()]),
        other => panic!("{other}: Python knows no such address"),
    }
}

/// An address as Python says it.
fn address(answer: &Json) -> Address {
    match &answer["address"] {
        Json::String(path) => Address::Unix(path.into()),
        Json::Array(pair) => {
            let (host, port) = (pair[0].as_str().unwrap(), &pair[1]);
            format!("{host}:{port}").parse().unwrap()
        }
        other => panic!("{other} is no address"),
    }
}

fn manager_command(address: &Address, key: &[u8]) -> Json {
    json!({"op": "manager", "key": "m", "address": spelt(address), "authkey": hex(key)})
}

/// What a request by its name comes to in a Python client.
fn dispatch(python: &mut Python, method: &str, args: &[&str]) -> Json {
    python.ask(&json!({"op": "dispatch", "method": method, "args": args}))
}

/// The class and the text of the exception that an answer says.
#[track_caller]
fn exception(answer: &Json) -> (&str, &str) {
    match (answer["err"]["type"].as_str(), answer["err"]["text"].as_str()) {
        (Some(class), Some(text)) => (class, text),
        _ => panic!("{answer} is no exception"),
    }
}

fn segments_by_python(python: &mut Python) -> Vec<String> {
    let answer = dispatch(python, "list_segments", &[]);
    let names = answer["result"].as_array().unwrap_or_else(|| panic!("{answer}"));
    names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}
