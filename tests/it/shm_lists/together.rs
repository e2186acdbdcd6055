//! Processes that use one list together.

use super::SHM_LISTS;
use shmtypes::compat::Value;
use shmtypes::{ErrorKind, ShmList};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::scratch::Scratch;
use std::os::unix::fs::PermissionsExt;

const TIMES: u64 = 20_000;

#[test]
fn two_processes_count_exactly() {
    let scratch = Scratch::new();
    let list = ShmList::options().name(scratch.name("list")).create([0, 0]).unwrap();
    let times = TIMES.to_string();
    let mut peers: Vec<Peer> = (0..2).map(|_| Peer::start(SHM_LISTS, &["count", list.name(), &times])).collect();
    for peer in &mut peers {
        peer.expect_line("ready");
    }
    for peer in &mut peers {
        peer.tell("go");
    }
    for peer in &mut peers {
        assert!(peer.wait().success());
    }
    assert_eq!(list.to_vec().unwrap(), [Value::Int(2 * TIMES as i64), Value::Int(0)]);
}

#[test]
fn a_list_that_may_only_be_read_is_read() {
    let scratch = Scratch::new();
    let list = ShmList::options().name(scratch.name("list")).create(["text"]).unwrap();
    std::fs::set_permissions(scratch.path("list"), std::fs::Permissions::from_mode(0o400)).unwrap();
    let reader = ShmList::open_read_only(list.name()).unwrap();
    list.set(0, 5).unwrap();
    list.notify();
    reader.wait_changed(std::time::Duration::from_secs(60)).unwrap();
    assert_eq!(reader.get(0).unwrap(), Value::Int(5));
}

#[test]
fn a_header_that_claims_more_slots_than_words_is_refused() {
    let scratch = Scratch::new();
    let list = ShmList::options().name(scratch.name("list")).create([1, 2]).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(scratch.path("list")).unwrap();
    // Two records of eight words, and four areas of one.
    for (slots, fits) in [(0_u64, true), (1, true), (2, true), (3, false), (1 << 61, false), (u64::MAX, false)] {
        std::os::unix::fs::FileExt::write_all_at(&file, &slots.to_ne_bytes(), 248).unwrap();
        match ShmList::open(list.name()) {
            Ok(opened) => assert!(fits && opened.len() as u64 == slots),
            Err(error) => {
                assert!(!fits);
                assert_eq!(*error.kind(), ErrorKind::Corrupt { field: "number of values", value: slots });
            }
        }
    }
    assert_eq!(list.len(), 2, "the number is private");
}

#[test]
fn an_unnamed_list_is_reached_by_its_descriptor() {
    let unnamed = ShmList::options().unnamed().create([1.5]).unwrap();
    let same = ShmList::from_fd(unnamed.as_fd().unwrap().try_clone_to_owned().unwrap()).unwrap();
    same.set(0, "eight by").unwrap();
    assert_eq!((unnamed.get(0).unwrap(), unnamed.name()), (Value::from("eight by"), ""));
}
