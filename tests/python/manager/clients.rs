//! Python clients of a manager that Rust runs.

use super::{Place, dispatch, exception, manager_command, segments_by_python};
use crate::manager::KEY;
use crate::with_each;
use serde_json::json;
use shmtypes::ErrorKind;
use shmtypes::compat::{Dialect, ShareableList, SharedMemory, Value};
use shmtypes::manager::Address;
use shmtypes_tests::python::{Interpreter, hex, typed};

#[test]
fn a_python_client_does_with_a_rust_manager_what_it_does_with_its_own() {
    with_each(|interpreter| {
        let place = Place::new();
        let tcp = "127.0.0.1:0".parse::<Address>().unwrap();
        for address in [place.socket(), place.abstract_socket(), tcp] {
            println!("  {address}");
            a_client_of(interpreter, &address);
        }
    });
}

fn a_client_of(interpreter: &Interpreter, address: &Address) {
    let mut place = Place::new();
    let manager = place.options(address).start().unwrap();
    let mut python = place.client(interpreter, manager.address());
    assert_eq!(segments_by_python(&mut python), [""; 0]);

    // What Python makes, Rust sees.
    let answer = python.run(&json!({"op": "managed block", "size": 100, "key": "b"}));
    let block = SharedMemory::open(answer["name"].as_str().unwrap()).unwrap();
    assert_eq!(block.size(), 100);
    python.run(&json!({"op": "write", "key": "b", "start": 96, "hex": hex(b"last")}));
    assert_eq!(block.to_vec().unwrap()[95..], *b"\0last");
    let values = [Value::Int(-1), Value::from("text"), Value::Bool(true), Value::None];
    let spelt: Vec<_> = values.iter().map(|value| typed(value.as_ref())).collect();
    let answer = python.run(&json!({"op": "managed list", "values": spelt}));
    let list = ShareableList::open(answer["name"].as_str().unwrap()).unwrap();
    assert_eq!(list.to_vec().unwrap(), values);
    list.set(0, 7).unwrap();
    assert_eq!(python.values()[0], Value::Int(7));
    assert_eq!(manager.segments().unwrap(), [block.name(), list.name()]);

    // What Rust makes, Python sees.
    let own = manager.shared_memory(16).unwrap();
    place.adopt(own.name());
    let dialect = if interpreter.is_at_least(3, 9) { Dialect::default() } else { Dialect::Py38 };
    let own_list = manager.lists().name(place.name("list")).dialect(dialect).create(&values).unwrap();
    let typed_list = manager.list(&values).unwrap();
    place.adopt(typed_list.name());
    let owned = vec![block.name(), list.name(), own.name(), own_list.name(), typed_list.name()];
    assert_eq!(segments_by_python(&mut python), owned);
    python.run(&json!({"op": "open block", "key": "o", "name": own.name()}));
    python.run(&json!({"op": "write", "key": "o", "start": 0, "hex": hex(b"hello")}));
    assert_eq!(own.to_vec().unwrap()[..5], *b"hello");
    python.run(&json!({"op": "open list", "name": own_list.name()}));
    assert_eq!(python.values(), values);

    // The other requests.
    assert_eq!(dispatch(&mut python, "number_of_objects", &[])["result"], 5);
    let info = dispatch(&mut python, "debug_info", &[]);
    assert!(info["result"].as_str().unwrap().contains(&format!("{}: block\n", block.name())), "{info}");
    let outside = SharedMemory::create_named(&place.name("outside"), 1).unwrap();
    for _ in 0..2 {
        let answer = dispatch(&mut python, "track_segment", &[outside.name()]);
        assert!(answer["err"].is_null() && answer["result"].is_null(), "{answer}");
    }
    assert_eq!(segments_by_python(&mut python).len(), 6, "it is owned once");
    assert!(dispatch(&mut python, "release_segment", &[block.name()])["err"].is_null());
    assert!(matches!(SharedMemory::open(block.name()).unwrap_err().kind(), ErrorKind::NotFound));
    let answer = dispatch(&mut python, "release_segment", &[block.name()]);
    let (class, text) = exception(&answer);
    assert_eq!(class, "multiprocessing.managers.RemoteError");
    assert!(text.contains("ValueError: list.remove(x): x not in list"), "{text}");
    for (method, args, reason) in [
        ("track_segment", "../etc/passwd", "Error"),
        ("track_segment", "not there", "FileNotFoundError: [Errno 2]"),
        ("create", "SharedMemory", "'create' unrecognized"),
        ("__init__", "", "'__init__' unrecognized"),
    ] {
        let answer = dispatch(&mut python, method, &[args]);
        let (class, text) = exception(&answer);
        assert!(class.ends_with("RemoteError") && text.contains(reason), "{method} {args:?}: {answer}");
    }

    // A Python that joined has no `shutdown`, and the manager grants it to all who know the key.
    let answer = python.ask(&json!({"op": "shutdown"}));
    assert_eq!(exception(&answer).0, "builtins.AttributeError");
    let answer = dispatch(&mut python, "shutdown", &[]);
    assert!(answer["err"].is_null(), "{answer}");
    let left: Vec<_> = owned.iter().filter(|name| SharedMemory::open(name).is_ok()).collect();
    assert!(left.is_empty() && place.scratch.left().is_empty(), "{left:?} {:?}", place.scratch.left());
    drop(manager);
    python.end();
    place.assert_clean();
}

#[test]
fn an_unrelated_python_takes_what_it_made_away_from_its_manager_unless_it_does_not_track_it() {
    with_each(|interpreter| {
        let place = Place::new();
        let manager = place.options(place.socket()).start().unwrap();
        for tracks in [true, false] {
            let mut python = place.python(interpreter);
            if !tracks {
                python.run(&json!({"op": "untrack all"}));
            }
            python.run(&manager_command(manager.address(), KEY));
            python.run(&json!({"op": "connect"}));
            let answer = python.run(&json!({"op": "managed block", "size": 8}));
            let name = answer["name"].as_str().unwrap().to_owned();
            python.end();
            // Its own resource tracker takes for leaked what its process leaves behind (gh-82300).
            assert_eq!(place.scratch.left().contains(&name), !tracks);
            assert_eq!(manager.segments().unwrap(), [name.as_str()]);
            // Gone or not, it is released without complaint, where Python's manager says FileNotFoundError.
            manager.release(&name).unwrap();
            assert!(manager.segments().unwrap().is_empty() && place.scratch.left().is_empty());
        }
        // Nor does it trouble the end.
        let mut python = place.python(interpreter);
        python.run(&manager_command(manager.address(), KEY));
        python.run(&json!({"op": "connect"}));
        python.run(&json!({"op": "managed block", "size": 8}));
        python.end();
        let stays = manager.blocks().name(place.name("stays")).create(8).unwrap();
        manager.shutdown().unwrap();
        assert!(SharedMemory::open(stays.name()).is_err());
        drop(manager);
        place.assert_clean();
    });
}
