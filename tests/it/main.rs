//! Integration tests over the public interface, with real second processes.

mod bad_input;
mod cells;
mod life;
mod limits;
mod lists;
mod locked;
mod locks;
mod manager;
mod peers;
mod regressions;
mod shm_lists;
mod vecs;
mod waits;

/// The program that plays the other process.
const PEER: &str = env!("CARGO_BIN_EXE_shmtypes-peer");

/// The program that plays the other process in tests of bad input and limits.
const INPUT: &str = env!("CARGO_BIN_EXE_shmtypes-input");
