//! A value that readers always see whole, and never wait for.
//!
//! | file | holds |
//! |---|---|
//! | `protocol` | how it is read and replaced |
//! | `change` | waiting for a store |
//! | `losses` | how long a reader goes on that stores are faster than |
//!
//! The first two know neither segments nor the operating system; `model_tests` runs them over loom's atomics.
#![allow(unsafe_code, reason = "implements the unsafe layout traits, and projects to the parts of the type")]

mod change;
mod losses;
pub(crate) mod protocol;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

use super::Deadline;
use super::lock::error::LockError;
use super::lock::hold::{self, Hold};
use super::lock::waiting::Waiting;
use super::lock::word::{FREE, Found, Wake};
use super::lock::{exclusive, lower_half};
use crate::access;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, Candidate, Guard, Schema, ShmLayout, ShmRef, ShmValue, ShmZero, Writable, into_value};
use crate::segment::options::LOCK_TIMEOUT;
use crate::sys::futex;
use change::Bell;
use core::fmt;
use core::mem::{MaybeUninit, offset_of, size_of};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use core::time::Duration;
use losses::Losses;
use protocol::{Buffers, BuffersMut};

/// A value that is always read whole, while others replace it: a field of a `#[derive(ShmLayout)]` struct, or what a
/// [`ShmCell`](crate::ShmCell) holds, reached through its view.
///
/// ```
/// use shmtypes::{SeqCell, ShmBox, ShmLayout};
///
/// #[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
/// #[repr(C)]
/// struct Pose {
///     position: [f64; 3],
///     heading: f64,
/// }
///
/// #[derive(ShmLayout)]
/// #[repr(C)]
/// struct Robot {
///     pose: SeqCell<Pose>,
///     target: SeqCell<Pose>,
/// }
///
/// let robot = ShmBox::<Robot>::create()?;
/// let there = Pose { position: [1.0, 2.0, 0.5], heading: 0.25 };
/// robot.view().pose().store(there)?;
///
/// // In another process, which may only read:
/// let same = ShmBox::<Robot>::open_read_only(robot.name())?;
/// assert_eq!(same.view().pose().load()?, there);
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// There is room for `K` copies of the value (2 to 64; 4 unless given). A store goes into the one that was used the longest
/// time ago, so that readers of the current one have time to finish. A reader writes nothing and waits for nobody; it tries
/// again if `K - 1` stores were made during its copy, and another one was begun. Writers take turns by a lock.
///
/// # If a peer dies or misbehaves
///
/// A writer that is killed leaves the old value or the new one. Its lock goes to the next writer, as that of a
/// [`ShmMutex`](super::ShmMutex) does, but nobody has to repair anything and nobody is told. A writer that is stopped keeps
/// other writers waiting until their deadline, and no reader. A peer that writes nonsense into the cell causes wrong values,
/// [`ErrorKind::InvalidValue`] or [`ErrorKind::Busy`] until somebody stores again.
#[derive(Debug)]
#[repr(C)]
pub struct SeqCell<T, const K: usize = 4> {
    /// Held by the writer.
    lock: AtomicU64,
    /// How many stores there were.
    current: AtomicU64,
    /// Who waits for a change asks here to be woken; see [`change`].
    changed: AtomicU32,
    reserved: u32,
    buffers: [Buffer<T>; K],
}

#[derive(Debug)]
#[repr(C)]
struct Buffer<T> {
    version: AtomicU64,
    value: T,
}

impl<T: ShmValue, const K: usize> SeqCell<T, K> {
    /// A cell with a value, for what is [created from a value](crate::ShmBox::create_from).
    #[must_use]
    pub fn new(value: T) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            lock: zero(),
            current: zero(),
            changed: AtomicU32::new(0),
            reserved: 0,
            buffers: core::array::from_fn(|_| Buffer { version: zero(), value }),
        }
    }
}

impl<T: ShmValue + Default, const K: usize> Default for SeqCell<T, K> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

