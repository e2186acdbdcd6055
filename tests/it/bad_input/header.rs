//! Hostile headers and schemas: every edge value in every field, random changes, and the corpus of the fuzz targets.

use proptest::prelude::*;
use shmtypes::compat::manager::Request;
use shmtypes::compat::{List, pickle};
use shmtypes::{Fault, Persist, ShmArray, ShmLayout};
use shmtypes_tests::folder::Folder;
use shmtypes_tests::{manager_props, props, shm_lists};
use std::fs;
use std::path::{Path, PathBuf};

#[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Tick {
    price: f64,
    amount: u32,
    open: bool,
    rest: [u8; 3],
}

fn tick(index: usize) -> Tick {
    Tick { price: index as f64, amount: 7, open: true, rest: [0; 3] }
}

const LEN: usize = 40;

/// Offset, width and name of every field (docs/format.md); texts and identities in pieces of eight bytes.
const FIELDS: [(usize, usize, &str); 45] = [
    (0, 8, "magic"),
    (8, 4, "byte order"),
    (12, 2, "format version"),
    (14, 2, "header bytes"),
    (16, 4, "required features"),
    (20, 4, "optional features"),
    (24, 4, "container"),
    (28, 1, "pointer width"),
    (29, 1, "persist"),
    (30, 2, "reserved"),
    (32, 8, "total bytes"),
    (40, 4, "schema offset"),
    (44, 4, "schema bytes"),
    (48, 8, "data offset"),
    (56, 8, "data bytes"),
    (64, 8, "fingerprint"),
    (72, 8, "fingerprint"),
    (80, 8, "element bytes"),
    (88, 4, "element align"),
    (92, 4, "dimensions"),
    (96, 8, "capacity"),
    (104, 8, "shape"),
    (112, 8, "shape"),
    (120, 8, "shape"),
    (160, 8, "shape"),
    (168, 8, "mutable offset"),
    (176, 4, "mutable bytes"),
    (180, 4, "slot count"),
    (184, 8, "lock timeout"),
    (192, 8, "creation id"),
    (200, 8, "creation id"),
    (208, 8, "boot id"),
    (216, 8, "boot id"),
    (224, 8, "created"),
    (232, 8, "creator start"),
    (240, 4, "creator pid"),
    (244, 4, "creator uid"),
    (248, 8, "parameters"),
    (304, 8, "parameters"),
    (312, 8, "reserved"),
    (320, 8, "type name"),
    (328, 8, "type name"),
    (376, 8, "type name"),
    (384, 8, "schema"),
    (392, 8, "schema"),
];

const EDGES: [u64; 36] = [
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    9,
    15,
    16,
    32,
    63,
    64,
    65,
    127,
    128,
    255,
    256,
    383,
    384,
    385,
    448,
    512,
    1024,
    4095,
    4096,
    4097,
    0x0403_0201,
    (1 << 31) - 1,
    1 << 31,
    u32::MAX as u64,
    1 << 32,
    1 << 46,
    1 << 62,
    i64::MAX as u64,
    u64::MAX,
];

/// Calls everything on the file `a`. What opens must be what was stored; what does not must stay as it is.
fn call_everything(folder: &Folder, bytes: &[u8], what: &str) {
    let write = || fs::write(folder.file("a"), bytes).unwrap();
    let unchanged = |call: &str| {
        let found = fs::read(folder.file("a")).unwrap_or_else(|error| panic!("{what}: {call} removed it: {error}"));
        assert!(found == bytes, "{what}: {call} changed the file");
    };
    write();
    let inspected = folder.segments().inspect("a");
    unchanged("inspect");
    let listing = folder.segments().list().unwrap();
    unchanged("list");
    assert_eq!(listing.segments.len(), usize::from(inspected.is_ok()), "{what}: list and inspect agree");
    if let Ok(info) = &inspected {
        assert!(info.data_bytes <= info.bytes && info.bytes == bytes.len() as u64, "{what}");
        let _ = (info.layout.to_rust(&info.type_name), info.layout.to_c("T"), info.layout.to_numpy("T"));
    }
    match folder.options::<Tick>("a").open_read_only() {
        Ok(array) => {
            assert!(array.len() * size_of::<Tick>() <= bytes.len(), "{what}");
            let _ = (array.to_vec(), array.iter().filter(Result::is_ok).count(), array.get(array.len()).unwrap_err());
        }
        Err(error) => {
            assert_ne!(error.fault(), Fault::System, "{what}: {error}");
            unchanged("open_read_only");
        }
    }
    write();
    match folder.options::<Tick>("a").open() {
        Ok(array) => {
            assert_eq!(array.shape().iter().product::<usize>(), array.len(), "{what}");
            if array.len() == LEN && array.fold_blocks((), |(), _| ()).is_ok() {
                let moved = array.to_vec().map_or(true, |values| values != (0..LEN).map(tick).collect::<Vec<_>>());
                assert!(!moved || what.starts_with("data offset"), "{what}: other values");
            }
            let _ = array.set(0, tick(5));
            let _ = array.at_nd(&vec![0; array.shape().len()]).map(|view| view.amount().set(1));
        }
        Err(error) => {
            assert!(error.segment() == Some("a"), "{what}: {error} does not name the segment");
            unchanged("open");
        }
    }
    write();
    // Another type and another container: never a success by accident.
    assert!(folder.options::<[f64; 2]>("a").open().is_err(), "{what}");
    write();
    let _ = folder.options::<Tick>("a").open_or_create(LEN);
    write();
    let _ = folder.segments().reap();
    write();
    let _ = folder.segments().reap_named("a");
    write();
    let _ = folder.segments().unlink("a");
    let _ = fs::remove_file(folder.file("a"));
}

