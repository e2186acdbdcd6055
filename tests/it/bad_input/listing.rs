//! Hostile names in a directory and in headers, and files of other programs.

use super::kind;
use shmtypes::{ErrorKind, Persist, ShmLayout};
use shmtypes_tests::folder::Folder;
use shmtypes_tests::peer::Peer;
use std::fs;
use std::os::unix::ffi::OsStrExt;

/// Nothing that moves a cursor, changes a color or turns the direction of writing.
#[track_caller]
fn is_printable(text: &str) {
    let hostile =
        |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
    assert!(!text.contains(hostile), "{text:?}");
}

const HOSTILE: [&str; 8] =
    ["\x1b[2J\x1b[31m", "a\nb", "\r", "\u{7}bell", "\u{9b}2J", "\u{202e}txt.exe", "\u{2066}isolate", "\u{7f}"];

#[test]
fn names_that_no_segment_can_have_are_listed_in_print_and_reaped() {
    let folder = Folder::new();
    let bytes = folder.bytes_of(3, Persist::UntilLastDetach, |i| i as u64);
    for name in HOSTILE.iter().chain(&[".hidden", "with space", "\"quoted\""]) {
        fs::write(folder.file(name), &bytes).unwrap();
    }
    fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), &bytes).unwrap();
    let listing = folder.segments().list().unwrap();
    assert!(listing.segments.is_empty(), "no call can open what has no valid name: {listing:?}");
    assert_eq!(listing.rejected.len(), HOSTILE.len() + 3);
    for (name, error) in &listing.rejected {
        is_printable(name);
        is_printable(&error.to_string());
        assert!(matches!(error.kind(), ErrorKind::InvalidName { .. }), "{error}");
    }
    is_printable(&format!("{listing:?}"));
    assert!(listing.rejected.iter().any(|(name, _)| name == r"\u{1b}[2J\u{1b}[31m"));

    let reaped = folder.segments().reap().unwrap();
    assert_eq!(reaped.removed.len(), HOSTILE.len() + 3);
    reaped.removed.iter().for_each(|name| is_printable(name));
}

#[test]
fn type_names_and_field_names_from_hostile_segments_are_printable() {
    let folder = Folder::new();
    let valid = folder.bytes_of(3, Persist::Keep, |i| i as u64);
    for (index, hostile) in HOSTILE.iter().enumerate() {
        let mut bytes = valid.clone();
        bytes[320..384].fill(0);
        bytes[320..320 + hostile.len()].copy_from_slice(hostile.as_bytes());
        fs::write(folder.file(&format!("a{index}")), bytes).unwrap();
    }
    // No UTF-8, and no end.
    let mut bytes = valid;
    bytes[320..384].fill(0x9b);
    fs::write(folder.file("b"), bytes).unwrap();
    let listing = folder.segments().list().unwrap();
    assert_eq!(listing.segments.len(), HOSTILE.len() + 1);
    for info in &listing.segments {
        is_printable(&info.type_name);
        is_printable(&info.layout.to_rust(&info.type_name).replace('\n', ""));
        is_printable(&info.layout.to_c(&info.type_name).replace('\n', ""));
        is_printable(&format!("{info:?}"));
        assert_eq!(folder.segments().inspect(&info.name).unwrap().type_name, info.type_name);
        assert_eq!(folder.options::<u64>(&info.name).open().unwrap().to_vec().unwrap(), [0, 1, 2], "only for people");
    }

    #[derive(ShmLayout, Clone, Copy)]
    #[repr(C)]
    struct Hostile {
        #[shm(rename = "\u{1b}[2J\u{202e}")]
        field: u64,
    }
    folder.options("c").persist(Persist::Keep).create_from_slice(&[Hostile { field: 1 }]).unwrap();
    let info = folder.segments().inspect("c").unwrap();
    is_printable(&info.layout.to_json());
    is_printable(&info.layout.to_numpy("a").replace('\n', ""));
    let error = folder.options::<u64>("c").open().map(drop).unwrap_err();
    is_printable(&error.to_string());
    #[derive(ShmLayout)]
    #[repr(C)]
    struct Tame {
        field: u32,
        other: u32,
    }
    let error = folder.options::<Tame>("c").open().map(drop).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::LayoutMismatch { .. }));
    is_printable(&error.to_string());
}

#[test]
fn files_of_other_programs_are_neither_listed_nor_reaped() {
    let folder = Folder::new();
    // Python's names and contents (multiprocessing.shared_memory), a POSIX semaphore, a half-written file.
    let files: [(&str, &[u8]); 6] = [
        ("psm_0a1b2c3d", &[0; 16384]),
        ("wnsm_0a1b2c3d", &3_i64.to_ne_bytes()),
        ("sem.lock", &[1; 32]),
        ("PostgreSQL.123", &[0xff; 4096]),
        (".hidden", b"text"),
        ("SHMTYPES", b"SHMTYPE"),
    ];
    for (name, contents) in files {
        fs::write(folder.file(name), contents).unwrap();
    }
    nix::unistd::mkfifo(&folder.file("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::create_dir(folder.file("directory")).unwrap();
    std::os::unix::fs::symlink("psm_0a1b2c3d", folder.file("link")).unwrap();
    let before = folder.left();
    let listing = folder.segments().list().unwrap();
    assert!(listing.segments.is_empty() && listing.rejected.is_empty(), "{listing:?}");
    let reaped = folder.segments().reap().unwrap();
    assert!(reaped.removed.is_empty() && reaped.left_for_owner.is_empty() && reaped.bytes == 0, "{reaped:?}");
    for (name, contents) in files {
        assert!(matches!(
            kind(folder.segments().inspect(name)),
            ErrorKind::NotASegment { .. } | ErrorKind::InvalidName { .. }
        ));
        assert!(folder.segments().unlink(name).is_err() && folder.segments().reap_named(name).is_err());
        assert_eq!(fs::read(folder.file(name)).unwrap(), contents);
    }
    assert_eq!(folder.left(), before);
}

/// In a fresh process, which does not know the file system yet and asks it with the first file that it meets.
#[test]
fn reaping_does_not_wait_for_a_fifo_under_a_hidden_name() {
    for make in [
        |path: &std::path::Path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
        |path: &std::path::Path| fs::create_dir(path).unwrap(),
        |path: &std::path::Path| drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
        |path: &std::path::Path| std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
    ] {
        let folder = Folder::new();
        let hidden = ".shmtypes-0123456789abcdef0123456789abcdef.tmp";
        make(&folder.file(hidden));
        let mut peer = Peer::start(crate::INPUT, &["reap", folder.path().to_str().unwrap()]);
        peer.expect_line("Ok(Reaped { removed: [], bytes: 0, left_for_owner: [] })");
        assert!(peer.wait().success());
        assert_eq!(folder.left(), [hidden]);
    }
}

#[test]
fn half_built_files_are_reaped_and_never_listed() {
    let folder = Folder::new();
    let bytes = folder.bytes_of(3, Persist::Keep, |i| i as u64);
    let hidden = ".shmtypes-0123456789abcdef0123456789abcdef.tmp";
    for contents in [&bytes[..], b"", b"half"] {
        fs::write(folder.file(hidden), contents).unwrap();
        let listing = folder.segments().list().unwrap();
        assert!(listing.segments.is_empty() && listing.rejected.is_empty(), "{listing:?}");
        assert_eq!(folder.segments().reap().unwrap().removed, [hidden]);
    }
    assert!(folder.left().is_empty());
}
