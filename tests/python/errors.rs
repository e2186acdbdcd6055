//! What is an error here raises the exception in Python that the error names.

use crate::with_each;
use serde_json::{Value as Json, json};
use shmtypes::compat::{Rename, ShareableList, SharedMemory, Value};
use shmtypes::{Error, ErrorKind};
use shmtypes_tests::python::Python;
use shmtypes_tests::scratch::Scratch;
use std::os::unix::fs::symlink;

/// The class that an answer says, of the built-in ones without their module.
fn class(answer: &Json) -> &str {
    let class = answer["err"]["type"].as_str().unwrap_or_else(|| panic!("{answer} is no exception"));
    class.strip_prefix("builtins.").unwrap_or(class)
}

#[track_caller]
fn agree(python: &mut Python, command: &Json, error: &Error) {
    let answer = python.ask(command);
    assert_eq!(class(&answer), error.python_exception(), "{command}: {error}");
}

#[test]
fn blocks_that_cannot_be_made_or_opened() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let mut python = Python::start(interpreter);
        let taken = SharedMemory::create_named(&scratch.name("taken"), 8).unwrap();
        std::fs::create_dir(scratch.path("directory")).unwrap();
        std::fs::File::create_new(scratch.path("empty")).unwrap();
        symlink(scratch.path("taken"), scratch.path("link")).unwrap();
        nix::unistd::mkfifo(&scratch.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(scratch.path("socket")).unwrap();
        let long = |count| "x".repeat(count);
        let given = [".", "..", "", "/", "a/b", "a\0b", "/.", "//.."].map(str::to_owned);
        let scratched = ["taken", "directory", "empty", "link", "pipe", "socket"].map(|name| scratch.name(name));
        for name in given.into_iter().chain(scratched).chain([long(256), long(257)]) {
            if name.contains('\0') && !interpreter.is_at_least(3, 13) {
                continue; // It is cut off there (gh-115886).
            }
            let create = json!({"op": "block", "name": name, "size": 8});
            agree(&mut python, &create, &SharedMemory::create_named(&name, 8).unwrap_err());
            if name != taken.name() {
                agree(&mut python, &json!({"op": "open block", "name": name}), &SharedMemory::open(&name).unwrap_err());
            }
        }
        agree(
            &mut python,
            &json!({"op": "open block", "name": scratch.name("missing")}),
            &SharedMemory::open(&scratch.name("missing")).unwrap_err(),
        );
        python.end();
    });
}

#[test]
fn names_of_255_bytes_are_the_longest() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let mut python = Python::start(interpreter);
        let of = |bytes: usize| format!("{}{}", scratch.name("x"), "x".repeat(bytes - scratch.name("x").len()));
        for bytes in [254, 255] {
            let block = SharedMemory::create_named(&of(bytes), 8).unwrap();
            let answer = python.ask(&json!({"op": "open block", "name": block.name()}));
            if bytes == 255 && interpreter.is_at_least(3, 15) {
                assert_eq!(class(&answer), "ValueError", "its tracker counts the slash: {answer}");
            } else {
                assert_eq!(answer["size"], 8, "{answer}");
                python.run(&json!({"op": "unlink"}));
                python.run(&json!({"op": "close"}));
            }
        }
        let error = SharedMemory::create_named(&of(256), 8).unwrap_err();
        assert!(error.to_string().contains("use 1 to 255 bytes"), "{error}");
        python.end();
    });
}

#[test]
fn hints_of_blocks_speak_of_blocks() {
    let scratch = Scratch::new();
    let mut block = SharedMemory::create_named(&scratch.name("a"), 8).unwrap();
    let other = SharedMemory::create_named(&scratch.name("b"), 8).unwrap();
    let rename = block.rename(other.name(), Default::default());
    for error in [SharedMemory::create_named(&scratch.name("a"), 8).unwrap_err(), rename.unwrap_err()] {
        let hint = error.hint().unwrap();
        assert!(hint.contains("`unlink`") && !hint.contains("reap"), "{error}");
    }
    std::fs::File::create_new(scratch.path("empty")).unwrap();
    let error = SharedMemory::open(&scratch.name("empty")).unwrap_err();
    assert!(error.to_string().contains("before it gave the block a size"), "{error}");
    assert!(matches!(error.kind(), ErrorKind::NotASegment { found: "an empty file" }));
}

