//! A fixed number of values of several kinds, each replaced as a whole and read whole.
//!
//! ```text
//! header | schema | mutable block (event; slots) | one record of 64 bytes per value | two areas per value
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `kind` | the kinds of values |
//! | `record` | a slot in shared memory, and the protocol on it |
//! | `turn` | the lock of its writers |
//! | `write` | storing |
//! | `options` | creating and opening |
//! | `iter` | iteration |
//! | `show` | as Python shows it |
//!
//! The protocol is that of cells, with two buffers; its model covers it. What is different, the length that stands beside the
//! version, is one more word that the version covers.

mod iter;
mod kind;
mod options;
mod record;
mod show;
mod turn;
mod write;

pub use iter::ListIter;
pub use kind::ValueKind;
pub use options::ListOptions;

use crate::error::{Error, Result};
use crate::layout::{AccessMode, ReadOnly, ReadWrite, ShmRef, Writable};
use crate::segment::attachment::Attachment;
use crate::segment::elements::Kept;
use crate::segment::{Detached, Persist};
use crate::sync::{Deadline, Seen, ShmEvent};
use core::time::Duration;
use record::{Slot, WORD};
use shmtypes_compat::list::AsValue;
use shmtypes_compat::value::Needle;
use shmtypes_compat::{ListError, Value, ValueRef};
use std::os::fd::{BorrowedFd, OwnedFd};

/// A list of fixed length in shared memory whose values change, also in kind: integers of 64 bits, floats, booleans, text,
/// bytes and `None`. What Python's `ShareableList` does, and none of its defects.
///
/// ```
/// use shmtypes::ShmList;
/// use shmtypes::compat::Value;
///
/// let list = ShmList::create([Value::from("howdy"), Value::from(1), Value::None])?;
///
/// // In another process:
/// let same = ShmList::open(list.name())?;
/// same.set(1, 2.5)?;
/// same.set(-1, "some")?;
///
/// assert_eq!(list.to_vec()?, [Value::from("howdy"), Value::from(2.5), Value::from("some")]);
/// assert_eq!(list.to_string(), "['howdy', 2.5, 'some']");
/// assert_eq!((list.count(2.5)?, list.index("some")?, list.format()?.as_str()), (1, 2, "8sd8s"));
/// let error = list.set(0, "longer than the slot").unwrap_err();
/// assert!(error.to_string().contains("20 bytes exceed the slot's 8"));
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// | | `ShmList` | [`ShareableList`](crate::compat::ShareableList) |
/// |---|---|---|
/// | a read beside writers | the value before a store or after it, of whatever kind | may be `Busy`, and in rare cases a mix |
/// | two writers of one value | one after the other; [`compare_exchange`](Self::compare_exchange), [`fetch_add`](Self::fetch_add), [`update`](Self::update) | must agree among each other |
/// | a writer that is killed | the old value or the new one | may leave `Busy` |
/// | text | exact, up to its last NUL | loses NULs at its end |
/// | Python | by conversion: [`to_shareable_list`](Self::to_shareable_list) | reads and writes it |
/// | the name | goes with the last process | by `unlink` |
///
/// How many bytes a value may have is fixed per slot when the list is made, and every slot takes a number. A list as a whole
/// is no snapshot: what [`to_vec`](Self::to_vec) copies are values of slightly different times.
///
/// A handle is cheap to clone; all clones share one attachment, and the segment ends as that of a
/// [`ShmArray`](crate::ShmArray) does. `M` says whether the handle may write.
///
/// # If a peer dies or misbehaves
///
/// A writer that is killed at any instruction leaves the old value or the new one, and the next writer of the slot goes on within
/// some 10 ms. A writer that is stopped keeps other writers of the slot waiting, until their deadline, and no reader. Readers write nothing and
/// wait for nobody; beside a peer that does nothing but store into one slot, a read of it is repeated up to several
/// thousand times before it is [`ListError::Busy`]. Nonsense written by a peer gives wrong values or an `Err`, until somebody
/// stores again, or for good where it damaged what says how large a slot is and where. A peer that truncates the file ends the
/// processes that touch it with SIGBUS, unless they [guard](crate::sigbus) against it.
pub struct ShmList<M = ReadWrite> {
    words: Kept<u64, M>,
    /// How many slots there are; their records fit into the words.
    len: usize,
    lock_timeout: Option<Duration>,
    /// Elsewhere, because an atomic in here would keep the compiler from holding the address of the words in a register.
    seen: Box<Seen>,
}

impl<M> Clone for ShmList<M> {
    fn clone(&self) -> Self {
        Self { words: self.words.clone(), len: self.len, lock_timeout: self.lock_timeout, seen: self.seen.clone() }
    }
}