#[test]
fn every_edge_value_in_every_field_is_an_error_or_consistent() {
    let folder = Folder::new();
    for persist in [Persist::Keep, Persist::UntilLastDetach] {
        let valid = folder.bytes_of(LEN, persist, tick);
        call_everything(&folder, &valid, "no change");
        for (offset, width, field) in FIELDS {
            for edge in EDGES {
                let mut bytes = valid.clone();
                // The least significant bytes of this machine's order.
                let edge_bytes =
                    if cfg!(target_endian = "little") { edge.to_ne_bytes() } else { edge.swap_bytes().to_ne_bytes() };
                bytes[offset..offset + width].copy_from_slice(&edge_bytes[..width]);
                if bytes != valid {
                    call_everything(&folder, &bytes, &format!("{field} at {offset} = {edge:#x}"));
                }
            }
        }
    }
    assert!(folder.left().is_empty());
}

/// What one changed field must lead to.
fn with(valid: &[u8], offset: usize, field: &[u8]) -> shmtypes::Error {
    let folder = Folder::new();
    let mut bytes = valid.to_vec();
    bytes[offset..offset + field.len()].copy_from_slice(field);
    fs::write(folder.file("a"), &bytes).unwrap();
    let error = folder.options::<Tick>("a").open().map(drop).unwrap_err();
    let read_only = folder.options::<Tick>("a").open_read_only().map(drop).unwrap_err();
    assert_eq!(error.to_string(), read_only.to_string());
    assert_eq!(fs::read(folder.file("a")).unwrap(), bytes);
    error
}

