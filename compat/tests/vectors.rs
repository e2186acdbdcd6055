//! Lists that CPython 3.8.18, 3.11.7 and 3.13.0 made: decoded, made anew to the same bytes, changed in the same steps.
//!
//! `tests/vectors` holds what the interpreters said. Where this crate refuses what loses data in Python, the test says
//! which refusal it expects.

use serde_json::Value as Json;
use shmtypes_compat::list::{Dialect, LayoutVersion, List, ListError, Text, encode};
use shmtypes_compat::{Value, ValueRef};
use std::cell::Cell;

const FILES: [(&str, Dialect, LayoutVersion); 3] = [
    (include_str!("vectors/shareable-list-3.8.18.json"), Dialect::Py38, LayoutVersion::Py38),
    (include_str!("vectors/shareable-list-3.11.7.json"), Dialect::Py39, LayoutVersion::Py39),
    (include_str!("vectors/shareable-list-3.13.0.json"), Dialect::Py39, LayoutVersion::Py39),
];

fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2));
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// A value as the vectors spell it; `None` for what is no value of a list: an integer of more than 64 bits, a surrogate.
fn typed(json: &Json) -> Option<Value> {
    let text = |key: &str| json[key].as_str().unwrap_or_else(|| panic!("{json} without {key}"));
    match json["t"].as_str()? {
        "int" => text("v").parse().ok().map(Value::Int),
        "float" => Some(Value::Float(f64::from_bits(u64::from_str_radix(text("bits"), 16).unwrap()))),
        "bool" => json["v"].as_bool().map(Value::Bool),
        "none" => Some(Value::None),
        "str" => String::from_utf8(hex(text("utf8"))).ok().map(Value::Str),
        "bytes" => Some(Value::Bytes(hex(text("hex")))),
        _ => None,
    }
}

/// A Python literal of the steps and probes; `None` for what is no value of a list.
fn literal(source: &str) -> Option<Value> {
    let quoted = |text: &str| -> Option<String> {
        let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
        let mut out = String::new();
        let mut rest = inner.chars();
        while let Some(c) = rest.next() {
            let code = |rest: &mut std::str::Chars<'_>, digits| {
                let text: String = rest.by_ref().take(digits).collect();
                char::from_u32(u32::from_str_radix(&text, 16).unwrap())
            };
            out.push(match c {
                '\\' => match rest.next()? {
                    'x' => code(&mut rest, 2)?,
                    'u' => code(&mut rest, 4)?,
                    other => panic!("escape {other}"),
                },
                c => c,
            });
        }
        Some(out)
    };
    match source {
        "None" => Some(Value::None),
        "True" => Some(Value::Bool(true)),
        "False" => Some(Value::Bool(false)),
        "nan" => Some(Value::Float(f64::NAN)),
        _ if source.starts_with("b'") => {
            quoted(&source[1..]).map(|text| Value::Bytes(text.chars().map(|c| c as u8).collect()))
        }
        _ if source.starts_with('\'') => quoted(source).map(Value::Str),
        _ if source.contains('.') => source.parse().ok().map(Value::Float),
        _ => source.parse().ok().map(Value::Int),
    }
}

