//! Edits that the bytes spell, on a list and on a plain vector: both agree after every step.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shmtypes_tests::props::list_edits(bytes));
