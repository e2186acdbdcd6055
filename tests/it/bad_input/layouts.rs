//! A segment that holds another type: the first difference is named, and nothing is changed.

use shmtypes::{ErrorKind, Fault, Persist, ShmBytes, ShmLayout, ShmStr};
use shmtypes_tests::folder::Folder;
use std::num::NonZeroU32;
use std::sync::atomic::AtomicU32;

#[derive(ShmLayout, Clone, Copy)]
#[repr(u8)]
enum Side {
    Buy = 1,
    Sell = 2,
}

#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
struct Leg {
    ratio: u32,
    count: u32,
}

#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
#[rustfmt::skip]
struct Order {
    price: f64, amount: u32, side: Side, open: bool, flags: [u8; 2], legs: [Leg; 2], tag: ShmStr<12>, id: NonZeroU32, rest: u32,
}

fn order(index: usize) -> Order {
    Order {
        price: 9.75,
        amount: 3,
        side: if index.is_multiple_of(2) { Side::Buy } else { Side::Sell },
        open: true,
        flags: [0; 2],
        legs: [Leg { ratio: 1, count: 2 }; 2],
        tag: ShmStr::truncated("ACME"),
        id: NonZeroU32::MIN,
        rest: 0,
    }
}

/// A segment of orders, and what each attempt at it must leave as it was.
struct Book {
    folder: Folder,
    bytes: Vec<u8>,
}

impl Book {
    fn new() -> Self {
        let folder = Folder::new();
        folder.options("book").persist(Persist::Keep).create_from_fn(3, order).unwrap();
        let bytes = std::fs::read(folder.file("book")).unwrap();
        Self { folder, bytes }
    }

