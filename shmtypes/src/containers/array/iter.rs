//! Iteration over copies of the elements.

use super::ShmArray;
use crate::error::Result;
use crate::layout::{AccessMode, ReadWrite, ShmLayout, ShmValue};
use crate::segment::elements::Elements;
use core::iter::FusedIterator;

/// Copies of the elements, in order. Made by [`Elements::iter`].
#[derive(Debug)]
pub struct Iter<'a, T, M = ReadWrite>
where
    T: ShmLayout,
    M: AccessMode,
{
    elements: &'a Elements<T, M>,
    next: usize,
    end: usize,
}

impl<T: ShmLayout, M: AccessMode> Elements<T, M> {
    /// Copies of the elements, one after the other. For speed use [`fold_blocks`](Self::fold_blocks).
    ///
    /// Each item is an `Err` if a peer left bytes there that are no `T`.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, T, M>
    where
        T: ShmValue,
    {
        Iter { elements: self, next: 0, end: self.len() }
    }
}

impl<T: ShmValue, M: AccessMode> Iterator for Iter<'_, T, M> {
    type Item = Result<T>;

    #[inline]
    fn next(&mut self) -> Option<Result<T>> {
        if self.next == self.end {
            return None;
        }
        self.next += 1;
        Some(self.elements.get(self.next - 1))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl<T: ShmValue, M: AccessMode> DoubleEndedIterator for Iter<'_, T, M> {
    #[inline]
    fn next_back(&mut self) -> Option<Result<T>> {
        if self.next == self.end {
            return None;
        }
        self.end -= 1;
        Some(self.elements.get(self.end))
    }
}

impl<T: ShmValue, M: AccessMode> ExactSizeIterator for Iter<'_, T, M> {}
impl<T: ShmValue, M: AccessMode> FusedIterator for Iter<'_, T, M> {}

impl<'a, T: ShmValue, M: AccessMode> IntoIterator for &'a ShmArray<T, M> {
    type Item = Result<T>;
    type IntoIter = Iter<'a, T, M>;

    fn into_iter(self) -> Iter<'a, T, M> {
        self.iter()
    }
}

impl<'a, T: ShmValue, M: AccessMode> IntoIterator for &'a Elements<T, M> {
    type Item = Result<T>;
    type IntoIter = Iter<'a, T, M>;

    fn into_iter(self) -> Iter<'a, T, M> {
        self.iter()
    }
}
