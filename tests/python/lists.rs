//! Lists that one side makes and the other reads and changes.

use crate::{unicode, value, with_each};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value as Json, json};
use shmtypes::ErrorKind;
use shmtypes::compat::list::{LayoutVersion, ListError};
use shmtypes::compat::{Dialect, ShareableList, Value, ValueRef};
use shmtypes_tests::python::{Interpreter, Python, typed};
use shmtypes_tests::scratch::Scratch;
use std::cell::RefCell;

fn check(cases: u32, strategy: impl Strategy<Value = Vec<Value>>, test: impl Fn(Vec<Value>)) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&strategy, |values| {
        test(values);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

fn dialect(interpreter: &Interpreter) -> Dialect {
    if interpreter.is_at_least(3, 9) { Dialect::Py39 } else { Dialect::Py38 }
}

fn spelt(values: &[Value]) -> Vec<Json> {
    values.iter().map(|value| typed(value.as_ref())).collect()
}

#[test]
fn rust_reads_what_python_made_and_would_have_made_the_same_bytes() {
    with_each(|interpreter| {
        let python = RefCell::new(Python::start(interpreter));
        check(30, prop::collection::vec(value(), 0..12), |values| {
            let scratch = Scratch::new();
            let mut python = python.borrow_mut();
            python.run(&json!({"op": "list", "name": scratch.name("list"), "values": spelt(&values)}));
            let list = ShareableList::open(&scratch.name("list")).unwrap();
            assert_eq!(list.to_vec().unwrap(), values);
            assert_eq!(list.layout() == LayoutVersion::Py38, !interpreter.is_at_least(3, 9));
            assert_eq!(list.format().unwrap(), python.run(&json!({"op": "format"}))["format"]);
            assert_eq!(format!("{list:?}"), python.run(&json!({"op": "repr"}))["repr"].as_str().unwrap());

            let options = ShareableList::options().name(scratch.name("own")).dialect(dialect(interpreter));
            let own = options.create(&values).unwrap();
            assert_eq!(own.shared_memory().to_vec().unwrap(), list.shared_memory().to_vec().unwrap());
            python.run(&json!({"op": "unlink"}));
            python.run(&json!({"op": "close"}));
        });
        python.into_inner().end();
    });
}

#[test]
fn python_reads_what_rust_made() {
    with_each(|interpreter| {
        let python = RefCell::new(Python::start(interpreter));
        // The default dialect is that of 3.9 and later, also for text whose UTF-8 Python would cut.
        let portable = interpreter.is_at_least(3, 9);
        let any = prop_oneof![3 => value().boxed(), 1 => if portable { unicode().boxed() } else { value().boxed() }];
        check(30, prop::collection::vec(any, 0..12), |values| {
            let scratch = Scratch::new();
            let mut python = python.borrow_mut();
            let made = if portable { Dialect::Portable } else { Dialect::Py38 };
            let list = ShareableList::options().name(scratch.name("list")).dialect(made).create(&values).unwrap();
            python.run(&json!({"op": "open list", "name": list.name()}));
            assert_eq!(python.values(), values);
            assert_eq!(list.format().unwrap(), python.run(&json!({"op": "format"}))["format"]);
            for value in &values {
                let asked = json!({"op": "count", "value": typed(value.as_ref())});
                assert_eq!(python.run(&asked)["count"], list.count(value).unwrap(), "{value:?}");
                let asked = json!({"op": "index", "value": typed(value.as_ref())});
                assert_eq!(python.run(&asked)["index"], list.index(value).unwrap(), "{value:?}");
            }
            python.run(&json!({"op": "close"}));
        });
        python.into_inner().end();
    });
}

#[test]
fn both_sides_change_one_list_in_turns() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let mut python = Python::start(interpreter);
        let start = [Value::from("text of some length"), Value::from(1), Value::from(b"bytes"), Value::None];
        python.run(&json!({"op": "list", "name": scratch.name("list"), "values": spelt(&start)}));
        let list = ShareableList::open(&scratch.name("list")).unwrap();
        let mut model = start.to_vec();

        let edits = prop::collection::vec((any::<bool>(), 0..4_usize, value()), 60..=60);
        let python = RefCell::new(python);
        let model = RefCell::new(&mut model);
        let config = Config { cases: 3, failure_persistence: None, ..Config::default() };
        let outcome = TestRunner::new(config).run(&edits, |edits| {
            let (mut python, mut model) = (python.borrow_mut(), model.borrow_mut());
            for (by_python, index, value) in edits {
                let fits = if by_python {
                    let set = json!({"op": "set", "index": index, "value": typed(value.as_ref())});
                    let answer = python.ask(&set);
                    let text = answer["err"]["text"].as_str().map(str::to_owned);
                    assert!(text.is_none() || text.as_deref() == Some("bytes/str item exceeds available storage"));
                    text.is_none()
                } else {
                    match list.set(index as isize, value.clone()) {
                        Ok(()) => true,
                        Err(error) => {
                            let kind = error.kind();
                            let expected = matches!(kind, ErrorKind::List(ListError::ExceedsStorage { .. }));
                            assert!(expected, "{error}");
                            false
                        }
                    }
                };
                if fits {
                    model[index] = value;
                }
                assert_eq!(list.to_vec().unwrap(), **model);
                assert_eq!(python.values(), **model);
            }
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{error}"));
        let mut python = python.into_inner();
        python.run(&json!({"op": "unlink"}));
        python.end();
    });
}

