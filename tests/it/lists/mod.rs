//! Lists and blocks that another process writes, rightly, wrongly, or until it is killed.

mod beside;
mod holes;
mod killed;
mod scribble;

/// The program that plays the other process.
const LISTS: &str = env!("CARGO_BIN_EXE_shmtypes-lists");
