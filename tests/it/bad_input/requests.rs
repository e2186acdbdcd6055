//! Requests that no segment can fulfil: indices, ranges, shapes, sizes. And empty arrays, which are fine.

use super::kind;
use proptest::prelude::*;
use shmtypes::{Error, ErrorKind, Fault, Persist, ShmArray, ShmStr, ShmZero};
use shmtypes_tests::folder::Folder;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn out_of_range(index: usize, len: usize) -> ErrorKind {
    ErrorKind::OutOfRange { index, len }
}

#[test]
fn indices_out_of_range_are_errors_and_change_nothing() {
    let folder = Folder::new();
    let array = folder.options("a").create_from_slice(&[1_u32, 2, 3]).unwrap();
    let read_only = folder.options::<u32>("a").open_read_only().unwrap();
    for index in [3, 4, 1 << 30, usize::MAX / 4, usize::MAX - 1, usize::MAX] {
        assert_eq!(kind(array.get(index)), out_of_range(index, 3));
        assert_eq!(kind(read_only.get(index)), out_of_range(index, 3));
        assert_eq!(kind(array.set(index, 9)), out_of_range(index, 3));
        assert_eq!(kind(array.try_at(index)), out_of_range(index, 3));
        assert_eq!(kind(array.get_nd(&[index])), out_of_range(index, 3));
        assert_eq!(kind(array.set_nd(&[index], 9)), out_of_range(index, 3));
        assert_eq!(kind(array.at_nd(&[index])), out_of_range(index, 3));
        assert_eq!(kind(array.position(&[index])), out_of_range(index, 3));
        let panic = catch_unwind(AssertUnwindSafe(|| array.at(index).get())).unwrap_err();
        assert_eq!(
            panic.downcast_ref::<String>().unwrap(),
            &format!("index {index} is out of range for an array of 3 elements")
        );
    }
    let error = array.get(3).unwrap_err();
    assert_eq!(
        (error.fault(), error.to_string()),
        (Fault::Caller, "index 3 is out of range for 3 elements".to_owned())
    );
    assert_eq!(array.to_vec().unwrap(), [1, 2, 3]);
}

#[test]
fn ranges_past_the_end_are_errors_and_copy_nothing() {
    let array = ShmArray::create_from_slice(&[1_u32, 2, 3]).unwrap();
    let mut target = [0; 4];
    for (start, count, end) in [
        (0, 4, 4),
        (1, 3, 4),
        (3, 1, 4),
        (4, 0, 4),
        (usize::MAX, 1, usize::MAX),
        (usize::MAX, 0, usize::MAX),
        (usize::MAX - 1, 2, usize::MAX),
    ] {
        assert_eq!(kind(array.copy_to_slice(start, &mut target[..count])), out_of_range(end, 3), "{start}, {count}");
        assert_eq!(kind(array.copy_from_slice(start, &[9; 4][..count])), out_of_range(end, 3), "{start}, {count}");
    }
    assert_eq!(target, [0; 4]);
    assert_eq!(array.to_vec().unwrap(), [1, 2, 3]);
    array.copy_to_slice(3, &mut []).expect("an empty range at the end");
    array.copy_from_slice(3, &[]).expect("an empty range at the end");
}

