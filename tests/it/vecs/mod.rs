//! Vectors between processes.

mod killed;
mod peers;
mod scribble;

/// The program that plays the other process.
const PEER: &str = env!("CARGO_BIN_EXE_shmtypes-vecs");
