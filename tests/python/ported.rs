//! CPython's own tests of `SharedMemory` and `ShareableList`, in Rust, each under its name there
//! (Lib/test/_test_multiprocessing.py of 3.13 and 3.15; those of the manager stand in `manager::ported`).
#![allow(non_snake_case, reason = "the names are CPython's")]

use crate::with_each;
use serde_json::json;
use shmtypes::compat::list::ListError;
use shmtypes::compat::tracker::{Action, MessageForm, message};
use shmtypes::compat::{Dialect, ResourceTracker, ShareableList, SharedMemory, Value, ValueRef};
use shmtypes::{Error, ErrorKind};
use shmtypes_tests::python::Python;
use shmtypes_tests::scratch::Scratch;
use std::io::Read;

fn list_error(error: &Error) -> &ListError {
    match error.kind() {
        ErrorKind::List(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn test_shared_memory_name_with_embedded_null() {
    let scratch = Scratch::new();
    let name = scratch.name("a\0b");
    for error in [SharedMemory::create_named(&name, 1).unwrap_err(), SharedMemory::open(&name).unwrap_err()] {
        assert!(matches!(error.kind(), ErrorKind::InvalidBlockName(_)), "{error}");
        assert_eq!(error.python_exception(), "ValueError");
    }
    assert!(scratch.left().is_empty());
}

#[test]
fn test_shared_memory_basics() {
    let scratch = Scratch::new();
    let name = scratch.name("test01_tsmb");
    let sms = SharedMemory::create_named(&name, 512).unwrap();
    assert_eq!(sms.name(), name);
    assert_eq!(sms.size(), 512);
    assert_eq!(sms.to_vec().unwrap().len(), 512);
    assert_eq!(format!("{sms:?}"), format!("SharedMemory('{name}', size=512)"));
    sms.set(0, 42).unwrap();
    assert_eq!(sms.get(0).unwrap(), 42);

    let also_sms = SharedMemory::open(&name).unwrap();
    assert_eq!(also_sms.get(0).unwrap(), 42);
    also_sms.set(0, 0).unwrap();
    assert_eq!(sms.get(0).unwrap(), 0);
    // The size of an existing block is the block's.
    assert_eq!(SharedMemory::open(&name).unwrap().size(), 512);

    let existing = SharedMemory::create_named(&name, 1).unwrap_err();
    assert!(matches!(existing.kind(), ErrorKind::AlreadyExists { .. }));
    assert_eq!(existing.python_exception(), "FileExistsError");

    sms.unlink().unwrap();
    let twice = sms.unlink().unwrap_err();
    assert_eq!((twice.kind(), twice.python_exception()), (&ErrorKind::NotFound, "FileNotFoundError"));
    let missing = SharedMemory::open(&scratch.name("test02_tsmb")).unwrap_err();
    assert_eq!(missing.python_exception(), "FileNotFoundError");
    // Those who have it go on.
    also_sms.set(511, 7).unwrap();
    assert_eq!(sms.get(511).unwrap(), 7);
}

#[test]
fn test_shared_memory_recreate() {
    // A generated name that is taken is passed over: a thousand names, and none twice.
    let blocks: Vec<SharedMemory> = (0..1000).map(|_| SharedMemory::create(1).unwrap()).collect();
    let mut names: Vec<&str> = blocks.iter().map(SharedMemory::name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 1000);
    assert!(names.iter().all(|name| name.starts_with("psm_") && name.len() == 12));
    blocks.iter().for_each(|block| block.unlink().unwrap());
}

#[test]
fn test_invalid_shared_memory_creation() {
    let scratch = Scratch::new();
    let error = SharedMemory::create_named(&scratch.name("empty"), 0).unwrap_err();
    assert_eq!(error.python_exception(), "ValueError");
    let error = SharedMemory::create_named(&scratch.name("huge"), usize::MAX).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::SizeOverflow { .. }), "{error}");
    for name in ["", "/", "a/b", "..", "."] {
        let [create, open] = [SharedMemory::create_named(name, 1).unwrap_err(), SharedMemory::open(name).unwrap_err()];
        assert!(matches!(open.kind(), ErrorKind::InvalidBlockName(_)), "{name:?}: {open}");
        let taken = matches!(create.kind(), ErrorKind::AlreadyExists { .. });
        assert!(taken == name.starts_with('.') && (taken || create.kind() == open.kind()), "{name:?}: {create}");
    }
    assert!(scratch.left().is_empty());
}

#[test]
fn test_shared_memory_pickle_unpickle() {
    let scratch = Scratch::new();
    for protocol in 0..=5 {
        let sms = SharedMemory::create_named(&scratch.name(&format!("p{protocol}")), 512).unwrap();
        sms.copy_from_slice(0, b"pickle").unwrap();
        let pickled = sms.to_pickle(protocol).unwrap();
        // The handle travels, not the contents.
        assert!(!pickled.windows(6).any(|window| window == b"pickle"));
        let sms2 = SharedMemory::from_pickle(&pickled).unwrap();
        assert_eq!((sms.name(), sms.size()), (sms2.name(), sms2.size()));
        assert_eq!(sms2.to_vec().unwrap()[..6], *b"pickle");
        sms.copy_from_slice(0, b"newval").unwrap();
        assert_eq!(sms2.to_vec().unwrap()[..6], *b"newval");
        sms2.copy_from_slice(0, b"oldval").unwrap();
        assert_eq!(sms.to_vec().unwrap()[..6], *b"oldval");
    }
    assert!(SharedMemory::create_named(&scratch.name("p6"), 1).unwrap().to_pickle(6).is_err());
}

#[test]
fn test_shared_memory_pickle_unpickle_dead_object() {
    let scratch = Scratch::new();
    for protocol in 0..=5 {
        let sms = SharedMemory::create_named(&scratch.name(&format!("p{protocol}")), 512).unwrap();
        let pickled = sms.to_pickle(protocol).unwrap();
        sms.unlink().unwrap();
        drop(sms);
        assert_eq!(SharedMemory::from_pickle(&pickled).unwrap_err().python_exception(), "FileNotFoundError");
    }
}

#[test]
fn test_shared_memory_across_processes() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let sms = SharedMemory::create_named(&scratch.name("block"), 512).unwrap();
        let mut python = Python::start(interpreter);
        python.run(&json!({"op": "open block", "name": sms.name()}));
        python.run(&json!({"op": "write", "start": 0, "hex": "68656c6c6f"}));
        assert_eq!(sms.to_vec().unwrap()[..5], *b"hello");
        let pickled: String = sms.to_pickle(4).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        python.run(&json!({"op": "unpickle", "hex": pickled}));
        python.run(&json!({"op": "write", "start": 0, "hex": "776f726c64"}));
        assert_eq!(sms.to_vec().unwrap()[..5], *b"world");
        python.end();
    });
}

