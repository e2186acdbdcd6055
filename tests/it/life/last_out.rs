//! The last one out removes the name, exactly once, and never the name of a successor.

use super::{PEER, alone, numbers, start};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use shmtypes::{Detached, ErrorKind};
use shmtypes_tests::life::{ELEMENTS, Folder, fill, rounds};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::trace::injected;
use std::fs;

#[test]
fn of_several_processes_that_leave_at_one_instant_exactly_one_removes_the_name() {
    let folder = Folder::new();
    let barrier = Folder::new();
    let (parties, rounds) = (4, rounds(500));
    let count = rounds.to_string();
    let arguments = ["leave-together", folder.arg(), barrier.arg(), "4", &count];
    let mut peers: Vec<Peer> = (0..parties).map(|_| start(&arguments)).collect();
    let mut all_removed = 0;
    for peer in &mut peers {
        let [removed, leaked, apart] = numbers(peer);
        assert_eq!((leaked, apart), (0, 0), "names that were left, and rounds with two segments under one name");
        all_removed += removed;
        assert!(peer.wait().success());
    }
    assert_eq!(all_removed, rounds as u64);
    assert_eq!(folder.left(), [""; 0], "without any reap");
    println!("{rounds} rounds of {parties} simultaneous detaches: {all_removed} removals, 0 names left");
}

/// Peers that come and go on one name, each checking that the name denotes what it holds.
fn come_and_go(folder: &Folder) -> Vec<Peer> {
    let mut peers: Vec<Peer> =
        (0..3).map(|place| start(&["come-and-go", folder.arg(), "name", &place.to_string()])).collect();
    for peer in &mut peers {
        peer.expect_line("going");
    }
    peers
}

#[test]
fn no_remover_takes_a_successor_s_name() {
    let folder = Folder::new();
    let mut peers = come_and_go(&folder);
    let mut reaper = start(&["reap-on-and-on", folder.arg()]);
    reaper.expect_line("reaping");
    // Processes that are killed while attached leave the name to whoever comes next.
    let kills = rounds(60);
    for _ in 0..kills {
        let mut victim = start(&["come-and-go", folder.arg(), "name", "3"]);
        victim.expect_line("going");
        victim.kill();
    }
    let (mut cycles, mut created) = (0, 0);
    for peer in &mut peers {
        peer.close_input();
        let [went, made] = numbers(peer);
        cycles += went;
        created += made;
        assert!(peer.wait().success());
    }
    reaper.close_input();
    let [reaps, reaped] = numbers(&mut reaper);
    assert!(reaper.wait().success());
    folder.assert_reaped("after all have left");
    println!("{cycles} cycles on one name, {created} segments, {kills} kills, {reaps} reaps took {reaped}, 0 splits");
    assert!(cycles > 500 && created > 50 && reaps > 50, "{cycles} cycles, {created} segments, {reaps} reaps");
}

#[test]
fn a_remover_without_the_locks_would_be_seen_to_take_a_successor_s_name() {
    let folder = Folder::new();
    let mut peers = come_and_go(&folder);
    let path = folder.path().join("name");
    // What a remover without the protocol does: it asks whether anybody is attached, and removes the file.
    let split = 'found: loop {
        for _ in 0..1000 {
            if folder.segments().inspect("name").is_ok_and(|info| !info.attached) {
                // Another one may have removed it.
                let _ = fs::remove_file(&path);
            }
        }
        for peer in &mut peers {
            if let Some(line) = peer.said() {
                break 'found line;
            }
        }
    };
    assert!(split.starts_with("split after "), "{split}");
    for peer in &mut peers {
        assert!(peer.wait().success());
    }
}

/// The byte that a remover locks against attachers.
const LIFE: i64 = 1 << 62;

/// A last one out that stays for a while between its last look at the name and the removal. `None` if it was through
/// before this process saw it there.
fn slow_remover(folder: &Folder) -> Option<Peer> {
    let mut owner = start(&["create", "plain", folder.arg(), "name"]);
    owner.expect_line("attached true");
    let mut remover = Peer::spawn(injected(&["unlink:delay_enter=60000"], PEER, &["attach", folder.arg(), "name"]));
    remover.expect_line("attached true");
    owner.kill();
    let file = fs::File::open(folder.path().join("name")).unwrap();
    remover.close_input();
    loop {
        let mut byte = libc::flock {
            l_type: libc::F_RDLCK as i16,
            l_whence: libc::SEEK_SET as i16,
            l_start: LIFE,
            l_len: 1,
            l_pid: 0,
        };
        fcntl(&file, FcntlArg::F_OFD_GETLK(&mut byte)).unwrap();
        if i32::from(byte.l_type) == libc::F_WRLCK {
            // It still has to look; that takes less than a hundred of these.
            for _ in 0..100 {
                folder.segments().list().unwrap();
            }
            return Some(remover);
        }
        if !folder.path().join("name").exists() {
            return None;
        }
    }
}

#[test]
fn a_remover_that_is_slow_to_remove_does_not_take_what_another_one_makes_room_for() {
    alone("life::last_out::a_remover_that_is_slow_to_remove_does_not_take_what_another_one_makes_room_for", || {
        let mut met = 0;
        for _ in 0..10 {
            let folder = Folder::new();
            let Some(mut remover) = slow_remover(&folder) else { continue };
            // Without the lock on the name, this one would not wait, and the other would remove the successor.
            while folder.segments().unlink("name").is_err_and(|error| *error.kind() == ErrorKind::Busy) {}
            let successor = folder.options::<u64>("name").create_with(ELEMENTS, fill).unwrap();
            let line = remover.line().unwrap();
            assert!(["Removed", "NameGone"].contains(&line.as_str()), "{line}");
            assert!(remover.wait().success());
            assert_eq!(successor.close().unwrap(), Detached::Removed, "the successor's name was taken");
            met += 1;
        }
        assert!(met > 0, "the remover was never met on its way");
    });
}

#[test]
fn an_attacher_that_meets_a_remover_waits_for_it_and_finds_no_segment() {
    let mut met = 0;
    for _ in 0..5 {
        let folder = Folder::new();
        let Some(mut remover) = slow_remover(&folder) else { continue };
        let outcome = folder.options::<u64>("name").open();
        assert_eq!(*outcome.unwrap_err().kind(), ErrorKind::NotFound);
        remover.expect_line("Removed");
        assert!(remover.wait().success());
        met += 1;
    }
    assert!(met > 0, "the remover was never met on its way");
}
