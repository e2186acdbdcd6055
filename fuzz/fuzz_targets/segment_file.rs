//! Any bytes as a segment's file: every call on it gives a value or an error.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shmtypes_tests::props::segment_bytes(bytes));