#[test]
fn a_read_beside_a_python_writer_gives_a_value_or_an_error() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let mut python = Python::start(interpreter);
        let start = [Value::from(1), Value::from("0123456789")];
        python.run(&json!({"op": "list", "name": scratch.name("list"), "values": spelt(&start)}));
        let list = ShareableList::open(&scratch.name("list")).unwrap();
        let stored = [Value::from(7), Value::from("text"), Value::from(2.5), Value::None, Value::from(b"by")];
        let toggle = json!({"op": "toggle", "index": 1, "turns": 30_000, "values": spelt(&stored)});
        python.peer().tell(&toggle.to_string());
        let (mut good, mut half, mut failed) = (0_u32, 0_u32, 0_u32);
        // Reads until the writer says that it is done; its answer is one line.
        let done = std::thread::scope(|scope| {
            let answer = scope.spawn(|| python.peer().line());
            while !answer.is_finished() {
                match list.get(1) {
                    Ok(value) if stored.contains(&value) || value == start[1] => good += 1,
                    // A value of the new kind from the bytes of the old: out of our hands, and documented.
                    Ok(_) => half += 1,
                    Err(error) => {
                        assert!(matches!(error.kind(), ErrorKind::List(_)), "{error}");
                        failed += 1;
                    }
                }
                assert_eq!(list.get(0).unwrap(), Value::Int(1), "the neighbour");
            }
            answer.join().unwrap()
        });
        assert_eq!(done.as_deref(), Some("{}"));
        println!("CPython {:?}: {good} values read, {half} half changed, {failed} errors", interpreter.version);
        assert!(good > 1000, "{good} good reads");
        python.run(&json!({"op": "unlink"}));
        python.end();
    });
}

/// Sends a command whose stores wait, and runs `at_step` before each of them. The answer is the command's.
fn in_steps(python: &mut Python, command: &Json, mut at_step: impl FnMut(usize, &mut Python)) -> Json {
    python.run(&json!({"op": "steps", "on": true}));
    let mut answer = python.ask(command);
    let mut step = 0;
    while answer["step"] == true {
        at_step(step, python);
        step += 1;
        answer = python.ask(&json!("go on"));
    }
    python.run(&json!({"op": "steps", "on": false}));
    answer
}

#[test]
fn a_list_that_python_is_just_making_is_waited_for_and_never_looks_empty() {
    with_each(|interpreter| {
        let values = [Value::from(1), Value::from("two"), Value::None];
        let scratch = Scratch::new();
        let name = scratch.name("list");
        let mut python = Python::start(interpreter);
        let command = json!({"op": "list", "name": name, "values": spelt(&values)});
        let mut early = None;
        let mut steps = 0;
        let made = in_steps(&mut python, &command, |step, _| {
            steps += 1;
            let opened = ShareableList::open(&name);
            if step == 0 {
                // The block has its size and no table.
                let error = opened.unwrap_err();
                assert_eq!(*error.kind(), ErrorKind::List(ListError::Unfinished));
                assert!(error.to_string().contains(&name) && error.to_string().contains("unlink"), "{error}");
                assert_eq!(scratch.left(), [name.as_str()], "a failed attach removes nothing");
            } else {
                let list = opened.unwrap();
                assert_eq!(list.len(), values.len());
                if step == 1 || step == 2 {
                    let error = list.get(0).unwrap_err();
                    assert!(matches!(error.kind(), ErrorKind::List(ListError::UnknownFormat { .. })), "{error}");
                }
                early.get_or_insert(list);
            }
        });
        assert!(made["err"].is_null() && steps == 4, "{made} after {steps} steps");
        // The handle of before has all values now.
        assert_eq!(early.unwrap().to_vec().unwrap(), values);
        python.run(&json!({"op": "unlink"}));
        python.end();
    });
}

#[test]
fn an_open_meets_a_list_that_python_goes_on_making() {
    with_each(|interpreter| {
        let values = [Value::from(1), Value::from("two")];
        let scratch = Scratch::new();
        let name = scratch.name("list");
        let mut python = Python::start(interpreter);
        let command = json!({"op": "list", "name": name, "values": spelt(&values)});
        std::thread::scope(|scope| {
            let mut opening = None;
            in_steps(&mut python, &command, |step, _| {
                if step == 0 {
                    // On a slow machine the patience may end before Python is told to go on.
                    opening = Some(scope.spawn(|| {
                        loop {
                            match ShareableList::open(&name) {
                                Err(error) if *error.kind() == ErrorKind::List(ListError::Unfinished) => {}
                                opened => break opened.unwrap().len(),
                            }
                        }
                    }));
                }
            });
            assert_eq!(opening.unwrap().join().unwrap(), values.len());
        });
        python.run(&json!({"op": "unlink"}));
        python.end();
    });
}

