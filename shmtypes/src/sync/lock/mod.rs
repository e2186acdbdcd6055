//! Locks.
pub(crate) mod exclusive;
pub(crate) mod shared;
pub(crate) mod word;
#[cfg(test)]
mod model_tests;
