//! Reading what is in sight.

use super::ShmVec;
use super::control::Parts;
use super::publication::{self, State};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, ReadWrite, ShmLayout, ShmValue};
use core::iter::FusedIterator;
use std::time::{Duration, Instant};

/// How often one element is copied again that was truncated meanwhile.
const ATTEMPTS: u32 = 1_000;

/// How often more of them are copied again whatever time that takes, and for how long else.
const LONG_ATTEMPTS: u32 = 10;
const LONG_PATIENCE: Duration = Duration::from_secs(1);

/// How often bytes that are no value are read again.
const INVALID_ATTEMPTS: u32 = 100;

/// Reads again what is no value: an appender may be just storing it in place, so that half of it is old.
#[inline(always)]
pub(super) fn settled<R>(mut read: impl FnMut() -> Result<R>) -> Result<R> {
    match read() {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidValue { .. }) => settle(read, error),
        outcome => outcome,
    }
}

#[cold]
fn settle<R>(mut read: impl FnMut() -> Result<R>, mut invalid: Error) -> Result<R> {
    for attempt in 0..INVALID_ATTEMPTS {
        if attempt % 10 == 9 {
            std::thread::yield_now();
        } else {
            core::hint::spin_loop();
        }
        match read() {
            Err(error) if matches!(error.kind(), ErrorKind::InvalidValue { .. }) => invalid = error,
            outcome => return outcome,
        }
    }
    Err(invalid)
}

/// Reading. Every call copies out what is in sight at one instant; [`ErrorKind::Busy`] if the vector was truncated during each of
/// 1,000 attempts, or for a second.
impl<T: ShmLayout, M: AccessMode> ShmVec<T, M> {
    /// The number of elements in sight.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().len(self.capacity())
    }

    /// Whether no element is in sight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of elements that there is room for.
    #[inline(always)]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.elements.count()
    }

    #[inline(always)]
    pub(super) fn state(&self) -> State {
        publication::look(self.elements.block().state())
    }

    /// Copies element `index` out.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`]; [`ErrorKind::InvalidValue`] if a peer left bytes there that are no `T`.
    #[inline]
    pub fn get(&self, index: usize) -> Result<T>
    where
        T: ShmValue,
    {
        let mut left = ATTEMPTS;
        let go_on = || {
            left -= 1;
            left > 0
        };
        let read = publication::read(self.elements.block().state(), go_on, |state| {
            let len = state.len(self.capacity());
            if index < len { settled(|| self.elements.get(index)) } else { Err(Error::out_of_range(index, len)) }
        });
        match read {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(self.named(error)),
            None => Err(self.busy()),
        }
    }

    /// Copies the last element in sight out; `None` if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] if a peer left bytes there that are no `T`.
    #[inline]
    pub fn last(&self) -> Result<Option<T>>
    where
        T: ShmValue,
    {
        self.read_many(|len| match len.checked_sub(1) {
            Some(last) => settled(|| self.elements.get(last)).map(Some),
            None => self.elements.whole(Ok(None)),
        })
    }

    /// Copies all elements in sight out.
    ///
    /// Appending does not disturb it. If the vector is truncated during the copy, the copy is made again: up to 10 times, and
    /// then up to 1,000 times as long as a second has not passed. Bytes that are no `T`, which an appender may be just storing in place,
    /// are read again up to 100 times.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] if truncations were faster each time; [`ErrorKind::InvalidValue`];
    /// [`ErrorKind::NoAddressSpace`] if there is no memory for so many;
    /// [`ErrorKind::Strided`] if the segment's type has further fields.
    pub fn snapshot(&self) -> Result<Vec<T>>
    where
        T: ShmValue,
    {
        self.read_many(|len| settled(|| self.elements.copy_range(0, len)))
    }

    /// Copies the elements from `start` on out, as many as `target` has. `target` changes only if all are there and
    /// valid, or the vector was truncated meanwhile.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] unless all are in sight, and as [`snapshot`](Self::snapshot).
    pub fn copy_to_slice(&self, start: usize, target: &mut [T]) -> Result<()>
    where
        T: ShmValue,
    {
        self.read_many(|len| match start.checked_add(target.len()) {
            Some(end) if end <= len => settled(|| self.elements.copy_out_checked(start, target)),
            end => Err(Error::out_of_range(end.unwrap_or(usize::MAX), len)),
        })
    }

    fn read_many<R>(&self, mut copy: impl FnMut(usize) -> Result<R>) -> Result<R> {
        let (mut attempts, mut start) = (0, None);
        let go_on = || {
            attempts += 1;
            let start = start.get_or_insert_with(Instant::now);
            attempts < ATTEMPTS && (attempts < LONG_ATTEMPTS || start.elapsed() < LONG_PATIENCE)
        };
        let read = publication::read(self.elements.block().state(), go_on, |state| copy(state.len(self.capacity())));
        read.unwrap_or_else(|| Err(self.busy())).map_err(|error| self.named(error))
    }

    /// The error of an access.
    #[cold]
    pub(super) fn named(&self, error: Error) -> Error {
        self.elements.truncation_or(error).on(self.name())
    }

    /// What was read, unless a peer had truncated the file by then.
    #[inline(always)]
    pub(super) fn whole<R>(&self, read: R) -> Result<R> {
        self.elements.whole(Ok(read)).map_err(|error| self.named(error))
    }

    #[cold]
    fn busy(&self) -> Error {
        self.named(Error::new(ErrorKind::Busy))
    }

    /// Copies of the elements that are in sight now, one after the other. All are of one time: if the vector is truncated
    /// before the last one, the iterator ends there. `iter().rev()` begins with the newest.
    ///
    /// Each item is an `Err` if a peer left bytes there that are no `T`.
    pub fn iter(&self) -> VecIter<'_, T, M>
    where
        T: ShmValue,
    {
        let known = self.state();
        let end = match self.elements.check_whole() {
            Ok(()) => known.len(self.capacity()),
            // To be told by the first item.
            Err(_) => self.capacity().min(1),
        };
        VecIter { vec: self, known, next: 0, end }
    }
}

