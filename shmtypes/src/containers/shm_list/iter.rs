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
}

impl<'a, M: AccessMode> ListIter<'a, M> {
    pub(super) fn new(list: &'a ShmList<M>) -> Self {
        Self { list, next: 0, end: list.len() }
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
        Some(self.list.value_at(self.next - 1))
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
        Some(self.list.value_at(self.end))
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
