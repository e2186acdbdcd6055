//! A process that forks while it is attached. Single-threaded, so that its child may do anything.
#![allow(unsafe_code, reason = "forks")]

use super::{create, exit, say};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use shmtypes::SegmentDirectory;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::path::Path;

const CHILD_WROTE: u64 = 4711;

/// `order` says who leaves first: `child`, `parent` (by closing its handle) or `parent-process` (by ending). `how` says
/// how the child leaves.
pub(super) fn run(order: &str, how: &str, folder: &str, name: &str) {
    let array = create("plain", folder, name).expect("create");
    let path = Path::new(folder).join(name);
    let (mut from_child, to_parent) = pipe().expect("pipe");
    let (from_parent, to_child) = pipe().expect("pipe");
    // SAFETY: the process has one thread, so the child may do whatever the parent may.
    let forked = unsafe { fork() };
    let child = match forked.expect("fork") {
        ForkResult::Child => {
            drop((from_child, to_child));
            array.set(1, CHILD_WROTE).expect("the child writes");
            assert!(array.get(0).expect("the child reads") != 0);
            go_on(to_parent);
            wait_for(from_parent);
            match how {
                "drop" => say(&format!("child {:?}", array.close().expect("close"))),
                "panic" => {
                    // Unwinds through its own handle, and ends where the parent's frames would begin.
                    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                        let _array = array;
                        exit::end("panic");
                    }));
                    assert!(unwound.is_err());
                }
                how => exit::end(how),
            }
            std::process::exit(0);
        }
        ForkResult::Parent { child } => {
            drop((to_parent, from_parent));
            child
        }
    };
    let mut byte = [0];
    from_child.read_exact(&mut byte).expect("hear from the child");
    say(&format!("parent reads {}", array.get(1).expect("read") == CHILD_WROTE));
    match order {
        "child" => {
            drop(to_child);
            waitpid(child, None).expect("wait");
            say(&format!("name {}", path.exists()));
            say(&format!("parent {:?}", array.close().expect("close")));
        }
        "parent" => {
            say(&format!("parent {:?}", array.close().expect("close")));
            say(&format!("name {}", path.exists()));
            drop(to_child);
            waitpid(child, None).expect("wait");
        }
        // The child reads the end of this pipe when the process is gone.
        "parent-process" => std::process::exit(0),
        other => panic!("unknown order {other:?}"),
    }
    say(&format!("name {}", path.exists()));
    SegmentDirectory::new(folder).reap().expect("reap");
    say(&format!("name {}", path.exists()));
}

fn go_on(mut to: PipeWriter) {
    to.write_all(&[1]).expect("tell the parent");
}

fn wait_for(mut from: PipeReader) {
    let mut byte = Vec::new();
    from.read_to_end(&mut byte).expect("hear from the parent");
}