// SAFETY: `repr(C)` of atomics, integers and values: no pointers, no drop glue, and no padding but the gaps that the schema
// tells of, which checks size and alignment. There are no projections to fields.
#[diagnostic::do_not_recommend]
unsafe impl<T: ShmValue, const K: usize> ShmLayout for SeqCell<T, K> {
    const SCHEMA: Schema = Schema::guarded::<Self, T>(Guard::Cell { buffers: K });
    type View<'a, M: AccessMode> = ShmRef<'a, Self, M>;
}

// SAFETY: all words may be zero (a free lock, store number 0, complete), and zero is a value.
#[diagnostic::do_not_recommend]
unsafe impl<T: ShmValue + ShmZero, const K: usize> ShmZero for SeqCell<T, K> {}

/// The parts.
impl<'a, T: ShmValue, const K: usize, M: AccessMode> ShmRef<'a, SeqCell<T, K>, M> {
    #[inline(always)]
    fn lock_word(self) -> ShmRef<'a, AtomicU64, M> {
        // SAFETY: an atomic stands there, and everybody accesses it as one.
        unsafe { self.part(offset_of!(SeqCell<T, K>, lock)) }
    }

    #[inline(always)]
    fn current_word(self) -> ShmRef<'a, AtomicU64, M> {
        // SAFETY: as above.
        unsafe { self.part(offset_of!(SeqCell<T, K>, current)) }
    }

    #[inline(always)]
    fn changed_word(self) -> ShmRef<'a, AtomicU32, M> {
        // SAFETY: as above.
        unsafe { self.part(offset_of!(SeqCell<T, K>, changed)) }
    }

    /// Where a buffer starts.
    #[inline(always)]
    fn buffer(index: usize) -> usize {
        assert!(index < K);
        offset_of!(SeqCell<T, K>, buffers) + index * size_of::<Buffer<T>>()
    }

    #[inline(always)]
    fn version_word(self, buffer: usize) -> ShmRef<'a, AtomicU64, M> {
        // SAFETY: as above; `buffer` has checked the index.
        unsafe { self.part(Self::buffer(buffer) + offset_of!(Buffer<T>, version)) }
    }

    #[inline(always)]
    fn value(self, buffer: usize) -> ShmRef<'a, T, M> {
        // SAFETY: a `T` stands there, or bytes that every reader judges; `buffer` has checked the index.
        unsafe { self.part(Self::buffer(buffer) + offset_of!(Buffer<T>, value)) }
    }
}

impl<T: ShmValue, const K: usize, M: AccessMode> Buffers for ShmRef<'_, SeqCell<T, K>, M> {
    type Private = MaybeUninit<T>;
    const COUNT: u64 = K as u64;

    #[inline(always)]
    fn current(self, order: Ordering) -> u64 {
        self.current_word().load(order)
    }

    #[inline(always)]
    fn version_of(self, buffer: usize, order: Ordering) -> u64 {
        self.version_word(buffer).load(order)
    }

    #[inline(always)]
    fn copy_from_buffer(self, buffer: usize, target: &mut MaybeUninit<T>) {
        // SAFETY: mapped by the invariant of `ShmRef`, and aligned to eight bytes: a buffer is, by its version, and the value
        // stands behind that.
        unsafe { access::load_whole(self.value(buffer).as_ptr(), target) };
    }

    #[inline(always)]
    fn fence(order: Ordering) {
        fence(order);
    }
}

impl<T: ShmValue, const K: usize, M: Writable> BuffersMut for ShmRef<'_, SeqCell<T, K>, M> {
    type Value = T;

    #[inline(always)]
    fn set_current(self, number: u64, order: Ordering) {
        self.current_word().store(number, order);
    }

    #[inline(always)]
    fn set_version(self, buffer: usize, version: u64, order: Ordering) {
        self.version_word(buffer).store(version, order);
    }

    #[inline(always)]
    fn copy_into_buffer(self, buffer: usize, value: &T) {
        self.value(buffer).copy_in(value);
    }
}

