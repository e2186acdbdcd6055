//! Places in shared memory: a typed pointer with a lifetime and an access mode, never a reference.
#![allow(unsafe_code, reason = "calls the access module under the invariant of ShmRef")]

use super::{InvalidBits, ShmLayout, ShmPod, ShmValue, assert_no_gaps, into_pod, into_value};
use crate::access::{self, atomic};
use crate::error::Error;
use crate::participants::Participant;
use core::marker::PhantomData;
use core::mem::size_of;
use core::sync::atomic as core_atomic;
use core::sync::atomic::Ordering;

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::ReadOnly {}
    impl Sealed for super::ReadWrite {}
}

/// Whether a handle may write: [`ReadWrite`] or [`ReadOnly`]. Part of the handle's type, so that a write through a
/// segment opened read-only does not compile.
pub trait AccessMode: sealed::Sealed + Copy + Default + core::fmt::Debug + Send + Sync + 'static {
    /// Whether the mapping is writable.
    const WRITABLE: bool;
}

/// The access mode of a handle that may write.
#[diagnostic::on_unimplemented(
    message = "this handle was opened read-only",
    label = "a read-only handle cannot write",
    note = "open the segment with `open` in place of `open_read_only`; a read guard of a locked array is such a handle, too: take the lock with `write`"
)]
pub trait Writable: AccessMode {}

/// The segment is mapped for reading and writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadWrite;

/// The segment is mapped for reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOnly;

impl AccessMode for ReadWrite {
    const WRITABLE: bool = true;
}
impl AccessMode for ReadOnly {
    const WRITABLE: bool = false;
}
impl Writable for ReadWrite {}

/// A place in shared memory that holds a `T`: what stands for a `&T` or `&mut T` there.
///
/// It can be copied freely, and several of them to the same place may be used at once, from any thread: reads copy
/// out, writes copy in. A peer may change the place at any time. A value of 1, 2, 4 or 8 bytes whose alignment is its
/// size moves in one instruction; any other may be read half old and half new, also a small one such as `[u8; 8]`.
pub struct ShmRef<'a, T, M = ReadWrite> {
    // Invariant: for `'a`, `place` is aligned for `T` and `size_of::<T>()` bytes there are mapped, for writing too if
    // `M` is `ReadWrite`. `T::SCHEMA` has been evaluated, so there is no padding but the gaps it tells of.
    place: *mut T,
    /// This process's part in the segment's locks, if it has one. Views of what holds no locks never look at it, and the
    /// compiler leaves it out of inlined code.
    participant: Option<&'a Participant>,
    mapping: PhantomData<M>,
}

impl<T, M> Clone for ShmRef<'_, T, M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T, M> Copy for ShmRef<'_, T, M> {}

const _: () = {
    const fn for_all_threads<P: Send + Sync>() {}
    for_all_threads::<Participant>();
};

// SAFETY: the mapping is valid in every thread of the process (invariant), and the participant is `Sync`; all accesses are volatile, in assembly or
// atomic, and `T: ShmLayout` owns nothing that belongs to a thread.
unsafe impl<T: ShmLayout, M: AccessMode> Send for ShmRef<'_, T, M> {}
// SAFETY: as above; `ShmRef` is `Copy`, so sharing it is sending it.
unsafe impl<T: ShmLayout, M: AccessMode> Sync for ShmRef<'_, T, M> {}

impl<'a, T: ShmLayout, M: AccessMode> ShmRef<'a, T, M> {
    /// # Safety
    /// For `'a`, `place` is aligned for `T` and `size_of::<T>()` bytes there are mapped, for writing too if `M` is
    /// [`ReadWrite`]. No Rust reference to these bytes is used meanwhile, but for those to atomics that core's own functions
    /// take. In a segment, whose schema is compared, atomics stand where `T` has them; a block that says nothing of its type
    /// may be opened with atomics of several widths, which is outside of what the language speaks of, and harmless in what
    /// the machine does.
    #[inline(always)]
    pub(crate) unsafe fn new(place: *mut T, participant: Option<&'a Participant>) -> Self {
        // Judges the layout: with parameters that happens only where the schema is evaluated.
        const { assert!(T::SCHEMA.size() == size_of::<T>(), "the schema describes another type") };
        Self { place, participant, mapping: PhantomData }
    }