impl ShmList {
    /// Everything that can be said about a list before it is created or opened.
    #[must_use]
    pub fn options() -> ListOptions {
        ListOptions::default()
    }

    /// Creates a list of these values under a fresh name. A slot takes as many bytes as its first value, rounded up to a multiple of 8,
    /// and at least 8; more by [`ListOptions::slot_capacity`].
    ///
    /// The values may be [`Value`]s, or numbers, texts or bytes of one type.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace) if the file system is too full, and the limits of the process.
    pub fn create<I>(values: I) -> Result<Self>
    where
        I: IntoIterator,
        I::Item: AsValue,
    {
        Self::options().create(values)
    }

    /// Creates a list of these values, each with the number of bytes that its slot takes, rounded up to a multiple of 8.
    ///
    /// ```
    /// use shmtypes::ShmList;
    ///
    /// let list = ShmList::create_with_capacities([("short", 100), ("as it is", 8)])?;
    /// list.set(0, "twelve times".repeat(8))?;
    /// assert_eq!((list.capacity(0)?, list.capacity(1)?), (104, 8));
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ListError::ExceedsStorage`] as [`ErrorKind::List`](crate::ErrorKind::List) if a value is longer than its slot; as
    /// [`create`](Self::create).
    pub fn create_with_capacities<V: AsValue>(slots: impl IntoIterator<Item = (V, usize)>) -> Result<Self> {
        Self::options().create_with_capacities(slots)
    }

    /// Attaches to the list of this name.
    ///
    /// # Errors
    /// As [`ShmArray::open`](crate::ShmArray::open), and [`ErrorKind::SlotsExhausted`](crate::ErrorKind::SlotsExhausted) if as many
    /// handles that may write are open as the segment has [participant slots](ListOptions::slots).
    pub fn open(name: &str) -> Result<Self> {
        Self::options().name(name).open()
    }

    /// Attaches to the list of this name for reading. Needs only read access to the file, and no participant slot.
    ///
    /// # Errors
    /// As [`ShmArray::open`](crate::ShmArray::open).
    pub fn open_read_only(name: &str) -> Result<ShmList<ReadOnly>> {
        Self::options().name(name).open_read_only()
    }

    /// Attaches to the list of this name, whatever its values are now, or creates it with these.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create); [`ErrorKind::LengthMismatch`](crate::ErrorKind::LengthMismatch) if
    /// it exists with another number of values.
    pub fn open_or_create<I>(name: &str, values: I) -> Result<Self>
    where
        I: IntoIterator,
        I::Item: AsValue,
    {
        Self::options().name(name).open_or_create(values)
    }

    /// Attaches to the list behind a descriptor, such as one of an [unnamed](ListOptions::unnamed) list that another process
    /// sent over a socket.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_fd(descriptor: OwnedFd) -> Result<Self> {
        Self::options().from_fd(descriptor)
    }
}

impl<M: AccessMode> ShmList<M> {
    /// `attachment` holds a list: its creator or the check when attaching saw to that.
    fn adopt(attachment: Attachment) -> Result<Self> {
        let header = attachment.header();
        // No truncation: the records are part of the data, which are mapped.
        let (len, lock_timeout) = (header.parameters[0] as usize, header.lock_timeout());
        Ok(Self { words: Kept::new(attachment)?, len, lock_timeout, seen: Box::default() })
    }

    /// The number of values, which never changes.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline(always)]
    fn position(&self, index: isize) -> Result<usize> {
        let from_end = if index < 0 { self.len } else { 0 };
        // Wraps for what is out of range, to a number that is, too.
        let position = from_end.wrapping_add_signed(index);
        if position < self.len { Ok(position) } else { Err(self.out_of_range(index)) }
    }

    #[cold]
    fn out_of_range(&self, index: isize) -> Error {
        ListError::OutOfRange { index, len: self.len }.into()
    }

    /// The error of an access.
    #[cold]
    fn named(&self, error: Error) -> Error {
        self.words.truncation_or(error).on(self.name())
    }

    /// The slot at a position in range.
    #[inline(always)]
    fn slot(&self, position: usize) -> Result<Slot<'_, M>> {
        Slot::new(&self.words, position, self.len)
    }

    #[inline(always)]
    fn value_at(&self, position: usize) -> Result<Value> {
        let value = self.slot(position).and_then(|slot| slot.get(position));
        self.words.whole(value).map_err(|error| self.named(error))
    }

    /// Copies a value out. Negative indices count from the end.
    ///
    /// # Errors
    /// [`ErrorKind::List`](crate::ErrorKind::List) with [`ListError::OutOfRange`]; with [`ListError::Busy`] if writers were
    /// faster than this reader some thousand times in a row; with [`ListError::NotUtf8`] or [`ListError::Corrupt`], or
    /// [`ErrorKind::InvalidValue`](crate::ErrorKind::InvalidValue), if a peer left nonsense.
    #[inline]
    pub fn get(&self, index: isize) -> Result<Value> {
        match self.position(index) {
            Ok(position) => self.value_at(position),
            Err(error) => Err(self.named(error)),
        }
    }

    /// Lends a value, its text in private memory that `scratch` keeps for the next call. Numbers need none.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline]
    pub fn get_ref<'s>(&self, index: isize, scratch: &'s mut Vec<u8>) -> Result<ValueRef<'s>> {
        let slot = |position| self.slot(position).map(|slot| (slot, position));
        match self.position(index).and_then(slot) {
            Ok((slot, position)) => {
                self.words.whole(slot.get_ref(position, scratch)).map_err(|error| self.named(error))
            }
            Err(error) => Err(self.named(error)),
        }
    }

    /// Visits every value in order. Text lies in private memory for the time of the visit; nothing is allocated per
    /// value.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn for_each(&self, mut visit: impl FnMut(usize, ValueRef<'_>)) -> Result<()> {
        let stop = self.find_map(|position, value| -> Option<()> {
            visit(position, value);
            None
        })?;
        debug_assert!(stop.is_none());
        Ok(())
    }

    /// Visits values in order until one gives something.
    #[inline(always)]
    fn find_map<R>(&self, mut visit: impl FnMut(usize, ValueRef<'_>) -> Option<R>) -> Result<Option<R>> {
        let (mut scratch, mut room) = (Vec::new(), self.room());
        for position in 0..self.len {
            let value = self.slot(position).and_then(|slot| slot.get_ref(position, &mut scratch));
            let value = value.map_err(|error| self.named(error))?;
            let bytes = match value {
                ValueRef::Str(text) => text.len(),
                ValueRef::Bytes(bytes) => bytes.len(),
                _ => 0,
            };
            self.charge(&mut room, bytes, position)?;
            if let Some(result) = visit(position, value) {
                return self.whole(Some(result));
            }
        }
        self.whole(None)
    }

    /// What was read, unless a peer had truncated the file by then.
    #[inline(always)]
    fn whole<R>(&self, read: R) -> Result<R> {
        self.words.whole(Ok(read)).map_err(|error| self.named(error))
    }

    /// Copies of the values, in order.
    #[must_use]
    pub fn iter(&self) -> ListIter<'_, M> {
        ListIter::new(self)
    }

    /// Copies of all values.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn to_vec(&self) -> Result<Vec<Value>> {
        let mut values = Vec::new();
        let no_memory = |_| Error::new(crate::ErrorKind::NoAddressSpace { needed: self.len as u64 * WORD as u64 });
        values.try_reserve_exact(self.len).map_err(no_memory)?;
        for value in self.iter() {
            values.push(value?);
        }
        Ok(values)
    }

    /// How many bytes all values can have together. Areas do not overlap, but a peer could give all slots the same large one:
    /// then a walk over all of them would take quadratic time.
    fn room(&self) -> usize {
        self.words.count() * WORD
    }

    fn charge(&self, room: &mut usize, bytes: usize, position: usize) -> Result<()> {
        match room.checked_sub(bytes) {
            Some(rest) => {
                *room = rest;
                Ok(())
            }
            None => {
                *room = 0;
                let overlap =
                    ListError::Corrupt { field: "number of an area that overlaps others", value: position as u64 };
                Err(self.named(overlap.into()))
            }
        }
    }

    /// How many values Python calls equal to `value`: `1 == True == 1.0`, and NaN equals nothing.
    ///
    /// # Errors
    /// As [`get`](Self::get), for any value.
    pub fn count<'v>(&self, value: impl Into<ValueRef<'v>>) -> Result<usize> {
        let (mut count, needle) = (0, Needle::new(value.into()));
        self.for_each(|_, other| count += usize::from(needle.is(other)))?;
        Ok(count)
    }

    /// The first position of a value that Python calls equal to `value`.
    ///
    /// # Errors
    /// [`ListError::NotFound`], where Python raises `ValueError`; as [`get`](Self::get) for the values before it.
    pub fn index<'v>(&self, value: impl Into<ValueRef<'v>>) -> Result<usize> {
        let needle = Needle::new(value.into());
        match self.find_map(|position, other| needle.is(other).then_some(position))? {
            Some(position) => Ok(position),
            None => Err(self.named(ListError::NotFound.into())),
        }
    }

    /// Whether there is a value that Python calls equal to `value`, as its `in` says.
    ///
    /// ```
    /// use shmtypes::ShmList;
    ///
    /// let list = ShmList::create([1, 2])?;
    /// assert!(list.contains(2.0)? && !list.contains("2")?);
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get), for the values before it.
    pub fn contains<'v>(&self, value: impl Into<ValueRef<'v>>) -> Result<bool> {
        let needle = Needle::new(value.into());
        Ok(self.find_map(|_, other| needle.is(other).then_some(()))?.is_some())
    }

    /// How many bytes the slot of a value takes. Numbers and `None` fit into every one.
    ///
    /// # Errors
    /// [`ListError::OutOfRange`], [`ListError::Corrupt`].
    pub fn capacity(&self, index: isize) -> Result<usize> {
        let slot = self.position(index).and_then(|position| self.slot(position));
        self.words.whole(slot.map(Slot::capacity)).map_err(|error| self.named(error))
    }

    /// What kind of value it is, without copying text.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn kind(&self, index: isize) -> Result<ValueKind> {
        let kind = |position| self.slot(position)?.kind(position);
        self.words.whole(self.position(index).and_then(kind)).map_err(|error| self.named(error))
    }

    /// The `struct` formats of all values, one after the other, as Python's `format` has them: `q`, `d`, `xxxxxxx?`, `xxxxxx?x`,
    /// and for text the capacity of its slot.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn format(&self) -> Result<String> {
        let mut text = String::new();
        for position in 0..self.len {
            let kind = |slot: Slot<'_, M>| Ok((slot.kind(position)?, slot.capacity()));
            let (kind, capacity) = self.slot(position).and_then(kind).map_err(|error| self.named(error))?;
            // Writing to a string cannot fail.
            let _ = kind.write_format(&mut text, capacity);
        }
        self.whole(text)
    }

    fn event(&self) -> ShmRef<'_, ShmEvent, M> {
        self.words.mutable(0).expect("the mutable block of a list holds an event: checked when attaching")
    }

    /// Waits for a [`notify`](Self::notify) of any process that this handle has not seen yet, and marks all that there
    /// were as seen. Needs only read access.
    ///
    /// Returns at once if there was one since this handle waited the last time; the first time, if there was ever one. A
    /// clone goes on from what its original has seen. Threads that wait on one handle share what it has seen, and may be told
    /// of a change twice: give each a clone.
    ///
    /// ```
    /// use shmtypes::ShmList;
    /// use shmtypes::compat::Value;
    /// use std::time::Duration;
    ///
    /// let state = ShmList::create([Value::from("waiting"), Value::from(0)])?;
    /// // In another process:
    /// let reader = ShmList::open_read_only(state.name())?;
    ///
    /// state.set(0, "running")?;
    /// state.set(1, 17)?;
    /// state.notify();
    ///
    /// reader.wait_changed(Duration::from_secs(10))?;
    /// assert_eq!(reader.to_vec()?, [Value::from("running"), Value::from(17)]);
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # If a peer dies or misbehaves
    ///
    /// A writer that is killed before it notifies wakes nobody: wait with a deadline. One that is killed in the middle of
    /// [`notify`](Self::notify) delays the others by up to 50 ms. A hostile one may wake them for nothing, delay them by
    /// 50 ms, or set the count back, so that they wait until their deadline.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut) at the deadline. A deadline that has passed asks once.
    pub fn wait_changed(&self, deadline: impl Into<Deadline>) -> Result<()> {
        self.seen.wait_changed(self.event(), deadline, || self.words.check_whole())
    }

    /// Tells everybody who [waits](Self::wait_changed) that values have changed. Who wakes sees what this process stored
    /// before. Costs a system call, about half a microsecond and more for each one who sleeps, so call it once per batch.
    ///
    /// Returns how many threads, of all processes, were asleep and have been woken: a hint, because others may be just about
    /// to look.
    pub fn notify(&self) -> usize
    where
        M: Writable,
    {
        self.event().notify()
    }

    /// The segment's name; empty for an unnamed one.
    #[must_use]
    pub fn name(&self) -> &str {
        self.words.keeper().name()
    }

    /// When the segment's name goes away.
    #[must_use]
    pub fn persist(&self) -> Persist {
        self.words.keeper().header().persist()
    }

    /// The descriptor of an unnamed list, to be sent to another process. Named lists lend none.
    #[must_use]
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.words.keeper().descriptor()
    }

    /// Ends this handle. If it is the last one of this process, detaches and says what became of the segment; dropping
    /// does the same silently.
    ///
    /// # Errors
    /// As [`ShmArray::close`](crate::ShmArray::close).
    pub fn close(self) -> Result<Detached> {
        Attachment::close(self.words.into_keeper())
    }
}

#[cfg(test)]
mod tests;