    /// Opening as `T` in every way must fail and name this difference first.
    #[track_caller]
    fn refuses<T: ShmLayout>(&self, first: &str) {
        let options = self.folder.options::<T>("book");
        let errors = [
            options.open().map(drop).unwrap_err(),
            options.open_read_only().map(drop).unwrap_err(),
            options
                .from_fd(std::fs::File::options().read(true).write(true).open(self.folder.file("book")).unwrap().into())
                .map(drop)
                .unwrap_err(),
        ];
        for (error, is_named) in errors.into_iter().zip([true, true, false]) {
            let ErrorKind::LayoutMismatch { differences } = error.kind() else { panic!("{error}") };
            assert_eq!(differences[0], first, "of {differences:?}");
            assert_eq!(error.fault(), Fault::Caller);
            let text = error.to_string();
            let start = if is_named { r#""book" holds another layout: "# } else { "holds another layout: " };
            assert!(text.starts_with(&format!("{start}{first}")), "{text}");
            assert!(text.ends_with(" (build both programs from one definition, or use another name)"), "{text}");
        }
        assert_eq!(self.folder.left(), ["book"]);
        assert!(std::fs::read(self.folder.file("book")).unwrap() == self.bytes, "the segment has changed");
    }
}

/// One field of one struct, or its version, in another way than the segment has it.
macro_rules! other {
    ($book:ident, $first:literal, $($fields:tt)*) => { other!([version = 0] $book, $first, $($fields)*) };
    ([$version:meta] $book:ident, $first:literal, $($fields:tt)*) => {{
        #[derive(ShmLayout)]
        #[repr(C)]
        #[shm($version)]
        struct Other { $($fields)* }
        $book.refuses::<Other>($first);
    }};
}

#[test]
#[rustfmt::skip]
fn every_field_that_differs_is_named_with_both_types_and_places() {
    let book = Book::new();
    other!(book, "field 0 is `price` in the segment, `cost` in this program",
        cost: f64, amount: u32, side: Side, open: bool, flags: [u8; 2], legs: [Leg; 2], tag: ShmStr<12>, id: NonZeroU32, rest: u32);
    other!(book, "field 0 `price` is f64 at 0 in the segment, u64 at 0 in this program",
        price: u64, amount: u32, side: Side, open: bool, flags: [u8; 2], legs: [Leg; 2], tag: ShmStr<12>, id: NonZeroU32, rest: u32);
    other!(book, "field 1 `amount` is u32 at 8 in the segment, i32 at 8 in this program",
        price: f64, amount: i32, side: Side, open: bool, flags: [u8; 2], legs: [Leg; 2], tag: ShmStr<12>, id: NonZeroU32, rest: u32);
    other!(book, "field 1 `amount` is u32 at 8 in the segment, f32 at 8 in this program",
        price: f64, amount: f32, side: Side, open: bool, flags: [u8; 2], legs: [Leg; 2], tag: ShmStr<12>, id: NonZeroU32, rest: u32);
    other!(book, "field 1 `amount` is u32 at 8 in the segment, atomic u32 at 8 in this program",
        price: f64, amount: AtomicU32, side: Side, open: bool, flags: [u8; 2], legs: [Leg; 2], tag: ShmStr<12>, id: NonZeroU32, rest: u32);
    other!(book, "field 1 `amount` is u32 at 8 in the segment, [u8; 4] at 8 in this program",
        price: f64, amount: [u8; 4], side: Side, open: bool, flags: [u8; 2], legs: [Leg; 2], tag: ShmStr<12>, id: NonZeroU32, rest: u32);
    other!(book, "field 2 `side` is an enum of u8 at 12 in the segment, u8 at 12 in this program",
        price: f64, amount: u32, side: u8, open: bool, flags: [u8; 2], legs: [Leg; 2], tag: ShmStr<12>, id: NonZeroU32, rest: u32);
    other!(book, "field 2 `side` is an enum of u8 at 12 in the segment, an enum of u8 at 13 in this program",
        price: f64, amount: u32, open: bool, side: Side, flags: [u8; 2], legs: [Leg; 2], tag: ShmStr<12>, id: NonZeroU32, rest: u32);
    other!(book, "field 3 `open` is bool at 13 in the segment, u8 at 13 in this program",
        price: f64, amount: u32, side: Side, open: u8, flags: [u8; 2], legs: [Leg; 2], tag: ShmStr<12>, id: NonZeroU32, rest: u32);
    other!(book, "field 4 `flags` is [u8; 2] at 14 in the segment, [u8; 1] at 14 in this program",
        price: f64, amount: u32, side: Side, open: bool, flags: [u8; 1], more: u8, legs: [Leg; 2], tag: ShmStr<12>, id: NonZeroU32, rest: u32);
    other!(book, "field 4 `flags` is [u8; 2] at 14 in the segment, u16 at 14 in this program",
        price: f64, amount: u32, side: Side, open: bool, flags: u16, legs: [Leg; 2], tag: ShmStr<12>, id: NonZeroU32, rest: u32);
    other!(book, "field 5 `legs` is [a struct of 8 bytes; 2] at 16 in the segment, [a struct of 8 bytes; 3] at 16 in this program",
        price: f64, amount: u32, side: Side, open: bool, flags: [u8; 2], legs: [Leg; 3], tag: ShmStr<12>, id: NonZeroU32, rest: u32);
    other!(book, "field 6 `tag` is ShmStr<12> at 32 in the segment, ShmBytes<12> at 32 in this program",
        price: f64, amount: u32, side: Side, open: bool, flags: [u8; 2], legs: [Leg; 2], tag: ShmBytes<12>, id: NonZeroU32, rest: u32);
    other!(book, "field 6 `tag` is ShmStr<12> at 32 in the segment, ShmStr<8> at 32 in this program",
        price: f64, amount: u32, side: Side, open: bool, flags: [u8; 2], legs: [Leg; 2], tag: ShmStr<8>, more: u32, id: NonZeroU32, rest: u32);
    other!(book, "field 7 `id` is NonZero<u32> at 48 in the segment, u32 at 48 in this program",
        price: f64, amount: u32, side: Side, open: bool, flags: [u8; 2], legs: [Leg; 2], tag: ShmStr<12>, id: u32, rest: u32);
    other!(book, "field 7 `id` is NonZero<u32> at 48 in the segment, Option<NonZero<u32>> at 48 in this program",
        price: f64, amount: u32, side: Side, open: bool, flags: [u8; 2], legs: [Leg; 2], tag: ShmStr<12>, id: Option<NonZeroU32>, rest: u32);
    other!(book, "field 7 `id` is NonZero<u32> at 48 in the segment, NonZero<u32> at 52 in this program",
        price: f64, amount: u32, side: Side, open: bool, flags: [u8; 2], legs: [Leg; 2], tag: ShmStr<12>, rest: u32, id: NonZeroU32);
    other!(book, "the segment also has `id` NonZero<u32> at 48",
        price: f64, amount: u32, side: Side, open: bool, flags: [u8; 2], legs: [Leg; 2], tag: ShmStr<12>);
    other!(book, "this program also has `more` u64 at 56",
        price: f64, amount: u32, side: Side, open: bool, flags: [u8; 2], legs: [Leg; 2], tag: ShmStr<12>, id: NonZeroU32, rest: u32, more: u64);
    other!(book, "field 0 `price` is f64 at 0 in the segment, f64 at 8 in this program",
        head: u64, price: f64, amount: u32, side: Side, open: bool, flags: [u8; 2], legs: [Leg; 2], tag: ShmStr<12>, id: NonZeroU32, rest: u32);
    other!([version = 7] book, "version 0 in the segment, 7 in this program",
        price: f64, amount: u32, side: Side, open: bool, flags: [u8; 2], legs: [Leg; 2], tag: ShmStr<12>, id: NonZeroU32, rest: u32);
    book.refuses::<f64>("a struct of 56 bytes in the segment, f64 in this program");
    book.refuses::<[Order; 2]>("a struct of 56 bytes in the segment, [a struct of 56 bytes; 2] in this program");
}

/// The same order, but for the type of its field `side`.
macro_rules! other_side {
    ($book:ident, $first:literal, $repr:ident, $($variants:tt)*) => {
        other_side!([version = 0] $book, $first, $repr, $($variants)*)
    };
    ([$version:meta] $book:ident, $first:literal, $repr:ident, $($variants:tt)*) => {{
        #[derive(ShmLayout, Clone, Copy)]
        #[repr($repr)]
        #[shm($version)]
        enum Side { $($variants)* }
        other!($book, $first, price: f64, amount: u32, side: Side, open: bool, flags: [u8; 2], legs: [Leg; 2],
            tag: ShmStr<12>, id: NonZeroU32, rest: u32);
    }};
}

#[test]
#[rustfmt::skip]
fn every_variant_that_differs_is_named_with_both_values() {
    let book = Book::new();
    other_side!(book, "`side`: the segment also has variant `Sell` = 2", u8, Buy = 1);
    other_side!(book, "`side`: the segment also has variant `Sell` = 2", u8, Buy = 1, Sale = 2);
    other_side!(book, "`side`: this program also has variant `Hold` = 3", u8, Buy = 1, Sell = 2, Hold = 3);
    other_side!(book, "`side`: variant `Sell` is 2 in the segment, 3 in this program", u8, Buy = 1, Sell = 3);
    other_side!(book, "`side`: the variants are declared in another order", u8, Sell = 2, Buy = 1);
    other_side!(book, "`side`: the enum is u8 in the segment, i8 in this program", i8, Buy = 1, Sell = 2);
    other_side!([version = 2] book, "`side`: version 0 in the segment, 2 in this program", u8, Buy = 1, Sell = 2);
}

/// The same order, but for the type of its field `legs`.
macro_rules! other_leg {
    ($book:ident, $first:literal, $($fields:tt)*) => {{
        #[derive(ShmLayout, Clone, Copy)]
        #[repr(C)]
        struct Leg { $($fields)* }
        other!($book, $first, price: f64, amount: u32, side: Side, open: bool, flags: [u8; 2], legs: [Leg; 2],
            tag: ShmStr<12>, id: NonZeroU32, rest: u32);
    }};
}

#[test]
#[rustfmt::skip]
fn fields_of_structs_in_arrays_are_named_by_their_path() {
    let book = Book::new();
    other_leg!(book, "field 0 is `legs[].ratio` in the segment, `legs[].rate` in this program", rate: u32, count: u32);
    other_leg!(book, "field 1 `legs[].count` is u32 at 4 in the segment, i32 at 4 in this program", ratio: u32, count: i32);
    other_leg!(book, "field 0 `legs[].ratio` is u32 at 0 in the segment, u32 at 4 in this program", count: u32, ratio: u32);
}

#[test]
fn the_same_fields_under_other_type_names_open() {
    let book = Book::new();
    #[derive(ShmLayout)]
    #[repr(C)]
    #[rustfmt::skip]
    struct Elsewhere {
        price: f64, amount: u32, side: Side, open: bool, flags: [u8; 2], legs: [Leg; 2], tag: ShmStr<12>, id: NonZeroU32, rest: u32,
    }
    let array = book.folder.options::<Elsewhere>("book").open().unwrap();
    assert_eq!((array.len(), array.at(1).price().get()), (3, 9.75));
}

#[test]
fn leaf_types_that_differ_are_told_in_one_sentence() {
    let folder = Folder::new();
    let array = folder.options::<u64>("a").create(4).unwrap();
    let error = folder.options::<i64>("a").open().map(drop).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#""a" holds another layout: u64 in the segment, i64 in this program (build both programs from one definition, or use another name)"#
    );
    // The failed attempt holds nothing.
    folder.close_last(array);
}

#[test]
fn another_container_is_named() {
    let folder = Folder::new();
    let mut bytes = folder.bytes_of(1, Persist::Keep, |_| 0_u64);
    for number in [0_u32, 6, 7, 9, u32::MAX] {
        bytes[24..28].copy_from_slice(&number.to_ne_bytes());
        std::fs::write(folder.file("a"), &bytes).unwrap();
        let error = folder.options::<u64>("a").open().map(drop).unwrap_err();
        let expected = ErrorKind::WrongContainer { found: "container unknown to this program", expected: "ShmArray" };
        assert_eq!(*error.kind(), expected);
        assert!(
            error.to_string().starts_with(r#""a": it holds a container unknown to this program, not a ShmArray ("#),
            "{error}"
        );
        assert_eq!(std::fs::read(folder.file("a")).unwrap(), bytes);
    }
}
