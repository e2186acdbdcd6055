//! Tests of pickles: CPython's bytes, handmade shapes, everything that must be refused, and properties.

use super::*;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use proptest::prelude::*;
use serde_json::Value;

fn memory(name: &str, size: u64) -> Handle {
    Handle::SharedMemory { name: name.into(), size: Some(size) }
}

fn listing(name: &str) -> Handle {
    Handle::ShareableList { name: name.into() }
}

/// A case that CPython pickled.
struct Case {
    handle: Handle,
    protocol: u8,
    /// By `pickle.dumps`.
    plain: Vec<u8>,
    /// By a `ForkingPickler`, and both optimized, where they differ.
    others: Vec<Vec<u8>>,
}

fn cases() -> Vec<Case> {
    let rows: Value = serde_json::from_str(include_str!("../../tests-data/pickles.json")).unwrap();
    let bytes = |text: &Value| hex::decode(text.as_str().unwrap()).unwrap();
    let case = |row: &Value| Case {
        handle: match row["size"].as_u64() {
            Some(size) => memory(row["name"].as_str().unwrap(), size),
            None => listing(row["name"].as_str().unwrap()),
        },
        protocol: row["protocol"].as_u64().unwrap() as u8,
        plain: bytes(&row["dumps"]),
        others: row["others"].as_array().unwrap().iter().map(bytes).collect(),
    };
    rows.as_array().unwrap().iter().map(case).collect()
}

#[test]
fn pickles_of_cpython_read_as_what_they_are() {
    let mut checked = 0;
    for case in cases() {
        for pickle in [&case.plain].into_iter().chain(&case.others) {
            assert_eq!(parse(pickle).as_ref(), Ok(&case.handle), "{}", hex::encode(pickle));
            checked += 1;
        }
    }
    assert!(checked > 400, "only {checked} pickles");
}

#[test]
fn handles_are_written_as_cpython_writes_them() {
    for case in cases() {
        let written = emit(&case.handle, case.protocol).unwrap();
        assert_eq!(hex::encode(written), hex::encode(case.plain), "{:?} {}", case.handle, case.protocol);
    }
}

#[test]
fn pickles_captured_from_3_8_and_3_13() {
    for text in
        [include_str!("../../tests-data/pickles-3.8.18.json"), include_str!("../../tests-data/pickles-3.13.0.json")]
    {
        let file: Value = serde_json::from_str(text).unwrap();
        let mut handles = 0;
        for (key, value) in file.as_object().unwrap() {
            let Some(pickle) = value.as_str().and_then(|text| hex::decode(text).ok()) else { continue };
            let expected = match key.split_once('.').unwrap() {
                ("SharedMemory", "track=False.proto4") => memory("psm_track000", 10),
                ("SharedMemory", _) => memory("psm_0123abcd", 100),
                ("ShareableList", _) => listing("psm_89abcdef"),
                // A manager's request, which is no handle.
                _ => {
                    assert!(parse(&pickle).is_err(), "{key}");
                    continue;
                }
            };
            let found = parse(&pickle).unwrap();
            assert_eq!(found.name().len(), expected.name().len());
            match key.rsplit_once(".proto") {
                Some((_, protocol)) => assert_eq!(emit(&found, protocol.parse().unwrap()).unwrap(), pickle, "{key}"),
                None => assert_eq!(found, expected),
            }
            if !key.contains("track") {
                assert_eq!(found, expected, "{key}");
            }
            handles += 1;
        }
        assert!(handles >= 10);
    }
}

const MEMORY: &[u8] = b"cmultiprocessing.shared_memory\nSharedMemory\n";
const LIST: &[u8] = b"cmultiprocessing.shared_memory\nShareableList\n";
const PARTIAL: &[u8] = b"cfunctools\npartial\n";
const REBUILD: &[u8] = b"cmultiprocessing.reduction\n_rebuild_partial\n";

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// Each of these loads in CPython 3.8 and 3.13, too.
#[test]
fn shapes_that_nobody_writes_and_everybody_loads() {
    let named = Handle::SharedMemory { name: "abc".into(), size: None };
    for (pickle, expected) in [
        (joined(&[b"\x80\x02", MEMORY, b"X\x03\0\0\0abc\x85R."]), named.clone()),
        (joined(&[MEMORY, b"\x8c\x03abc\x89\x86R."]), named.clone()),
        (joined(&[b"\x80\x05", MEMORY, b"(Vabc\nI00\ntR."]), named),
        (joined(&[MEMORY, b"\x8c\x03abc\x89\x8a\0\x87R."]), memory("abc", 0)),
        (joined(&[MEMORY, b"\x8c\x03abc\x89L7\n\x87R."]), memory("abc", 7)),
        (joined(&[MEMORY, b"\x8c\x03abc\x89J\x07\0\0\0\x87R."]), memory("abc", 7)),
        // Stored under a number that is not the next; MEMOIZE behind it takes the count.
        (joined(&[PARTIAL, LIST, b"q\x07\x94\x85R(h\x01)}Vname\nVabc\nsNtb)R."]), listing("abc")),
        // The name set twice: the last counts.
        (joined(&[REBUILD, LIST, b")}(Vname\nVx\nVname\nVabc\nu\x87R)R."]), listing("abc")),
        (joined(&[REBUILD, LIST, b")(Vname\nVabc\nd\x87R)R."]), listing("abc")),
        // An empty `__dict__`.
        (joined(&[PARTIAL, LIST, b"\x85R(", LIST, b")}Vname\nVabc\ns}tb)R."]), listing("abc")),
        (
            joined(&[b"\x80\x02", PARTIAL, LIST, b"\x85R(", LIST, b")}X\x04\0\0\0nameX\x03\0\0\0abcsNtb)R."]),
            listing("abc"),
        ),
    ] {
        assert_eq!(parse(&pickle), Ok(expected), "{}", pickle.escape_ascii());
    }
}

