//! A walk over all values in order.
//!
//! Where one slot ends, the next one starts, so that each offset is fetched once.

use super::layout::{Geometry, WORD};
use super::slot::{Local, Places, read};
use super::{ListError, Text};
use crate::memory::Memory;
use crate::value::ValueRef;

/// The start of a slot that nobody has judged: no slot ends behind it.
const UNKNOWN: u64 = u64::MAX;

pub(super) struct Pass<'a, M: ?Sized> {
    memory: &'a M,
    geometry: &'a Geometry,
    text: Text,
    /// The next value, and where its slot starts.
    index: usize,
    start: u64,
}

impl<'a, M: Memory + ?Sized> Pass<'a, M> {
    #[inline(always)]
    pub(super) fn new(memory: &'a M, geometry: &'a Geometry, text: Text) -> Self {
        Self { memory, geometry, text, index: 0, start: UNKNOWN }
    }

    /// Visits every value.
    #[inline(always)]
    pub(super) fn run<E: From<ListError>>(
        mut self,
        mut visit: impl FnMut(usize, ValueRef<'_>) -> Result<(), E>,
        mut again: impl FnMut() -> bool,
    ) -> Result<(), E> {
        let mut scratch = Local::new();
        let mut last_two = [false; 2];
        while self.index < self.geometry.len {
            let mut is_number = false;
            let visit_any = |index, value: ValueRef<'_>| {
                is_number = matches!(value, ValueRef::Int(_) | ValueRef::Float(_));
                visit(index, value)
            };
            self.any(&mut scratch, visit_any, &mut again)?;
            last_two = [last_two[1], is_number];
            if last_two != [true; 2] {
                continue;
            }
            // A run of numbers has a loop to itself: what other values need would take the registers.
            while let Some(visited) = self.number(&mut visit) {
                visited?;
            }
        }
        Ok(())
    }

    /// Visits the next value if it is an integer or a float that stands still, and all is as usual.
    #[inline(always)]
    fn number<R>(&mut self, visit: &mut impl FnMut(usize, ValueRef<'_>) -> R) -> Option<R> {
        let index = self.index;
        if index >= self.geometry.len {
            return None;
        }
        let slot = self.geometry.good_slot_by_offsets(self.memory, index, self.start)?;
        if slot.bytes < WORD {
            return None;
        }
        Places::new(self.geometry, index, slot).number(self.memory, |value| {
            self.start = self.geometry.start_behind(slot);
            self.index = index + 1;
            visit(index, value)
        })
    }

    /// Visits the next value, whatever it is.
    #[inline(always)]
    fn any<E: From<ListError>>(
        &mut self,
        scratch: &mut Local,
        mut visit: impl FnMut(usize, ValueRef<'_>) -> Result<(), E>,
        again: &mut impl FnMut() -> bool,
    ) -> Result<(), E> {
        let index = self.index;
        let slot = match self.start {
            UNKNOWN => self.geometry.good_slot(self.memory, index),
            start => self.geometry.good_slot_from(self.memory, index, start),
        };
        self.start = slot.map_or(UNKNOWN, |slot| self.geometry.start_behind(slot));
        self.index = index + 1;
        read(
            self.memory,
            self.geometry,
            index,
            slot,
            self.text,
            scratch,
            again,
            |value| visit(index, value),
            |error| Err(error.into()),
        )
    }
}
