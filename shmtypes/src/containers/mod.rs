//! The containers.
//!
//! | type | length | element | who writes | after a writer's kill -9 |
//! |---|---|---|---|---|
//! | [`ShmArray`] | fixed, one or more dimensions, all initialised | one [`ShmLayout`](crate::ShmLayout) type | anyone: element stores, bulk copies | at most the range being copied is torn |

mod array;

pub use array::{ArrayOptions, Iter, Number, ShmArray};
