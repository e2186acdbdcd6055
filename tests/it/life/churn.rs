//! Looking at a directory in which everything changes disturbs nobody and removes nothing foreign.

use super::{PEER, numbers, start};
use shmtypes::Persist;
use shmtypes_tests::life::{Folder, fill, is_complete, rounds};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::trace::calls;
use std::fs;

/// How strace writes the lock bytes of the life and of the name.
const LIFE: &str = "l_start=4611686018427387904,";
const NAME: &str = "l_start=4611686018427387905,";

#[test]
fn listing_and_reaping_while_others_create_and_remove_gives_no_error_and_takes_nothing_foreign() {
    let folder = Folder::new();
    // A kept segment, an attached one, and what belongs to other programs.
    drop(folder.options::<u64>("a-kept").persist(Persist::Keep).create_with(1000, fill).unwrap());
    let attached = folder.options::<u64>("an-attached").create_with(1000, fill).unwrap();
    fs::write(folder.path().join("foreign"), "not a segment, and longer than any magic").unwrap();
    fs::write(folder.path().join("empty"), "").unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    std::os::unix::fs::symlink("an-attached", folder.path().join("link")).unwrap();

    let mut peers: Vec<Peer> = (0..2).map(|_| start(&["create-and-drop", folder.arg()])).collect();
    for peer in &mut peers {
        peer.expect_line("going");
    }
    let looks = rounds(1500);
    let mut listed = 0;
    for _ in 0..looks {
        let listing = folder.segments().list().unwrap();
        assert!(listing.rejected.is_empty(), "{:?}", listing.rejected);
        let stays = |name: &str| listing.segments.iter().any(|info| info.name == name);
        assert!(stays("a-kept") && stays("an-attached"), "{listing:?}");
        listed += listing.segments.len() - 2;
        // A reap may take what a peer has just left and not removed yet; each peer checks that it keeps what it holds.
        let removed = folder.segments().reap().unwrap().removed;
        assert!(removed.iter().all(|name| name.starts_with(|c: char| c.is_ascii_digit())), "{removed:?}");
    }
    let mut cycles = 0;
    for peer in &mut peers {
        peer.close_input();
        cycles += numbers::<1>(peer)[0];
        assert!(peer.wait().success());
    }
    println!("{looks} lists and reaps against {cycles} creations, {listed} of them seen");
    assert!(cycles > 100 && listed > 0, "{cycles} creations, {listed} seen");
    assert_eq!(folder.left(), ["a-kept", "an-attached", "empty", "folder", "foreign", "link"]);
    assert!(is_complete(&attached));
}

#[test]
fn inspecting_takes_no_lock_that_an_attacher_could_meet() {
    let folder = Folder::new();
    let log = Folder::new();
    let array = folder.options::<u64>("name").create_with(1000, fill).unwrap();
    let (window, output) = calls(&[], &log.path().join("log"), PEER, &["inspect", folder.arg(), "name"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("end true"));
    let asks = window.iter().filter(|call| call.line.contains("F_OFD_GETLK") && call.line.contains(LIFE)).count();
    assert_eq!(asks, 1, "it asks who is attached");
    for call in &window {
        // The file system's probe takes a lock on a random byte of its own.
        let harmless = !call.line.contains(LIFE) && !call.line.contains(NAME);
        assert!(!call.line.contains("F_OFD_SETLK") || harmless, "{}", call.line);
        assert!(call.name != "flock", "{}", call.line);
    }
    drop(array);
}
