//! Storing, under the lock of the slot.

use super::ShmList;
use super::record::{Encoded, Slot};
use super::turn::Turn;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, Writable};
use crate::sync::Deadline;
use crate::sync::lock::waiting::Waiting;
use shmtypes_compat::list::AsValue;
use shmtypes_compat::{Value, ValueRef};
use std::time::Duration;

/// How long whoever holds a slot may go on reading it: no legitimate writer is in the way then.
fn time_left(waiting: Waiting) -> Duration {
    match waiting {
        Waiting::Not => Duration::ZERO,
        Waiting::AtMost(time) => time.unwrap_or(Duration::MAX),
        Waiting::Until(deadline) => deadline.remaining().unwrap_or(Duration::MAX),
    }
}

/// Storing. Needs a handle that may write.
impl<M: AccessMode> ShmList<M> {
    /// Stores a value, of whatever kind. Negative indices count from the end.
    ///
    /// Waits for other writers of the same slot as long as the [lock timeout](super::ListOptions::lock_timeout) says, and never for
    /// readers. Wakes nobody: see [`notify`](Self::notify).
    ///
    /// # Errors
    /// [`ListError::OutOfRange`](crate::compat::ListError::OutOfRange), and
    /// [`ListError::ExceedsStorage`](crate::compat::ListError::ExceedsStorage), which says how many bytes the value needs and
    /// the slot takes, as [`ErrorKind::List`]; [`ErrorKind::LockTimedOut`], which names the writer that is in the way. Then
    /// nothing was changed.
    #[inline]
    pub fn set(&self, index: isize, value: impl AsValue) -> Result<()>
    where
        M: Writable,
    {
        self.put(index, value.as_value(), self.patience())
    }

    /// Stores a value without owning its text.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    #[inline]
    pub fn set_ref(&self, index: isize, value: ValueRef<'_>) -> Result<()>
    where
        M: Writable,
    {
        self.put(index, value, self.patience())
    }

    /// Stores a value if no other writer is at the slot.
    ///
    /// # Errors
    /// [`ErrorKind::LockHeld`], and as [`set`](Self::set).
    pub fn try_set(&self, index: isize, value: impl AsValue) -> Result<()>
    where
        M: Writable,
    {
        self.put(index, value.as_value(), Waiting::Not)
    }

    /// Stores a value, and waits for other writers of the slot until a deadline.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_until(&self, index: isize, value: impl AsValue, deadline: impl Into<Deadline>) -> Result<()>
    where
        M: Writable,
    {
        self.put(index, value.as_value(), Waiting::Until(deadline.into()))
    }

    /// Replaces a value by what `change` makes of it. No other writer comes between, so that nothing is lost that others
    /// stored. If `change` panics, nothing is changed.
    ///
    /// A store into the same slot inside `change` waits for itself, and fails at its deadline. Before `change` is called, the value is
    /// copied; no writer comes between, but a hostile peer can keep the copy from succeeding, and other writers waiting meanwhile:
    /// for a second at most, and no longer than the [lock timeout](super::ListOptions::lock_timeout). For
    /// [`update_until`](Self::update_until) it is the deadline, and [`try_update`](Self::try_update) copies only once.
    ///
    /// ```
    /// use shmtypes::ShmList;
    /// use shmtypes::compat::Value;
    ///
    /// let list = ShmList::options().slot_capacity(16).create(["a"])?;
    /// list.update(0, |value| format!("{value} and more"))?;
    /// assert_eq!(list.get(0)?, Value::from("'a' and more"));
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`set`](Self::set) and [`get`](Self::get).
    pub fn update<V: AsValue>(&self, index: isize, change: impl FnOnce(Value) -> V) -> Result<()>
    where
        M: Writable,
    {
        self.change(index, change, self.patience())
    }

    /// As [`update`](Self::update), if no other writer is at the slot.
    ///
    /// # Errors
    /// [`ErrorKind::LockHeld`], and as [`update`](Self::update).
    pub fn try_update<V: AsValue>(&self, index: isize, change: impl FnOnce(Value) -> V) -> Result<()>
    where
        M: Writable,
    {
        self.change(index, change, Waiting::Not)
    }

