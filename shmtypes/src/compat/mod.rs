//! Python's `multiprocessing.shared_memory`, from Rust.
//!
//! ```
//! use shmtypes::compat::{ShareableList, Value};
//!
//! let list = ShareableList::create(&[Value::from("howdy"), Value::from(-273.154), Value::from(100)])?;
//! // In Python: ShareableList(name='psm_…')
//! let same = ShareableList::open(list.name())?;
//! same.set(-1, 42)?;
//! assert_eq!(list.get(2)?, Value::Int(42));
//! assert_eq!(list.to_string(), "['howdy', -273.154, 42]");
//! list.unlink()?;
//! # Ok::<(), shmtypes::Error>(())
//! ```
//!
//! | type | Python's | what it is |
//! |---|---|---|
//! | [`SharedMemory`] | `SharedMemory` | a named block of bytes |
//! | [`ShareableList`] | `ShareableList` | a list of fixed length whose values change, also in kind |
//! | [`NdArray`] | `np.ndarray(shape, dtype, buffer=shm.buf)` | a block as an array |
//! | [`ResourceTracker`] | `resource_tracker` | who removes names that a Python process left behind |
//!
//! The formats themselves are the codecs of [`list`], [`pickle`], [`name`] and [`tracker`]: pure functions on bytes. So is
//! [`manager`], the protocol of `SharedMemoryManager`.
//!
//! # Who removes a block
//!
//! Blocks have no header, so nobody can tell who uses them: they are removed **by name only**, with
//! [`unlink`](SharedMemory::unlink), and not by [`reap`](crate::reap). This crate never removes a name on its own, and
//! never talks to Python's resource tracker unless told to. **CPython does the opposite**: a Python process that merely
//! attaches to a block removes its name when it exits (gh-82300), unless it is Python 3.13 or newer and says
//! `SharedMemory(name, track=False)`, which `ShareableList` cannot say. Rust processes that have the block mapped go on;
//! nobody can join any more.
//!
//! # Where it is better
//!
//! A block is published complete, so that nobody attaches to an empty one; a full /dev/shm is an error at creation, not
//! SIGBUS later; a failed attach removes nothing; negative indices are checked; what Python would lose is refused.

mod nd_array;
#[cfg(feature = "serde")]
mod serialize;
mod shareable_list;
pub(crate) mod shared_memory;
mod shm_list;
mod table;
mod tracker_client;

pub use nd_array::{NdArray, NdArrayOptions, Order};
pub use shareable_list::{ListIter, ShareableList, ShareableListOptions};
pub use shared_memory::{Rename, SharedMemory, SharedMemoryOptions};
pub use shmtypes_compat::{
    Dialect, Handle, List, ListError, Value, ValueRef, list, manager, memory, name, pickle, repr, tracker, value,
};
pub use tracker_client::ResourceTracker;
