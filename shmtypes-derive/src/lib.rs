//! `#[derive(ShmLayout)]` for the crate `shmtypes`, which re-exports it. See [`ShmLayout`](macro@ShmLayout).
//!
//! | step | module | what it does |
//! |---|---|---|
//! | parse | `attr`, `repr`, `ast` | reads the attributes and the representation, keeps what can be emitted |
//! | check | `check` | the rules that need the whole type, and field types that can be refused by their names |
//! | expand | `expand`, `view` | writes the impls and the view struct; cannot fail |
//! | or fall back | `fallback` | after an error: enough that the uses of the type do not fail as well |
//!
//! Rules:
//!
//! 1. All errors at once (`ctxt`), each on the narrowest token, saying what is wrong and then what to do.
//! 2. One mistake is one error, also where the compiler finds it by a trait or a constant.
//! 3. Expansions name everything by absolute paths, and compile in a crate that forbids `unsafe_code` and denies lints.
#![warn(missing_docs, unreachable_pub)]

mod ast;
mod attr;
mod check;
mod ctxt;
mod expand;
mod fallback;
mod repr;
#[cfg(test)]
mod tests;
mod view;

use proc_macro2::TokenStream;
use syn::DeriveInput;

/// Gives a type a fixed, self-described layout, so that it may be placed in shared memory.
///
/// For a struct with `#[repr(C)]` or `#[repr(transparent)]`, named or tuple, and for an enum without data with
/// `#[repr(u8)]`, `i8`, `u16`, `i16`, `u32`, `i32`, `u64` or `i64`.
///
/// ```
/// use shmtypes::{ShmArray, ShmLayout, ShmStr};
///
/// #[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
/// #[repr(u8)]
/// enum Side {
///     Buy = 1,
///     Sell = 2,
/// }
///
/// #[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
/// #[repr(C)]
/// struct Order {
///     price: f64,
///     symbol: ShmStr<11>,
///     side: Side,
/// }
///
/// let orders = ShmArray::<Order>::create_from_fn(3, |i| Order {
///     price: i as f64,
///     symbol: ShmStr::truncated("AETNA"),
///     side: Side::Buy,
/// })?;
/// orders.at(1).price().set(99.5);
/// assert_eq!(orders.at(1).side().try_get()?, Side::Buy);
/// assert_eq!(orders.get(1)?.price, 99.5);
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// # What it makes
///
/// * `ShmLayout`, with the type's schema: names, offsets and types of its fields, or names and values of its variants.
/// * The capabilities that follow from the fields: `ShmValue` for a `Copy` type without atomics, `ShmZero` where
///   all-zero bytes are valid (an enum needs a variant with the value 0), `ShmPod` where any bytes are.
/// * For a struct, a view: `OrderView<'_>`, as visible as the type, with a method for each field, as visible as the
///   field and with its documentation. What each returns is the view of the field's type: a `ShmRef`, or the view
///   struct of a derived type. The fields of a tuple struct are `_0()`, `_1()` and so on. A field may be called `get` or
///   `len`: what a view can do as a whole comes from the trait `ShmView`.
///
/// Type parameters, constant parameters and where clauses work. A field whose type depends on a type parameter has to
/// have a layout, and padding is judged where the type is used with its arguments.
///
/// # What it refuses
///
/// Each refusal stands under the token it is about and says what to do instead:
///
/// * a missing representation, `packed`, and `repr(C)` on an enum;
/// * references, pointers, functions, and what keeps its content on the heap: `ShmStr<N>`, `ShmBytes<N>` and `[T; N]`
///   take the place of `String`, `Vec<u8>` and `Vec<T>`. A type of your own with one of these names is taken for the
///   standard library's unless it is written with a path, such as `self::String`;
/// * `usize` and `isize`, whose width differs between programs;
/// * types without bytes, types with `Drop`, types with lifetimes, unions, and enums with data;
/// * padding, which would carry stale memory to other processes: the message shows the field to add.
///
/// ```compile_fail,E0080
/// # use shmtypes::ShmLayout;
/// #[derive(ShmLayout)]
/// #[repr(C)]
/// struct Tick {
///     side: u8,
///     // error: `Tick` has 7 bytes of padding between `side` and `price`:
///     //        add the field `_pad_before_price: [u8; 7]` between them, or reorder the fields
///     price: f64,
/// }
/// ```
///
/// # What it cannot know
///
/// A struct's bytes are judged by the types of its fields and by nothing else: every `Copy` struct of numbers is
/// `ShmPod`, also one with private fields, and a peer, or safe code of this program, makes any value of it. A type that
/// `unsafe` code trusts, such as an index that was checked when it was built, must not derive this: store the plain
/// number, and build the type from it with its check.
///
/// # Attributes of the type
///
/// * `#[shm(version = N)]`: part of the layout's identity; raise it when the meaning of a field changes but not its
///   type. 0 unless given.
/// * `#[shm(rename = "name")]`: the type's name where the schema is shown to people. Names of types are not part of the
///   layout's identity.
/// * `#[shm(view = "Name")]`: the name of the view struct, where the type's name with `View` is taken.
/// * `#[shm(bytemuck)]`: also implement `bytemuck::Zeroable` and `bytemuck::Pod`, for a type without parameters that is
///   `ShmPod`.
/// * `#[shm(crate = "path")]`: the crate `shmtypes`, where it is known by another name or re-exported by another crate.
///   What stands at the path is trusted to be this crate: the checks of the layout are called there.
///
/// ```
/// # use shmtypes::ShmLayout;
/// #[derive(ShmLayout, Clone, Copy)]
/// #[repr(C)]
/// #[shm(version = 2, rename = "geometry.Point", view = "PointPlace", bytemuck)]
/// struct Point {
///     x: f32,
///     y: f32,
/// }
///
/// fn swap(point: PointPlace<'_>) {
///     let (x, y) = (point.x().get(), point.y().get());
///     point.x().set(y);
///     point.y().set(x);
/// }
/// ```
///
/// # Attributes of a field
///
/// * `#[shm(rename = "name")]`: the field's name in the schema, and so in the layout's identity.
/// * `#[shm(bytemuck = "name")]`: the field's type is a foreign one without a layout, but `bytemuck::Pod`. The schema
///   knows it by this name, its size and its alignment; the projection is a `ForeignRef`.
///
/// ```
/// # use shmtypes::{ShmArray, ShmLayout};
/// # mod graphics {
/// #     #[derive(bytemuck::Pod, bytemuck::Zeroable, Clone, Copy)]
/// #     #[repr(C)]
/// #     pub struct Colour(pub [u8; 4]);
/// # }
/// #[derive(ShmLayout, Clone, Copy)]
/// #[repr(C)]
/// struct Vertex {
///     #[shm(rename = "position")]
///     at: [f32; 3],
///     #[shm(bytemuck = "graphics.Colour")]
///     colour: graphics::Colour,
/// }
///
/// let vertices = ShmArray::<Vertex>::create(8)?;
/// vertices.at(0).colour().set(graphics::Colour([255; 4]));
/// # Ok::<(), shmtypes::Error>(())
/// ```
///
/// # Attributes of a variant
///
/// * `#[shm(rename = "name")]`: the variant's name in the schema, and so in the layout's identity.
#[proc_macro_derive(ShmLayout, attributes(shm))]
pub fn derive_shm_layout(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    derive(input.into()).into()
}

fn derive(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.to_compile_error(),
    };
    let mut cx = ctxt::Ctxt::default();
    let mut record = ast::Record::parse(&mut cx, &input);
    check::check(&mut cx, &mut record);
    match cx.finish() {
        Ok(()) => expand::emit(&record),
        Err(mut errors) => {
            errors.extend(fallback::emit(&record));
            errors
        }
    }
}