#[test]
fn indices_of_another_shape_are_errors() {
    let array = ShmArray::<u16>::options().shape(&[2, 3]).create(6).unwrap();
    for indices in [&[][..], &[1], &[1, 2, 0], &[0; 9]] {
        let mismatch = ErrorKind::ShapeMismatch { given: indices.to_vec(), expected: vec![2, 3] };
        assert_eq!(kind(array.get_nd(indices)), mismatch);
        assert_eq!(kind(array.set_nd(indices, 1)), mismatch);
        assert_eq!(kind(array.at_nd(indices)), mismatch);
    }
    assert_eq!(kind(array.get_nd(&[2, 0])), out_of_range(2, 2));
    assert_eq!(kind(array.get_nd(&[0, 3])), out_of_range(3, 3));
    assert_eq!(kind(array.get_nd(&[1, usize::MAX])), out_of_range(usize::MAX, 3));
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let folder = Folder::new();
    let options = |shape: &[usize]| folder.options::<u64>("a").shape(shape);
    for (shape, n) in [(&[2, 3][..], 5), (&[2, 3], 7), (&[0, 3], 1), (&[3], 0), (&[usize::MAX, 2], 6), (&[], 0)] {
        let mismatch = ErrorKind::ShapeMismatch { given: vec![n], expected: shape.to_vec() };
        assert_eq!(kind(options(shape).create(n)), mismatch);
        assert_eq!(kind(options(shape).open_or_create(n)), mismatch);
    }
    let dimensions = ErrorKind::InvalidOptions { reason: "a shape has 1 to 8 dimensions".to_owned() };
    assert_eq!(kind(options(&[]).create(1)), dimensions);
    assert_eq!(kind(options(&[1; 9]).create(1)), dimensions);
    let modes = folder.options::<u64>("a").mode(0o1777).create(1).map(drop).unwrap_err();
    assert_eq!(modes.to_string(), r#""a": mode 0o1777 has bits beyond 0o777"#);
    assert!(folder.left().is_empty());

    let grid = options(&[2, 3]).create(6).unwrap();
    let other = |given: &[usize]| ErrorKind::ShapeMismatch { given: given.to_vec(), expected: vec![2, 3] };
    for shape in [&[3, 2][..], &[6], &[2, 3, 1], &[2, 4]] {
        assert_eq!(kind(options(shape).open()), other(shape));
        assert_eq!(kind(options(shape).open_read_only()), other(shape));
    }
    assert_eq!(kind(folder.options::<u64>("a").open_or_create(6)), other(&[6]));
    let error = options(&[3, 2]).open().map(drop).unwrap_err();
    assert_eq!(error.to_string(), r#""a": shape [3, 2] does not fit shape [2, 3]"#);
    let line = folder.options::<u64>("b").create(5).unwrap();
    assert_eq!(kind(grid.dot(&line)), ErrorKind::ShapeMismatch { given: vec![5], expected: vec![6] });
    let transposed = ndarray::Array2::<u64>::zeros((3, 2));
    assert_eq!(kind(grid.copy_from_ndarray(&transposed)), other(&[3, 2]));
    folder.close_last(grid);
}

/// Asks for `n` elements by every constructor that reserves before it writes.
fn asks_for<T: ShmZero + Clone>(folder: &Folder, n: usize) -> Vec<Error> {
    let options = || folder.options::<T>("a");
    [
        options().create(n),
        options().create_with(n, |_| unreachable!("nothing to fill")),
        options().try_create_with::<Error>(n, |_| unreachable!("nothing to fill")),
        options().create_from_fn(n, |_| unreachable!("nothing to fill")),
        options().open_or_create(n),
        options().shape(&[n]).create_with_ndarray(|_| unreachable!("nothing to fill")),
        options().shape(&[1, n, 1]).create(n),
        options().huge_pages(true).create(n),
        options().prefault(true).create(n),
        options().persist(Persist::Keep).create(n),
        ShmArray::options().dir(folder.path()).unnamed().create(n),
        ShmArray::options().dir(folder.path()).unnamed().huge_pages(true).create(n),
        ShmArray::options().dir(folder.path()).create(n),
    ]
    .into_iter()
    .map(|result| result.map(drop).unwrap_err())
    .collect()
}

#[track_caller]
fn too_much<T: ShmZero + Clone>(folder: &Folder, n: usize) {
    let element_size = size_of::<T>();
    for error in asks_for::<T>(folder, n) {
        match *error.kind() {
            ErrorKind::SizeOverflow { elements, element_size: size } => assert!(elements == n && size == element_size),
            ErrorKind::NoSpace { needed, available } => {
                assert!(u128::from(needed) >= n as u128 * element_size as u128 && available < needed, "{error}");
            }
            _ => panic!("{error}"),
        }
    }
    assert!(folder.left().is_empty());
}

#[test]
fn sizes_beyond_every_address_space_are_refused() {
    let folder = Folder::new();
    let overflow = |elements, element_size| ErrorKind::SizeOverflow { elements, element_size };
    let create = |n| kind(folder.options::<u64>("a").create(n));
    for n in [usize::MAX, usize::MAX / 8, usize::MAX / 8 + 1, isize::MAX as usize / 8, isize::MAX as usize / 8 - 1] {
        assert_eq!(create(n), overflow(n, 8));
    }
    assert_eq!(
        kind(folder.options::<u64>("a").shape(&[1 << 40, 1 << 40]).create_with_ndarray(|_| ())),
        overflow(usize::MAX, 8)
    );
    let error = folder.options::<u64>("a").create(usize::MAX).map(drop).unwrap_err();
    assert_eq!(error.fault(), Fault::Caller);
    assert_eq!(error.to_string(), r#""a": 18446744073709551615 elements of 8 bytes are more than can be addressed"#);
    assert!(folder.left().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    /// Around every power of two from 2^42 bytes on, which is more than the memory of any machine that runs this.
    #[test]
    fn no_size_panics_or_leaves_anything(shift in 42_u32..64, near in -3_i64..=3, low in any::<u32>()) {
        let folder = Folder::new();
        let n = (1_usize << shift).wrapping_add_signed(near as isize);
        for n in [n, n | low as usize, usize::MAX - low as usize] {
            if n < 1 << 41 {
                continue;
            }
            too_much::<u8>(&folder, n);
            too_much::<u16>(&folder, n);
            too_much::<[u8; 3]>(&folder, n);
            too_much::<f64>(&folder, n);
            too_much::<u128>(&folder, n);
            too_much::<ShmStr<56>>(&folder, n);
            too_much::<[u64; 4096]>(&folder, n);
        }
    }
}

/// Everything that an array without elements is asked.
fn is_empty_and_works(array: &ShmArray<f64>, shape: &[usize]) {
    assert!(array.is_empty());
    assert_eq!((array.len(), array.shape()), (0, shape));
    assert_eq!(array.strides().len(), shape.len());
    assert_eq!(array.to_vec().unwrap(), [0.0; 0]);
    assert_eq!((array.iter().count(), array.iter().len()), (0, 0));
    assert_eq!(array.sum().unwrap(), 0.0);
    assert_eq!((array.min().unwrap(), array.max().unwrap()), (None, None));
    assert_eq!(array.dot(array).unwrap(), 0.0);
    array.for_each_block(|_| unreachable!("no block")).unwrap();
    assert_eq!(array.fold_blocks(5, |_, _| unreachable!("no block")).unwrap(), 5);
    array.map_in_place(|_| unreachable!("no element")).unwrap();
    array.fill(1.0).unwrap();
    array.copy_from_slice(0, &[]).unwrap();
    array.copy_to_slice(0, &mut []).unwrap();
    assert_eq!(array.to_ndarray().unwrap().shape(), shape);
    assert_eq!(kind(array.get(0)), out_of_range(0, 0));
    assert_eq!(kind(array.set(0, 1.0)), out_of_range(0, 0));
    assert_eq!(kind(array.try_at(0)), out_of_range(0, 0));
    assert_eq!(kind(array.copy_from_slice(0, &[1.0])), out_of_range(1, 0));
    assert!(!array.as_ptr().is_null());
}

#[test]
fn arrays_without_elements_work_everywhere() {
    let folder = Folder::new();
    let options = || folder.options::<f64>("a");
    type Make<'a> = &'a dyn Fn() -> ShmArray<f64>;
    let constructors: [Make<'_>; 9] = [
        &|| options().create(0).unwrap(),
        &|| options().create_with(0, |slots| assert!(slots.is_empty())).unwrap(),
        &|| options().create_from_fn(0, |_| unreachable!("no element")).unwrap(),
        &|| options().create_from_slice(&[]).unwrap(),
        &|| options().open_or_create(0).unwrap(),
        &|| options().shape(&[0]).create_with_ndarray(|view| assert!(view.is_empty())).unwrap(),
        &|| options().prefault(true).create(0).unwrap(),
        &|| options().huge_pages(true).create(0).unwrap(),
        &|| options().persist(Persist::UntilLastDetach).mode(0o666).create(0).unwrap(),
    ];
    for construct in constructors {
        let array = construct();
        is_empty_and_works(&array, &[0]);
        is_empty_and_works(&options().open().unwrap(), &[0]);
        is_empty_and_works(&options().open_or_create(0).unwrap(), &[0]);
        assert_eq!(options().open_read_only().unwrap().iter().count(), 0);
        assert_eq!(
            (folder.segments().inspect("a").unwrap().shape, folder.segments().list().unwrap().segments.len()),
            (vec![0], 1)
        );
        folder.close_last(array);
    }
    is_empty_and_works(&ShmArray::options().unnamed().create(0).unwrap(), &[0]);
    assert!(folder.left().is_empty());
}

#[test]
fn shapes_with_a_length_of_zero_work_everywhere() {
    let folder = Folder::new();
    for shape in [&[0][..], &[0, 5], &[5, 0], &[3, 0, 1 << 40], &[0; 8], &[1, 1, 1, 0]] {
        let options = || folder.options::<f64>("a").shape(shape);
        let array = options().create(0).unwrap();
        is_empty_and_works(&array, shape);
        is_empty_and_works(&options().open().unwrap(), shape);
        let lengths: Vec<u64> = shape.iter().map(|&length| length as u64).collect();
        assert_eq!(folder.segments().inspect("a").unwrap().shape, lengths);
        assert!(array.get_nd(&vec![0; shape.len()]).is_err());
        folder.close_last(array);
    }
}
