//! Values behind a lock or in a cell: where the value stands in `ShmMutex`, `ShmRwLock` and `SeqCell`.
//!
//! ```text
//! ShmMutex<T>      { lock: u64, value: T }
//! ShmRwLock<T>     { lock: u64, readers: [u64; 64], value: T }
//! SeqCell<T, K>    { lock: u64, current: u64, changed: u32, reserved: u32, buffers: [Buffer; K] }
//! Buffer           { version: u64, value: T }
//! ```
//!
//! All `repr(C)`; the numbers are aligned to their size. The value has its own alignment, so there may be gaps before
//! and behind it: the only bytes of a layout that belong to no field. They are zero in a segment and never written.

use super::{Kind, Schema, ShmLayout};
use core::mem::{align_of, size_of};

/// What stands between a value and those who use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Guard {
    /// A mutex.
    Mutex,
    /// A reader-writer lock.
    RwLock,
    /// A sequence cell, whose value is always whole.
    Cell {
        /// How many copies of the value there is room for, 2 to 64.
        buffers: usize,
    },
}

/// The lock words and the version are atomics, which are aligned to their size also where a `u64` is not.
const WORD: usize = 8;

/// How many words of a reader-writer lock name its readers.
pub(crate) const READERS: usize = 64;

/// Lock, count of stores, question of who waits for one, reserved.
const CELL_HEAD: usize = 24;

/// Where the parts of a guarded type stand: a head, and behind it copies of the value, each with a front of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) size: usize,
    pub(crate) align: usize,
    /// The length of what stands once, before the copies.
    head: usize,
    /// Where the first copy starts.
    pub(crate) copies: usize,
    /// How many copies there are.
    count: usize,
    /// From one copy to the next.
    pub(crate) stride: usize,
    /// The length of what stands before the value in each copy.
    front: usize,
    /// Where the value starts in its copy.
    pub(crate) value: usize,
}

impl Guard {
    /// The rules of `repr(C)` for a value of this size and alignment; `None` if that is too large to be addressed, or if
    /// there are no such guards. The numbers may be anything.
    pub(crate) const fn geometry(self, value_size: usize, value_align: usize) -> Option<Geometry> {
        let (head, front, count) = match self {
            Self::Mutex => (0, WORD, 1),
            Self::RwLock => (0, WORD + WORD * READERS, 1),
            Self::Cell { buffers: buffers @ 2..=64 } => (CELL_HEAD, WORD, buffers),
            Self::Cell { .. } => return None,
        };
        let align = if value_align > WORD { value_align } else { WORD };
        let Some(copies) = head.checked_next_multiple_of(align) else { return None };
        let Some(value) = front.checked_next_multiple_of(value_align) else { return None };
        let Some(end) = value.checked_add(value_size) else { return None };
        let Some(stride) = end.checked_next_multiple_of(align) else { return None };
        let Some(bytes) = stride.checked_mul(count) else { return None };
        match copies.checked_add(bytes) {
            Some(size) if size <= isize::MAX as usize => {
                Some(Geometry { size, align, head, copies, count, stride, front, value })
            }
            _ => None,
        }
    }

    pub(super) const fn equals(self, other: Self) -> bool {
        match (self, other) {
            (Self::Mutex, Self::Mutex) | (Self::RwLock, Self::RwLock) => true,
            (Self::Cell { buffers }, Self::Cell { buffers: others }) => buffers == others,
            _ => false,
        }
    }

    /// Which copy of the value an offset lies in, and where in it.
    pub(super) fn place_in_value(self, value: &Schema, offset: usize) -> Option<(usize, usize)> {
        let geometry = self.geometry(value.size(), value.align())?;
        let offset = offset.checked_sub(geometry.copies)?;
        let inside = (offset % geometry.stride).checked_sub(geometry.value)?;
        Some((offset / geometry.stride, inside))
    }

    /// The type's name, given that of the value's type.
    pub(crate) fn type_name(self, value: &str) -> String {
        match self {
            Self::Mutex => format!("ShmMutex<{value}>"),
            Self::RwLock => format!("ShmRwLock<{value}>"),
            Self::Cell { buffers } => format!("SeqCell<{value}, {buffers}>"),
        }
    }
}