/// Equal to the bit.
fn same(a: &ValueRef<'_>, b: &Value) -> bool {
    match (a, b) {
        (ValueRef::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        (a, b) => *a == b.as_ref(),
    }
}

fn check_readback(id: &str, bytes: &[u8], expected: &Json) {
    let list = List::attach(bytes).unwrap_or_else(|error| panic!("{id}: {error}"));
    let expected = expected.as_array().unwrap();
    assert_eq!(list.len(), expected.len(), "{id}");
    let mut scratch = Vec::new();
    for (index, json) in expected.iter().enumerate() {
        let read = list.get(index as isize, &mut scratch);
        match (json["err"]["type"].as_str(), read) {
            (None, Ok(read)) => assert!(same(&read, &typed(json).unwrap()), "{id}[{index}]: {read:?} is not {json}"),
            (Some("UnicodeDecodeError"), Err(ListError::NotUtf8 { .. })) => {}
            (_, read) => panic!("{id}[{index}]: {read:?}, but Python says {json}"),
        }
    }
}

#[test]
fn every_list_that_cpython_made_is_read_as_cpython_reads_it() {
    let mut lists = 0;
    for (file, _, version) in FILES {
        for case in serde_json::from_str::<Vec<Json>>(file).unwrap() {
            let id = case["id"].as_str().unwrap();
            for state in [&case, &case["before"]] {
                let Some(bytes) = state["hex"].as_str().map(hex) else { continue };
                // A store below -N, which CPython does not check, has destroyed the table of some.
                if id.starts_with("set-neg-out-of-range") && std::ptr::eq(state, &case) {
                    exercise(&bytes);
                    continue;
                }
                assert_eq!(bytes.len() as u64, state["size"].as_u64().unwrap(), "{id}");
                check_readback(id, &bytes, &state["readback"]);
                let list = List::attach(bytes.as_slice()).unwrap();
                assert_eq!(list.version(), version, "{id}");
                assert_eq!(list.format().unwrap(), state["format"].as_str().unwrap(), "{id}");
                lists += 1;
            }
        }
    }
    assert!(lists > 200, "only {lists} lists: are the vectors complete?");
}

fn exercise(bytes: &[u8]) {
    let Ok(list) = List::attach(bytes) else { return };
    for index in 0..list.len() {
        let _ = list.get(index as isize, &mut Vec::new());
    }
}

#[test]
fn the_same_values_make_the_same_bytes() {
    let (mut equal, mut refused) = (0, 0);
    for (file, dialect, _) in FILES {
        for case in serde_json::from_str::<Vec<Json>>(file).unwrap() {
            let id = case["id"].as_str().unwrap();
            let made = if case["before"].is_object() { &case["before"] } else { &case };
            let values =
                case["init_values"].as_array().map(|values| values.iter().map(typed).collect::<Option<Vec<_>>>());
            let (Some(expected), Some(Some(values))) = (made["hex"].as_str().map(hex), values) else { continue };
            assert_eq!(encode(&values, dialect, Text::AsCPython).unwrap(), expected, "{id}");
            equal += 1;
            match encode(&values, dialect, Text::Exact) {
                Ok(bytes) => assert_eq!(bytes, expected, "{id}"),
                Err(ListError::TrailingNul { .. }) => {
                    assert!(id.contains("trailing-nul"), "{id}");
                    refused += 1;
                }
                Err(ListError::WouldBeCut { .. }) => {
                    assert!(id.contains("trunc") || id.contains("emoji"), "{id}");
                    refused += 1;
                }
                Err(other) => panic!("{id}: {other:?}"),
            }
            let is_ascii = values.iter().all(|value| !matches!(value, Value::Str(text) if !text.is_ascii()));
            if dialect == Dialect::Py39 && is_ascii {
                assert_eq!(encode(&values, Dialect::Portable, Text::AsCPython).unwrap(), expected, "{id}");
            }
        }
    }
    assert!(equal > 150 && refused >= 15, "{equal} lists made, {refused} refused: are the vectors complete?");
}

#[test]
fn the_same_steps_lead_to_the_same_bytes() {
    let (mut applied, mut refused) = (0, 0);
    for (file, _, _) in FILES {
        for case in serde_json::from_str::<Vec<Json>>(file).unwrap() {
            let id = case["id"].as_str().unwrap();
            let steps = case["steps"].as_array().unwrap();
            let Some(before) = case["before"]["hex"].as_str() else { continue };
            let mut bytes = hex(before);
            let list = List::attach(Cell::from_mut(bytes.as_mut_slice()).as_slice_of_cells()).unwrap();
            let list = list.with_text(Text::AsCPython);
            let mut differs = false;
            for (step, error) in steps.iter().zip(case["step_errors"].as_array().unwrap()) {
                let step = step.as_str().unwrap();
                let (target, source) = step.split_once(" = ").unwrap();
                let index: isize =
                    target.strip_prefix("sl[").and_then(|rest| rest.strip_suffix(']')).unwrap().parse().unwrap();
                // A subclass of `str` is stored as `str`; one of `int` is refused.
                let source = source.strip_prefix("MyStr(").and_then(|rest| rest.strip_suffix(')')).unwrap_or(source);
                let Some(value) = literal(source) else {
                    // What no `Value` can hold. Python has half stored the integers beyond 64 bits before it raises.
                    assert!(!error.is_null(), "{id}: {step}");
                    differs |= source.contains("**");
                    continue;
                };
                match (list.set(index, value.as_ref()), error["type"].as_str()) {
                    (Ok(()), None) => applied += 1,
                    (Err(ListError::OutOfRange { .. }), Some("IndexError"))
                    | (Err(ListError::ExceedsStorage { .. }), Some("ValueError")) => refused += 1,
                    // Below -N Python does not check: it writes into its own table, or trips over it.
                    (Err(ListError::OutOfRange { .. }), _) if index < -(list.len() as isize) => {
                        differs = true;
                        refused += 1;
                    }
                    (outcome, _) => panic!("{id}: {step}: {outcome:?}, but Python says {error}"),
                }
            }
            if !differs {
                assert_eq!(bytes, hex(case["hex"].as_str().unwrap()), "{id}");
            }
        }
    }
    assert!(applied > 80 && refused > 15, "{applied} steps applied, {refused} refused: are the vectors complete?");
}

#[test]
fn probes_answer_as_python_does() {
    let mut answered = 0;
    for (file, _, _) in FILES {
        for case in serde_json::from_str::<Vec<Json>>(file).unwrap() {
            let id = case["id"].as_str().unwrap();
            let (Some(probes), Some(bytes)) = (case["probes"].as_object(), case["hex"].as_str().map(hex)) else {
                continue;
            };
            let list = List::attach(bytes.as_slice()).unwrap();
            for (probe, expected) in probes {
                let argument = |name: &str| {
                    let inner = probe.strip_prefix("sl.")?.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')?;
                    Some(literal(inner).unwrap_or_else(|| panic!("{id}: {probe}")))
                };
                let number = || expected["v"].as_str().map(|text| text.parse::<usize>().unwrap());
                if probe == "len(sl)" {
                    assert_eq!(Some(list.len()), number(), "{id}: {probe}");
                } else if let Some(value) = argument("count") {
                    assert_eq!(list.count(value.as_ref()).ok(), number(), "{id}: {probe}");
                } else if let Some(value) = argument("index") {
                    match number() {
                        Some(position) => assert_eq!(list.index(value.as_ref()), Ok(position), "{id}: {probe}"),
                        None => assert_eq!(list.index(value.as_ref()), Err(ListError::NotFound), "{id}: {probe}"),
                    }
                } else {
                    let index = probe.strip_prefix("sl[").and_then(|rest| rest.strip_suffix(']')).unwrap();
                    // Text and slices as indices have no counterpart; `sl[True]` is `sl[1]`.
                    let index = if index == "True" { "1" } else { index };
                    let Ok(index) = index.parse::<isize>() else { continue };
                    let mut scratch = Vec::new();
                    match list.get(index, &mut scratch) {
                        Ok(read) => assert!(same(&read, &typed(expected).unwrap()), "{id}: {probe}: {read:?}"),
                        Err(ListError::OutOfRange { .. }) => {
                            let unchecked = index < -(list.len() as isize);
                            assert!(unchecked || expected["err"]["type"] == "IndexError", "{id}: {probe}: {expected}");
                        }
                        Err(ListError::NotUtf8 { .. }) => assert_eq!(expected["err"]["type"], "UnicodeDecodeError"),
                        Err(other) => panic!("{id}: {probe}: {other:?}, but Python says {expected}"),
                    }
                }
                answered += 1;
            }
        }
    }
    assert!(answered > 80, "only {answered} probes: are the vectors complete?");
}
