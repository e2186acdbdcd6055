//! Blocks, arrays and pickled handles across the two languages.

use crate::with_each;
use serde_json::json;
use shmtypes::compat::list::Text;
use shmtypes::compat::tracker::MessageForm;
use shmtypes::compat::{NdArray, Order, ResourceTracker, ShareableList, SharedMemory, Value};
use shmtypes::{ErrorKind, ReadOnly, ShmLayout, Trust};
use shmtypes_tests::python::{Python, hex, typed, unhex};
use shmtypes_tests::scratch::Scratch;

#[test]
fn bytes_that_one_side_writes_are_read_by_the_other() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let mut python = Python::start(interpreter);
        // Made by Rust.
        let block = SharedMemory::create_named(&scratch.name("rust"), 1001).unwrap();
        let opened = python.run(&json!({"op": "open block", "name": block.name()}));
        assert_eq!((opened["size"].as_u64(), opened["name"].as_str()), (Some(1001), Some(block.name())));
        block.copy_from_slice(3, b"from Rust").unwrap();
        assert_eq!(python.run(&json!({"op": "read", "start": 3, "len": 9}))["hex"], hex(b"from Rust"));
        python.run(&json!({"op": "write", "start": 992, "hex": hex(b"of Python")}));
        assert_eq!(block.to_vec().unwrap()[992..], *b"of Python");
        python.run(&json!({"op": "close"}));
        block.unlink().unwrap();
        // Made by Python, under a name of its own.
        let made = python.run(&json!({"op": "block", "size": 77}));
        let block = SharedMemory::open(made["name"].as_str().unwrap()).unwrap();
        assert_eq!(block.size(), 77);
        assert!(block.name().starts_with("psm_"));
        block.set(76, 9).unwrap();
        assert_eq!(python.run(&json!({"op": "read", "start": 76, "len": 1}))["hex"], "09");
        python.run(&json!({"op": "unlink"}));
        assert!(SharedMemory::open(block.name()).is_err());
        python.end();
    });
}

#[test]
fn an_array_stands_where_python_expects_it() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let mut python = Python::start(interpreter);
        let array = NdArray::<f64>::options().name(scratch.name("array")).create(&[3, 4]).unwrap();
        array.set_nd(&[1, 2], 2.5).unwrap();
        array.set_nd(&[2, 3], -1.0).unwrap();
        python.run(&json!({"op": "open block", "name": array.name()}));
        let cast = |row: usize, column: usize| json!({"op": "cast", "bytes": 96, "format": "d", "shape": [3, 4], "indices": [row, column]});
        let expected = |value: f64| typed(Value::Float(value).as_ref());
        assert_eq!(python.run(&cast(1, 2))["value"], expected(2.5));
        assert_eq!(python.run(&cast(2, 3))["value"], expected(-1.0));
        assert_eq!(python.run(&cast(0, 0))["value"], expected(0.0));
        // F order is C order of the transposed.
        let transposed = NdArray::<f64>::options().name(array.name()).order(Order::F).open(&[4, 3]).unwrap();
        assert_eq!(transposed.get_nd(&[2, 1]).unwrap(), 2.5);
        transposed.set_nd(&[0, 1], 7.0).unwrap();
        assert_eq!(python.run(&cast(1, 0))["value"], expected(7.0));
        python.end();
    });
}

#[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Particle {
    mass: f64,
    charge: i32,
    spin: [u16; 2],
}

#[test]
fn a_derived_struct_has_the_offsets_that_pythons_struct_module_gives_it() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let mut python = Python::start(interpreter);
        let array = NdArray::<Particle>::options().name(scratch.name("array")).create(&[2]).unwrap();
        array.set(1, Particle { mass: 0.5, charge: -7, spin: [1, 2] }).unwrap();
        python.run(&json!({"op": "open block", "name": array.name()}));
        let bytes = unhex(python.run(&json!({"op": "read", "start": 16, "len": 16}))["hex"].as_str().unwrap());
        let mut expected = 0.5_f64.to_ne_bytes().to_vec();
        expected.extend((-7_i32).to_ne_bytes());
        expected.extend([1_u16.to_ne_bytes(), 2_u16.to_ne_bytes()].concat());
        assert_eq!(bytes, expected);
        python.end();
    });
}