impl Schema {
    /// The layout of `Outer`, which guards a `Value`.
    ///
    /// # Panics
    /// If `Outer` has not the size and alignment that the guard's layout has: at compile time, in a constant.
    #[doc(hidden)]
    #[must_use]
    pub const fn guarded<Outer, Value: ShmLayout>(guard: Guard) -> Self {
        let value = const { &Value::SCHEMA };
        assert!(value.size() == size_of::<Value>(), "the schema describes another type");
        let geometry = geometry_of(guard, value);
        assert!(size_of::<Outer>() == geometry.size, "the type has not the size of its guard's layout");
        assert!(align_of::<Outer>() == geometry.align, "the type has not the alignment of its guard's layout");
        Self::of::<Outer>(Kind::Guarded { guard, value })
    }

    /// Whether there is a lock or a cell in the type, so that its segment needs participant slots.
    #[must_use]
    pub const fn has_locks(&self) -> bool {
        match *self.kind() {
            Kind::Guarded { .. } => true,
            Kind::Array { element, .. } => element.has_locks(),
            Kind::Struct { fields, .. } => {
                let mut index = 0;
                while index < fields.len() {
                    if fields[index].schema.has_locks() {
                        return true;
                    }
                    index += 1;
                }
                false
            }
            _ => false,
        }
    }

    /// Whether there are bytes that belong to no field. Only locks and cells have them, around their value.
    #[must_use]
    pub const fn has_gaps(&self) -> bool {
        match *self.kind() {
            Kind::Guarded { guard, value } => geometry_of(guard, value).has_gaps(value.size()) || value.has_gaps(),
            Kind::Array { element, .. } => element.has_gaps(),
            Kind::Struct { fields, .. } => {
                let mut index = 0;
                while index < fields.len() {
                    if fields[index].schema.has_gaps() {
                        return true;
                    }
                    index += 1;
                }
                false
            }
            _ => false,
        }
    }

    /// Calls `visit` with the start and the length of each run of bytes that belong to no field, in ascending order.
    pub(crate) fn for_each_gap(&self, visit: &mut dyn FnMut(usize, usize)) {
        self.visit_gaps(0, visit);
    }

    /// The gaps of a value that starts at `at`.
    fn visit_gaps(&self, at: usize, visit: &mut dyn FnMut(usize, usize)) {
        // So that a long array without gaps costs nothing.
        if !self.has_gaps() {
            return;
        }
        match *self.kind() {
            Kind::Array { element, length } => {
                for index in 0..length {
                    element.visit_gaps(at + index * element.size(), visit);
                }
            }
            Kind::Struct { fields, .. } => {
                for field in fields {
                    field.schema.visit_gaps(at + field.offset, visit);
                }
            }
            Kind::Guarded { guard, value } => geometry_of(guard, value).visit_gaps(at, value, visit),
            _ => {}
        }
    }
}

impl Geometry {
    /// Whether there are gaps, apart from those inside the value.
    const fn has_gaps(&self, value_size: usize) -> bool {
        self.head != self.copies || self.front != self.value || self.value + value_size != self.stride
    }

    fn visit_gaps(&self, at: usize, value: &Schema, visit: &mut dyn FnMut(usize, usize)) {
        let gap = |start: usize, end: usize, visit: &mut dyn FnMut(usize, usize)| {
            if start != end {
                visit(start, end - start);
            }
        };
        gap(at + self.head, at + self.copies, visit);
        for index in 0..self.count {
            let copy = at + self.copies + index * self.stride;
            gap(copy + self.front, copy + self.value, visit);
            value.visit_gaps(copy + self.value, visit);
            gap(copy + self.value + value.size(), copy + self.stride, visit);
        }
    }
}

const fn geometry_of(guard: Guard, value: &Schema) -> Geometry {
    match guard.geometry(value.size(), value.align()) {
        Some(geometry) => geometry,
        None => panic!("there is no such guard: a cell has 2 to 64 buffers, and all of it can be addressed"),
    }
}

#[cfg(test)]
#[path = "guarded_tests.rs"]
pub(crate) mod tests;