    /// This process's part in the segment's locks.
    #[inline(always)]
    pub(crate) fn participant(self) -> Option<&'a Participant> {
        self.participant
    }

    /// The same place, to be read only.
    #[inline(always)]
    pub(crate) fn read_only(self) -> ShmRef<'a, T, ReadOnly> {
        ShmRef { place: self.place, participant: self.participant, mapping: PhantomData }
    }

    /// The place of a part of the type, `offset` bytes into it.
    ///
    /// # Safety
    /// A `P` stands there, or what is accessed by everybody as if it were one.
    #[inline(always)]
    pub(crate) unsafe fn part<P: ShmLayout>(self, offset: usize) -> ShmRef<'a, P, M> {
        let place = self.place.wrapping_byte_add(offset).cast::<P>();
        // SAFETY: inside the type by the caller's word, so mapped by the invariant; aligned because a type's parts are.
        unsafe { ShmRef::new(place, self.participant) }
    }

    /// The address. Whoever reads or writes through it takes on the rules of the [crate's access
    /// model](crate#the-access-model).
    #[inline(always)]
    #[must_use]
    pub fn as_ptr(self) -> *mut T {
        self.place
    }

    /// The place of field `INDEX`, which is an `F`: what else the schema says does not compile.
    #[inline(always)]
    pub(crate) fn field<F: ShmLayout, const INDEX: usize>(self) -> ShmRef<'a, F, M> {
        let offset = const { T::SCHEMA.offset_of(INDEX, &F::SCHEMA) };
        // SAFETY: both schemas describe their types (contract of `ShmLayout`), so a field with the size and alignment
        // of `F` stands at `offset`. It has the leaves of `F`: an atomic is there where `F` has one, of the same width, and
        // nowhere else.
        unsafe { self.part(offset) }
    }

    /// The same place for writing, if this one is.
    #[inline(always)]
    pub(crate) fn writable(self) -> Option<ShmRef<'a, T, ReadWrite>> {
        // SAFETY: the invariant; a mode that is writable is `ReadWrite`.
        M::WRITABLE.then(|| unsafe { ShmRef::new(self.place, self.participant) })
    }

    /// As [`set`](Self::set), for large values.
    #[inline(always)]
    pub(crate) fn copy_in(self, value: &T)
    where
        T: ShmValue,
        M: Writable,
    {
        assert_no_gaps::<T>();
        // SAFETY: the invariant, writable because `M` is; a value has no padding, so all bytes are initialised.
        unsafe { access::store(self.place, value) }
    }

    /// Copies the value out.
    #[inline(always)]
    #[must_use]
    pub fn get(self) -> T
    where
        T: ShmPod,
    {
        // SAFETY: the invariant.
        into_pod(unsafe { access::load(self.place) })
    }

    /// Copies the value out and checks it. It does not report a truncation: under the guard of [`sigbus`](crate::sigbus) it
    /// reads zeros then.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`](crate::ErrorKind::InvalidValue) if a peer left bytes there that are no `T`.
    #[inline(always)]
    pub fn try_get(self) -> Result<T, Error>
    where
        T: ShmValue,
    {
        self.try_get_while(|| Ok(()))
    }

    /// The same, unless `whole` fails: it is asked whether what was copied is the segment's.
    #[inline(always)]
    pub(crate) fn try_get_while(self, whole: impl FnOnce() -> Result<(), Error>) -> Result<T, Error>
    where
        T: ShmValue,
    {
        // SAFETY: the invariant.
        let candidate = unsafe { access::load(self.place) };
        whole()?;
        into_value(candidate).map_err(invalid_value::<T>)
    }

    /// Copies a value in.
    #[inline(always)]
    pub fn set(self, value: T)
    where
        T: ShmValue,
        M: Writable,
    {
        self.copy_in(&value);
    }
}

