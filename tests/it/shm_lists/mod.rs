//! `ShmList` with second processes: killed, stopped between two instructions, counting along, hostile, and read-only.

mod hostile;
mod killed;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod stepped;
mod together;

/// The program that plays the other process.
const SHM_LISTS: &str = env!("CARGO_BIN_EXE_shmtypes-shm-lists");
