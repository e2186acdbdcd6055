//! The containers.
//!
//! | type | length | element | who writes | after a writer's kill -9 |
//! |---|---|---|---|---|
//! | [`ShmArray`] | fixed, one or more dimensions, all initialised | one [`ShmLayout`](crate::ShmLayout) type | anyone: element stores, bulk copies | at most the range being copied is torn |
//! | [`LockedArray`] | as an array | as an array | one writer at a time, or many readers: every access takes the array's lock | the next writer is told, and repairs |
//! | [`ShmVec`] | 0 to a fixed capacity | one [`ShmValue`](crate::ShmValue) type | one appender at a time; readers see a stable prefix | what it pushed is there, what it was about to push is not |
//! | [`ShmList`] | a fixed number of slots | integer, float, boolean, text, bytes or `None`, each slot with its own capacity | anyone, by slot; readers never see half a value | the slot has its old value or the new one |
//! | [`ShmCell`] | one value | one [`ShmValue`](crate::ShmValue) type | anyone, the whole; readers never see half a value | the old value or the new one |
//! | [`ShmBox`] | one value | one [`ShmLayout`](crate::ShmLayout) type, by its view | by field | each atomic has its old value or its new one |

mod array;
mod locked;
mod options;
mod shm_box;
mod shm_cell;
mod shm_list;
mod vec;

pub use array::{ArrayOptions, Iter, Number, ShmArray};
pub use locked::{
    Cooperative, LockedArray, LockedOptions, LockedReadGuard, LockedWriteGuard, SliceReadGuard, SliceWriteGuard,
};
pub use shm_box::{BoxOptions, ShmBox};
pub use shm_cell::{CellOptions, ShmCell};
pub use shm_list::{ListIter, ListOptions, ShmList, ValueKind};
pub use vec::{Appender, FollowUntil, Followed, Follower, ShmVec, VecIter, VecOptions};