impl<T: ShmValue, const K: usize, M: AccessMode> Bell for ShmRef<'_, SeqCell<T, K>, M> {
    #[inline(always)]
    fn current(self, order: Ordering) -> u64 {
        self.current_word().load(order)
    }

    #[inline(always)]
    fn question(self) -> u32 {
        // Relaxed: the fences on both sides order it.
        self.changed_word().load(Ordering::Relaxed)
    }

    fn exchange(self, current: u32, new: u32) -> bool {
        let word = self.changed_word().writable();
        // Relaxed: as above.
        word.is_some_and(|word| word.compare_exchange(current, new, Ordering::Relaxed, Ordering::Relaxed).is_ok())
    }

    #[inline(always)]
    fn order() {
        fence(Ordering::SeqCst);
    }

    fn sleep(self, seen: u64, slice: Duration) -> Result<()> {
        // SAFETY: half of a word that is aligned and mapped by the invariant of `ShmRef`, whose lifetime this call is inside of.
        unsafe { futex::wait(lower_half(self.current_word()), seen as u32, slice) }?;
        Ok(())
    }

    fn wake(self) -> usize {
        // SAFETY: as above.
        unsafe { futex::wake(lower_half(self.current_word()), i32::MAX) }
    }
}

/// Reading.
impl<'a, T: ShmValue, const K: usize, M: AccessMode> ShmRef<'a, SeqCell<T, K>, M> {
    /// Copies the current value out, whole. Needs only read access, and waits for nobody.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] if writers were faster than this reader 1,000 times in a row, or, with a large value, for as long as the
    /// segment's [lock timeout](crate::BoxOptions::lock_timeout) (30 seconds through a handle that may only read). That takes a
    /// peer that does nothing but store, and a large value or a small `K`; or a peer that scribbled on the cell.
    /// [`ErrorKind::InvalidValue`] if a peer left bytes there that are no `T`.
    #[inline]
    pub fn load(self) -> Result<T> {
        self.load_while(&mut 0, || Ok(()), |error| self.named(error))
    }

    /// The same, with the [version](Self::version) of this very value: who [waits](Self::wait_changed) from there on misses no
    /// store and hears of none twice.
    ///
    /// ```
    /// use shmtypes::{ErrorKind, SeqCell, ShmBox};
    /// use std::time::Duration;
    ///
    /// let level = ShmBox::<SeqCell<u32>>::create()?;
    /// level.view().store(7)?;
    /// let (value, version) = level.view().load_versioned()?;
    /// assert_eq!((value, version), (7, 1));
    /// let error = level.view().wait_changed(version, Duration::ZERO).unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::TimedOut { .. }));
    /// # Ok::<(), shmtypes::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`load`](Self::load).
    #[inline]
    pub fn load_versioned(self) -> Result<(T, u64)> {
        let mut number = 0;
        let value = self.load_while(&mut number, || Ok(()), |error| self.named(error))?;
        Ok((value, number))
    }

    /// The same, unless `whole` fails: after each try it is asked whether what was copied is the segment's. `named` names the
    /// segment in an error.
    #[inline(always)]
    pub(crate) fn load_while(
        self,
        number: &mut u64,
        whole: impl Fn() -> Result<()>,
        named: impl Fn(Error) -> Error,
    ) -> Result<T> {
        let mut losses = Losses::default();
        loop {
            // Nothing but this loop sees it, so that it can stay in registers.
            let mut private = MaybeUninit::uninit();
            let is_read = protocol::try_read_numbered(self, &mut private);
            whole().map_err(&named)?;
            if let Some(found) = is_read {
                *number = found;
                // SAFETY: it has initialised all bytes.
                let candidate = unsafe { Candidate::from_initialized(private) };
                return into_value(candidate).map_err(|invalid| named(invalid.into_error(&T::SCHEMA, None)));
            }
            // The truncation may have come only now.
            losses = self.lose(losses).ok_or_else(|| named(whole().err().unwrap_or_else(faster)))?;
        }
    }

    /// The same into a place that is there already, which saves a copy of a large value where all bytes are a `T`.
    ///
    /// # Errors
    /// As [`load`](Self::load). The place may have another value then, also a mixture of several.
    #[inline]
    pub fn load_into(self, target: &mut T) -> Result<()> {
        self.load_into_while(target, || Ok(()), |error| self.named(error))
    }

