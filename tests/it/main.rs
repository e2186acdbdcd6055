//! Integration tests over the public interface, with real second processes.

mod life;
mod peers;

/// The program that plays the other process.
const PEER: &str = env!("CARGO_BIN_EXE_shmtypes-peer");
