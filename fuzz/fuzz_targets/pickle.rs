//! Any bytes as a pickle: a handle that is written to a pickle of itself, or an error.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shmtypes_tests::props::pickle_bytes(bytes));
