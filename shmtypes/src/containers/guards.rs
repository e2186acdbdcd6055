//! The guards of locked arrays as what a `LockError` may have inside.

use super::{LockedReadGuard, LockedWriteGuard, SliceReadGuard, SliceWriteGuard};
use crate::layout::{ShmLayout, ShmPod};
use crate::participants::Participant;
use crate::sync::{InSegment, LockGuard};
use core::ops::Deref;

impl<T: ShmLayout> InSegment for LockedReadGuard<'_, T> {
    fn segment(&self) -> Option<&str> {
        self.deref().participant().map(Participant::segment)
    }
}
impl<T: ShmLayout> LockGuard for LockedReadGuard<'_, T> {}

impl<T: ShmLayout> InSegment for LockedWriteGuard<'_, T> {
    fn segment(&self) -> Option<&str> {
        self.deref().participant().map(Participant::segment)
    }
}
impl<T: ShmLayout> LockGuard for LockedWriteGuard<'_, T> {}

impl<T: ShmPod> InSegment for SliceReadGuard<'_, T> {
    fn segment(&self) -> Option<&str> {
        self.segment()
    }
}
impl<T: ShmPod> LockGuard for SliceReadGuard<'_, T> {}

impl<T: ShmPod> InSegment for SliceWriteGuard<'_, T> {
    fn segment(&self) -> Option<&str> {
        self.segment()
    }
}
impl<T: ShmPod> LockGuard for SliceWriteGuard<'_, T> {}
