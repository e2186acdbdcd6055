//! What processes need to wait for each other.
//!
//! | file | holds |
//! |---|---|
//! | `deadline` | how long a call may wait |
//! | `event` | waiting for something to change |
//! | `seen` | what a handle has seen of it |
//! | `mutex`, `rwlock` | locks that survive their holder's death |
//! | `lease` | a right that one participant has at a time |
//! | `lock` | what they are made of |
//! | `cell` | a value that is always read whole |
//!
//! Rules:
//!
//! 1. Every wait has a form that ends at a deadline, and asks the word again at least every 50 ms: who is killed between
//!    a change and its waking keeps nobody asleep.
//! 2. Nothing in shared memory is believed: whatever a peer writes there, a wait ends by its deadline.

pub(crate) mod cell;
mod deadline;
mod event;
mod lease;
pub(crate) mod lock;
#[cfg(test)]
mod model;
mod mutex;
mod rwlock;
mod seen;

pub use crate::participants::Holder;
pub use cell::SeqCell;
pub use deadline::Deadline;
pub use event::ShmEvent;
pub(crate) use lease::Lease;
pub(crate) use lock::error::sealed::InSegment;
pub use lock::error::{HeldBy, LockError, LockGuard, LockResult};
pub use mutex::{MutexGuard, ShmMutex};
pub use rwlock::{RwLockReadGuard, RwLockWriteGuard, ShmRwLock};
pub(crate) use seen::Seen;