#[test]
fn test_shared_memory_ShareableList_basics() {
    let scratch = Scratch::new();
    let values = [
        Value::from("howdy"),
        Value::from(b"HoWdY"),
        Value::from(-273.154),
        Value::from(100),
        Value::None,
        Value::from(true),
        Value::from(42),
    ];
    let options = ShareableList::options().name(scratch.name("sl"));
    let sl = options.create(&values).unwrap();
    let expected = format!("ShareableList(['howdy', b'HoWdY', -273.154, 100, None, True, 42], name='{}')", sl.name());
    assert_eq!(format!("{sl:?}"), expected);

    // Attributes and sizes.
    for error in [sl.get(7).unwrap_err(), sl.set(7, 2).unwrap_err()] {
        assert_eq!(*list_error(&error), ListError::OutOfRange { index: 7, len: 7 });
        assert_eq!(error.python_exception(), "IndexError");
    }
    let format = sl.format().unwrap();
    sl.set(0, "salut").unwrap();
    assert_eq!(sl.format().unwrap(), format, "text over text keeps its format");
    assert_eq!(sl.format().unwrap(), "8s8sdqxxxxxx?xxxxxxxx?q");
    assert_eq!(sl.len(), 7);
    let error = sl.index("100").unwrap_err();
    assert_eq!((list_error(&error), error.python_exception()), (&ListError::NotFound, "ValueError"));
    assert_eq!(sl.index(100).unwrap(), 3);
    assert_eq!(sl.get(-2).unwrap(), Value::Bool(true));
    assert_eq!(sl.iter().collect::<Result<Vec<_>, _>>().unwrap().len(), 7);

    // Another type in a slot.
    sl.set(3, 42.5).unwrap();
    sl.set(4, "some").unwrap();
    assert_eq!(sl.format().unwrap(), "8s8sdd8sxxxxxxx?q");
    assert_eq!(sl.get(4).unwrap(), Value::from("some"));

    // What does not fit changes nothing.
    let error = sl.set(4, "far too many").unwrap_err();
    assert_eq!(*list_error(&error), ListError::ExceedsStorage { needed: 12, available: 8 });
    assert_eq!(error.python_exception(), "ValueError");
    assert_eq!(sl.get(4).unwrap(), Value::from("some"));
    sl.set(0, "encodés").unwrap();
    assert_eq!(sl.get(0).unwrap(), Value::from("encodés"));
    assert_eq!(sl.get(1).unwrap(), Value::from(b"HoWdY"), "no spill");
    assert!(sl.set(0, "encodées").is_err());
    assert_eq!(sl.get(1).unwrap(), Value::from(b"HoWdY"));
    assert!(sl.set(1, b"123456789").is_err());
    assert_eq!(sl.get(1).unwrap(), Value::from(b"HoWdY"));

    // Counting.
    assert_eq!(sl.count(42).unwrap(), 1);
    sl.set(5, 42).unwrap();
    assert_eq!(sl.count(42).unwrap(), 2);

    // A copy under a name of its own. (The default dialect would give the eight bytes of seven characters more room.)
    let options = ShareableList::options().name(scratch.name("copy")).dialect(Dialect::Py39);
    let copy = options.create(&sl.to_vec().unwrap()).unwrap();
    assert_ne!(copy.name(), sl.name());
    assert_eq!(copy.to_vec().unwrap(), sl.to_vec().unwrap());
    assert_eq!(copy.format().unwrap(), sl.format().unwrap());

    // A second handle of one list.
    let tethered = ShareableList::open(sl.name()).unwrap();
    tethered.set(-1, i64::MAX).unwrap();
    assert_eq!(sl.get(-1).unwrap(), Value::Int(i64::MAX));

    // The empty list.
    let empty = ShareableList::options().name(scratch.name("empty")).create::<Value>(&[]).unwrap();
    assert_eq!((empty.len(), empty.format().unwrap().as_str(), empty.count(1).unwrap()), (0, "", 0));
    assert_eq!(*list_error(&empty.index(ValueRef::None).unwrap_err()), ListError::NotFound);
}