#[test]
fn foreign_and_newer_formats_say_what_they_are() {
    use shmtypes::ErrorKind as K;
    let valid = Folder::new().bytes_of(LEN, Persist::Keep, tick);
    let error = with(&valid, 8, &0x0102_0304_u32.swap_bytes().to_ne_bytes());
    assert_eq!(*error.kind(), K::ForeignByteOrder);
    assert_eq!(error.to_string(), r#""a": it was written on a machine of the other byte order"#);
    let error = with(&valid, 8, &0x0403_0102_u32.to_ne_bytes());
    assert_eq!(*error.kind(), K::Corrupt { field: "byte order", value: 0x0403_0102 });

    for version in [0, 2, 999, u16::MAX] {
        let error = with(&valid, 12, &version.to_ne_bytes());
        assert_eq!(*error.kind(), K::UnknownFormat { found: version, supported: 1 });
        assert_eq!(
            error.to_string(),
            format!(
                r#""a": it has format version {version}, and this program knows versions up to 1 (update this program's shmtypes)"#
            )
        );
    }
    for bits in [4, 0x8000_0000, !3_u32] {
        let error = with(&valid, 16, &(bits | 3).to_ne_bytes());
        assert_eq!(*error.kind(), K::UnknownFeatures { bits });
        assert_eq!(
            error.to_string(),
            format!(r#""a": it needs features that this program lacks: {bits:#x} (update this program's shmtypes)"#)
        );
    }
}

#[test]
fn a_header_that_contradicts_itself_names_the_field() {
    use shmtypes::ErrorKind as K;
    let valid = Folder::new().bytes_of(LEN, Persist::Keep, tick);
    let cases: [(usize, &[u8], &str, u64); 17] = [
        (16, &1_u32.to_ne_bytes(), "required features", 1),
        (14, &383_u16.to_ne_bytes(), "header length", 383),
        (16, &2_u32.to_ne_bytes(), "slot count", 0),
        (29, &[2], "persist policy", 2),
        (40, &64_u32.to_ne_bytes(), "schema offset", 64),
        (44, &65_537_u32.to_ne_bytes(), "schema length", 65_537),
        (48, &1_u64.to_ne_bytes(), "data offset", 1),
        (56, &u64::MAX.to_ne_bytes(), "data length", u64::MAX),
        (80, &0_u64.to_ne_bytes(), "element size", 0),
        (80, &24_u64.to_ne_bytes(), "capacity", LEN as u64),
        (88, &3_u32.to_ne_bytes(), "element alignment", 3),
        (88, &1_u32.to_ne_bytes(), "element alignment", 1),
        (92, &0_u32.to_ne_bytes(), "number of dimensions", 0),
        (92, &9_u32.to_ne_bytes(), "number of dimensions", 9),
        (104, &39_u64.to_ne_bytes(), "shape", 39),
        (168, &63_u64.to_ne_bytes(), "mutable offset", 63),
        (180, &1_u32.to_ne_bytes(), "slot count", 1),
    ];
    for (offset, bytes, field, value) in cases {
        let error = with(&valid, offset, bytes);
        assert_eq!(*error.kind(), K::Corrupt { field, value });
        assert_eq!(error.fault(), Fault::Peer);
        assert_eq!(
            error.to_string(),
            format!(
                r#""a": the header's {field} cannot be {value} (a process damaged the file; remove it with `unlink` and create it anew)"#
            )
        );
    }
    let fingerprint = with(&valid, 64, &[0; 8]);
    assert_eq!(*fingerprint.kind(), K::Corrupt { field: "fingerprint", value: 0 });
    // The first byte of the schema that is wrong.
    let schema = with(&valid, 384, b"?");
    assert_eq!(*schema.kind(), K::Corrupt { field: "schema", value: 0 });
}

/// A segment whose elements lie further apart than the type is long, and say so by nothing but their distance.
#[test]
fn elements_further_apart_than_the_schema_says_are_refused() {
    let folder = Folder::new();
    let valid = folder.bytes_of(LEN, Persist::Keep, tick);
    let mut bytes = valid.clone();
    bytes[80..88].copy_from_slice(&32_u64.to_ne_bytes());
    for offset in [96, 104] {
        bytes[offset..offset + 8].copy_from_slice(&(LEN as u64 / 2).to_ne_bytes());
    }
    fs::write(folder.file("a"), &bytes).unwrap();
    let error = folder.options::<Tick>("a").open().map(drop).unwrap_err();
    assert_eq!(*error.kind(), shmtypes::ErrorKind::Corrupt { field: "element size", value: 32 });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn random_changes_of_header_and_schema_are_errors_or_consistent(
        changes in proptest::collection::vec((0_usize..512, any::<u8>()), 1..6),
        cut in proptest::option::of(0_usize..8192),
    ) {
        let folder = Folder::new();
        let mut bytes = folder.bytes_of(100, Persist::UntilLastDetach, |i| i as f64);
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        bytes.truncate(cut.unwrap_or(bytes.len()));
        props::segment_bytes(&bytes);
        let schema = &bytes[bytes.len().min(384)..bytes.len().min(448)];
        props::schema_bytes(schema.strip_suffix(&[0]).unwrap_or(schema));
    }
}

#[test]
fn the_corpora_of_lists_pickles_and_managers_hold_their_properties() {
    type Property = fn(&[u8]);
    let targets: [(&str, Property); 7] = [
        ("list_decode", props::list_bytes),
        ("list_edit", props::list_edits),
        ("pickle", props::pickle_bytes),
        ("shm_list", shm_lists::any_bytes),
        ("manager_frame", manager_props::frame_bytes),
        ("manager_handshake", manager_props::handshake_bytes),
        ("manager_pickle", manager_props::message_bytes),
    ];
    for (target, property) in targets {
        for (_, bytes) in corpus(target) {
            property(&bytes);
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << (at % 8);
                property(&changed);
                property(&bytes[..at]);
            }
        }
    }
    let lists = corpus("list_decode");
    assert!(lists.iter().any(|(_, bytes)| List::attach(bytes.as_slice()).is_ok()), "no list any more");
    assert!(corpus("pickle").iter().any(|(_, bytes)| pickle::parse(bytes).is_ok()), "no handle any more");
    assert!(corpus("manager_pickle").iter().any(|(_, bytes)| Request::parse(bytes).is_ok()), "no request any more");
}

/// A target without a corpus would be replayed by nobody.
#[test]
fn every_fuzz_target_has_a_corpus() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let mut found = 0;
    for entry in fs::read_dir(targets).unwrap() {
        let path = entry.unwrap().path();
        let target = path.file_stem().unwrap().to_str().unwrap();
        assert!(!corpus(target).is_empty());
        found += 1;
    }
    assert_eq!(found, 9, "another target: replay its corpus here too");
}

/// The files of a corpus below fuzz/corpus.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files: Vec<_> =
        entries.map(|entry| entry.unwrap().path()).map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

#[test]
fn the_schemas_of_the_corpus_are_schemas() {
    for (path, bytes) in corpus("schema") {
        props::schema_bytes(&bytes);
        assert!(shmtypes::layout::Layout::parse(&bytes).is_ok(), "{}: no schema any more", path.display());
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            props::schema_bytes(&bytes);
            props::schema_bytes(&bytes[..at]);
        }
    }
}

#[test]
fn the_segments_of_the_corpus_are_segments() {
    let folder = Folder::new();
    for (path, bytes) in corpus("segment_file") {
        props::segment_bytes(&bytes);
        fs::write(folder.file("a"), &bytes).unwrap();
        let inspected = folder.segments().inspect("a");
        assert!(inspected.is_ok(), "{}: {}", path.display(), inspected.unwrap_err());
        let opened = folder.options::<f64>("a").open().is_ok() || folder.options::<bool>("a").open().is_ok();
        assert!(opened, "{}: no array any more", path.display());
    }
    assert!(ShmArray::<f64>::create(0).is_ok());
}
