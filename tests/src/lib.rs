//! What the integration tests share: properties over arbitrary bytes, scratch names, peer processes and changed worlds.

pub mod cells;
pub mod folder;
pub mod life;
pub mod locks;
pub mod manager_props;
pub mod peer;
pub mod props;
pub mod python;
pub mod scratch;
pub mod shm_lists;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub mod single_step;
pub mod stores;
pub mod tour;
pub mod trace;
pub mod vecs;
pub mod words;
pub mod world;

/// The programs in README.md, compiled, and run where they say nothing else.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