    /// As [`load_while`](Self::load_while).
    #[inline(always)]
    pub(crate) fn load_into_while(
        self,
        target: &mut T,
        whole: impl Fn() -> Result<()>,
        named: impl Fn(Error) -> Error,
    ) -> Result<()> {
        if !T::ANY_BITS {
            *target = self.load_while(&mut 0, whole, named)?;
            return Ok(());
        }
        // SAFETY: of the same layout, and borrowed exclusively. Nothing but initialised bytes gets there, any of which
        // are a `T` (contract of `ANY_BITS`).
        let private = unsafe { &mut *core::ptr::from_mut(target).cast::<MaybeUninit<T>>() };
        let mut losses = Losses::default();
        while !protocol::try_read(self, private) {
            losses = self.lose(losses).ok_or_else(|| named(whole().err().unwrap_or_else(faster)))?;
        }
        whole().map_err(named)
    }

    #[cold]
    #[inline(never)]
    fn lose(self, losses: Losses) -> Option<Losses> {
        losses
            .one_more(self, || self.participant().map_or(Some(LOCK_TIMEOUT), |participant| participant.lock_timeout()))
    }

    #[cold]
    fn named(self, error: Error) -> Error {
        hold::named(self.participant(), error)
    }

    /// How many stores there have been, to be given to [`wait_changed`](Self::wait_changed).
    #[must_use]
    pub fn version(self) -> u64 {
        // Pairs with the release in `protocol::write`.
        Bell::current(self, Ordering::Acquire)
    }

    /// Waits until the [version](Self::version) is another one than `seen`, and returns it. What [`load`](Self::load) finds
    /// then is at least as new.
    ///
    /// Needs only read access. But a handle that may only read cannot ask to be woken: unless the writer calls
    /// [`notify`](Self::notify), it looks every 5 ms.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] at the deadline. A deadline that has passed asks once. [`ErrorKind::Truncated`] as the
    /// [guard](crate::sigbus) says, through a handle that may write.
    pub fn wait_changed(self, seen: u64, deadline: impl Into<Deadline>) -> Result<u64> {
        self.wait_changed_while(seen, deadline.into(), || hold::check_whole(self.participant()))
            .map_err(|error| self.named(error))
    }

    /// The same, unless `whole` fails: see [`change::wait`].
    pub(crate) fn wait_changed_while(
        self,
        seen: u64,
        deadline: Deadline,
        whole: impl Fn() -> Result<()>,
    ) -> Result<u64> {
        change::wait(self, seen, || deadline.remaining(), whole)
    }
}

#[cold]
fn faster() -> Error {
    Error::new(ErrorKind::Busy).with_hint("try again; a cell with more buffers gives readers more time")
}

/// Writing.
impl<'a, T: ShmValue, const K: usize, M: Writable> ShmRef<'a, SeqCell<T, K>, M> {
    /// Replaces the value. Waits for other writers as long as the segment's [lock timeout](crate::BoxOptions::lock_timeout), 30
    /// seconds unless its creator said otherwise, and never for readers.
    ///
    /// Wakes those who [wait](Self::wait_changed) for it through a handle that may write, which costs a system call, about half
    /// a microsecond, and none if nobody waits.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimedOut`], which names the writer that is in the way; [`ErrorKind::Unsupported`] where the segment has no
    /// participant slots.
    #[inline]
    pub fn store(self, value: T) -> Result<()> {
        self.replace(&value, self.patience())
    }

    /// Replaces the value if no other writer is at it.
    ///
    /// # Errors
    /// [`ErrorKind::LockHeld`], and as [`store`](Self::store).
    #[inline]
    pub fn try_store(self, value: T) -> Result<()> {
        self.replace(&value, Waiting::Not)
    }

    /// Replaces the value, and waits for other writers until a deadline.
    ///
    /// # Errors
    /// As [`store`](Self::store).
    #[inline]
    pub fn store_until(self, value: T, deadline: impl Into<Deadline>) -> Result<()> {
        self.replace(&value, Waiting::Until(deadline.into()))
    }

