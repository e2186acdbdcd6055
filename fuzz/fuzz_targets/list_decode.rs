//! Any bytes as a `ShareableList`: every call gives a value or an error.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shmtypes_tests::props::list_bytes(bytes));
