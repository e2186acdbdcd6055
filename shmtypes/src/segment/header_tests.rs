//! The header's bytes, frozen, and what the parser does with other bytes.

use super::*;
use proptest::prelude::*;

/// The header of an array of 600 `f64` in 20 rows, with fixed identities.
fn sample() -> Box<Header> {
    let mut header = Header::template();
    header.container = Container::Array.number();
    header.persist = 1;
    header.schema_offset = 384;
    header.schema_bytes = 33;
    header.mutable_offset = 448;
    header.mutable_bytes = 128;
    header.data_offset = 4096;
    header.data_bytes = 4800;
    header.total_bytes = 12288;
    header.fingerprint = [0xf1; 16];
    header.element_bytes = 8;
    header.element_align = 8;
    header.dimensions = 2;
    header.capacity = 600;
    header.shape[..2].copy_from_slice(&[20, 30]);
    header.creation_id = [0xc1; 16];
    header.boot_id = [0xb0; 16];
    header.created_ns = 0x1111_2222_3333_4444;
    header.creator_start = 0x5555_6666;
    header.creator_pid = 0x7777;
    header.creator_uid = 1000;
    header.set_type_name("f64");
    header
}

/// The same with three participant slots.
fn with_slots() -> Box<Header> {
    let mut header = sample();
    header.add_slots(3, Some(Duration::from_secs(30)));
    header
}

fn parse(header: &Header) -> Result<Box<Header>, ErrorKind> {
    Header::parse(header.as_bytes(), header.total_bytes)
}

