//! Derived types in a segment: projections, checks of what a peer wrote, read-only views.
#![allow(unsafe_code, reason = "plays the peer that writes bytes of its own choice")]

use core::sync::atomic::{AtomicU32, Ordering};
use shmtypes::{ErrorKind, Result, ShmArray, ShmLayout, ShmStr, ShmView};

#[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
#[repr(i16)]
enum Side {
    Buy = -7,
    Sell = 300,
}

#[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Leg {
    ratio: u32,
    side: Side,
    open: bool,
    _pad: u8,
}

#[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Order {
    /// In cents.
    price: f64,
    legs: [Leg; 3],
    name: ShmStr<12>,
    r#type: [u8; 2],
    get: u16,
    len: u32,
}

fn leg(ratio: u32) -> Leg {
    Leg { ratio, side: Side::Sell, open: true, _pad: 0 }
}

fn order(index: usize) -> Order {
    Order {
        price: index as f64 / 4.0,
        legs: [leg(1), leg(2), leg(3)],
        name: ShmStr::truncated("order"),
        r#type: [1, 2],
        get: 7,
        len: 9,
    }
}

/// Writes bytes as a peer would that knows nothing of the type.
fn scribble<'a, V: ShmView<'a, shmtypes::ReadWrite>>(view: V, offset: usize, bytes: &[u8]) {
    assert!(offset + bytes.len() <= size_of::<V::Target>());
    let place: *mut u8 = view.place().as_ptr().cast();
    for (index, byte) in bytes.iter().enumerate() {
        let to = place.wrapping_add(offset + index);
        // SAFETY: inside the mapped value, by the assertion, and nobody holds a reference into it.
        unsafe { to.write_volatile(*byte) };
    }
}

