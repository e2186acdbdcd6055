//! Names that are not allowed, taken or missing, in every function that takes one.

use super::kind;
use proptest::prelude::*;
use shmtypes::{Error, ErrorKind, Fault, Persist, ShmArray};
use shmtypes_tests::folder::Folder;
use std::fs;

/// What every public function that takes a name makes of this one.
fn everywhere(folder: &Folder, name: &str) -> Vec<(&'static str, Result<(), Error>)> {
    type Array = ShmArray<u64>;
    let options = || folder.options::<u64>(name);
    vec![
        ("ShmArray::open", Array::open(name).map(drop)),
        ("ShmArray::open_read_only", Array::open_read_only(name).map(drop)),
        ("ShmArray::open_or_create", Array::open_or_create(name, 3).map(drop)),
        ("open", options().open().map(drop)),
        ("open_read_only", options().open_read_only().map(drop)),
        ("open_or_create", options().open_or_create(3).map(drop)),
        ("create", options().create(3).map(drop)),
        ("create_with", options().create_with(3, |_| unreachable!("nothing to fill")).map(drop)),
        ("try_create_with", options().try_create_with::<Error>(3, |_| unreachable!("nothing to fill")).map(drop)),
        ("create_from_fn", options().create_from_fn(3, |_| unreachable!("nothing to fill")).map(drop)),
        ("try_create_from_fn", options().try_create_from_fn::<Error>(3, |_| unreachable!("nothing")).map(drop)),
        ("create_from_slice", options().create_from_slice(&[1, 2, 3]).map(drop)),
        ("create_with_ndarray", options().shape(&[3]).create_with_ndarray(|_| unreachable!("nothing")).map(drop)),
        ("inspect", shmtypes::inspect(name).map(drop)),
        ("reap_named", shmtypes::reap_named(name)),
        ("unlink", shmtypes::unlink(name)),
        ("SegmentDirectory::inspect", folder.segments().inspect(name).map(drop)),
        ("SegmentDirectory::reap_named", folder.segments().reap_named(name)),
        ("SegmentDirectory::unlink", folder.segments().unlink(name)),
    ]
}

#[track_caller]
fn invalid_everywhere(name: &str, reason: &'static str) {
    let folder = Folder::new();
    for (function, result) in everywhere(&folder, name) {
        let error = result.expect_err(function);
        assert_eq!(*error.kind(), ErrorKind::InvalidName { name: name.to_owned(), reason }, "{function}");
        assert_eq!(error.fault(), Fault::Caller);
        assert_eq!(
            error.to_string(),
            format!(
                "{name:?} cannot be the name of a segment: {reason} (use 1 to 200 of the characters A-Z a-z 0-9 . _ - and no leading dot or slash)"
            )
        );
        assert!(!error.to_string().contains(char::is_control));
    }
    assert!(folder.left().is_empty());
}

#[test]
fn names_that_are_not_allowed_say_why_in_every_function() {
    invalid_everywhere("", "it is empty");
    invalid_everywhere(&"a".repeat(201), "it is longer than 200 bytes");
    invalid_everywhere(&"a".repeat(100_000), "it is longer than 200 bytes");
    for name in ["/", "/prices", "a/b", "../a", "/dev/shm/a", "a/"] {
        invalid_everywhere(name, "it contains a slash");
    }
    for name in [".", "..", "...", ".hidden", ".shmtypes-00000000000000000000000000000000.tmp"] {
        invalid_everywhere(name, "it starts with a dot");
    }
    for name in ["a b", " ", "a\0b", "\0", "a\n", "\x1b[2J", "naïve", "a\u{202e}b", "a\u{7f}", "C:\\a", "a*", "名"] {
        invalid_everywhere(name, "it contains a character that is not allowed");
    }
}

#[test]
fn the_longest_names_work() {
    let folder = Folder::new();
    let name = "n".repeat(200);
    let array = folder.options::<u64>(&name).create(3).unwrap();
    assert_eq!((array.name(), folder.left()), (&*name, vec![name.clone()]));
    assert_eq!(folder.options::<u64>(&name).open().unwrap().len(), 3);
    assert_eq!(folder.segments().inspect(&name).unwrap().name, name);
}

