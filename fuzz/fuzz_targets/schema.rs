//! Any bytes as a schema: a layout that encodes to the same bytes, or an error.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shmtypes_tests::props::schema_bytes(bytes));