    /// Lets `change` work on a copy of the value, and replaces the value by it. No other writer comes between, so that nothing
    /// is lost that others stored. If `change` panics, nothing is changed.
    ///
    /// A store to the same cell inside `change` waits for itself, and fails at its deadline.
    ///
    /// # Errors
    /// As [`store`](Self::store) and [`load`](Self::load).
    #[inline]
    pub fn update<R>(self, change: impl FnOnce(&mut T) -> R) -> Result<R> {
        self.update_while(change, || Ok(()))
    }

    /// The same, unless `whole` fails: see [`load_while`](Self::load_while).
    #[inline(always)]
    pub(crate) fn update_while<R>(self, change: impl FnOnce(&mut T) -> R, whole: impl Fn() -> Result<()>) -> Result<R> {
        self.change(change, self.patience(), whole)
    }

    /// As [`update`](Self::update), if no other writer is at it.
    ///
    /// # Errors
    /// [`ErrorKind::LockHeld`], and as [`update`](Self::update).
    #[inline]
    pub fn try_update<R>(self, change: impl FnOnce(&mut T) -> R) -> Result<R> {
        self.change(change, Waiting::Not, || Ok(()))
    }

    /// As [`update`](Self::update), and waits for other writers until a deadline.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    #[inline]
    pub fn update_until<R>(self, change: impl FnOnce(&mut T) -> R, deadline: impl Into<Deadline>) -> Result<R> {
        self.change(change, Waiting::Until(deadline.into()), || Ok(()))
    }

    /// Wakes all who [wait](Self::wait_changed), also those who may only read, and so did not ask for it. To be called after
    /// [`store`](Self::store); costs a system call, about half a microsecond and more for each one who sleeps.
    ///
    /// Returns how many threads, of all processes, were asleep and have been woken: a hint, because others may be just about
    /// to look.
    pub fn notify(self) -> usize {
        Bell::wake(self)
    }

    fn patience(self) -> Waiting {
        Waiting::AtMost(self.participant().and_then(|participant| participant.lock_timeout()))
    }

    #[inline(always)]
    fn replace(self, value: &T, waiting: Waiting) -> Result<()> {
        let turn = self.take_turn(waiting)?;
        protocol::write(self, value);
        drop(turn);
        change::tell(self);
        Ok(())
    }

    #[inline(always)]
    fn change<R>(
        self,
        change: impl FnOnce(&mut T) -> R,
        waiting: Waiting,
        whole: impl Fn() -> Result<()>,
    ) -> Result<R> {
        let turn = self.take_turn(waiting)?;
        let mut value = self.load_while(&mut 0, whole, |error| self.named(error))?;
        let result = change(&mut value);
        if turn.hold.holder(self.participant()).is_none() {
            // The parent goes on with its own copy.
            return Err(self.named(Error::not_the_child_s()));
        }
        protocol::write(self, &value);
        drop(turn);
        change::tell(self);
        Ok(result)
    }

    #[inline(always)]
    fn take_turn(self, waiting: Waiting) -> Result<Turn<'a, T, K, M>> {
        let (participant, me) = hold::participant(self.participant())?;
        if !exclusive::try_take(self.lock_word(), me) {
            let mut patience = waiting;
            // Whatever it finds: a dead writer leaves nothing to repair.
            exclusive::take(self.lock_word(), me, participant, &mut patience)
                .map_err(|refusal| LockError::<()>::refused(refusal, participant, waiting))?;
        }
        Ok(Turn { cell: self, hold: Hold::new(me, Found::Whole) })
    }
}

/// The writer's lock, taken.
struct Turn<'a, T: ShmValue, const K: usize, M: Writable> {
    cell: ShmRef<'a, SeqCell<T, K>, M>,
    hold: Hold,
}

impl<T: ShmValue, const K: usize, M: Writable> Drop for Turn<'_, T, K, M> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some((_, me)) = self.hold.holder(self.cell.participant()) {
            exclusive::release(self.cell.lock_word(), me, FREE, Wake::One);
        }
    }
}

impl<T: ShmValue, const K: usize, M: Writable> fmt::Debug for Turn<'_, T, K, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turn")
    }
}
