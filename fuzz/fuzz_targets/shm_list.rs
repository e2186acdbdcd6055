//! Edits on a `ShmList` and on a vector, or hostile words in its data: both agree, and every call gives a value or an error.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shmtypes_tests::shm_lists::any_bytes(bytes));
