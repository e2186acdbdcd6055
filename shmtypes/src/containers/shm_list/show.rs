//! A list as Python's `repr` shows one.

use super::ShmList;
use crate::error::{ErrorKind, Result};
use crate::layout::AccessMode;
use core::fmt;
use core::time::Duration;
use shmtypes_compat::{ListError, ValueRef, repr};

/// How many unreadable values are shown, so that a peer cannot make a line of a log endless.
const UNREADABLE_SHOWN: usize = 100;

impl<M: AccessMode> ShmList<M> {
    fn write_values(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        let (mut scratch, mut room) = (Vec::new(), self.room());
        // For one value: a list of values that somebody keeps from being read would be waited for once per value.
        let mut patient = true;
        let mut unreadable = 0;
        for index in 0..self.len() {
            if index > 0 {
                f.write_str(", ")?;
            }
            match self.value_to_show(index, patient, &mut room, &mut scratch) {
                Ok(value) => write!(f, "{value}")?,
                // Python's repr raises here; a `Display` cannot.
                Err(_) if unreadable == UNREADABLE_SHOWN => {
                    write!(f, "<{} more, of which not all are readable>", self.len() - index)?;
                    break;
                }
                Err(error) => {
                    patient &= !matches!(error.kind(), ErrorKind::List(ListError::Busy { .. }));
                    unreadable += 1;
                    write!(f, "<{}>", error.kind())?;
                }
            }
        }
        f.write_str("]")
    }

    fn value_to_show<'s>(
        &self,
        index: usize,
        patient: bool,
        room: &mut usize,
        scratch: &'s mut Vec<u8>,
    ) -> Result<ValueRef<'s>> {
        let slot = self.slot(index)?;
        let slot = if patient { slot } else { slot.within(Duration::ZERO) };
        let value = self.words.whole(slot.get_ref(index, scratch))?;
        let bytes = match value {
            ValueRef::Str(text) => text.len(),
            ValueRef::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        self.charge(room, bytes, index)?;
        Ok(value)
    }
}

/// As Python's `repr(list(sl))`. In place of a value that cannot be read stands why, for the first 100 of them.
impl<M: AccessMode> fmt::Display for ShmList<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_values(f)
    }
}

/// As Python's `repr(sl)` of a `ShareableList`.
impl<M: AccessMode> fmt::Debug for ShmList<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShmList(")?;
        self.write_values(f)?;
        f.write_str(", name=")?;
        repr::write_str(f, self.name())?;
        f.write_str(")")
    }
}
