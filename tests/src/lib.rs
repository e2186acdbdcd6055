//! What the tests share.

pub mod props;