#[test]
fn handles_travel_as_pickles_in_both_directions() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let mut python = Python::start(interpreter);
        let dialect = if interpreter.is_at_least(3, 9) { Default::default() } else { shmtypes::compat::Dialect::Py38 };
        let list = ShareableList::options().name(scratch.name("list")).dialect(dialect).create(&["a", "b"]).unwrap();
        let block = SharedMemory::create_named(&scratch.name("block"), 8).unwrap();
        for protocol in 0..=5 {
            let sent = json!({"op": "unpickle", "key": "l", "hex": hex(&list.to_pickle(protocol).unwrap())});
            assert_eq!(python.run(&sent)["type"], "ShareableList");
            let sent = json!({"op": "unpickle", "key": "b", "hex": hex(&block.to_pickle(protocol).unwrap())});
            assert_eq!(python.run(&sent)["type"], "SharedMemory");
            python.run(
                &json!({"op": "set", "key": "l", "index": 0, "value": typed(Value::Int(protocol.into()).as_ref())}),
            );
            assert_eq!(list.get(0).unwrap(), Value::Int(protocol.into()));

            let made = python.run(&json!({"op": "pickle", "key": "l", "protocol": protocol}));
            let back = ShareableList::from_pickle(&unhex(made["hex"].as_str().unwrap())).unwrap();
            assert_eq!(back.to_vec().unwrap(), list.to_vec().unwrap());
            assert_eq!(hex(&list.to_pickle(protocol).unwrap()), made["hex"].as_str().unwrap(), "byte for byte");
            let made = python.run(&json!({"op": "pickle", "key": "b", "protocol": protocol}));
            let back = SharedMemory::from_pickle(&unhex(made["hex"].as_str().unwrap())).unwrap();
            assert_eq!((back.name(), back.size()), (block.name(), 8));
            assert_eq!(hex(&block.to_pickle(protocol).unwrap()), made["hex"].as_str().unwrap(), "byte for byte");
            python.run(&json!({"op": "close", "key": "l"}));
            python.run(&json!({"op": "close", "key": "b"}));
        }
        python.end();
    });
}

/// The user who owns what this process creates.
fn block_owner() -> u32 {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap())
}

#[test]
fn a_pickle_that_was_cut_is_the_error_that_python_raises() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let block = SharedMemory::create_named(&scratch.name("block"), 8).unwrap();
        let mut python = Python::start(interpreter);
        for protocol in 0..=5 {
            let pickled = block.to_pickle(protocol).unwrap();
            for end in 0..pickled.len() {
                let ours = SharedMemory::from_pickle(&pickled[..end]).unwrap_err();
                let theirs = python.ask(&json!({"op": "unpickle", "key": "b", "hex": hex(&pickled[..end])}));
                let raised = theirs["err"]["type"].as_str().unwrap();
                let raised = raised.trim_start_matches("builtins.").replace("_pickle.", "pickle.");
                assert_eq!(raised, ours.python_exception(), "{protocol}, {end}: {ours}, {theirs}");
            }
        }
        python.end();
    });
}

#[test]
fn what_a_pickle_does_not_say_is_said_by_options() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let mut python = Python::start(interpreter);
        // Python's manual: a byte is appended when storing, and taken off when reading.
        let stored = typed(Value::from(b"ends in NUL\0\x07").as_ref());
        python.run(&json!({"op": "list", "name": scratch.name("list"), "values": [stored]}));
        let pickled = python.run(&json!({"op": "pickle", "protocol": 4}));
        let pickled = unhex(pickled["hex"].as_str().unwrap());
        let padded = ShareableList::options().text(Text::Padded).from_pickle(&pickled).unwrap();
        assert_eq!(padded.get(0).unwrap(), Value::from(b"ends in NUL\0"));
        let plain = ShareableList::from_pickle(&pickled).unwrap();
        assert_eq!(plain.get(0).unwrap(), Value::from(b"ends in NUL\0\x07"));
        // The options hold, and the name is the pickle's.
        let stranger = Trust::Uid(block_owner() + 1);
        let options = ShareableList::options().name("another").trust(stranger);
        assert!(matches!(options.from_pickle(&pickled).unwrap_err().kind(), ErrorKind::Untrusted { .. }));
        let elsewhere = ShareableList::options().dir(scratch.path("nowhere"));
        assert!(elsewhere.from_pickle(&pickled).is_err());
        python.run(&json!({"op": "unlink"}));
        python.end();

        let block = SharedMemory::create_named(&scratch.name("block"), 8).unwrap();
        let pickled = block.to_pickle(4).unwrap();
        let same = SharedMemory::options().name("another").from_pickle(&pickled).unwrap();
        assert_eq!(same.name(), block.name());
        let error = SharedMemory::options().trust(stranger).from_pickle(&pickled).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Untrusted { .. }), "{error}");
        let error = ShareableList::options().from_pickle(&pickled).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidOptions { .. }), "{error}");
    });
}