/// Copies of the elements, in order or from the last one on. Made by [`ShmVec::iter`].
///
/// A clone goes on at the same places, over the same elements.
#[derive(Debug)]
pub struct VecIter<'a, T: ShmLayout, M: AccessMode = ReadWrite> {
    vec: &'a ShmVec<T, M>,
    known: State,
    next: usize,
    end: usize,
}

impl<T: ShmLayout, M: AccessMode> Clone for VecIter<'_, T, M> {
    fn clone(&self) -> Self {
        Self { vec: self.vec, known: self.known, next: self.next, end: self.end }
    }
}

impl<T: ShmValue, M: AccessMode> VecIter<'_, T, M> {
    /// A copy of an element, unless the vector was truncated since the iteration began, which ends it.
    #[inline(always)]
    fn copy(&mut self, index: usize) -> Option<Result<T>> {
        let item = settled(|| self.vec.elements.get(index));
        if publication::look_again(self.vec.elements.block().state(), self.known).is_err() {
            self.end = self.next;
            return self.vec.elements.check_whole().err().map(|error| Err(self.vec.named(error)));
        }
        Some(item.map_err(|error| self.vec.named(error)))
    }
}

impl<T: ShmValue, M: AccessMode> Iterator for VecIter<'_, T, M> {
    type Item = Result<T>;

    #[inline]
    fn next(&mut self) -> Option<Result<T>> {
        if self.next == self.end {
            return None;
        }
        let item = self.copy(self.next)?;
        // Not beyond the end, which is here if the segment was found truncated.
        self.next = self.end.min(self.next + 1);
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.end - self.next))
    }
}

impl<T: ShmValue, M: AccessMode> DoubleEndedIterator for VecIter<'_, T, M> {
    #[inline]
    fn next_back(&mut self) -> Option<Result<T>> {
        if self.next == self.end {
            return None;
        }
        let item = self.copy(self.end - 1)?;
        self.end = self.next.max(self.end.saturating_sub(1));
        Some(item)
    }
}

impl<T: ShmValue, M: AccessMode> FusedIterator for VecIter<'_, T, M> {}

impl<'a, T: ShmValue, M: AccessMode> IntoIterator for &'a ShmVec<T, M> {
    type Item = Result<T>;
    type IntoIter = VecIter<'a, T, M>;

    fn into_iter(self) -> VecIter<'a, T, M> {
        self.iter()
    }
}
