//! A process that is attached, and ends in a given way.
#![allow(unsafe_code, reason = "ends the process in ways that only the C library knows")]

use super::{create, say, wait_for_end_of_input};
use nix::libc;
use nix::sys::signal::{Signal, raise};
use shmtypes_tests::life::options;
use std::os::unix::process::CommandExt;
use std::process::Command;

pub(super) fn run(role: &str, how: &str, folder: &str, name: &str) {
    let _attached = match role {
        "creator" => create("plain", folder, name).expect("create"),
        "attacher" => options::<u64>(folder, name).open().expect("attach"),
        other => panic!("unknown role {other:?}"),
    };
    say("attached");
    // "exec" leaves its input to the program that it becomes, which ends when it closes.
    if how != "exec" {
        wait_for_end_of_input();
    }
    end(how);
}

/// Ends the process, or returns.
pub(super) fn end(how: &str) {
    match how {
        "return" => {}
        "panic" => std::panic::resume_unwind(Box::new("on purpose")),
        "abort" => std::process::abort(),
        "exit" => std::process::exit(0),
        // SAFETY: ends the process at once.
        "_exit" => unsafe { libc::_exit(0) },
        "SIGTERM" => raise(Signal::SIGTERM).expect("raise"),
        "SIGKILL" => raise(Signal::SIGKILL).expect("raise"),
        "SIGSEGV" => {
            // The runtime's own handler would only return from a signal that no access caused.
            // SAFETY: sets a default disposition, which runs no code.
            unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
            raise(Signal::SIGSEGV).expect("raise");
        }
        "exec" => panic!("exec: {}", Command::new("cat").exec()),
        other => panic!("unknown end {other:?}"),
    }
}
