//! The guard against truncation.
//!
//! | file | holds |
//! |---|---|
//! | `ranges` | the mappings of this process, and what was found missing in them |
//! | `handler` | the handler of SIGBUS |

mod handler;
mod ranges;

pub(crate) use handler::{install, note_unreachable};
pub(crate) use ranges::{Registration, Watch};
