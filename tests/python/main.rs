//! Lists and blocks shared with real Python processes, of every CPython that can be found.

mod errors;
mod handles;
mod lists;
mod manager;
mod ported;
mod protocol;
mod readme;
mod survival;

use proptest::prelude::*;
use shmtypes::compat::Value;
use shmtypes_tests::python::{Interpreter, interpreters};

/// Runs a test with every interpreter.
fn with_each(test: impl Fn(&Interpreter)) {
    for interpreter in interpreters() {
        println!("with CPython {:?}", interpreter.version);
        test(interpreter);
    }
}

/// Prints them, for those who ask with `--nocapture`.
#[test]
fn there_is_an_interpreter() {
    assert!(!interpreters().is_empty());
}

/// Any value of a list that Python keeps as it is.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::Int),
        // Python keeps every bit of a float but the quietness of a NaN, which some operations set.
        any::<u64>().prop_map(f64::from_bits).prop_filter("NaN", |float| !float.is_nan()).prop_map(Value::Float),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::None),
        "[a-zA-Z0-9 .'\"\\\\]{0,30}".prop_map(Value::Str),
        prop::collection::vec(any::<u8>(), 0..30).prop_map(|mut bytes| {
            while bytes.last() == Some(&0) {
                bytes.pop();
            }
            Value::Bytes(bytes)
        }),
    ]
}

/// Any text, also such as Python sizes too small a slot for.
fn unicode() -> impl Strategy<Value = Value> {
    "[^\\x00]{0,12}".prop_map(Value::Str)
}
