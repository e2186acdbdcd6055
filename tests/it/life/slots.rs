//! Participant slots of a segment with locks, seen from outside.

use super::{alone, start};
use shmtypes::{Detached, ErrorKind, Holder, Persist, ShmArray};
use shmtypes_tests::life::{ELEMENTS, Folder, fill, is_complete};
use std::fs;

/// Gives the segment four slots: the second half of an array's mutable block, which nobody uses, is as long as their table
/// (docs/format.md).
fn add_slots(folder: &Folder, name: &str) {
    let path = folder.path().join(name);
    let mut bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(bytes[176..180], 128_u32.to_ne_bytes());
    bytes[16..20].copy_from_slice(&2_u32.to_ne_bytes());
    bytes[180..184].copy_from_slice(&4_u32.to_ne_bytes());
    bytes[184..192].copy_from_slice(&30_000_u64.to_ne_bytes());
    fs::write(&path, bytes).unwrap();
}

fn taken(folder: &Folder) -> Vec<(u32, u32)> {
    let slots = folder.segments().inspect("name").unwrap().slots.unwrap();
    assert_eq!((slots.count, slots.lock_timeout.unwrap().as_secs()), (4, 30));
    slots.taken.iter().map(|&Holder { slot, pid, .. }| (slot, pid)).collect()
}

#[test]
fn each_writer_has_a_slot_until_it_detaches_or_is_killed_and_readers_have_none() {
    alone("life::slots::each_writer_has_a_slot_until_it_detaches_or_is_killed_and_readers_have_none", || {
        let folder = Folder::new();
        drop(folder.options::<u64>("name").persist(Persist::Keep).create_with(ELEMENTS, fill).unwrap());
        assert_eq!(folder.segments().inspect("name").unwrap().slots, None);
        add_slots(&folder, "name");
        assert_eq!(taken(&folder), []);

        let own = std::process::id();
        let open = || folder.options::<u64>("name").open();
        let first = open().unwrap();
        let _reader: ShmArray<u64, shmtypes::ReadOnly> = folder.options("name").open_read_only().unwrap();
        let mut peer = start(&["attach", folder.arg(), "name"]);
        peer.expect_line("attached true");
        let third = open().unwrap();
        assert_eq!(taken(&folder), [(0, own), (1, peer.id()), (2, own)]);
        let fourth = open().unwrap();
        let error = open().unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::SlotsExhausted { slots: 4 });
        assert_eq!((error.fault(), error.python_exception()), (shmtypes::Fault::State, "OSError"));
        assert_eq!(
            error.to_string(),
            "\"name\": all of its 4 participant slots are taken (create it with more slots, or let some attachments end: \
             clones of a handle share one, and `open_read_only` needs none)"
        );
        assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::ResourceBusy);

        drop(third);
        assert_eq!(taken(&folder), [(0, own), (1, peer.id()), (3, own)]);
        peer.kill();
        assert_eq!(taken(&folder), [(0, own), (3, own)]);
        let next = open().unwrap();
        assert_eq!(taken(&folder), [(0, own), (1, own), (3, own)]);
        assert!(is_complete(&next) && is_complete(&first));
        drop((next, fourth));
        assert_eq!(first.close().unwrap(), Detached::Kept);
        assert_eq!(taken(&folder), []);
        folder.segments().unlink("name").unwrap();
    });
}
