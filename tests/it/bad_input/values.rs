//! Bytes that are no value of their type, written by another process: an error with the place, never a value.

use shmtypes::{ErrorKind, ShmArray, ShmBytes, ShmLayout, ShmStr, ShmValue, ShmView};
use shmtypes_tests::folder::Folder;
use std::fmt::Debug;
use std::num::{NonZeroI64, NonZeroU32};

#[derive(ShmLayout, Clone, Copy, Debug)]
#[repr(u8)]
enum Side {
    Buy = 1,
    Sell = 2,
}

#[derive(ShmLayout, Clone, Copy, Debug)]
#[repr(i16)]
enum Level {
    Low = -300,
    High = 300,
}

#[derive(ShmLayout, Clone, Copy, Debug)]
#[repr(C)]
struct Leg {
    ratio: u16,
    side: Side,
    open: bool,
}

#[derive(ShmLayout, Clone, Copy, Debug)]
#[repr(C)]
struct Order {
    price: f64,
    id: NonZeroU32,
    letter: char,
    legs: [Leg; 3],
    tag: ShmStr<8>,
    digest: ShmBytes<4>,
    marks: [[bool; 2]; 2],
    level: Level,
    rest: [u8; 2],
}

/// Enough for several blocks of every type.
const LEN: usize = 300;

/// Writes `bytes` at `offset` into element `index` of an array of `value`s and reads the array in every way.
#[track_caller]
fn refused<T: ShmValue + Debug>(value: T, offset: usize, bytes: &[u8], path: &str, found: u64, expected: &'static str) {
    let folder = Folder::new();
    let array = folder.options::<T>("a").create_from_slice(&[value; LEN]).unwrap();
    let read_only = folder.options::<T>("a").open_read_only().unwrap();
    for index in [0, 17, LEN - 1] {
        let place =
            |element: Option<usize>| ErrorKind::InvalidValue { element, path: path.to_owned(), found, expected };
        let invalid = place(Some(index));
        folder.scribble("a", (index * size_of::<T>() + offset) as u64, bytes);

        let error = array.get(index).unwrap_err();
        assert_eq!(*error.kind(), invalid);
        let shown = if path.is_empty() { String::new() } else { format!("`{path}`: ") };
        assert_eq!(
            error.to_string(),
            format!(
                "element {index}: {shown}{found:#x} is not {expected} (a peer wrote bytes that its type does not allow)"
            )
        );
        assert_eq!(*read_only.get(index).unwrap_err().kind(), invalid);
        assert_eq!(*array.get_nd(&[index]).unwrap_err().kind(), invalid);
        assert_eq!(*array.at(index).try_get().unwrap_err().kind(), place(None));
        assert_eq!(*array.to_vec().unwrap_err().kind(), invalid);
        assert_eq!(*array.to_ndarray().unwrap_err().kind(), invalid);
        assert_eq!(*array.for_each_block(|_| {}).unwrap_err().kind(), invalid);
        let mut valid = 0;
        let folded = array.fold_blocks((), |(), block| valid += block.len());
        assert_eq!(*folded.unwrap_err().kind(), invalid);
        assert!(valid <= index, "the block that holds the element is not lent");

        let mut target = vec![value; LEN];
        let before = format!("{target:?}");
        assert_eq!(*array.copy_to_slice(0, &mut target).unwrap_err().kind(), invalid);
        assert_eq!(*array.copy_to_slice(index, &mut target[..1]).unwrap_err().kind(), invalid);
        assert_eq!(format!("{target:?}"), before, "the target of a failed copy is unchanged");

        let errors: Vec<_> =
            array.iter().enumerate().filter_map(|(at, item)| item.err().map(|error| (at, error))).collect();
        assert!(errors.len() == 1 && errors[0].0 == index && *errors[0].1.kind() == invalid, "{errors:?}");
        assert_eq!(array.iter().rev().filter(Result::is_err).count(), 1);

        array.set(index, value).unwrap();
        array.to_vec().expect("a valid value heals the element");
    }
}

fn order() -> Order {
    Order {
        price: 1.5,
        id: NonZeroU32::MIN,
        letter: 'æ',
        legs: [Leg { ratio: 1, side: Side::Sell, open: true }; 3],
        tag: ShmStr::truncated("ACME"),
        digest: ShmBytes::default(),
        marks: [[true, false]; 2],
        level: Level::High,
        rest: [0; 2],
    }
}

const SIDE: &str = "a `Side`, which is `Buy` or `Sell`";
const LEVEL: &str = "a `Level`, which is `Low` or `High`";
const BOOL: &str = "a `bool`, which is 0 or 1";
const CHAR: &str = "a `char`, which is a Unicode scalar value";
const NON_ZERO: &str = "a `NonZero` integer, which is never 0";
const LENGTH: &str = "a length no greater than the capacity";