/// Path, bits and expectation of an invalid value.
#[track_caller]
fn invalid<T: core::fmt::Debug>(result: Result<T>) -> (String, u64, &'static str) {
    match result.expect_err("a peer wrote bytes that the type does not allow").kind() {
        ErrorKind::InvalidValue { path, found, expected, .. } => (path.clone(), *found, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn projections_reach_each_field_and_no_other() -> Result<()> {
    let orders = ShmArray::<Order>::create_from_fn(3, order)?;
    let view = orders.at(1);
    view.price().set(2.5);
    view.legs().at(2).ratio().set(50);
    view.legs().at(0).side().set(Side::Buy);
    view.name().set(ShmStr::truncated("renamed"));
    view.r#type().at(1).set(0xff);
    view.get().set(1);
    view.len().set(2);

    let mut expected = order(1);
    expected.price = 2.5;
    expected.legs[2].ratio = 50;
    expected.legs[0].side = Side::Buy;
    expected.name = ShmStr::truncated("renamed");
    (expected.r#type[1], expected.get, expected.len) = (0xff, 1, 2);
    assert_eq!(orders.get(1)?, expected);
    assert_eq!((orders.get(0)?, orders.get(2)?), (order(0), order(2)));
    assert_eq!((view.price().get(), view.len().get()), (2.5, 2));
    assert_eq!(view.legs().at(0).side().try_get()?, Side::Buy);
    Ok(())
}

#[test]
fn a_view_as_a_whole_reads_and_writes_the_value() -> Result<()> {
    let orders = ShmArray::<Order>::create_from_fn(1, order)?;
    ShmView::set(orders.at(0), order(5));
    assert_eq!(orders.at(0).try_get()?, order(5));
    Ok(())
}

#[test]
fn an_invalid_variant_is_named_by_its_path() -> Result<()> {
    let orders = ShmArray::<Order>::create_from_fn(1, order)?;
    let side = orders.at(0).legs().at(1).side();
    scribble(side, 0, &(-1_i16).to_ne_bytes());
    let expected = "a `Side`, which is `Buy` or `Sell`";
    assert_eq!(invalid(orders.get(0)), ("legs[1].side".to_owned(), 0xffff, expected));
    assert_eq!(invalid(side.try_get()), (String::new(), 0xffff, expected));
    side.set(Side::Buy);
    assert_eq!(orders.get(0)?.legs[1].side, Side::Buy);
    Ok(())
}

#[test]
fn only_the_discriminants_are_valid_variants() -> Result<()> {
    let sides = ShmArray::<Side>::create_from_fn(1, |_| Side::Buy)?;
    for word in i16::MIN..=i16::MAX {
        scribble(sides.at(0), 0, &word.to_ne_bytes());
        let expected = [Side::Buy, Side::Sell].into_iter().find(|side| *side as i16 == word);
        assert_eq!(sides.get(0).ok(), expected, "{word}");
    }
    Ok(())
}

#[test]
fn the_first_invalid_field_is_found() -> Result<()> {
    let orders = ShmArray::<Order>::create_from_fn(1, order)?;
    let view = orders.at(0);
    scribble(view.name(), 0, &13_u32.to_ne_bytes());
    assert_eq!(invalid(view.try_get()).0, "name");
    scribble(view.legs().at(2).open(), 0, &[2]);
    assert_eq!(invalid(view.try_get()), ("legs[2].open".to_owned(), 2, "a `bool`, which is 0 or 1"));
    Ok(())
}

/// A text that no stack holds is checked where it was copied to, and no further than it goes.
#[test]
fn a_text_of_many_megabytes_is_checked_on_a_small_stack() -> Result<()> {
    type Long = ShmStr<{ 8 << 20 }>;
    fn on_a_small_stack<R: Send>(run: impl FnOnce() -> R + Send) -> R {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, run);
            thread.expect("a thread can be started").join().expect("and does not panic")
        })
    }
    let texts = ShmArray::<Long>::create(2)?;
    scribble(texts.at(1), 0, &5_u32.to_ne_bytes());
    scribble(texts.at(1), 4, b"prose\xff");
    let copies = on_a_small_stack(|| texts.to_vec())?;
    assert_eq!(copies.iter().map(Long::as_str).collect::<Vec<_>>(), ["", "prose"]);

    scribble(texts.at(1), 0, &6_u32.to_ne_bytes());
    let found = on_a_small_stack(|| texts.to_vec().map(|copies| copies.len()));
    assert_eq!(invalid(found), (String::new(), 0xff, "UTF-8"));
    Ok(())
}

#[derive(ShmLayout)]
#[repr(C)]
struct Counter<T> {
    hits: AtomicU32,
    last: T,
}

#[derive(ShmLayout)]
#[repr(transparent)]
struct Pages<T>([Counter<T>; 2]);

#[test]
fn atomics_are_reached_through_generic_views() -> Result<()> {
    let pages = ShmArray::<Pages<i32>>::create(2)?;
    pages.at(1)._0().at(1).hits().fetch_add(3, Ordering::Relaxed);
    pages.at(1)._0().at(1).last().set(-4);
    assert_eq!(pages.at(1)._0().at(1).hits().load(Ordering::Relaxed), 3);
    assert_eq!(pages.at(1)._0().at(0).hits().load(Ordering::Relaxed), 0);
    assert_eq!(pages.at(1)._0().at(1).last().get(), -4);
    Ok(())
}

#[derive(bytemuck::Pod, bytemuck::Zeroable, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Point {
    x: f32,
    y: f32,
}

#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
struct Pixel {
    #[shm(bytemuck = "Point")]
    at: Point,
    colour: u32,
}

#[test]
fn a_foreign_field_is_read_and_written_whole() -> Result<()> {
    let pixels = ShmArray::<Pixel>::create(2)?;
    pixels.at(1).at().set(Point { x: 1.5, y: -1.0 });
    pixels.at(1).colour().set(3);
    assert_eq!(pixels.at(1).at().get(), Point { x: 1.5, y: -1.0 });
    assert_eq!(pixels.get(1)?.at, Point { x: 1.5, y: -1.0 });
    assert_eq!(pixels.at(0).at().get(), Point { x: 0.0, y: 0.0 });
    Ok(())
}

#[test]
fn a_view_is_copied_and_shown_without_bounds_on_the_value() -> Result<()> {
    let pages = ShmArray::<Pages<i32>>::create(1)?;
    let view = pages.at(0);
    let copy = view;
    assert_eq!(format!("{view:?}"), format!("{copy:?}"));
    assert!(format!("{view:?}").starts_with("PagesView(0x"), "{view:?}");
    Ok(())
}

#[test]
fn another_layout_under_the_name_is_refused() -> Result<()> {
    let orders = ShmArray::<Pixel>::create(1)?;
    let error = ShmArray::<Leg>::open(orders.name()).expect_err("another layout");
    assert!(matches!(error.kind(), ErrorKind::LayoutMismatch { .. }), "{error:?}");
    Ok(())
}
