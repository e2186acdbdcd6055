//! Segments: one file per object in a directory of shared memory, with a header that says what is in it.
//!
//! | file | holds |
//! |---|---|
//! | `name` | names, validated once |
//! | `options` | what can be said before creating or opening |
//! | `header` | the bytes at the start of every segment, and their checks |
//! | `file` | build without a name, publish atomically |
//! | `create` | a new segment: file, header, schema, data |
//! | `attach` | every check before the first mapped byte |
//! | `detach` | last one out removes the name; serialised, with retries |
//! | `liveness` | the kernel lock that tells who is attached |
//! | `slots` | who takes part in the locks |
//! | `attachment`, `elements`, `block` | what a process holds, the typed run inside it, and what stands beside |
//! | `hold` | staying attached to what another one made, without looking into it |
//! | `registry` | what a manager owns, for `reap` to find |
//! | `directory` | list, inspect, reap, unlink |
//!
//! Rules:
//!
//! 1. A name never denotes a segment that is not ready.
//! 2. Nobody writes to, truncates or creates a file that is not its own. Attaching never creates.
//! 3. All bounds come from a private copy of the header.
//! 4. The kernel's locks decide who is alive. Process ids are for people.

pub(crate) mod attach;
pub(crate) mod attachment;
pub(crate) mod block;
pub(crate) mod create;
pub(crate) mod detach;
pub(crate) mod directory;
pub(crate) mod elements;
pub(crate) mod file;
pub(crate) mod header;
pub(crate) mod hold;
pub(crate) mod lend;
pub(crate) mod liveness;
pub(crate) mod matching;
pub(crate) mod name;
pub(crate) mod options;
pub(crate) mod registry;
mod slots;

pub use detach::Detached;
pub use directory::{
    Creator, HugePages, Listing, Reaped, SegmentDirectory, SegmentInfo, inspect, list, reap, reap_named, unlink,
};
pub use elements::Elements;
pub use header::{Container, Persist};
pub use options::{Evolve, Trust};
pub use slots::Slots;
