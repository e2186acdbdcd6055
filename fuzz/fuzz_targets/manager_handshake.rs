//! Any bytes as a peer: nobody gets in without the key.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shmtypes_tests::manager_props::handshake_bytes(bytes));