#[test]
fn leaves_that_are_no_value_are_errors_in_every_way_of_reading() {
    refused(true, 0, &[2], "", 2, BOOL);
    refused(false, 0, &[0xff], "", 0xff, BOOL);
    refused('a', 0, &0xd800_u32.to_ne_bytes(), "", 0xd800, CHAR);
    refused('a', 0, &0x11_0000_u32.to_ne_bytes(), "", 0x11_0000, CHAR);
    refused(NonZeroU32::MIN, 0, &[0; 4], "", 0, NON_ZERO);
    refused(NonZeroI64::MIN, 0, &[0; 8], "", 0, NON_ZERO);
    refused(ShmStr::<8>::truncated("abc"), 0, &9_u32.to_ne_bytes(), "", 9, LENGTH);
    refused(ShmStr::<8>::truncated("abc"), 0, &u32::MAX.to_ne_bytes(), "", u32::MAX.into(), LENGTH);
    refused(ShmStr::<8>::truncated("abc"), 5, &[0xff], "", 0xff, "UTF-8");
    refused(ShmStr::<8>::truncated("abc"), 6, &[0xe2], "", 0xe2, "UTF-8");
    refused(ShmBytes::<3>::default(), 0, &4_u32.to_ne_bytes(), "", 4, LENGTH);
}

#[test]
fn enums_that_are_no_variant_are_errors_in_every_way_of_reading() {
    for byte in [0, 3, 0xff] {
        refused(Side::Buy, 0, &[byte], "", byte.into(), SIDE);
    }
    refused(Level::Low, 0, &0_i16.to_ne_bytes(), "", 0, LEVEL);
    refused(Level::Low, 0, &(-1_i16).to_ne_bytes(), "", 0xffff, LEVEL);
}

#[test]
fn fields_that_are_no_value_are_named_by_their_path() {
    use std::mem::offset_of;
    refused(order(), offset_of!(Order, id), &[0; 4], "id", 0, NON_ZERO);
    refused(order(), offset_of!(Order, letter), &[0xff; 4], "letter", 0xffff_ffff, CHAR);
    refused(order(), offset_of!(Order, legs) + 2 * size_of::<Leg>() + 2, &[7], "legs[2].side", 7, SIDE);
    refused(order(), offset_of!(Order, legs) + size_of::<Leg>() + 3, &[2], "legs[1].open", 2, BOOL);
    refused(order(), offset_of!(Order, tag), &[9], "tag", 9, LENGTH);
    refused(order(), offset_of!(Order, tag) + 4, &[0x80], "tag", 0x80, "UTF-8");
    refused(order(), offset_of!(Order, digest), &[5], "digest", 5, LENGTH);
    refused(order(), offset_of!(Order, marks) + 3, &[3], "marks[1][1]", 3, BOOL);
    refused(order(), offset_of!(Order, level), &[0; 2], "level", 0, LEVEL);
    refused([[true; 2]; 3], 5, &[4], "[2][1]", 4, BOOL);
}

#[test]
fn views_refuse_the_field_that_is_no_value_and_read_the_others() {
    let folder = Folder::new();
    let array = folder.options::<Order>("a").create_from_fn(4, |_| order()).unwrap();
    let offset = std::mem::offset_of!(Order, legs) + size_of::<Leg>() + 2;
    folder.scribble("a", (2 * size_of::<Order>() + offset) as u64, &[9]);
    let view = array.at(2);
    let invalid =
        |path: &str| ErrorKind::InvalidValue { element: None, path: path.to_owned(), found: 9, expected: SIDE };
    assert_eq!(*view.legs().at(1).side().try_get().unwrap_err().kind(), invalid(""));
    assert_eq!(*view.legs().at(1).try_get().unwrap_err().kind(), invalid("side"));
    assert_eq!(*view.legs().try_get().unwrap_err().kind(), invalid("[1].side"));
    assert_eq!(*view.try_get().unwrap_err().kind(), invalid("legs[1].side"));
    assert!(matches!(view.legs().at(0).side().try_get(), Ok(Side::Sell)));
    assert!(view.legs().at(1).open().try_get().unwrap());
    assert_eq!((view.price().get(), view.letter().try_get().unwrap()), (1.5, 'æ'));
    view.legs().at(1).side().set(Side::Buy);
    assert!(matches!(array.get(2).unwrap().legs[1].side, Side::Buy));
}

#[test]
fn bytes_that_no_reader_looks_at_are_no_error() {
    let folder = Folder::new();
    let text = folder.options::<ShmStr<8>>("a").create_from_slice(&[ShmStr::truncated("abc"); 2]).unwrap();
    // Behind the length of three, inside the capacity of eight.
    folder.scribble("a", 4 + 3, &[0xff; 5]);
    assert_eq!(text.get(0).unwrap().as_str(), "abc");
    let array: ShmArray<Option<NonZeroU32>> = folder.options("b").create(3).unwrap();
    assert_eq!(array.to_vec().unwrap(), [None; 3]);
}