#[test]
fn test_shared_memory_ShareableList_pickling() {
    let scratch = Scratch::new();
    for protocol in 0..=5 {
        let sl =
            ShareableList::options().name(scratch.name(&format!("p{protocol}"))).create(&[0_i64, 1, 2, 3]).unwrap();
        let pickled = sl.to_pickle(protocol).unwrap();
        let deserialized = ShareableList::from_pickle(&pickled).unwrap();
        assert_eq!(deserialized.to_vec().unwrap(), sl.to_vec().unwrap());
        sl.set(0, "spam").unwrap();
        assert_eq!(deserialized.get(0).unwrap(), Value::from("spam"));
        deserialized.set(-1, -1).unwrap();
        assert_eq!(sl.get(3).unwrap(), Value::Int(-1));

        // The pickle is a handle: as long for a long list.
        let long: Vec<i64> = (0..400).collect();
        let long = ShareableList::options().name(scratch.name(&format!("q{protocol}"))).create(&long).unwrap();
        assert_eq!(long.to_pickle(protocol).unwrap().len(), pickled.len());
    }
}

#[test]
fn test_shared_memory_ShareableList_pickling_dead_object() {
    let scratch = Scratch::new();
    for protocol in 0..=5 {
        let sl = ShareableList::options().name(scratch.name(&format!("p{protocol}"))).create(&[1_i64]).unwrap();
        let pickled = sl.to_pickle(protocol).unwrap();
        sl.unlink().unwrap();
        assert_eq!(ShareableList::from_pickle(&pickled).unwrap_err().python_exception(), "FileNotFoundError");
    }
}

#[test]
fn test_shared_memory_cleaned_after_process_termination() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let mut python = Python::start(interpreter);
        python.run(&json!({"op": "block", "name": scratch.name("block"), "size": 10}));
        let block = SharedMemory::open(&scratch.name("block")).unwrap();
        python.peer().kill();
        // Python's tracker, a process of its own, removes the name, and closes the output when it is done.
        while python.peer().line().is_some() {}
        assert!(scratch.left().is_empty());
        block.set(9, 1).unwrap();
    });
}

#[test]
fn test_shared_memory_untracking() {
    // In `survival`: python_3_13_leaves_what_it_does_not_track. Here the Rust side: nothing is ever tracked unasked.
    let scratch = Scratch::new();
    drop(SharedMemory::create_named(&scratch.name("block"), 1).unwrap());
    drop(SharedMemory::open(&scratch.name("block")).unwrap());
    assert_eq!(scratch.left(), [scratch.name("block")]);
}

#[test]
fn test_shared_memory_tracking() {
    // In `survival`: a_tracked_block_ends_with_the_family_of_the_tracker. Here what is said to the tracker.
    let scratch = Scratch::new();
    let block = SharedMemory::create_named(&scratch.name("block"), 1).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let tracker = ResourceTracker::new(writer.into(), MessageForm::Simple);
    block.track(&tracker).unwrap();
    block.untrack(&tracker).unwrap();
    drop(tracker);
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    let name = block.name();
    assert_eq!(said, format!("REGISTER:/{name}:shared_memory\nUNREGISTER:/{name}:shared_memory\n"));
}

#[test]
fn test_that_shared_memory_name_with_colons_has_no_resource_tracker_errors() {
    let scratch = Scratch::new();
    for odd in ["a:b", "a:b:c", ":a", "a:", "::", "a b", "a'b", "a\"b", "a\\b", "é"] {
        let name = scratch.name(odd);
        let block = SharedMemory::create_named(&name, 1).unwrap();
        assert_eq!(SharedMemory::open(&name).unwrap().name(), name);
        // The form with base64 carries every name.
        assert!(message(Action::Register, &format!("/{name}"), MessageForm::Json).is_ok(), "{odd:?}");
        block.unlink().unwrap();
    }
}

#[test]
fn test_too_long_name_resource() {
    let long = "a".repeat(512);
    assert!(message(Action::Register, &format!("/{long}"), MessageForm::Simple).is_err());
    assert_eq!(SharedMemory::create_named(&long, 1).unwrap_err().python_exception(), "OSError");
}