#[test]
fn a_block_takes_no_name_from_what_is_no_block() {
    let scratch = Scratch::new();
    let mut block = SharedMemory::create_named(&scratch.name("block"), 8).unwrap();
    let array = shmtypes::ShmArray::<u64>::options().name(scratch.name("array")).create(1).unwrap();
    std::fs::create_dir(scratch.path("folder")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", scratch.path("link")).unwrap();
    let before = scratch.left();
    for rename in [Rename::Replace, Rename::Exchange] {
        for target in ["folder", "link"] {
            let error = block.rename(&scratch.name(target), rename).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::NotASegment { .. }), "{target}: {error}");
            assert_eq!(error.segment(), Some(scratch.name(target).as_str()));
        }
        let error = block.rename(array.name(), rename).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidOptions { .. }), "{error}");
    }
    let error = block.rename(&scratch.name("none"), Rename::Exchange).unwrap_err();
    assert_eq!((error.kind(), error.segment()), (&ErrorKind::NotFound, Some(scratch.name("none").as_str())));
    let error =
        SharedMemory::open(array.name()).unwrap().rename(&scratch.name("moved"), Rename::NoReplace).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidOptions { .. }), "{error}");
    assert_eq!(scratch.left(), before);
    std::fs::remove_dir(scratch.path("folder")).unwrap();

    let other = SharedMemory::create_named(&scratch.name("other"), 8).unwrap();
    other.set(0, 1).unwrap();
    block.rename(other.name(), Rename::Exchange).unwrap();
    assert_eq!(SharedMemory::open(&scratch.name("block")).unwrap().get(0).unwrap(), 1);
    block.rename(&scratch.name("block"), Rename::Replace).unwrap();
    block.rename(&scratch.name("free"), Rename::Replace).unwrap();
    assert_eq!(scratch.left(), [scratch.name("array"), scratch.name("free"), scratch.name("link")]);
}

#[test]
fn a_new_name_with_slashes_is_the_one_that_python_would_show() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let mut python = Python::start(interpreter);
        let mut block = SharedMemory::create_named(&scratch.name("old"), 8).unwrap();
        block.set(0, 7).unwrap();
        let new = format!("//{}", scratch.name("new"));
        block.rename(&new, Default::default()).unwrap();
        assert_eq!((block.name(), scratch.left()), (new.as_str(), vec![scratch.name("new")]));
        let opened = python.run(&json!({"op": "open block", "name": block.name()}));
        assert_eq!(opened["name"], new);
        // The same file under another spelling is in nobody's way.
        block.rename(&scratch.name("new"), Default::default()).unwrap();
        assert_eq!((block.name(), block.get(0).unwrap()), (scratch.name("new").as_str(), 7));
        block.unlink().unwrap();
        let gone = block.rename(&new, Default::default()).unwrap_err();
        assert_eq!(*gone.kind(), ErrorKind::NotFound);
        python.end();
    });
}

/// A list whose bytes are changed by hand.
fn damaged(scratch: &Scratch, damage: impl FnOnce(&SharedMemory)) -> SharedMemory {
    let options = ShareableList::options().name(scratch.name("list"));
    let list = options.create(&[Value::from(1), Value::from("text"), Value::from(2)]).unwrap();
    let block = SharedMemory::open(list.name()).unwrap();
    damage(&block);
    block
}

#[test]
fn damaged_lists() {
    with_each(|interpreter| {
        if !interpreter.is_at_least(3, 9) {
            return; // They are of the other layout.
        }
        // Three formats of eight bytes and three codes stand at the end.
        let format = |block: &SharedMemory, index: usize, text: &[u8; 8]| {
            block.copy_from_slice(block.size() - 27 + 8 * index, text).unwrap();
        };
        let code = |block: &SharedMemory, index: usize, code: u8| block.set(block.size() - 3 + index, code).unwrap();
        type Damage<'a> = &'a dyn Fn(&SharedMemory);
        let of_a_value: [(usize, Damage<'_>); 7] = [
            (0, &|block| code(block, 0, 1)),
            (0, &|block| code(block, 0, 2)),
            (0, &|block| code(block, 0, 0xff)),
            (1, &|block| code(block, 1, 9)),
            (0, &|block| format(block, 0, b"\0\0\0\0\0\0\0\0")),
            (0, &|block| format(block, 0, b"nonsense")),
            (1, &|block| block.copy_from_slice(48, b"\xff\xff").unwrap()),
        ];
        for (number, (index, damage)) in of_a_value.into_iter().enumerate() {
            let scratch = Scratch::new();
            let mut python = Python::start(interpreter);
            let block = damaged(&scratch, damage);
            let error = ShareableList::open(block.name()).unwrap().get(index as isize).unwrap_err();
            python.run(&json!({"op": "open list", "name": block.name()}));
            println!("{number}: {error}");
            agree(&mut python, &json!({"op": "get", "index": index}), &error);
            python.end();
        }
        let of_the_list: [Damage<'_>; 2] =
            [&|block| block.copy_from_slice(0, &(-1_i64).to_ne_bytes()).unwrap(), &|block| {
                block.copy_from_slice(0, &1_000_000_i64.to_ne_bytes()).unwrap()
            }];
        for damage in of_the_list {
            let scratch = Scratch::new();
            let mut python = Python::start(interpreter);
            let block = damaged(&scratch, damage);
            let error = ShareableList::open(block.name()).unwrap_err();
            agree(&mut python, &json!({"op": "open list", "name": block.name()}), &error);
            python.end();
        }
    });
}

/// Where Python raises nothing and loses the end.
#[test]
fn what_only_this_crate_refuses_is_a_value_error() {
    let nul = ShareableList::create(&["text\0"]).unwrap_err();
    let options = ShareableList::options().dialect(shmtypes::compat::Dialect::Py39);
    let cut = options.create(&["\u{20ac}\u{20ac}\u{20ac}\u{20ac}"]).unwrap_err();
    for error in [nul, cut] {
        assert_eq!(error.python_exception(), "ValueError", "{error}");
    }
}