#[test]
fn an_array_that_cannot_stand_where_it_is_wanted_leaves_no_block() {
    let scratch = Scratch::new();
    let options = || NdArray::<i64>::options().name(scratch.name("a"));
    assert!(options().offset(1).create(&[2]).is_err());
    assert!(options().create(&[0, usize::MAX, 2]).is_err());
    assert!(options().create(&[usize::MAX, 2]).is_err());
    assert!(scratch.left().is_empty());
    let small = SharedMemory::create_named(&scratch.name("small"), 15).unwrap();
    let error = NdArray::<i64>::open(small.name(), &[2]).unwrap_err();
    assert!(error.to_string().contains("ends at byte 16, and the block has 15"), "{error}");
}

#[test]
fn what_python_cannot_find_is_not_told_to_it() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("dir")).unwrap();
    let block = SharedMemory::options().dir(scratch.path("dir")).name("victim").create(8).unwrap();
    let (_reader, writer) = std::io::pipe().unwrap();
    let tracker = ResourceTracker::new(writer.into(), MessageForm::Simple);
    assert!(block.track(&tracker).is_err() && block.to_pickle(4).is_err());
    block.unlink().unwrap();
    let odd = SharedMemory::create_named(&scratch.name("a:b"), 8).unwrap();
    assert!(odd.track(&tracker).unwrap_err().to_string().contains("Json"));
}

/// Every way of making an array, in both orders, read by Python at an index each.
#[test]
fn arrays_made_in_every_way_stand_where_python_expects_them() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let mut python = Python::start(interpreter);
        let (rows, columns) = (2, 3);
        let expected = |row: usize, column: usize| (10 * row + column) as i64;
        for order in [Order::C, Order::F] {
            // Where in memory a position is, by the definition of both orders.
            let by_position = |position: usize| match order {
                Order::C => expected(position / columns, position % columns),
                Order::F => expected(position % rows, position / rows),
            };
            let values: Vec<i64> = (0..rows * columns).map(by_position).collect();
            let source = ndarray::Array::from_shape_fn((rows, columns), |(row, column)| expected(row, column));
            let options = |way: &str| {
                let options = NdArray::<i64>::options().offset(16).order(order);
                options.name(scratch.name(&format!("{way}-{order:?}")))
            };
            let shape = &[rows, columns];
            let arrays = [
                options("slice").create_from_slice(shape, &values).unwrap(),
                options("fn").create_from_fn(shape, by_position).unwrap(),
                options("with").create_with(shape, |slots| slots.copy_from_slice(&values)).unwrap(),
                options("ndarray").create_from_ndarray(&source).unwrap(),
                options("columns").create_from_ndarray(&source.t().as_standard_layout().t()).unwrap(),
                options("view").create_with_ndarray(shape, |mut view| view.assign(&source)).unwrap(),
                options("open").open_or_create(shape).unwrap(),
            ];
            arrays[6].copy_from_ndarray(&source).unwrap();
            for array in arrays {
                python.run(&json!({"op": "open block", "name": array.name()}));
                let bytes = python.run(&json!({"op": "read", "start": 16, "len": 48}))["hex"].clone();
                let stored: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
                assert_eq!(bytes, hex(&stored), "{array:?}");
                let again = options("").name(array.name()).open_or_create(shape).unwrap();
                assert_eq!(again.to_ndarray().unwrap(), source.clone().into_dyn());
                assert_eq!(again.get_nd(&[1, 2]).unwrap(), expected(1, 2));
                python.run(&json!({"op": "close"}));
            }
        }
        python.end();
    });
}