#[cold]
#[inline(never)]
fn invalid_value<T: ShmLayout>(invalid: InvalidBits) -> Error {
    invalid.into_error(&T::SCHEMA, None)
}

impl<'a, T: ShmLayout, const N: usize, M: AccessMode> ShmRef<'a, [T; N], M> {
    /// How many elements the array has.
    #[inline(always)]
    #[must_use]
    pub const fn len(self) -> usize {
        N
    }

    /// Whether the array has no elements.
    #[inline(always)]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        N == 0
    }

    /// The view of element `index`.
    ///
    /// # Panics
    /// If `index` is out of range, as indexing a slice does.
    #[inline(always)]
    #[must_use]
    #[track_caller]
    pub fn at(self, index: usize) -> T::View<'a, M> {
        assert!(index < N, "index {index} is out of range for an array of {N} elements");
        // SAFETY: an array is its elements one after the other, so element `index < N` lies inside.
        T::View::from_place(unsafe { self.part(index * size_of::<T>()) })
    }

    /// The view of element `index`, or `None` if there is no such element.
    #[inline(always)]
    #[must_use]
    pub fn try_at(self, index: usize) -> Option<T::View<'a, M>> {
        (index < N).then(|| self.at(index))
    }
}

/// What every view can do as a whole: [`ShmRef`] itself, and each struct of projections that the derive makes.
///
/// A trait of its own, so that a struct may have a field called `get` or `set`.
pub trait ShmView<'a, M: AccessMode>: Copy {
    /// The type that stands at this place.
    type Target: ShmLayout;

    /// The view of a place.
    #[doc(hidden)]
    fn from_place(place: ShmRef<'a, Self::Target, M>) -> Self;

    /// The place that this view shows.
    fn place(self) -> ShmRef<'a, Self::Target, M>;

    /// Copies the whole value out. It may be half old and half new if a peer writes meanwhile.
    #[inline(always)]
    fn get(self) -> Self::Target
    where
        Self::Target: ShmPod,
    {
        self.place().get()
    }

    /// Copies the whole value out and checks it. It does not report a truncation: under the guard of [`sigbus`](crate::sigbus) it
    /// reads zeros then.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`](crate::ErrorKind::InvalidValue) if a peer left bytes there that are no valid
    /// value.
    #[inline(always)]
    fn try_get(self) -> Result<Self::Target, Error>
    where
        Self::Target: ShmValue,
    {
        self.place().try_get()
    }

    /// Copies a whole value in.
    #[inline(always)]
    fn set(self, value: Self::Target)
    where
        Self::Target: ShmValue,
        M: Writable,
    {
        self.place().set(value);
    }
}

impl<'a, T: ShmLayout, M: AccessMode> ShmView<'a, M> for ShmRef<'a, T, M> {
    type Target = T;

    #[inline(always)]
    fn from_place(place: ShmRef<'a, T, M>) -> Self {
        place
    }

    #[inline(always)]
    fn place(self) -> ShmRef<'a, T, M> {
        self
    }
}

impl<T: ShmLayout, M: AccessMode> core::fmt::Debug for ShmRef<'_, T, M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ShmRef<{}>({:p})", core::any::type_name::<T>(), self.place)
    }
}

