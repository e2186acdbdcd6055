//! Field names that are also names of methods, and types with the names that the expansion uses.

use shmtypes::layout::Kind;
use shmtypes::{ReadOnly, ShmLayout};

#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
#[shm(view = "Place")]
struct Awkward {
    get: u8,
    set: u8,
    place: u8,
    from_place: u8,
    try_get: u8,
    len: u8,
    clone: u8,
    fmt: u8,
    r#type: u8,
    r#match: u8,
    project: u8,
    _0: u8,
}

/// What expansions must not take for their own.
struct M;
struct T;
#[allow(non_camel_case_types, dead_code, reason = "shadows the primitive on purpose")]
struct usize;

#[derive(ShmLayout)]
#[repr(C)]
struct Shadowed {
    m: Same<M>,
    t: Same<T>,
}

/// A field type that mentions a type without a layout, and has one itself.
#[allow(dead_code, reason = "only the layout matters")]
struct Same<X>([u8; 1], core::marker::PhantomData<X>);

#[allow(unsafe_code, reason = "a layout by hand, for a type that the derive cannot make")]
// SAFETY: one byte, and a marker without bytes.
unsafe impl<X: 'static> ShmLayout for Same<X> {
    const SCHEMA: shmtypes::Schema = <u8 as ShmLayout>::SCHEMA;
    type View<'a, A: shmtypes::AccessMode> = shmtypes::ShmRef<'a, Self, A>;
}

#[test]
fn any_field_name_has_a_projection() {
    // Named, not called: no segment is needed to see that each exists with the field's type.
    type Projection<'a> = fn(Place<'a, ReadOnly>) -> shmtypes::ShmRef<'a, u8, ReadOnly>;
    let projections: [Projection<'_>; 12] = [
        Place::get,
        Place::set,
        Place::place,
        Place::from_place,
        Place::try_get,
        Place::len,
        Place::clone,
        Place::fmt,
        Place::r#type,
        Place::r#match,
        Place::project,
        Place::_0,
    ];
    let Kind::Struct { fields, .. } = Awkward::SCHEMA.kind() else { panic!() };
    assert_eq!(fields.len(), projections.len());
    assert_eq!(fields[8].name, "type");
}

#[test]
fn names_of_the_expansion_do_not_capture_the_users() {
    assert_eq!(Shadowed::SCHEMA.size(), 2);
    let _: fn(ShadowedView<'static>) -> shmtypes::ShmRef<'static, Same<M>> = ShadowedView::m;
    let (M, T, usize) = (M, T, usize);
}

mod market {
    use shmtypes::ShmLayout;

    pub mod inner {
        use super::ShmLayout;

        #[derive(ShmLayout)]
        #[repr(C)]
        pub struct Tick {
            pub open: u8,
            pub(crate) seen_here: u8,
            pub(super) seen_near: u8,
            hidden: u8,
        }

        pub fn hidden(tick: TickView<'_>) -> shmtypes::ShmRef<'_, u8> {
            tick.hidden()
        }
    }

    pub fn near(tick: inner::TickView<'_>) -> shmtypes::ShmRef<'_, u8> {
        tick.seen_near()
    }
}

#[test]
fn a_projection_is_as_visible_as_its_field() {
    type Projection = fn(market::inner::TickView<'static>) -> shmtypes::ShmRef<'static, u8>;
    let _: Projection = market::inner::TickView::open;
    let _: Projection = market::inner::TickView::seen_here;
    let _: Projection = market::near;
    let _: Projection = market::inner::hidden;
}