#[test]
fn everything_else_is_refused_with_its_place() {
    use PickleErrorKind as K;
    let wrong = |expected, found| K::WrongValue { expected, found };
    let global = |module: &str, name: &str| K::UnknownGlobal { module: module.into(), name: name.into() };
    let text = |reason| K::BadText { reason };
    for (pickle, opcode, kind) in [
        (joined(&[]), None, K::Truncated),
        (joined(&[MEMORY]), None, K::Truncated),
        (joined(&[&[b'N'; MAX_PICKLE_BYTES + 1]]), None, K::TooLong { bytes: 8193, limit: 8192 }),
        (joined(&[b"cos\nsystem\n(Vtrue\ntR."]), Some(b'c'), global("os", "system")),
        (joined(&[b"\x8c\x08builtins\x8c\x04eval\x93"]), Some(0x93), global("builtins", "eval")),
        (joined(&[b"c__main__\nSharedMemory\n"]), Some(b'c'), global("__main__", "SharedMemory")),
        (joined(&[b"c_functools\npartial\n"]), Some(b'c'), global("_functools", "partial")),
        (joined(&[b"ios\nsystem\n"]), Some(b'i'), K::UnknownOpcode),
        (joined(&[b"\x80\x06"]), Some(0x80), K::UnknownProtocol { protocol: 6, supported: 5 }),
        (joined(&[b"N\x80\x04"]), Some(0x80), K::Misplaced),
        (joined(&[b"\x80\x04\x95\x09\0\0\0\0\0\0\0\x95\0\0\0\0\0\0\0\0"]), Some(0x95), K::Misplaced),
        (joined(&[b"\x95\x02\0\0\0\0\0\0\0N"]), Some(0x95), K::FrameTooLong { bytes: 2, left: 1 }),
        (joined(&[b"\x95\x01\0\0\0\0\0\0\0X\x01\0\0\0a."]), Some(b'X'), K::Truncated),
        (joined(&[b"\x95\x01\0\0\0\0\0\0\0N."]), Some(b'.'), wrong("a handle", "None")),
        (joined(&[b"I0x10\n"]), Some(b'I'), K::BadNumber),
        (joined(&[b"I007\n"]), Some(b'I'), K::BadNumber),
        (joined(&[b"L9223372036854775808L\n"]), Some(b'L'), K::BadNumber),
        (joined(&[b"\x8a\x09\0\0\0\0\0\0\0\x80\0"]), Some(0x8a), K::BadNumber),
        (joined(&[b"Np-1\n"]), Some(b'p'), K::BadNumber),
        (joined(&[b"X\x03\0\0\0\xed\xa0\x80"]), Some(b'X'), text("it is not UTF-8")),
        (joined(&[b"V\\u12\n"]), Some(b'V'), text("an escape has too few digits")),
        (joined(&[b"V\\ud800\n"]), Some(b'V'), text("an escape stands for half a character, or for none")),
        (joined(&[b"X\xff\xff\xff\xff"]), Some(b'X'), K::StringTooLong { bytes: 0xffff_ffff, limit: 1024 }),
        (joined(&[b"(\x85"]), Some(0x85), K::StackUnderflow),
        (joined(&[b"N(q\0"]), Some(b'q'), K::StackUnderflow),
        (joined(&[b"}(Nu"]), Some(b'u'), K::StackUnderflow),
        (joined(&[b"t"]), Some(b't'), K::NoMark),
        (joined(&[&[b'('; MAX_STACK + 1]]), Some(b'('), K::StackTooDeep { limit: 64 }),
        (joined(&[b"Nr\xff\xff\xff\xff"]), Some(b'r'), K::MemoIndex { index: 0xffff_ffff, limit: 64 }),
        (joined(&[b"h\x03"]), Some(b'h'), K::MemoEmpty { index: 3 }),
        (joined(&[MEMORY, b"."]), Some(b'.'), wrong("a handle", "the class `SharedMemory`")),
        (
            joined(&[MEMORY, b")R."]),
            Some(b'R'),
            K::WrongArguments { expected: "one to three arguments of `SharedMemory`", found: 0 },
        ),
        (joined(&[MEMORY, b"N\x85R."]), Some(b'R'), wrong("a string", "None")),
        (joined(&[MEMORY, b"Va\n\x88\x86R."]), Some(b'R'), wrong("False", "True")),
        (joined(&[MEMORY, b"Va\nK\0\x86R."]), Some(b'R'), wrong("False", "an int")),
        (joined(&[MEMORY, b"Va\n\x89N\x87R."]), Some(b'R'), wrong("an int", "None")),
        (joined(&[MEMORY, b"Va\n\x89I-1\n\x87R."]), Some(b'R'), K::NegativeSize { size: -1 }),
        (joined(&[LIST, b")R."]), Some(b'R'), wrong("something that makes a handle", "the class `ShareableList`")),
        (
            joined(&[PARTIAL, MEMORY, b"\x85R"]),
            Some(b'R'),
            wrong("the class `ShareableList`", "the class `SharedMemory`"),
        ),
        (
            joined(&[PARTIAL, LIST, b"\x85R)R."]),
            Some(b'R'),
            K::WrongArguments { expected: "the keyword `name`", found: 0 },
        ),
        (joined(&[REBUILD, LIST, b"N\x85}\x87R"]), Some(b'R'), wrong("an empty tuple", "a tuple")),
        (joined(&[b"}Vsequence\nNs"]), Some(b's'), K::UnknownKeyword { keyword: "sequence".into() }),
        (joined(&[REBUILD, LIST, b")}Vname\nNs\x87R)R."]), Some(b'R'), wrong("a string", "None")),
        (joined(&[MEMORY, b"}b"]), Some(b'b'), wrong("a partial", "the class `SharedMemory`")),
        (joined(&[b"N", MEMORY, b"Va\n\x85R."]), Some(b'.'), K::Leftover { values: 1 }),
        (joined(&[MEMORY, b"Va\n\x85R.\n"]), Some(b'.'), K::Trailing { bytes: 1 }),
    ] {
        let error = parse(&pickle).unwrap_err();
        assert_eq!((error.opcode(), error.kind()), (opcode, &kind), "{}", pickle.escape_ascii());
        assert!(error.offset() <= pickle.len());
        if let Some(opcode) = opcode {
            assert_eq!(pickle[error.offset()], opcode);
        }
        let line = error.to_string();
        assert!(line.starts_with(&format!("byte {}", error.offset())) && line.ends_with(')'), "{line}");
    }
}