    /// As [`update`](Self::update), and waits for other writers of the slot until a deadline.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn update_until<V: AsValue>(
        &self,
        index: isize,
        change: impl FnOnce(Value) -> V,
        deadline: impl Into<Deadline>,
    ) -> Result<()>
    where
        M: Writable,
    {
        self.change(index, change, Waiting::Until(deadline.into()))
    }

    /// Adds to an integer, wrapping around at 64 bits, and returns what it was before.
    ///
    /// # Errors
    /// [`ErrorKind::WrongKind`] if the value is no integer (a `bool` is none); else as [`set`](Self::set).
    pub fn fetch_add(&self, index: isize, summand: i64) -> Result<i64>
    where
        M: Writable,
    {
        self.change_int(index, |int| Some(int.wrapping_add(summand)))
    }

    /// Replaces an integer by `new` if it is `current`. The inner result is what was there: `Ok` if it was replaced.
    ///
    /// ```
    /// use shmtypes::ShmList;
    ///
    /// let list = ShmList::create([5])?;
    /// assert_eq!(list.compare_exchange(0, 5, 6)?, Ok(5));
    /// assert_eq!(list.compare_exchange(0, 5, 7)?, Err(6));
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`fetch_add`](Self::fetch_add).
    pub fn compare_exchange(&self, index: isize, current: i64, new: i64) -> Result<Result<i64, i64>>
    where
        M: Writable,
    {
        let found = self.change_int(index, |int| (int == current).then_some(new))?;
        Ok(if found == current { Ok(found) } else { Err(found) })
    }

    #[inline(always)]
    fn patience(&self) -> Waiting {
        Waiting::AtMost(self.lock_timeout)
    }

    #[inline(always)]
    fn put(&self, index: isize, value: ValueRef<'_>, waiting: Waiting) -> Result<()>
    where
        M: Writable,
    {
        let store = |slot: Slot<'_, M>| {
            let value = Encoded::new(value);
            slot.check_fits(&value)?;
            let turn = Turn::take(slot.lock_word(), waiting)?;
            slot.store(value);
            drop(turn);
            self.words.check_whole()
        };
        self.position(index).and_then(|position| self.slot(position)).and_then(store).map_err(|error| self.named(error))
    }

    fn change<V: AsValue>(&self, index: isize, change: impl FnOnce(Value) -> V, waiting: Waiting) -> Result<()>
    where
        M: Writable,
    {
        let change = |position: usize| {
            let slot = self.slot(position)?;
            let turn = Turn::take(slot.lock_word(), waiting)?;
            let value = slot.within(time_left(waiting)).get(position)?;
            self.words.check_whole()?;
            let changed = change(value);
            let value = Encoded::new(changed.as_value());
            // After all that is the caller's code.
            if !turn.is_mine() {
                // The parent goes on with its own copy.
                return Err(Error::not_the_child_s());
            }
            slot.check_fits(&value)?;
            slot.store(value);
            self.words.check_whole()
        };
        self.position(index).and_then(change).map_err(|error| self.named(error))
    }

    /// Replaces an integer, if `change` says by what, and returns what was there.
    fn change_int(&self, index: isize, change: impl FnOnce(i64) -> Option<i64>) -> Result<i64>
    where
        M: Writable,
    {
        let change = |position: usize| {
            let waiting = self.patience();
            let slot = self.slot(position)?.within(time_left(waiting));
            let turn = Turn::take(slot.lock_word(), waiting)?;
            let Some(int) = slot.glance(position)?.int() else {
                let found = slot.kind(position)?.name();
                return Err(Error::new(ErrorKind::WrongKind { index: position, found, expected: "int" }));
            };
            if let Some(new) = change(int) {
                slot.store(Encoded::new(ValueRef::Int(new)));
            }
            drop(turn);
            self.words.whole(Ok(int))
        };
        self.position(index).and_then(change).map_err(|error| self.named(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn who_holds_a_slot_reads_no_longer_than_the_caller_would_wait() {
        let short = Duration::from_millis(5);
        assert_eq!(time_left(Waiting::Not), Duration::ZERO);
        assert_eq!(time_left(Waiting::AtMost(Some(short))), short);
        assert_eq!(time_left(Waiting::AtMost(None)), Duration::MAX);
        assert_eq!(time_left(Waiting::Until(Instant::now().into())), Duration::ZERO);
        assert_eq!(time_left(Waiting::Until(Deadline::NEVER)), Duration::MAX);
    }
}
