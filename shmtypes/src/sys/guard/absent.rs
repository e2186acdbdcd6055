//! No guard: nobody looks for truncations, and nothing is compiled of it.
#![allow(dead_code, reason = "without the feature nobody installs, and on the heap nobody faults")]

use super::super::{Access, Failure};
use crate::error::Result;
use nix::errno::Errno;

#[derive(Debug)]
pub(crate) struct Registration;

impl Registration {
    pub(crate) fn new(_: *const u8, _: usize, _: Access) -> Self {
        Self
    }

    pub(crate) fn watch(&self) -> Watch {
        Watch
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch;

impl Watch {
    #[inline(always)]
    pub(crate) fn check(self) -> Result<()> {
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn check_stored(self) -> Result<()> {
        Ok(())
    }
}

pub(crate) fn note_unreachable(_: *const u32) {}

pub(crate) fn install() -> Result<(), Failure> {
    Err(Failure { operation: "a guard against truncation", errno: Errno::ENOSYS })
}