#[test]
fn a_name_for_an_unnamed_array_and_no_name_to_open_are_refused() {
    let both = ShmArray::<u64>::options().name("a").unnamed().create(3).map(drop).unwrap_err();
    assert_eq!(both.to_string(), "a segment cannot be unnamed and have a name");
    assert_eq!(both.fault(), Fault::Caller);
    let neither = ShmArray::<u64>::options().open().map(drop).unwrap_err();
    assert_eq!(neither.to_string(), "opening needs a name: `.name(\"…\")`, or `from_fd` for a descriptor");
    assert!(matches!(neither.kind(), ErrorKind::InvalidOptions { .. }));
}

#[test]
fn a_missing_name_is_not_found_and_stays_missing() {
    let folder = Folder::new();
    let options = folder.options::<u64>("missing");
    let error = options.open().map(drop).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotFound);
    assert_eq!((error.fault(), error.segment()), (Fault::State, Some("missing")));
    assert_eq!(
        error.to_string(),
        r#""missing": no such segment (has its creator started, and does it use the same name and directory?)"#
    );
    assert_eq!(kind(options.open_read_only()), ErrorKind::NotFound);
    assert_eq!(kind(folder.segments().inspect("missing")), ErrorKind::NotFound);
    assert_eq!(kind(folder.segments().reap_named("missing")), ErrorKind::NotFound);
    assert_eq!(kind(folder.segments().unlink("missing")), ErrorKind::NotFound);
    assert!(folder.left().is_empty(), "attaching never creates");
}

#[test]
fn a_taken_name_is_refused_by_every_constructor_and_its_segment_goes_on() {
    let folder = Folder::new();
    let array = folder.options("a").create_from_slice(&[1_u64, 2, 3]).unwrap();
    let kept = folder.options("b").persist(Persist::Keep).create_from_slice(&[4_u64]).unwrap();
    drop(kept);
    fs::write(folder.file("c"), "of another program").unwrap();
    nix::unistd::mkfifo(&folder.file("d"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let before = folder.left();
    let user = nix::unistd::geteuid().as_raw();
    for name in &before {
        let error = folder.options::<u64>(name).create(3).map(drop).unwrap_err();
        assert_eq!((error.fault(), error.segment()), (Fault::State, Some(&**name)));
        assert_eq!(
            error.to_string(),
            format!(
                "{name:?}: the name is taken, by user {user} (choose another name, or, if it is a segment, attach with `open` or `open_or_create`, or remove it with `reap_named`)"
            )
        );
        let options = folder.options::<u64>(name);
        let taken = ErrorKind::AlreadyExists { owner: Some(user) };
        assert_eq!(kind(options.create(3)), taken);
        assert_eq!(kind(options.create_with(3, |_| unreachable!("nothing to fill"))), taken);
        assert_eq!(kind(options.create_from_fn(3, |_| unreachable!("nothing to fill"))), taken);
        assert_eq!(kind(options.create_from_slice(&[9])), taken);
        assert_eq!(kind(options.clone().shape(&[2]).create_with_ndarray(|_| unreachable!("nothing"))), taken);
        assert_eq!(kind(options.clone().huge_pages(true).create(3)), taken);
        assert_eq!(kind(options.clone().prefault(true).create(3)), taken);
    }
    assert_eq!(folder.left(), before);
    assert_eq!(array.to_vec().unwrap(), [1, 2, 3]);
    assert_eq!(folder.options::<u64>("b").open().unwrap().to_vec().unwrap(), [4]);
    assert_eq!(fs::read(folder.file("c")).unwrap(), b"of another program");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// The rule of the documentation, against any text.
    #[test]
    fn exactly_the_documented_names_are_accepted(name in ".{0,12}|[A-Za-z0-9._-]{0,12}|[a-z]{195,205}") {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let documented = (1..=200).contains(&name.len()) && !name.starts_with('.') && name.chars().all(allowed);
        let folder = Folder::new();
        match folder.options::<u8>(&name).create(1) {
            Ok(array) => {
                prop_assert!(documented);
                prop_assert_eq!(folder.left(), [name]);
                drop(array);
            }
            Err(error) => {
                prop_assert!(!documented, "{}", error);
                let is_invalid_name = matches!(error.kind(), ErrorKind::InvalidName { .. });
                prop_assert!(is_invalid_name);
            }
        }
        prop_assert!(folder.left().is_empty());
    }
}
