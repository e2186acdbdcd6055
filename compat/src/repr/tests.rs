//! Tests of `repr` against what CPython printed, and against reading back.

use super::*;
use alloc::string::String;
use alloc::vec::Vec;
use proptest::prelude::*;
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests-data/repr-3.13.0.json")).unwrap()
}

fn float(value: f64) -> String {
    let mut text = String::new();
    write_float(&mut text, value).unwrap();
    text
}

fn string(value: &str) -> String {
    let mut text = String::new();
    write_str(&mut text, value).unwrap();
    text
}

fn bytes(value: &[u8]) -> String {
    let mut text = String::new();
    write_bytes(&mut text, value).unwrap();
    text
}

/// The pairs of a list of the vectors.
fn pairs(vectors: &Value, list: &str) -> Vec<(String, String)> {
    let list = vectors[list].as_array().unwrap();
    assert!(list.len() > 5);
    list.iter().map(|pair| (pair[0].as_str().unwrap().into(), pair[1].as_str().unwrap().into())).collect()
}

#[test]
fn floats_as_python_printed_them() {
    for (bits, expected) in pairs(&vectors(), "floats") {
        let value = f64::from_bits(u64::from_str_radix(&bits, 16).unwrap());
        assert_eq!(float(value), expected, "{bits}");
    }
}

#[test]
fn strings_and_bytes_as_python_printed_them() {
    let vectors = vectors();
    for (value, expected) in pairs(&vectors, "strings") {
        assert_eq!(string(&value), expected);
    }
    for (value, expected) in pairs(&vectors, "bytes") {
        assert_eq!(bytes(&hex::decode(value).unwrap()), expected);
    }
}

#[test]
fn every_character_that_python_knows_is_printable_here_if_it_is_there() {
    let vectors = vectors();
    let mut ranges = vectors["not_printable"].as_array().unwrap().iter().peekable();
    let mut checked = 0;
    for character in '\0'..=char::MAX {
        let code = u64::from(u32::from(character));
        while ranges.next_if(|range| range[1].as_u64().unwrap() < code).is_some() {}
        let kind = ranges.peek().filter(|range| range[0].as_u64().unwrap() <= code).map(|range| &range[2]);
        match kind.map(|kind| kind.as_str().unwrap()) {
            None => assert!(is_printable(character), "{character:?} is printable"),
            Some("escaped") => assert!(!is_printable(character), "{character:?} is not printable"),
            // Unicode may have got it since.
            Some("unknown") => continue,
            Some(other) => panic!("{character:?} cannot be {other}"),
        }
        checked += 1;
    }
    assert!(checked > 280_000, "only {checked} characters checked");
}

#[test]
fn a_full_writer_is_an_error() {
    struct Full(usize);
    impl Write for Full {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    for room in 0..8 {
        assert!(write_float(&mut Full(room), -1.25e-300).is_err());
        assert!(write_str(&mut Full(room), "ab\u{e000}").is_err());
        assert!(write_bytes(&mut Full(room), b"\t\xff\0").is_err());
    }
}

proptest! {
    #[test]
    fn floats_read_back_as_themselves(bits: u64) {
        let value = f64::from_bits(bits);
        let text = float(value);
        let read: f64 = text.parse().unwrap();
        prop_assert!(read.to_bits() == bits || value.is_nan() && read.is_nan());
        prop_assert!(value.is_nan() || value.is_infinite() || text.contains(['.', 'e']));
        let exponent = value.is_finite() && value != 0.0 && !(1e-4..1e16).contains(&value.abs());
        prop_assert_eq!(text.contains('e'), exponent);
    }

    #[test]
    fn strings_never_print_what_moves_the_cursor(value: String) {
        let text = string(&value);
        prop_assert!(!text.chars().any(char::is_control));
        prop_assert!(text.starts_with(['\'', '"']) && text.ends_with(text.chars().next().unwrap()));
    }

    #[test]
    fn bytes_print_in_ascii(value: Vec<u8>) {
        prop_assert!(bytes(&value).bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    }
}