/// Format version 1, little-endian. If this test fails, existing segments have become unreadable.
#[test]
#[cfg(target_endian = "little")]
fn the_bytes_of_version_1_are_frozen() {
    let mut golden = [0_u8; 384];
    let fields: [(usize, &[u8]); 25] = [
        (0, b"SHMTYPES"),
        (8, &[4, 3, 2, 1]),
        (12, &[1, 0]),
        (14, &[0x80, 0x01]),
        (24, &[1]),
        (28, &[8]),
        (29, &[1]),
        (32, &[0x00, 0x30]),
        (40, &[0x80, 0x01]),
        (44, &[33]),
        (48, &[0x00, 0x10]),
        (56, &[0xc0, 0x12]),
        (64, &[0xf1; 16]),
        (80, &[8]),
        (88, &[8]),
        (92, &[2]),
        (96, &[0x58, 0x02]),
        (104, &[20, 0, 0, 0, 0, 0, 0, 0, 30]),
        (168, &[0xc0, 0x01, 0, 0, 0, 0, 0, 0, 128]),
        (192, &[0xc1; 16]),
        (208, &[0xb0; 16]),
        (224, &[0x44, 0x44, 0x33, 0x33, 0x22, 0x22, 0x11, 0x11]),
        (232, &[0x66, 0x66, 0x55, 0x55]),
        (240, &[0x77, 0x77, 0, 0, 0xe8, 0x03]),
        (320, b"f64"),
    ];
    for (offset, bytes) in fields {
        golden[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
    assert_eq!(sample().as_bytes(), golden);
    assert!(parse(&sample()).is_ok());
}

/// What participant slots change in it.
#[test]
#[cfg(target_endian = "little")]
fn the_bytes_of_slots_are_frozen() {
    let (header, without) = (with_slots(), sample());
    let mut golden = without.as_bytes().to_vec();
    let fields: [(usize, &[u8]); 4] = [(16, &[2]), (176, &[176]), (180, &[3]), (184, &[0x30, 0x75])];
    for (offset, bytes) in fields {
        golden[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
    assert_eq!(header.as_bytes(), golden);
    let parsed = parse(&header).unwrap();
    assert_eq!(parsed.slot_table(), Some((448 + 128, 3)));
    assert_eq!((parsed.own_mutable_bytes(), parsed.lock_timeout()), (128, Some(Duration::from_secs(30))));
    assert_eq!((without.slot_table(), without.own_mutable_bytes(), without.lock_timeout()), (None, 128, None));
}

#[test]
fn slots_that_contradict_the_header_are_named() {
    type Change = fn(&mut Header);
    let cases: [(&str, Change); 7] = [
        ("slot count", |h| h.slot_count = 1024),
        ("slot count", |h| h.slot_count = u32::MAX),
        ("slot count", |h| h.slot_count = 0),
        ("slot count", |h| h.required_features = 0),
        ("mutable length", |h| h.slot_count = 12),
        ("mutable length", |h| h.slot_count = 2),
        ("mutable length", |h| h.mutable_bytes = 47),
    ];
    for (expected, damage) in cases {
        let mut header = with_slots();
        damage(&mut header);
        match Header::parse(header.as_bytes(), 12288) {
            Err(ErrorKind::Corrupt { field, .. }) => assert_eq!(field, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
    let mut filled = with_slots();
    (filled.slot_count, filled.mutable_bytes) = (11, 176);
    assert_eq!(parse(&filled).unwrap().slot_table(), Some((448, 11)), "nothing but the table");
}

#[test]
fn a_lock_of_every_access_needs_slots_room_for_their_counts_and_an_array() {
    let mut locked = with_slots();
    assert!(!locked.is_locked());
    locked.set_locked();
    assert_eq!(locked.as_bytes()[16..20], [3, 0, 0, 0]);
    assert!(parse(&locked).unwrap().is_locked());
    type Change = fn(&mut Header);
    let cases: [(u64, Change); 3] = [
        (1, |h| (h.required_features, h.slot_count) = (1, 0)),
        (3, |h| (h.slot_count, h.mutable_bytes) = (65, 65 * 16)),
        (3, |h| h.container = Container::Vec.number()),
    ];
    for (bits, damage) in cases {
        let mut header = with_slots();
        header.set_locked();
        damage(&mut header);
        let expected = ErrorKind::Corrupt { field: "required features", value: bits };
        assert_eq!(Header::parse(header.as_bytes(), 12288).unwrap_err(), expected);
    }
}

#[test]
fn each_field_that_contradicts_another_is_named() {
    type Change = fn(&mut Header);
    let cases: [(&str, Change); 16] = [
        ("total length", |h| h.total_bytes -= 1),
        ("header length", |h| h.header_bytes = 320),
        ("persist policy", |h| h.persist = 2),
        ("schema offset", |h| h.schema_offset = 64),
        ("schema length", |h| h.schema_bytes = MAX_SCHEMA_BYTES + 1),
        ("mutable offset", |h| h.mutable_offset = 384),
        ("data offset", |h| h.mutable_offset = u64::MAX - 63),
        ("data offset", |h| h.data_offset = 512),
        ("data length", |h| h.data_bytes = u64::MAX),
        ("data length", |h| h.data_bytes = 12288),
        ("element alignment", |h| h.element_align = 3),
        ("element size", |h| h.element_bytes = 0),
        ("element size", |h| h.element_bytes = 12),
        ("capacity", |h| h.capacity = u64::MAX / 4),
        ("number of dimensions", |h| h.dimensions = 9),
        ("shape", |h| h.shape[7] = 1),
    ];
    for (expected, damage) in cases {
        let mut header = sample();
        damage(&mut header);
        match Header::parse(header.as_bytes(), 12288) {
            Err(ErrorKind::Corrupt { field, .. }) => assert_eq!(field, expected),
            Err(ErrorKind::Truncated { .. }) if expected == "total length" => {}
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn other_files_formats_and_machines_are_told_apart() {
    let changed = |change: fn(&mut Header)| {
        let mut header = sample();
        change(&mut header);
        Header::parse(header.as_bytes(), 12288).unwrap_err()
    };
    assert_eq!(Header::parse(&[], 0).unwrap_err(), ErrorKind::NotASegment { found: "an empty file" });
    let text = ErrorKind::NotASegment { found: "a file without its magic" };
    assert_eq!(Header::parse(b"hello", 5).unwrap_err(), text);
    assert_eq!(changed(|h| h.magic[7] = b'X'), text);
    assert_eq!(changed(|h| h.byte_order = h.byte_order.swap_bytes()), ErrorKind::ForeignByteOrder);
    assert_eq!(changed(|h| h.format_version = 2), ErrorKind::UnknownFormat { found: 2, supported: 1 });
    assert_eq!(changed(|h| h.required_features = 4), ErrorKind::UnknownFeatures { bits: 4 });
    assert_eq!(changed(|h| h.total_bytes = 1 << 62), ErrorKind::Truncated { expected: 1 << 62, found: 12288 });
    assert_eq!(
        Header::parse(&sample().as_bytes()[..100], 100).unwrap_err(),
        ErrorKind::Truncated { expected: 384, found: 100 }
    );
}

#[test]
fn a_type_name_cannot_disturb_a_terminal() {
    let mut header = sample();
    header.type_name = [0xff; 64];
    header.type_name[..9].copy_from_slice(b"a\x1b[2J\nb\xc3\xa9");
    let shown = header.type_name();
    assert!(shown.chars().all(|c| !c.is_control()), "{shown:?}");
    header.set_type_name(&"é".repeat(40));
    assert_eq!(header.type_name().chars().filter(|&c| c == 'é').count(), 32);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: if cfg!(miri) { 16 } else { 256 }, ..ProptestConfig::default() })]

    /// What parses has regions inside the file, in order; whatever the bytes.
    #[test]
    fn whatever_parses_lies_inside_its_file(changes in prop::collection::vec((prop_oneof![0..384_usize, 176..192_usize], any::<u8>()), 0..6), file_bytes: u16, slots: bool) {
        let mut bytes = if slots { with_slots() } else { sample() }.as_bytes().to_vec();
        for (offset, byte) in changes {
            bytes[offset] = byte;
        }
        for file_bytes in [12288, u64::from(file_bytes)] {
            if let Ok(header) = Header::parse(&bytes, file_bytes) {
                let (schema, length) = header.schema_range();
                prop_assert!(schema >= 384 && schema + length <= header.mutable_offset);
                prop_assert!(header.mutable_offset + u64::from(header.mutable_bytes) <= header.data_offset);
                if let Some((table, count)) = header.slot_table() {
                    prop_assert!(table >= header.mutable_offset && table % 64 == 0 && count <= 1023);
                    prop_assert_eq!(table + 16 * u64::from(count), header.mutable_offset + u64::from(header.mutable_bytes));
                }
                prop_assert!(header.data_offset + header.data_bytes <= file_bytes);
                prop_assert_eq!(header.capacity * header.element_bytes, header.data_bytes);
                prop_assert_eq!(header.shape().iter().product::<u64>(), header.capacity);
            }
        }
    }
}
