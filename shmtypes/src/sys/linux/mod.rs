//! Linux: names in a directory, open file descriptions, byte locks, mappings.

mod directory;
mod file;
mod fork;
pub(crate) mod futex;
mod gate;
mod host;
mod map;
mod process;
mod signals;
mod status;

pub(crate) use directory::{Directory, OpenDirectory};
pub(crate) use file::{File, Refusal};
pub(crate) use fork::{Anchor, Birthplace, WipedPage};
pub(crate) use gate::while_forks_wait;
pub(crate) use host::{
    boot_id, effective_user, fill_random, has_borrowed_rights, memory_bytes, most_mappings, overflow_user, process_id,
    process_start, random, realtime_nanoseconds, unique,
};
pub(crate) use map::Map;
pub(crate) use process::{Patience, own_process, receive_with_descriptor, send, send_with_descriptor, try_receive};
pub(crate) use signals::{ignore, is_ignored, without_signals};

// The lock bytes stand at offsets beyond 2^62, and must be the same ones for every process.
const _: () = assert!(size_of::<nix::libc::off_t>() == 8, "segments need 64-bit file offsets");
