//! What the derive's expansion calls. Not part of the public interface: it changes with every version.

pub use crate::access::{BlockLane, Bounce};
pub use crate::layout::{Candidate, Field, ForeignPod, InvalidBits, Kind, Scalar, Schema, Variant};
pub use bytemuck;
pub use core;

use crate::layout::{AccessMode, ReadWrite, ShmLayout, ShmPod, ShmRef, ShmValue, ShmView, ShmZero};

/// `T: ShmValue`, quantified over a lifetime: a bound `for<'t> bool: PodIn<'t>` on a concrete type that does not hold
/// makes the impl not apply, where `bool: ShmPod` would make it an error.
pub trait ValueIn<'t>: ShmValue {}
impl<T: ShmValue> ValueIn<'_> for T {}

/// See [`ValueIn`].
pub trait PodIn<'t>: ShmPod {}
impl<T: ShmPod> PodIn<'_> for T {}

/// See [`ValueIn`].
pub trait ZeroIn<'t>: ShmZero {}
impl<T: ShmZero> ZeroIn<'_> for T {}

/// See [`ValueIn`].
pub trait CopyIn<'t>: Copy {}
impl<T: Copy> CopyIn<'_> for T {}

/// A constant condition as a type.
#[derive(Debug)]
pub struct Condition<const HOLDS: bool>;

/// Implemented for the condition that holds, quantified as [`ValueIn`] is. The derive asks it whether an enum has a
/// variant with the value 0.
#[diagnostic::on_unimplemented(
    message = "all-zero bytes are no variant of this enum, so `create(n)` has nothing to fill the segment with",
    label = "no variant has the value 0",
    note = "give the enum a variant with the value 0, or use `create_from_fn(n, |i| value)`, which takes any type"
)]
pub trait HoldsIn<'t> {}
#[diagnostic::do_not_recommend]
impl HoldsIn<'_> for Condition<true> {}

/// Does not compile, where it is called, if not every bit pattern is a valid `T`.
pub const fn assert_pod<T: ShmPod>() {}

/// The layout of the type that `V` shows. It is evaluated when this is called, not when it is mentioned; and not for a
/// type without bytes, which [`assert_bytes`] refuses in better words than the type's own.
pub const fn schema_of<V: ShmView<'static, ReadWrite>>() -> &'static Schema {
    const fn evaluated<T: ShmLayout>() -> &'static Schema {
        const { &T::SCHEMA }
    }
    if size_of::<V::Target>() == 0 {
        return const { &Schema::of::<()>(Kind::Opaque { name: "" }) };
    }
    evaluated::<V::Target>()
}

/// The view of field `INDEX`. If the schema of `T` has another type there, this does not compile:
///
/// ```
/// use core::sync::atomic::AtomicU64;
/// use shmtypes::__private::project;
/// use shmtypes::{ReadWrite, ShmArray, ShmLayout, ShmRef, ShmView};
///
/// #[derive(ShmLayout)]
/// #[repr(C)]
/// struct Counter {
///     hits: AtomicU64,
/// }
/// let counters = ShmArray::<Counter>::create(1)?;
/// let _: ShmRef<AtomicU64> = project::<0, _, _, _>(counters.at(0).place());
/// # Ok::<(), shmtypes::Error>(())
/// ```
/// ```compile_fail,E0080
/// # use core::sync::atomic::{AtomicU32, AtomicU64};
/// # use shmtypes::__private::project;
/// # use shmtypes::{ReadWrite, ShmArray, ShmLayout, ShmRef, ShmView};
/// # #[derive(ShmLayout)]
/// # #[repr(C)]
/// # struct Counter {
/// #     hits: AtomicU64,
/// # }
/// # let counters = ShmArray::<Counter>::create(1)?;
/// let _: ShmRef<AtomicU32> = project::<0, _, _, _>(counters.at(0).place());
/// # Ok::<(), shmtypes::Error>(())
/// ```
/// ```compile_fail,E0080
/// # use shmtypes::__private::project;
/// # use shmtypes::{ShmArray, ShmLayout, ShmView};
/// #[derive(ShmLayout, Clone, Copy)]
/// #[repr(C)]
/// struct Pair<A, B> {
///     first: A,
///     second: B,
/// }
/// let numbers = ShmArray::<u64>::create(1)?;
/// let padded: PairView<u8, u32> = project::<0, _, _, _>(numbers.at(0));
/// padded.set(Pair { first: 1, second: 2 });
/// # Ok::<(), shmtypes::Error>(())
/// ```
#[inline(always)]
pub fn project<'a, const INDEX: usize, T: ShmLayout, V: ShmView<'a, M>, M: AccessMode>(place: ShmRef<'a, T, M>) -> V {
    V::from_place(place.field::<V::Target, INDEX>())
}

