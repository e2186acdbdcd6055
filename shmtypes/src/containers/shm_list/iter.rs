//! Iteration over copies of the values.

use super::ShmList;
use crate::error::Result;
use crate::layout::{AccessMode, ReadWrite};
use core::iter::FusedIterator;
use shmtypes_compat::Value;

/// Copies of the values of a list, in order. Made by [`ShmList::iter`].
#[derive(Debug)]
pub struct ListIter<'a, M: AccessMode = ReadWrite> {
    list: &'a ShmList<M>,
    next: usize,
    end: usize,
    /// How many bytes the remaining values may have.
    room: usize,
}

impl<'a, M: AccessMode> ListIter<'a, M> {
    pub(super) fn new(list: &'a ShmList<M>) -> Self {
        Self { list, next: 0, end: list.len(), room: list.room() }
    }

    fn value_at(&mut self, position: usize) -> Result<Value> {
        if self.room == 0 {
            // Nothing is copied any more.
            self.list.charge(&mut self.room, 1, position)?;
        }
        let value = self.list.value_at(position)?;
        let bytes = match &value {
            Value::Str(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        self.list.charge(&mut self.room, bytes, position)?;
        Ok(value)
    }
}

impl<M: AccessMode> Iterator for ListIter<'_, M> {
    type Item = Result<Value>;

    #[inline]
    fn next(&mut self) -> Option<Result<Value>> {
        if self.next == self.end {
            return None;
        }
        self.next += 1;
        Some(self.value_at(self.next - 1))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl<M: AccessMode> DoubleEndedIterator for ListIter<'_, M> {
    #[inline]
    fn next_back(&mut self) -> Option<Result<Value>> {
        if self.next == self.end {
            return None;
        }
        self.end -= 1;
        Some(self.value_at(self.end))
    }
}

impl<M: AccessMode> ExactSizeIterator for ListIter<'_, M> {}
impl<M: AccessMode> FusedIterator for ListIter<'_, M> {}

impl<'a, M: AccessMode> IntoIterator for &'a ShmList<M> {
    type Item = Result<Value>;
    type IntoIter = ListIter<'a, M>;

    fn into_iter(self) -> ListIter<'a, M> {
        self.iter()
    }
}
