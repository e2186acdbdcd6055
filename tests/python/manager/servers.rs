//! Rust clients of a manager that Python runs.

use super::{KEY, Place, address, manager_command, segments_by_python};
use crate::with_each;
use serde_json::json;
use shmtypes::compat::{ShareableList, SharedMemory, Value};
use shmtypes::manager::{Address, SharedMemoryManager};
use shmtypes::{ErrorKind, Persist, ShmArray};
use shmtypes_tests::python::{Interpreter, hex, typed};

/// How Python runs a manager, and who ends it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// `start()`, and `shutdown()`.
    Start,
    /// A `with` block, over TCP.
    With,
    /// `get_server().serve_forever()` in the process itself, until Rust asks for the end.
    Serve,
    /// `start()`, and Rust asks for the end.
    StartedAndEndedByRust,
}

const WAYS: [Way; 4] = [Way::Start, Way::With, Way::Serve, Way::StartedAndEndedByRust];

#[test]
fn a_rust_client_does_with_a_python_manager_what_a_python_client_does() {
    with_each(|interpreter| WAYS.iter().for_each(|way| a_client_of(interpreter, *way)));
}

fn a_client_of(interpreter: &Interpreter, way: Way) {
    println!("  {way:?}");
    let mut place = Place::new();
    let mut python = place.python(interpreter);
    let given = if way == Way::With { "127.0.0.1:0".parse::<Address>().unwrap() } else { place.socket() };
    python.run(&manager_command(&given, KEY));
    let op = match way {
        Way::Start | Way::StartedAndEndedByRust => "start",
        Way::With => "enter",
        Way::Serve => "serve",
    };
    let answer = python.run(&json!({"op": op}));
    let manager = SharedMemoryManager::connect(address(&answer), KEY).unwrap();
    assert_eq!(manager.segments().unwrap(), [""; 0]);
    assert_eq!(manager.process_id(), None);

    // What Rust makes, Python sees.
    let block = manager.blocks().name(place.name("block")).create(64).unwrap();
    block.copy_from_slice(0, b"from Rust").unwrap();
    // Python 3.8 has a layout of its own.
    let dialect = if interpreter.is_at_least(3, 9) { Default::default() } else { shmtypes::compat::Dialect::Py38 };
    let values = [Value::Int(1), Value::from("two"), Value::Float(3.0), Value::None];
    let list = manager.lists().name(place.name("list")).dialect(dialect).create(&values).unwrap();
    let random = manager.shared_memory(16).unwrap();
    let array = manager.array::<f64>(100).unwrap();
    let made =
        vec![block.name().to_owned(), list.name().to_owned(), place.adopt(random.name()), place.adopt(array.name())];
    assert_eq!(manager.segments().unwrap(), made);
    let mut client = place.client(interpreter, manager.address());
    assert_eq!(segments_by_python(&mut client), made);
    client.run(&json!({"op": "open block", "name": block.name()}));
    assert_eq!(client.run(&json!({"op": "read", "start": 0, "len": 9}))["hex"], hex(b"from Rust"));
    client.run(&json!({"op": "write", "start": 5, "hex": hex(b"Python")}));
    assert_eq!(block.to_vec().unwrap()[..12], *b"from Python\0");
    client.run(&json!({"op": "open list", "name": list.name()}));
    assert_eq!(client.values(), values);
    client.run(&json!({"op": "set", "index": 0, "value": typed(Value::Float(0.5).as_ref())}));
    assert_eq!(list.get(0).unwrap(), Value::Float(0.5));

    // What Python makes, Rust sees.
    let theirs = client.run(&json!({"op": "managed block", "size": 32, "key": "b"}));
    let theirs = theirs["name"].as_str().unwrap();
    assert_eq!(manager.segments().unwrap()[4..], [theirs]);
    let shared = SharedMemory::open(theirs).unwrap();
    shared.copy_from_slice(0, b"seen").unwrap();
    assert_eq!(client.run(&json!({"op": "read", "key": "b", "start": 0, "len": 4}))["hex"], hex(b"seen"));
    let text = Value::from("text");
    let answer = client.run(&json!({"op": "managed list", "key": "l", "values": [typed(text.as_ref())]}));
    let shared_list = ShareableList::open(answer["name"].as_str().unwrap()).unwrap();
    assert_eq!(shared_list.to_vec().unwrap(), [text]);

    // Python's manager does not attach to what it owns, and it stays all the same.
    let unheld = place.adopt(manager.array::<u8>(1).unwrap().name());
    assert_eq!(ShmArray::<u8>::open(&unheld).unwrap().len(), 1);

    // Released is gone, for everybody, and only once.
    manager.release(block.name()).unwrap();
    assert!(matches!(SharedMemory::open(block.name()).unwrap_err().kind(), ErrorKind::NotFound));
    assert!(!manager.segments().unwrap().contains(&made[0]));
    block.set(0, 1).unwrap();
    let error = manager.release(block.name()).unwrap_err();
    let ErrorKind::ManagerRefused { traceback } = error.kind() else { panic!("{error:?}") };
    assert!(traceback.contains("Traceback (most recent call last)"), "{traceback}");
    assert!(traceback.trim_end().ends_with("ValueError: list.remove(x): x not in list"), "{traceback}");
    assert_eq!(error.segment(), Some(block.name()));
    assert!(error.to_string().contains("the manager refused: ValueError: list.remove(x)"), "{error}");

    // What was made without it can be handed over.
    let own = SharedMemory::create_named(&place.name("own"), 8).unwrap();
    manager.track(own.name()).unwrap();
    let kept = ShmArray::<u64>::options().name(place.name("kept")).persist(Persist::Keep).create(3).unwrap();
    manager.track(kept.name()).unwrap();
    assert_eq!(manager.segments().unwrap().len(), 8);

    match way {
        Way::Start => python.run(&json!({"op": "shutdown"})),
        Way::With => python.run(&json!({"op": "exit"})),
        Way::Serve => manager.shutdown().map(|()| json!(null)).unwrap(),
        Way::StartedAndEndedByRust => {
            manager.shutdown().unwrap();
            // Python finds it gone, which is what it wants.
            python.run(&json!({"op": "shutdown"}))
        }
    };
    let left: Vec<_> = made.iter().chain([&unheld]).filter(|name| SharedMemory::open(name).is_ok()).collect();
    assert!(left.is_empty() && place.scratch.left().is_empty(), "{left:?} {:?}", place.scratch.left());
    // Who is attached goes on.
    array.set(99, 1.0).unwrap();
    list.set(0, 2).unwrap();
    assert_eq!((kept.len(), shared.get(0).unwrap()), (3, b's'));
    client.end();
    python.end();
    let error = manager.segments().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ManagerUnreachable { .. }), "{error:?}");
    place.assert_clean();
}

#[test]
fn what_was_removed_behind_a_python_managers_back_breaks_its_shutdown_and_no_rust_clients() {
    // CPython's `unlink` of all segments ends at the first one that is gone (reference: `_SharedMemoryTracker.unlink`).
    with_each(|interpreter| {
        let place = Place::new();
        let mut python = place.python(interpreter);
        python.run(&manager_command(&place.socket(), KEY));
        let answer = python.run(&json!({"op": "start"}));
        let manager = SharedMemoryManager::connect(address(&answer), KEY).unwrap();
        let [first, second] =
            ["first", "second"].map(|name| manager.blocks().name(place.name(name)).create(8).unwrap());
        first.unlink().unwrap();
        let error = manager.shutdown().unwrap_err();
        let ErrorKind::ManagerRefused { traceback } = error.kind() else { panic!("{error:?}") };
        assert!(traceback.contains("FileNotFoundError"), "{traceback}");
        // It serves on, and has forgotten none of the others.
        assert!(manager.segments().unwrap().contains(&second.name().to_owned()));
        manager.release(second.name()).unwrap();
        python.run(&json!({"op": "shutdown"}));
        python.end();
        place.assert_clean();
    });
}
