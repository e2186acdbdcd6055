//! A walk over all values in order.
//!
//! Where one slot ends, the next one starts, so that each offset is fetched once.

use super::layout::Geometry;
use super::slot::{Local, Places, read};
use super::{ListError, Text};
use crate::memory::Memory;
use crate::value::ValueRef;

/// The start of a slot that nobody has judged: no slot ends behind it.
const UNKNOWN: u64 = u64::MAX;

/// Kinds that have loops of their own.
#[derive(Clone, Copy)]
enum Run {
    Numbers,
    Texts,
    None,
}

impl Run {
    #[inline(always)]
    fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Int(_) | ValueRef::Float(_) => Self::Numbers,
            ValueRef::Str(_) => Self::Texts,
            _ => Self::None,
        }
    }
}

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
        let mut before = Run::None;
        while self.index < self.geometry.len {
            let mut now = Run::None;
            let visit_any = |index, value: ValueRef<'_>| {
                now = Run::of(value);
                visit(index, value)
            };
            self.any(&mut scratch, visit_any, &mut again)?;
            // A run of values of one kind has a loop to itself: what others need would take the registers.
            match (before, now) {
                (Run::Numbers, Run::Numbers) => {
                    while let Some(visited) =
                        self.one(|places, memory, index| places.number(memory, |value| visit(index, value)))
                    {
                        visited?;
                    }
                }
                (Run::Texts, Run::Texts) => {
                    let text = self.text;
                    while let Some(visited) = self.one(|places, memory, index| {
                        places.text(memory, text, &mut scratch, |value| visit(index, value))
                    }) {
                        visited?;
                    }
                }
                _ => {}
            }
            before = now;
        }
        Ok(())
    }

    /// Visits the next value by `look`, if there is one and all is as usual.
    #[inline(always)]
    fn one<R>(&mut self, look: impl FnOnce(Places, &M, usize) -> Option<R>) -> Option<R> {
        let index = self.index;
        if index >= self.geometry.len {
            return None;
        }
        let slot = self.geometry.good_slot_by_offsets(self.memory, index, self.start)?;
        let visited = look(Places::new(self.geometry, index, slot), self.memory, index)?;
        self.start = self.geometry.start_behind(slot);
        self.index = index + 1;
        Some(visited)
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
