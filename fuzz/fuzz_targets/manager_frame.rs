//! Any bytes as a stream of frames: the same frames however they are cut.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shmtypes_tests::manager_props::frame_bytes(bytes));
