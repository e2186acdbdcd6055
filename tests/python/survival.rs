//! Who removes a name when Python exits.

use crate::with_each;
use serde_json::json;
use shmtypes::compat::tracker::MessageForm;
use shmtypes::compat::{ResourceTracker, ShareableList, SharedMemory};
use shmtypes_tests::python::{Interpreter, Python};
use shmtypes_tests::scratch::Scratch;
use std::os::fd::OwnedFd;

/// Attaches to a block in a process that does nothing else, and lets it end.
fn attach_and_exit(interpreter: &Interpreter, command: &serde_json::Value) {
    let mut python = Python::start(interpreter);
    python.run(command);
    python.end();
}

#[test]
fn python_removes_at_exit_what_it_merely_attached_to() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let list =
            ShareableList::options().name(scratch.name("list")).dialect(Default::default()).create(&[1_i64]).unwrap();
        attach_and_exit(interpreter, &json!({"op": "open block", "name": list.name()}));
        assert!(scratch.left().is_empty(), "gh-82300: CPython {:?}", interpreter.version);
        // Who has it mapped goes on, and is told when it asks.
        list.set(0, 2).unwrap();
        assert_eq!(*list.unlink().unwrap_err().kind(), shmtypes::ErrorKind::NotFound);
    });
}

#[test]
fn python_3_13_leaves_what_it_does_not_track() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let block = SharedMemory::create_named(&scratch.name("block"), 8).unwrap();
        let mut python = Python::start(interpreter);
        let answer = python.ask(&json!({"op": "open block", "name": block.name(), "track": false}));
        if interpreter.is_at_least(3, 13) {
            assert!(answer["err"].is_null(), "{answer}");
        } else {
            assert_eq!(answer["err"]["type"], "builtins.TypeError", "`track` is new in 3.13");
        }
        python.end();
        assert_eq!(scratch.left(), [block.name()]);
    });
}

#[test]
fn what_python_made_ends_with_it_and_what_rust_made_stays() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let own = SharedMemory::create_named(&scratch.name("own"), 8).unwrap();
        let mut python = Python::start(interpreter);
        python.run(&json!({"op": "block", "name": scratch.name("pythons"), "size": 8}));
        let theirs = SharedMemory::open(&scratch.name("pythons")).unwrap();
        python.end();
        assert_eq!(scratch.left(), [own.name()]);
        theirs.set(7, 1).unwrap();
        drop(own);
        assert_eq!(scratch.left().len(), 1, "dropping a handle removes nothing");
    });
}

/// The descriptor of a Python process's tracker, as a child of it would inherit it.
fn tracker_of(python: &mut Python, form: MessageForm) -> ResourceTracker {
    let answer = python.run(&json!({"op": "tracker"}));
    let path = format!("/proc/{}/fd/{}", python.peer().id(), answer["fd"]);
    let pipe = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    ResourceTracker::new(OwnedFd::from(pipe), form)
}

/// The forms that the tracker of this Python reads.
fn forms(interpreter: &Interpreter) -> Vec<MessageForm> {
    match interpreter.version[..] {
        [3, 13, 10] | [3, 14, 1] => vec![MessageForm::Json],
        _ if interpreter.version >= vec![3, 14, 2] => vec![MessageForm::Simple, MessageForm::Json],
        [3, 13, patch] if patch > 10 => vec![MessageForm::Simple, MessageForm::Json],
        _ => vec![MessageForm::Simple],
    }
}

#[test]
fn a_tracked_block_ends_with_the_family_of_the_tracker() {
    with_each(|interpreter| {
        for form in forms(interpreter) {
            let scratch = Scratch::new();
            let mut python = Python::start(interpreter);
            let tracker = tracker_of(&mut python, form);
            // Names that only the form with base64 carries.
            let odd = if form == MessageForm::Json { "\n:\u{e9}" } else { "" };
            let tracked = SharedMemory::create_named(&scratch.name(&format!("tracked{odd}")), 8).unwrap();
            let untracked = SharedMemory::create_named(&scratch.name(&format!("untracked{odd}")), 8).unwrap();
            tracked.track(&tracker).unwrap();
            untracked.track(&tracker).unwrap();
            untracked.untrack(&tracker).unwrap();
            // The last write end.
            drop(tracker);
            python.end();
            assert_eq!(scratch.left(), [untracked.name()], "{form:?}");
        }
    });
}

#[test]
fn a_tracker_that_is_gone_is_an_error() {
    let scratch = Scratch::new();
    let block = SharedMemory::create_named(&scratch.name("block"), 8).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let tracker = ResourceTracker::new(writer.into(), MessageForm::Simple);
    let error = block.track(&tracker).unwrap_err();
    assert!(error.to_string().contains("resource tracker"), "{error}");
    assert_eq!(scratch.left(), [block.name()]);
}