/// What is invalid in the field that stands `offset` bytes into `candidate`.
#[inline(always)]
pub fn find_invalid_in<T, F: ShmValue>(candidate: &Candidate<T>, offset: usize) -> Option<InvalidBits> {
    F::find_invalid(candidate.field::<F>(offset)).map(|invalid| invalid.inside(offset))
}

/// Shows a view as its place.
pub fn debug_view<T: ShmLayout, M: AccessMode>(
    f: &mut core::fmt::Formatter<'_>,
    name: &str,
    place: ShmRef<'_, T, M>,
) -> core::fmt::Result {
    write!(f, "{name}({:p})", place.as_ptr())
}

/// Panics if a field has no bytes. This and the following run at compile time, and the error stands at their caller.
#[track_caller]
pub const fn assert_bytes(field: &str, size: usize) {
    if size == 0 {
        Message::new().text("field `").text(field).text("` has no bytes to share; remove it").panic();
    }
}

/// Panics if there is padding between two fields.
#[track_caller]
pub const fn assert_adjacent(of: &str, before: &str, end: usize, after: &str, start: usize) {
    if start != end {
        Message::padding(of, start - end)
            .text("between `")
            .text(before)
            .text("` and `")
            .text(after)
            .text("`: add the field `")
            .pad("before_", after, start - end)
            .text("` between them, or reorder the fields")
            .panic();
    }
}

/// Panics if there is padding after the last field.
#[track_caller]
pub const fn assert_ends(of: &str, last: &str, end: usize, size: usize) {
    if size != end {
        Message::padding(of, size - end)
            .text("after its last field `")
            .text(last)
            .text("`: add the field `")
            .pad("after_", last, size - end)
            .text("` at the end, or reorder the fields")
            .panic();
    }
}

/// Panics if the type has drop glue of its own.
#[track_caller]
pub const fn assert_no_drop(of: &str, drops: bool) {
    if drops {
        Message::new()
            .text("`")
            .text(of)
            .text("` implements `Drop`, which no process could run for the others; remove the impl")
            .panic();
    }
}

/// Panics if an enum is not stored as the integer that the derive saw: its bytes are judged as that integer.
#[track_caller]
pub const fn assert_stored_as(
    of: &str,
    size: usize,
    align: usize,
    integer: &str,
    integer_size: usize,
    integer_align: usize,
) {
    if size != integer_size || align != integer_align {
        Message::new()
            .text("`")
            .text(of)
            .text("` is not stored as `")
            .text(integer)
            .text("`: an attribute below `#[derive(ShmLayout)]` changes its representation; move it above the derive")
            .panic();
    }
}

/// A message assembled at compile time. What does not fit is left out.
struct Message {
    bytes: [u8; 1024],
    len: usize,
}

impl Message {
    const fn new() -> Self {
        Self { bytes: [0; 1024], len: 0 }
    }

    const fn padding(of: &str, gap: usize) -> Self {
        let message = Self::new().text("`").text(of).text("` has ").number(gap);
        message.text(if gap == 1 { " byte of padding " } else { " bytes of padding " })
    }

    /// A field of `gap` bytes: `_pad_before_x: [u8; 4]`, or in a tuple struct `[u8; 4]`.
    const fn pad(self, place: &str, field: &str, gap: usize) -> Self {
        let message = if field.as_bytes()[0].is_ascii_digit() {
            self
        } else {
            self.text("_pad_").text(place).text(field).text(": ")
        };
        message.text("[u8; ").number(gap).text("]")
    }

    const fn text(mut self, text: &str) -> Self {
        let text = text.as_bytes();
        if text.len() <= self.bytes.len() - self.len {
            let mut index = 0;
            while index < text.len() {
                self.bytes[self.len] = text[index];
                self.len += 1;
                index += 1;
            }
        }
        self
    }

    const fn number(self, number: usize) -> Self {
        let message = if number < 10 { self } else { self.number(number / 10) };
        let digit = [b'0' + (number % 10) as u8];
        match core::str::from_utf8(&digit) {
            Ok(digit) => message.text(digit),
            Err(_) => message,
        }
    }

    #[track_caller]
    const fn panic(&self) -> ! {
        match core::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(text) => panic!("{}", text),
            Err(_) => panic!(),
        }
    }
}