macro_rules! atomic_views {
    ($($atomic:ident $value:ty),* $(,)?) => { $(
        impl<M: AccessMode> ShmRef<'_, core_atomic::$atomic, M> {
            /// Loads the value. Panics if `order` is `Release` or `AcqRel`, as in `core`.
            #[inline(always)]
            #[must_use]
            pub fn load(self, order: Ordering) -> $value {
                if M::WRITABLE {
                    // SAFETY: the invariant.
                    unsafe { atomic::with(self.place, |a| a.load(order)) }
                } else {
                    // SAFETY: the invariant.
                    unsafe { atomic::load_read_only(self.place, order, |a| a.load(Ordering::Relaxed)) }
                }
            }
        }

        impl<M: Writable> ShmRef<'_, core_atomic::$atomic, M> {
            /// Stores a value. Panics if `order` is `Acquire` or `AcqRel`, as in `core`.
            #[inline(always)]
            pub fn store(self, value: $value, order: Ordering) {
                // SAFETY: the invariant, writable because `M` is.
                unsafe { atomic::with(self.place, |a| a.store(value, order)) }
            }

            /// Stores a value if the current one is `current`; on success and on failure returns the previous one.
            ///
            /// # Errors
            /// The previous value, if it was not `current`.
            #[inline(always)]
            pub fn compare_exchange(
                self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                // SAFETY: the invariant, writable because `M` is.
                unsafe { atomic::with(self.place, |a| a.compare_exchange(current, new, success, failure)) }
            }

            /// As [`compare_exchange`](Self::compare_exchange), but may fail without a reason; for loops.
            ///
            /// # Errors
            /// The previous value, if it was not exchanged.
            #[inline(always)]
            pub fn compare_exchange_weak(
                self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                // SAFETY: the invariant, writable because `M` is.
                unsafe { atomic::with(self.place, |a| a.compare_exchange_weak(current, new, success, failure)) }
            }

            atomic_views!(@rmw $atomic $value:
                swap "Stores a value and returns the previous one.",
                fetch_add "Adds, wrapping, and returns the previous value.",
                fetch_sub "Subtracts, wrapping, and returns the previous value.",
                fetch_and "Bitwise and; returns the previous value.",
                fetch_or "Bitwise or; returns the previous value.",
                fetch_xor "Bitwise exclusive or; returns the previous value.",
                fetch_max "Stores the greater of both and returns the previous value.",
                fetch_min "Stores the lesser of both and returns the previous value.",
            );
        }
    )* };
    (@rmw $atomic:ident $value:ty: $($operation:ident $doc:literal),* $(,)?) => { $(
        #[doc = $doc]
        #[inline(always)]
        pub fn $operation(self, value: $value, order: Ordering) -> $value {
            // SAFETY: the invariant, writable because `M` is.
            unsafe { atomic::with(self.place, |a| a.$operation(value, order)) }
        }
    )* };
}

atomic_views!(
    AtomicU8 u8,
    AtomicI8 i8,
    AtomicU16 u16,
    AtomicI16 i16,
    AtomicU32 u32,
    AtomicI32 i32,
    AtomicU64 u64,
    AtomicI64 i64,
);

/// The byte behind an `AtomicBool`. A peer may store any byte; everything but 0 reads as `true`.
impl<'a, M: AccessMode> ShmRef<'a, core_atomic::AtomicBool, M> {
    #[inline(always)]
    fn byte(self) -> ShmRef<'a, core_atomic::AtomicU8, M> {
        // SAFETY: `AtomicBool` and `AtomicU8` have the same size and alignment, so the invariant carries over.
        unsafe { self.part(0) }
    }

    /// Loads the value.
    #[inline(always)]
    #[must_use]
    pub fn load(self, order: Ordering) -> bool {
        self.byte().load(order) != 0
    }
}

impl<M: Writable> ShmRef<'_, core_atomic::AtomicBool, M> {
    /// Stores a value.
    #[inline(always)]
    pub fn store(self, value: bool, order: Ordering) {
        self.byte().store(value.into(), order);
    }

    /// Stores a value and returns the previous one.
    #[inline(always)]
    pub fn swap(self, value: bool, order: Ordering) -> bool {
        self.byte().swap(value.into(), order) != 0
    }

    /// Stores a value if the current one is `current`.
    ///
    /// # Errors
    /// The previous value, if it was not `current`.
    #[inline(always)]
    pub fn compare_exchange(
        self,
        current: bool,
        new: bool,
        success: Ordering,
        failure: Ordering,
    ) -> Result<bool, bool> {
        match self.byte().compare_exchange(current.into(), new.into(), success, failure) {
            Ok(previous) => Ok(previous != 0),
            Err(previous) => Err(previous != 0),
        }
    }
}