#[test]
fn an_empty_list_of_python_opens_as_one() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let mut python = Python::start(interpreter);
        python.run(&json!({"op": "list", "name": scratch.name("list"), "values": []}));
        let list = ShareableList::open(&scratch.name("list")).unwrap();
        assert!(list.is_empty());
        let bytes = if interpreter.is_at_least(3, 9) { 16 } else { 8 };
        assert_eq!(list.shared_memory().to_vec().unwrap(), vec![0; bytes], "not rounded to pages");
        assert_eq!(list.layout() == LayoutVersion::Py38, !interpreter.is_at_least(3, 9));
        python.run(&json!({"op": "unlink"}));
        python.end();
    });
}

#[test]
fn a_python_writer_that_stands_between_two_stores_is_an_error_in_bounded_time() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let mut python = Python::start(interpreter);
        let start = [Value::from(1), Value::from(2)];
        python.run(&json!({"op": "list", "name": scratch.name("list"), "values": spelt(&start)}));
        let list = ShareableList::open(&scratch.name("list")).unwrap();
        let set = json!({"op": "set", "index": 0, "value": typed(Value::from("text").as_ref())});
        let mut seen = Vec::new();
        let done = in_steps(&mut python, &set, |_, _| {
            assert_eq!(list.get(1).unwrap(), start[1], "the neighbour");
            // Every way of reading waits, and then says so.
            let reads =
                [list.get(0).map(drop), list.for_each(|_, _| {}), list.to_vec().map(drop), list.count(1).map(drop)];
            let shown = list.to_string();
            let odd = reads.iter().all(|read| {
                matches!(read, Err(error) if matches!(error.kind(), ErrorKind::List(ListError::UnknownFormat { .. })))
            });
            assert!(odd || reads.iter().all(Result::is_ok), "{reads:?}");
            assert_eq!(shown.contains("which ShareableList does not write"), odd, "{shown}");
            seen.push(odd);
        });
        assert!(done["err"].is_null(), "{done}");
        assert_eq!(seen, [false, true, false], "before the format, before the code, before the bytes");
        assert_eq!(list.get(0).unwrap(), Value::from("text"));
        python.run(&json!({"op": "unlink"}));
        python.end();
    });
}

#[test]
fn negative_indices_below_the_list_are_refused_where_python_reads_its_own_table() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let mut python = Python::start(interpreter);
        let list =
            ShareableList::options().name(scratch.name("list")).dialect(dialect(interpreter)).create(&[1_i64, 2, 3]);
        let list = list.unwrap();
        python.run(&json!({"op": "open list", "name": list.name()}));
        for index in [-3_isize, -1, 0, 2] {
            assert_eq!(
                python.run(&json!({"op": "get", "index": index}))["value"],
                typed(list.get(index).unwrap().as_ref())
            );
        }
        for index in [-4_isize, -5, -7, 3, isize::MIN, isize::MAX] {
            let error = list.get(index).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::List(ListError::OutOfRange { index, len: 3 }));
            let error = list.set(index, 9).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::List(ListError::OutOfRange { index, len: 3 }));
        }
        assert_eq!(python.values(), [Value::Int(1), Value::Int(2), Value::Int(3)]);
        python.end();
    });
}

#[test]
fn text_that_python_makes_unreadable_is_an_error_of_its_value_alone() {
    with_each(|interpreter| {
        // From these on, Python sizes slots by bytes (gh-88336).
        let by_bytes = if interpreter.is_at_least(3, 15) { vec![3, 15, 3] } else { vec![3, 14, 11] };
        if interpreter.version >= by_bytes {
            return;
        }
        let scratch = Scratch::new();
        let mut python = Python::start(interpreter);
        let values = ["a", "€€€€€€€", "b"].map(Value::from);
        python.run(&json!({"op": "list", "name": scratch.name("list"), "values": spelt(&values)}));
        let raised = python.ask(&json!({"op": "get", "index": 1}));
        assert_eq!(raised["err"]["type"], "builtins.UnicodeDecodeError");
        let list = ShareableList::open(&scratch.name("list")).unwrap();
        let error = list.get(1).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::List(ListError::NotUtf8 { index: 1, valid_up_to: 6 }));
        assert_eq!(list.get(0).unwrap(), values[0]);
        assert_eq!(list.get(2).unwrap(), values[2]);
        // Storing it anew repairs it.
        list.set_ref(1, ValueRef::Str("€€")).unwrap();
        assert_eq!(python.values()[1], Value::from("€€"));
        python.run(&json!({"op": "unlink"}));
        python.end();
    });
}
