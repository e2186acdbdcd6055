//! Locks.
pub(crate) mod exclusive;
#[cfg(test)]
mod model_tests;
pub(crate) mod shared;
pub(crate) mod word;
