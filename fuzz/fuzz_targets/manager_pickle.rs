//! Any bytes as a request and a reply: a message that is written to a pickle of itself, or an error.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shmtypes_tests::manager_props::message_bytes(bytes));
