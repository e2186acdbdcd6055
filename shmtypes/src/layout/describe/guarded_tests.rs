//! Guards in JSON, hostile guards, and what differs between two.

use super::tests::{array, fields_of, golden, guarded, leaf};
use super::{Layout, LayoutKind};
use crate::ShmLayout;
use crate::layout::guarded::tests::{Account, Cell, Line, Mutex, RwLock};
use crate::layout::{Guard, Scalar};

#[test]
#[cfg(target_endian = "little")]
fn guards_have_the_documented_json() {
    let mutex = |value: &str, numpy: &str, at: usize, size: usize| {
        format!(
            r#"{{"layout":{{"mutex":{value}}},"numpy":{{"names":["lock","value"],"formats":["<u8",{numpy}],"offsets":[0,{at}],"itemsize":{size}}}}}"#
        )
    };
    golden(&Mutex::<bool>::SCHEMA, &mutex(r#""bool""#, r#""|b1""#, 8, 16));
    golden(&Mutex::<u32>::SCHEMA, &mutex(r#""u32""#, r#""<u4""#, 8, 16));
    golden(&Mutex::<f64>::SCHEMA, &mutex(r#""f64""#, r#""<f8""#, 8, 16));
    golden(&Mutex::<[f64; 3]>::SCHEMA, &mutex(r#"{"array":"f64","length":3}"#, r#""(3,)<f8""#, 8, 32));
    golden(&Mutex::<u128>::SCHEMA, &mutex(r#""u128""#, r#""|V16""#, 16, 32));
    golden(
        &Mutex::<Line>::SCHEMA,
        &mutex(
            r#"{"names":["bytes"],"types":[{"array":"u8","length":64}],"offsets":[0],"itemsize":64,"align":64}"#,
            r#"{"names":["bytes"],"formats":["(64,)|u1"],"offsets":[0],"itemsize":64}"#,
            64,
            128,
        ),
    );

    let lock = |value: &str, numpy: &str, at: usize, size: usize| {
        format!(
            r#"{{"layout":{{"rwlock":{value}}},"numpy":{{"names":["lock","readers","value"],"formats":["<u8","(64,)<u8",{numpy}],"offsets":[0,8,{at}],"itemsize":{size}}}}}"#
        )
    };
    golden(&RwLock::<u8>::SCHEMA, &lock(r#""u8""#, r#""|u1""#, 520, 528));
    golden(&RwLock::<f32>::SCHEMA, &lock(r#""f32""#, r#""<f4""#, 520, 528));
    golden(&RwLock::<i64>::SCHEMA, &lock(r#""i64""#, r#""<i8""#, 520, 528));
    golden(&RwLock::<[u64; 3]>::SCHEMA, &lock(r#"{"array":"u64","length":3}"#, r#""(3,)<u8""#, 520, 544));
    golden(&RwLock::<u128>::SCHEMA, &lock(r#""u128""#, r#""|V16""#, 528, 544));

    let cell = |value: &str, buffers: usize, numpy: &str, [at, value_at, stride, size]: [usize; 4]| {
        format!(
            concat!(
                r#"{{"layout":{{"cell":{value},"buffers":{buffers}}},"#,
                r#""numpy":{{"names":["lock","current","changed","buffers"],"formats":["<u8","<u8","<u4","#,
                r#"[{{"names":["version","value"],"formats":["<u8",{numpy}],"offsets":[0,{value_at}],"itemsize":{stride}}},[{buffers}]]],"#,
                r#""offsets":[0,8,16,{at}],"itemsize":{size}}}}}"#
            ),
            value = value,
            buffers = buffers,
            numpy = numpy,
            at = at,
            value_at = value_at,
            stride = stride,
            size = size
        )
    };
    golden(&Cell::<bool, 2>::SCHEMA, &cell(r#""bool""#, 2, r#""|b1""#, [24, 8, 16, 56]));
    golden(&Cell::<u32, 3>::SCHEMA, &cell(r#""u32""#, 3, r#""<u4""#, [24, 8, 16, 72]));
    golden(&Cell::<f64, 4>::SCHEMA, &cell(r#""f64""#, 4, r#""<f8""#, [24, 8, 16, 88]));
    golden(
        &Cell::<[f64; 3], 64>::SCHEMA,
        &cell(r#"{"array":"f64","length":3}"#, 64, r#""(3,)<f8""#, [24, 8, 32, 24 + 64 * 32]),
    );
    golden(&Cell::<u128, 2>::SCHEMA, &cell(r#""u128""#, 2, r#""|V16""#, [32, 16, 32, 96]));
}

#[test]
#[cfg(target_endian = "little")]
fn guards_in_arrays_and_each_other_have_the_documented_json() {
    golden(
        &<[[Mutex<u8>; 3]; 2]>::SCHEMA,
        concat!(
            r#"{"layout":{"array":{"array":{"mutex":"u8"},"length":3},"length":2},"#,
            r#""numpy":[{"names":["lock","value"],"formats":["<u8","|u1"],"offsets":[0,8],"itemsize":16},[2,3]]}"#
        ),
    );
    golden(
        &Cell::<[Mutex<u8>; 1], 2>::SCHEMA,
        concat!(
            r#"{"layout":{"cell":{"array":{"mutex":"u8"},"length":1},"buffers":2},"#,
            r#""numpy":{"names":["lock","current","changed","buffers"],"formats":["<u8","<u8","<u4","#,
            r#"[{"names":["version","value"],"formats":["<u8",[{"names":["lock","value"],"formats":["<u8","|u1"],"#,
            r#""offsets":[0,8],"itemsize":16},[1]]],"offsets":[0,8],"itemsize":24},[2]]],"offsets":[0,8,16,24],"itemsize":72}}"#
        ),
    );
}

/// Each with the place of the mistake.
#[test]
fn guards_that_cannot_be_are_refused() {
    let most = isize::MAX as usize;
    let cases = [
        (r#"{"mutex":^}"#.to_owned(), "a layout"),
        (r#"{"mutex":"u8"^,"buffers":2}"#.to_owned(), "the end of the layout"),
        (r#"{"rwlock":"u8"^,"length":2}"#.to_owned(), "the end of the layout"),
        (r#"{^"lock":"u8"}"#.to_owned(), "the names"),
        (r#"{"mutex":^"u9"}"#.to_owned(), "a scalar that may stand here"),
        (r#"{"cell":"u8"^}"#.to_owned(), "the buffers"),
        (r#"{"cell":"u8"^,"length":2}"#.to_owned(), "the buffers"),
        (r#"{"cell":"u8","buffers":^0}"#.to_owned(), "a number above 0"),
        (r#"{"cell":"u8","buffers":^1}"#.to_owned(), "2 to 64 buffers"),
        (r#"{"cell":"u8","buffers":^65}"#.to_owned(), "2 to 64 buffers"),
        (r#"{"cell":"u8","buffers":^4294967298}"#.to_owned(), "2 to 64 buffers"),
        (r#"{"cell":"u8","buffers":^9223372036854775809}"#.to_owned(), "a size that can be addressed"),
        (r#"{"cell":"u8","buffers":1844674407370955161^7}"#.to_owned(), "a smaller number"),
        (r#"{"cell":"u8","buffers":^-2}"#.to_owned(), "a number"),
        (r#"{"cell":"u8","buffers":^02}"#.to_owned(), "the canonical form"),
        (r#"{"cell":"u8","buffers":^+2}"#.to_owned(), "a number"),
        (r#"{"cell":"u8","buffers":2^.0}"#.to_owned(), "the end of the layout"),
        (format!(r#"{{"mutex":{{"array":"u8","length":{most}}}^}}"#), "a size that can be addressed"),
        (format!(r#"{{"rwlock":{{"array":"u8","length":{}}}^}}"#, most - 500), "a size that can be addressed"),
        (format!(r#"{{"cell":{{"array":"u8","length":{}}},"buffers":2^}}"#, most / 2), "a size that can be addressed"),
        (
            format!(r#"{{"cell":{{"array":"u64","length":{}}},"buffers":64^}}"#, most / 512),
            "a size that can be addressed",
        ),
        (
            format!(r#"{{"cell":{{"cell":{{"array":"u8","length":{}}},"buffers":64}},"buffers":64^}}"#, most / 128),
            "a size that can be addressed",
        ),
    ];
    for (case, expected) in cases {
        let json = format!(r#"{{"layout":{case},"numpy":"|u1"}}"#);
        let offset = json.find('^').expect("a mark");
        let error = Layout::parse(json.replacen('^', "", 1).as_bytes()).expect_err(&json);
        assert_eq!((error.offset, error.expected), (offset, expected), "{json}");
    }
    // Where the layout is right, the other half is compared.
    for (layout, numpy) in [
        (r#"{"mutex":"u8"}"#, r#"{"names":["lock","value"],"formats":["<u8","|u1"],"offsets":[0,9],"itemsize":16}"#),
        (r#"{"mutex":"u8"}"#, r#"{"names":["lock","value"],"formats":["<u8","|u1"],"offsets":[0,8],"itemsize":9}"#),
        (r#"{"mutex":"u8"}"#, r#"{"names":["lock","value"],"formats":["<u8","|i1"],"offsets":[0,8],"itemsize":16}"#),
        (r#"{"cell":"u8","buffers":2}"#, r#""|u1""#),
    ] {
        let error = Layout::parse(format!(r#"{{"layout":{layout},"numpy":{numpy}}}"#).as_bytes()).expect_err(numpy);
        assert_eq!(error.expected, "the canonical form");
    }
}

#[test]
fn a_guard_is_one_level_of_depth() {
    let nested =
        |depth| (0..depth).fold(leaf(1, 1, LayoutKind::Scalar(Scalar::U8)), |inner, _| guarded(inner, Guard::Mutex));
    super::tests::assert_round_trip(&nested(Layout::MAX_DEPTH));
    let error = Layout::parse(nested(Layout::MAX_DEPTH + 1).to_json().as_bytes()).expect_err("too deep");
    assert_eq!((error.offset, error.expected), (10 + 9 * Layout::MAX_DEPTH, "fewer levels"));
    for brick in [r#"{"mutex":"#, r#"{"rwlock":"#, r#"{"cell":"#] {
        let tower = format!("{{\"layout\":{}", brick.repeat((Layout::MAX_LEN - 10) / brick.len()));
        assert!(Layout::parse(tower.as_bytes()).is_err());
    }
}

/// The field `name` of the account, and the account with another layout in its place.
fn with(name: &str, change: impl FnOnce(&mut Layout)) -> Vec<String> {
    let changed = fields_of(&Account::SCHEMA, |fields| {
        change(&mut fields.iter_mut().find(|field| field.name == name).expect("a field").layout);
    });
    changed.differences(&Layout::from(&Account::SCHEMA))
}

#[test]
fn differences_behind_guards_are_told_part_by_part() {
    assert_eq!(
        with("open", |open| *open = Layout::from(&Mutex::<u8>::SCHEMA)),
        ["field 2 `open` is ShmMutex<u8> at 8 in the segment, ShmMutex<bool> at 8 in this program"]
    );
    assert_eq!(
        with("open", |open| *open = Layout::from(&bool::SCHEMA)),
        ["field 2 `open` is bool at 8 in the segment, ShmMutex<bool> at 8 in this program"]
    );
    assert_eq!(
        with("rates", |rates| *rates = array(Layout::from(&RwLock::<f64>::SCHEMA), 2)),
        ["field 3 `rates` is [ShmRwLock<f64>; 2] at 24 in the segment, [ShmRwLock<f32>; 2] at 24 in this program"]
    );
    assert_eq!(
        with("rates", |rates| *rates = array(Layout::from(&Cell::<f32, 4>::SCHEMA), 2)),
        ["field 3 `rates` is [SeqCell<f32, 4>; 2] at 24 in the segment, [ShmRwLock<f32>; 2] at 24 in this program"]
    );
    let balance = |edit: fn(&mut Vec<super::LayoutField>)| {
        with("balance", |balance| {
            let LayoutKind::Guarded { value, .. } = &mut balance.kind else { panic!("no guard") };
            let LayoutKind::Struct { fields, .. } = &mut value.kind else { panic!("no struct") };
            edit(fields);
        })
    };
    assert_eq!(
        balance(|fields| fields[0].layout = Layout::from(&u64::SCHEMA)),
        ["field 0 `balance.value.amount` is u64 at 0 in the segment, f64 at 0 in this program"]
    );
    assert_eq!(balance(|fields| drop(fields.pop())), ["this program also has `balance.value.cents` u32 at 12"]);
    // A lock of another kind around another struct: the lock is the difference.
    assert_eq!(
        with("balance", |balance| {
            let LayoutKind::Guarded { guard, value } = &mut balance.kind else { panic!("no guard") };
            let LayoutKind::Struct { fields, .. } = &mut value.kind else { panic!("no struct") };
            *guard = Guard::RwLock;
            fields[0].layout = Layout::from(&u64::SCHEMA);
        }),
        ["field 5 `balance` is ShmRwLock<a struct of 16 bytes> at 1152 in the segment, \
          ShmMutex<a struct of 16 bytes> at 1152 in this program"]
    );
}

#[test]
fn differences_in_cells_are_told_with_their_buffers() {
    let cell = |buffers| {
        let value = fields_of(&Account::SCHEMA, |_| ());
        array(guarded(value, Guard::Cell { buffers }), 2)
    };
    let [four, five] = [4, 5].map(cell);
    let size = Account::SCHEMA.size();
    assert_eq!(
        five.differences(&four),
        [format!(
            "[SeqCell<a struct of {size} bytes, 5>; 2] in the segment, [SeqCell<a struct of {size} bytes, 4>; 2] in this program"
        )]
    );
    let mut renamed = cell(4);
    let LayoutKind::Array { element, .. } = &mut renamed.kind else { panic!("no array") };
    let LayoutKind::Guarded { value, .. } = &mut element.kind else { panic!("no guard") };
    let LayoutKind::Struct { fields, .. } = &mut value.kind else { panic!("no struct") };
    fields[1].name = "bank".to_owned();
    assert_eq!(
        renamed.differences(&four),
        ["field 1 is `[].buffers[].value.bank` in the segment, `[].buffers[].value.branch` in this program"]
    );
}