#[test]
fn what_python_writes_is_read_by_every_access_to_the_elements() {
    with_each(|interpreter| {
        let scratch = Scratch::new();
        let mut python = Python::start(interpreter);
        python.run(&json!({"op": "block", "name": scratch.name("block"), "size": 64}));
        let stored: Vec<u8> = (1..=8).flat_map(|value| f64::from(value).to_ne_bytes()).collect();
        python.run(&json!({"op": "write", "start": 0, "hex": hex(&stored)}));
        let values: Vec<f64> = (1..=8).map(f64::from).collect();
        let array = NdArray::<f64, ReadOnly>::clone(&NdArray::open_read_only(&scratch.name("block"), &[2, 4]).unwrap());
        assert_eq!(array.iter().map(Result::unwrap).collect::<Vec<_>>(), values);
        assert_eq!((&array).into_iter().rev().map(Result::unwrap).sum::<f64>(), 36.0);
        assert_eq!((array.at(7).get(), array.at_nd(&[1, 0]).unwrap().get()), (8.0, 5.0));
        assert_eq!((array.sum().unwrap(), array.min().unwrap(), array.max().unwrap()), (36.0, Some(1.0), Some(8.0)));
        let ours = shmtypes::ShmArray::create_from_slice(&values).unwrap();
        assert_eq!((array.dot(&ours).unwrap(), ours.dot(&array).unwrap()), (204.0, 204.0));
        assert_eq!(array.fold_blocks(0, |count, block| count + block.len()).unwrap(), 8);
        // Python writes at its word only when it is told to.
        #[expect(unsafe_code, reason = "the escape hatch")]
        // SAFETY: the peer writes when this test asks it to.
        let slice = unsafe { array.as_slice() };
        assert_eq!((slice, slice.as_ptr()), (values.as_slice(), array.as_ptr().cast_const()));
        array.close();
        let mut array = NdArray::<f64>::open(&scratch.name("block"), &[8]).unwrap();
        array.map_in_place(|value| -value).unwrap();
        #[expect(unsafe_code, reason = "the escape hatch")]
        // SAFETY: as above.
        let last = unsafe { array.as_mut_slice() }.last_mut().unwrap();
        *last = 0.25;
        array.at(0).set(0.5);
        let read =
            |python: &mut Python, start| python.run(&json!({"op": "read", "start": start, "len": 8}))["hex"].clone();
        assert_eq!(read(&mut python, 0), hex(&0.5_f64.to_ne_bytes()));
        assert_eq!(read(&mut python, 8), hex(&(-2.0_f64).to_ne_bytes()));
        assert_eq!(read(&mut python, 56), hex(&0.25_f64.to_ne_bytes()));
        assert_eq!(scratch.left(), [scratch.name("block")], "closing removes nothing");
        python.run(&json!({"op": "unlink"}));
        python.end();
    });
}

#[test]
fn an_array_for_reading_needs_no_right_to_write() {
    let scratch = Scratch::new();
    let options = || NdArray::<u64>::options().name(scratch.name("a"));
    let array = options().create_from_slice(&[2], &[7, 8]).unwrap();
    let read_only = std::os::unix::fs::PermissionsExt::from_mode(0o400);
    std::fs::set_permissions(scratch.path("a"), read_only).unwrap();
    let reader = options().open_read_only(&[2]).unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let rights: Vec<&str> =
        maps.lines().filter(|line| line.contains(array.name())).filter_map(|line| line.split(' ').nth(1)).collect();
    assert!(rights.contains(&"r--s"), "{rights:?}");
    assert_eq!(reader.to_vec().unwrap(), [7, 8]);
    assert!(format!("{reader:?}").contains("ReadOnly"), "{reader:?}");
    array.set(0, 9).unwrap();
    assert_eq!(reader.get(0).unwrap(), 9);
    // Every shape is judged before anything is made.
    let other = NdArray::<u64>::options().name(scratch.name("b"));
    let error = other.create_from_slice(&[3], &[1, 2]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ShapeMismatch { .. }), "{error}");
    let failed = other.try_create_from_fn(&[3], |_| Err(std::io::Error::other("no"))).unwrap_err();
    assert_eq!(failed.to_string(), "no");
    assert!(other.try_create_with(&[3], |_| Err(std::io::Error::other("no"))).is_err());
    assert!(other.offset(1).create_from_fn(&[3], |_| panic!("never asked")).is_err());
    assert_eq!(scratch.left(), [scratch.name("a")]);
    let large = options().open_read_only(&[3]).unwrap_err();
    assert!(large.to_string().contains("ends at byte 24, and the block has 16"), "{large}");
}
