//! A process killed at every system call of a segment's life leaves nothing half-made, and nothing that reap misses.

use super::{PEER, alone};
use shmtypes::{Detached, ErrorKind};
use shmtypes_tests::life::{Folder, elements_of, is_as_published, is_complete};
use shmtypes_tests::trace::{calls, describe, injected, run};
use std::os::unix::process::ExitStatusExt;

const SIGKILL: i32 = 9;

/// Kills a peer on entering each system call from before the creation to after the last detach. A kill on entering one
/// is a kill after the one before, so nothing lies between.
#[track_caller]
fn killed_everywhere(kind: &str, force: Option<&str>) {
    let folder = Folder::new();
    let log = Folder::new();
    let arguments = ["life", kind, folder.arg(), "victim"];
    let (window, output) = calls(force.as_slice(), &log.path().join("log"), PEER, &arguments);
    assert!(describe(&output).contains("end Removed"), "{}", describe(&output));
    assert!(window.len() > 30, "only {} calls: is it still the whole life?", window.len());

    let forced = force.and_then(|injection| injection.split(':').next());
    let (mut kills, mut found) = (0, 0);
    for call in &window {
        // One injection per system call; this one fails anyway and changes nothing.
        if forced == Some(call.name.as_str()) {
            continue;
        }
        let kill = format!("{}:signal=KILL:when={}", call.name, call.nth);
        let injections: Vec<&str> = force.into_iter().chain([kill.as_str()]).collect();
        let output = run(&mut injected(&injections, PEER, &arguments));
        assert_eq!(output.status.signal(), Some(SIGKILL), "{kill}: {}", describe(&output));
        kills += 1;

        match folder.segments().inspect("victim") {
            Err(error) if *error.kind() == ErrorKind::NotFound => {}
            Err(error) => panic!("killed before {}: {error}", call.line),
            Ok(info) => {
                found += 1;
                let expected = (vec![elements_of(kind) as u64], false);
                assert_eq!((info.shape, info.attached), expected, "killed before {}", call.line);
                // Half of them are opened, the other half are left to reap.
                if found % 2 == 0 {
                    let array = folder.options::<u64>("victim").open().unwrap();
                    assert!(is_as_published(kind, &array), "killed before {}", call.line);
                    assert_eq!(array.close().unwrap(), Detached::Removed);
                }
            }
        }
        folder.assert_reaped(&format!("killed before {}", call.line));
    }
    println!("{kind}, forced {force:?}: {kills} kills, {found} orphans, all complete");
    assert!(found >= 4, "the name was found after only {found} of {kills} kills");
}

#[test]
fn a_life_killed_at_any_system_call_leaves_a_complete_segment_or_none() {
    alone("life::killed::a_life_killed_at_any_system_call_leaves_a_complete_segment_or_none", || {
        killed_everywhere("plain", None);
    });
}

#[test]
fn a_life_of_a_file_that_is_written_whole_leaves_no_part_of_it() {
    alone("life::killed::a_life_of_a_file_that_is_written_whole_leaves_no_part_of_it", || {
        killed_everywhere("small", None);
    });
}

#[test]
fn without_unnamed_files_a_kill_leaves_at_most_what_reap_finds() {
    alone("life::killed::without_unnamed_files_a_kill_leaves_at_most_what_reap_finds", || {
        killed_everywhere("plain", Some("linkat:error=EPERM"));
    });
}

#[test]
fn with_prefault_a_kill_leaves_a_complete_segment_or_none() {
    alone("life::killed::with_prefault_a_kill_leaves_a_complete_segment_or_none", || {
        killed_everywhere("prefault", None);
    });
}

#[test]
fn with_huge_pages_a_kill_leaves_a_complete_segment_or_none() {
    alone("life::killed::with_huge_pages_a_kill_leaves_a_complete_segment_or_none", || {
        killed_everywhere("huge", None);
    });
}

#[test]
fn a_kept_segment_of_a_killed_creator_is_complete_and_survives_reap() {
    alone("life::killed::a_kept_segment_of_a_killed_creator_is_complete_and_survives_reap", || {
        let folder = Folder::new();
        let log = Folder::new();
        let arguments = ["life", "keep", folder.arg(), "kept"];
        let (window, _) = calls(&[], &log.path().join("log"), PEER, &arguments);
        folder.segments().unlink("kept").unwrap();
        // The last one ends the creator's own attachment.
        let last = window.iter().rfind(|call| call.name == "munmap").unwrap();
        let kill = format!("munmap:signal=KILL:when={}", last.nth);
        let output = run(&mut injected(&[&kill], PEER, &arguments));
        assert_eq!(output.status.signal(), Some(SIGKILL), "{}", describe(&output));
        assert_eq!(folder.segments().reap().unwrap().removed, [""; 0]);
        assert!(is_complete(&folder.options::<u64>("kept").open().unwrap()));
        folder.segments().reap_named("kept").unwrap();
        assert_eq!(folder.left(), [""; 0]);
    });
}
