//! The table of docs/reliability.md: who removes what when which process ends in which way.

use super::{MANAGER, is_gone, signal, until};
use nix::sys::signal::Signal;
use shmtypes_tests::peer::Peer;
use shmtypes_tests::world::{inside, private_shm};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SHM: &str = "/dev/shm";
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reliability.md");
const BEGIN: &str = "<!-- observed by tests/it/manager/table.rs -->\n";
const END: &str = "<!-- end of what was observed -->\n";

/// What a process has made, as the head of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thing {
    Typed,
    Keep,
    Block,
    Tracked,
    ManagedBlock,
    ManagedTyped,
}

const THINGS: [(Thing, &str); 6] = [
    (Thing::Typed, "typed segment"),
    (Thing::Keep, "the same, `Keep`"),
    (Thing::Block, "block"),
    (Thing::Tracked, "block of a Python process"),
    (Thing::ManagedBlock, "block of a manager's"),
    (Thing::ManagedTyped, "typed segment of a manager's"),
];

/// How the process ends, as the head of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Ordered(&'static str),
    Returns,
    By(Signal),
    Execs,
    Forked,
    WithManager,
}

const ENDS: [(Ends, &str); 9] = [
    (Ends::Returns, "`main` returns"),
    (Ends::Ordered("panic"), "a panic, or an exception"),
    (Ends::Ordered("exit"), "`exit`, without destructors"),
    (Ends::Ordered("abort"), "abort"),
    (Ends::By(Signal::SIGTERM), "SIGTERM"),
    (Ends::By(Signal::SIGKILL), "SIGKILL"),
    (Ends::Execs, "exec of another program"),
    (Ends::Forked, "SIGKILL, a forked child lives"),
    (Ends::WithManager, "SIGKILL, and its helper too"),
];

const PYTHON: &str = r#"
import os, sys
from multiprocessing import resource_tracker, shared_memory
block = shared_memory.SharedMemory(name=sys.argv[1], create=True, size=64)
print("tracker", resource_tracker._resource_tracker._pid, flush=True)
order = os.read(0, 100).decode().strip()
if order == "panic": raise RuntimeError
if order == "exit": os._exit(3)
if order == "abort": os.abort()
if order == "exec": os.execvp("sleep", ["sleep", "600"])
if order == "fork":
    child = os.fork()
    if child == 0:
        while os.read(0, 100): pass
        os._exit(0)
    print(child, flush=True)
    os.read(0, 100)
"#;

/// The process, the one that helps it, and the file.
struct Scene {
    peer: Peer,
    helper: Option<i32>,
    file: PathBuf,
}

fn scene(thing: Thing) -> Scene {
    let file = |name: &str| Path::new(SHM).join(name);
    let mut command;
    match thing {
        Thing::Tracked => {
            command = Command::new("python3");
            command.args(["-B", "-c", PYTHON, "thing"]);
        }
        Thing::Typed | Thing::Keep | Thing::Block => {
            command = Command::new(MANAGER);
            command.args(["plain", SHM]);
        }
        Thing::ManagedBlock | Thing::ManagedTyped => {
            command = Command::new(MANAGER);
            command.args(["own", SHM]);
        }
    }
    // Panics and leaks are said there.
    command.stderr(Stdio::null());
    let mut peer = Peer::spawn(command);
    let ready = peer.line().expect("it says what it is");
    let helper = ready.split(' ').nth(1).map(|pid| pid.parse().unwrap());
    let order = match thing {
        Thing::Typed => "typed thing",
        Thing::Keep => "keep thing",
        Thing::Block => "plain thing",
        Thing::Tracked => return Scene { peer, helper, file: file("thing") },
        Thing::ManagedBlock => "block",
        Thing::ManagedTyped => "array",
    };
    peer.tell(order);
    let made = peer.line().expect("it makes something");
    let name = made.strip_prefix("ok ").unwrap_or_else(|| panic!("{made}"));
    Scene { peer, helper, file: file(name) }
}

/// Who has removed the thing, after the process has ended.
fn observe(thing: Thing, ends: Ends) -> &'static str {
    let Scene { mut peer, helper, file } = scene(thing);
    assert!(file.exists(), "{thing:?}");
    let id = peer.id().cast_signed();
    match ends {
        Ends::Returns => peer.close_input(),
        Ends::Ordered(order) => peer.tell(order),
        Ends::By(by) => signal(id, by),
        Ends::Execs => {
            peer.tell("exec");
            let is_other = || fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name == "sleep\n");
            until("it is another program", is_other);
        }
        Ends::Forked => {
            peer.tell("fork");
            assert!(peer.line().is_some(), "it says who its child is");
            peer.kill();
        }
        Ends::WithManager => {
            // First, so that it does not see the end of the process.
            helper.into_iter().for_each(|helper| signal(helper, Signal::SIGKILL));
            peer.kill();
        }
    }
    if ends != Ends::Execs {
        until("the process has ended", || is_gone(id));
    }
    if ends == Ends::Forked && thing == Thing::Tracked {
        // The child has a copy of the tracker's pipe.
        peer.close_input();
    }
    if let Some(helper) = helper {
        until("its helper has ended", || is_gone(helper));
    }
    if !file.exists() {
        return match thing {
            Thing::Tracked => "the tracker",
            Thing::ManagedBlock | Thing::ManagedTyped => "the manager",
            _ => "itself",
        };
    }
    if ends == Ends::Forked {
        // Ends the child, which holds the output as well.
        peer.close_input();
        assert_eq!(peer.line(), None);
        if !file.exists() {
            return "the child, as it leaves";
        }
    }
    shmtypes::reap().unwrap();
    if !file.exists() {
        return "`reap`";
    }
    fs::remove_file(file).unwrap();
    "nobody"
}

/// The table, as it was just observed.
fn table() -> String {
    let mut text = String::from("| the process ends by |");
    THINGS.iter().for_each(|(_, head)| write!(text, " {head} |").unwrap());
    text.push_str("\n|---|");
    THINGS.iter().for_each(|_| text.push_str("---|"));
    text.push('\n');
    for (ends, head) in ENDS {
        write!(text, "| {head} |").unwrap();
        for (thing, _) in THINGS {
            let who = observe(thing, ends);
            write!(text, " {who} |").unwrap();
            shmtypes::reap().unwrap();
            let left: Vec<_> = fs::read_dir(SHM).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert!(left.is_empty(), "{thing:?}, {ends:?}: {left:?}");
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_table_of_who_removes_what_is_what_happens() {
    let name = "manager::table::the_table_of_who_removes_what_is_what_happens";
    inside(&private_shm("size=16m"), name, || {
        let document = fs::read_to_string(DOCUMENT).unwrap();
        let observed = table();
        let between = document.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
        let (written, _) = between.expect("docs/reliability.md has the marks");
        assert_eq!(written.trim(), observed.trim(), "what was observed:\n{observed}");
    });
}
