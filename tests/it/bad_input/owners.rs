//! Segments of other users. Needs root, to become somebody else.

use shmtypes::{ErrorKind, Persist, Trust};
use shmtypes_tests::folder::Folder;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;

const STRANGER: u32 = 54_321;

/// What the peer program says as another user.
fn as_stranger(arguments: &[&str]) -> Vec<String> {
    // At a path that every user can reach.
    let reachable = Folder::below(&std::env::temp_dir());
    fs::set_permissions(reachable.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // By another process: a child that another test is just starting would inherit a descriptor for writing from this one, and
    // a program that anybody may write cannot be executed.
    let copied = Command::new("cp").arg(crate::INPUT).arg(reachable.file("peer")).status().expect("cp");
    assert!(copied.success(), "cp: {copied}");
    let user = STRANGER.to_string();
    let output = Command::new("setpriv")
        .args(["--reuid", &user, "--regid", &user, "--clear-groups"])
        .arg(reachable.file("peer"))
        .args(arguments)
        .output()
        .expect("setpriv; is util-linux installed?");
    assert!(output.status.success(), "setpriv, which needs root: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// A directory like /dev/shm: everybody may create, and remove what is his.
fn public_folder() -> Folder {
    let folder = Folder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    folder
}

#[test]
fn segments_of_another_user_are_attached_only_if_that_user_is_trusted() {
    let folder = public_folder();
    assert_eq!(as_stranger(&["create", folder.path().to_str().unwrap(), "a", "666"]), ["Ok(3)"]);
    assert_eq!(fs::metadata(folder.file("a")).unwrap().uid(), STRANGER);
    let own = nix::unistd::geteuid().as_raw();
    let untrusted = ErrorKind::Untrusted { owner: STRANGER, trusted: own };
    let options = folder.options::<u64>("a");
    let error = options.open().map(drop).unwrap_err();
    assert_eq!(*error.kind(), untrusted);
    assert_eq!(
        error.to_string(),
        format!(
            r#""a": it belongs to user {STRANGER}, and only user {own} is trusted (if that user is meant to own the segment, say so with `.trust(Trust::Uid(uid))`)"#
        )
    );
    assert_eq!(super::kind(options.open_read_only()), untrusted);
    assert_eq!(super::kind(options.open_or_create(3)), untrusted);
    let third = ErrorKind::Untrusted { owner: STRANGER, trusted: 4711 };
    assert_eq!(super::kind(options.clone().trust(Trust::Uid(4711)).open()), third);
    let taken = ErrorKind::AlreadyExists { owner: Some(STRANGER) };
    assert_eq!(super::kind(options.create(3)), taken);
    assert_eq!(options.clone().trust(Trust::Uid(STRANGER)).open().unwrap().to_vec().unwrap(), [1, 2, 3]);
    assert_eq!(options.clone().trust(Trust::Anyone).open_or_create(3).unwrap().to_vec().unwrap(), [1, 2, 3]);
    assert_eq!(folder.segments().inspect("a").unwrap().owner, STRANGER);
    assert_eq!(folder.left(), ["a"]);
}

#[test]
fn another_user_is_told_whose_segment_it_is_and_cannot_change_it() {
    let folder = public_folder();
    let own = nix::unistd::geteuid().as_raw();
    let array = folder.options("a").mode(0o666).create_from_slice(&[1_u64, 2, 3]).unwrap();
    let directory = folder.path().to_str().unwrap();
    let told = as_stranger(&["open", directory, "a", "owner"]);
    assert_eq!(told[0], format!("Untrusted {{ owner: {own}, trusted: {STRANGER} }}"));
    assert_eq!(told[2], told[0]);
    assert_eq!(as_stranger(&["open", directory, "a", &own.to_string()]), ["Ok(())", "Ok(2)"]);
    assert_eq!(array.get(0).unwrap(), 7);
    assert_eq!(as_stranger(&["open", directory, "a", "anyone"]), ["Ok(())", "Ok(2)"]);
    assert_eq!(as_stranger(&["create", directory, "a", "600"])[0], format!("AlreadyExists {{ owner: Some({own}) }}"));

    let read_only = folder.options("b").mode(0o644).create_from_slice(&[1_u64, 2, 3]).unwrap();
    let told = as_stranger(&["open", directory, "b", "anyone"]);
    assert_eq!(told[0], r#"PermissionDenied { operation: "open the segment" }"#);
    assert_eq!(
        told[1..],
        [
            r#""b": permission denied: open the segment (check the owner and mode of the segment; `open_read_only` needs only read access)"#,
            "Ok(2)"
        ]
    );
    let private = folder.options("c").create_from_slice(&[1_u64, 2, 3]).unwrap();
    let told = as_stranger(&["open", directory, "c", "anyone"]);
    assert_eq!((&*told[0], &*told[2]), (&*told[0], r#"PermissionDenied { operation: "open the segment" }"#));
    drop((array, read_only, private));
    assert!(folder.left().is_empty());
}

#[test]
fn the_last_one_out_leaves_the_name_that_it_may_not_remove_to_its_owner() {
    let folder = public_folder();
    // An orphan: its processes are gone, and it did not go with them.
    let bytes = folder.bytes_of(3, Persist::UntilLastDetach, |i| i as u64);
    fs::write(folder.file("a"), bytes).unwrap();
    fs::set_permissions(folder.file("a"), fs::Permissions::from_mode(0o666)).unwrap();
    let told = as_stranger(&["leave", folder.path().to_str().unwrap(), "a"]);
    let denied = r#"PermissionDenied { operation: "remove the name" }"#;
    assert_eq!(told[0], "Ok(LeftForOwner)");
    assert_eq!((&*told[1], &*told[3]), (denied, denied));
    assert_eq!(told[5], r#"Ok(Reaped { removed: [], bytes: 0, left_for_owner: ["a"] })"#);
    assert_eq!(folder.left(), ["a"]);
    assert_eq!(folder.segments().reap().unwrap().removed, ["a"]);
}

/// In a user namespace, users outside of it look like nobody.
#[test]
fn users_outside_of_a_user_namespace_are_not_trusted() {
    let folder = public_folder();
    folder.options("a").mode(0o666).persist(Persist::Keep).create_from_slice(&[1_u64, 2, 3]).unwrap();
    chown(folder.file("a"), Some(STRANGER), Some(STRANGER)).expect("chown, which needs root");
    let directory = folder.path().to_str().unwrap();
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", crate::INPUT, "open", directory, "a", "owner"])
        .output()
        .expect("unshare; is util-linux installed?");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.starts_with("Untrusted { owner: 65534, trusted: 0 }\n"), "{told}");
}