#[test]
fn what_has_no_pickle_is_refused() {
    let size = 1 << 63;
    assert_eq!(emit(&memory("a", size), 4), Err(EmitError::SizeTooLarge { size }));
    assert_eq!(emit(&listing("a"), 6), Err(EmitError::UnknownProtocol { protocol: 6, supported: 5 }));
    assert_eq!(emit(&Handle::SharedMemory { name: "a".into(), size: None }, 2), Err(EmitError::SizeMissing));
}

#[test]
fn every_beginning_of_a_pickle_is_refused() {
    for case in cases().iter().take(24) {
        for length in 0..case.plain.len() {
            assert!(parse(&case.plain[..length]).is_err());
        }
    }
}

fn handles() -> impl Strategy<Value = Handle> {
    let name = prop_oneof!["psm_[0-9a-f]{8}", "[\\\\u0041\n\r\0\x1aé€😀]{0,30}", ".{0,300}"];
    (name, prop::option::of(0..1u64 << 63)).prop_map(|(name, size)| match size {
        Some(_) => Handle::SharedMemory { name, size },
        None => Handle::ShareableList { name },
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back(handle in handles(), protocol in 0..=HIGHEST_PROTOCOL) {
        prop_assume!(handle.name().len() <= MAX_STRING_BYTES);
        prop_assert_eq!(parse(&emit(&handle, protocol).unwrap()), Ok(handle));
    }

    #[test]
    fn any_bytes_give_a_handle_or_an_error(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }

    #[test]
    fn any_instructions_give_a_handle_or_an_error(
        parts in prop::collection::vec(prop::sample::select(&[
            MEMORY, LIST, PARTIAL, REBUILD, b"(", b".", b"I00\n", b"K\x01", b"N", b"R", b"Vname\n", b"Vabc\n", b")", b"b",
            b"}", b"d", b"s", b"u", b"t", b"\x85", b"\x86", b"\x87", b"\x89", b"\x94", b"\x93", b"q\0", b"h\0", b"h\x01",
        ][..]), 0..20),
    ) {
        let _ = parse(&parts.concat());
    }

    /// A changed pickle is refused, or means a handle that can be written and read again.
    #[test]
    fn changed_pickles_give_a_handle_or_an_error(
        handle in handles(), protocol in 0..=HIGHEST_PROTOCOL, place: prop::sample::Index, byte: u8, kind in 0..3,
    ) {
        prop_assume!(handle.name().len() <= MAX_STRING_BYTES);
        let mut pickle = emit(&handle, protocol).unwrap();
        let place = place.index(pickle.len());
        match kind {
            0 => pickle[place] = byte,
            1 => pickle.insert(place, byte),
            _ => drop(pickle.remove(place)),
        }
        let again = parse(&pickle).ok().and_then(|found| Some((emit(&found, protocol).ok()?, found)));
        if let Some((again, found)) = again {
            prop_assert_eq!(parse(&again), Ok(found));
        }
    }
}
