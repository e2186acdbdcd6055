//! The rules of the repository, as tests: layers, unsafe with an address, files that explain themselves.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand one folder below the root")
}

/// The Rust files below `folder`, with their text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {folder}");
    found
}

fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests"))
}

/// The code of a file: without comments, and without what follows `#[cfg(test)]`.
fn code(text: &str) -> String {
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    lines.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The layers of docs/architecture.md: each module may use those on its right, and itself.
const LAYERS: [(&str, &[&str]); 11] = [
    ("error", &[]),
    ("sys", &["error"]),
    ("sigbus", &["sys", "error"]),
    ("access", &[]),
    ("participants", &["sys", "access", "error"]),
    ("layout", &["participants", "access", "error"]),
    ("segment", &["sys", "access", "participants", "layout", "error"]),
    ("sync", &["segment", "layout", "participants", "access", "sys", "error"]),
    ("containers", &["sync", "segment", "layout", "participants", "access", "sys", "error"]),
    ("compat", &["containers", "sync", "segment", "layout", "participants", "access", "sys", "error"]),
    ("manager", &["compat", "containers", "sync", "segment", "layout", "participants", "access", "sys", "error"]),
];

#[test]
fn modules_use_only_the_layers_below_them() {
    let mut checked = 0;
    for (path, text) in sources("shmtypes/src") {
        let inside = path.strip_prefix("shmtypes/src").unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
        let layer = first.trim_end_matches(".rs");
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
            assert!(["lib", "__private"].contains(&layer), "{}: no layer; add it to LAYERS", path.display());
            continue;
        };
        if is_test(&path) {
            continue;
        }
        let code = code(&text);
        for after in code.split("crate::").skip(1) {
            let used: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let is_module = LAYERS.iter().any(|(name, _)| *name == used);
            // `crate::Error` and the like are re-exports of the lowest layer.
            let fits =
                used == layer || allowed.contains(&used.as_str()) || ["Error", "ErrorKind"].contains(&used.as_str());
            assert!(fits || !is_module && after.starts_with('{'), "{}: uses crate::{used}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} uses found: does the test still see them?");
}

#[test]
fn every_file_says_what_it_is() {
    for folder in [
        "shmtypes/src",
        "shmtypes-derive/src",
        "compat/src",
        "tests/src",
        "tests/it",
        "tests/derive",
        "examples",
        "fuzz/fuzz_targets",
    ] {
        for (path, text) in sources(folder) {
            let first = text.lines().next().unwrap_or_default();
            assert!(first.starts_with("//! "), "{}: starts with {first:?}", path.display());
        }
    }
}

#[test]
fn files_stay_short() {
    for folder in ["shmtypes/src", "shmtypes-derive/src", "compat/src"] {
        for (path, text) in sources(folder) {
            let lines = code(&text).lines().filter(|line| !line.trim().is_empty()).count();
            assert!(is_test(&path) || lines <= 500, "{}: {lines} lines of code", path.display());
        }
    }
}

#[test]
fn unsafe_has_an_address_and_a_reason() {
    for folder in ["shmtypes/src", "shmtypes-derive/src", "compat/src"] {
        for (path, text) in sources(folder) {
            let uses = code(&text)
                .lines()
                .any(|line| ["unsafe {", "unsafe impl", "unsafe fn"].iter().any(|word| line.contains(word)));
            let opted_in = text.contains("allow(unsafe_code, reason = ") || text.contains("expect(unsafe_code, reason = ")
                // Inherited from the head of the folder's mod.rs.
                || path.parent().is_some_and(|parent| {
                    fs::read_to_string(root().join(parent).join("mod.rs"))
                        .is_ok_and(|head| head.contains("#![allow(unsafe_code, reason = "))
                })
                // The derive writes `unsafe impl` into other crates; it has none itself.
                || path.starts_with("shmtypes-derive");
            assert!(!uses || opted_in, "{}: unsafe without a reason in its head", path.display());
        }
    }
}

#[test]
fn shared_atomics_go_through_one_door() {
    for (path, text) in sources("shmtypes/src") {
        let inside = path.strip_prefix("shmtypes/src").unwrap();
        // The private atomics of the process: caches of `sys` and `segment::liveness`, what a handle has seen of an event, and
        // the record of a participant. Views and the table of slots call `access::atomic`; `sync` and some containers call views,
        // and name orderings.
        let may =
            ["access", "participants", "sync", "sys", "containers/vec", "containers/shm_list", "containers/locked"]
                .iter()
                .any(|folder| inside.starts_with(folder))
                || ["layout/view.rs", "layout/leaf.rs", "segment/liveness.rs", "manager/process.rs"]
                    .iter()
                    .any(|file| inside == Path::new(file))
                || is_test(&path);
        // In quotes it is text that a rendering writes.
        let uses = code(&text).lines().any(|line| line.contains("sync::atomic") && !line.contains('"'));
        assert!(may || !uses, "{}: uses atomics", path.display());
    }
}

#[test]
fn nothing_is_left_unfinished() {
    let marks = [
        "todo!(",
        "unimplemented!(",
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("#[ig", "nore"),
    ];
    for folder in ["shmtypes/src", "shmtypes-derive/src", "compat/src", "tests", "examples", "fuzz", "benches"] {
        for (path, text) in sources(folder) {
            if path.components().any(|part| part.as_os_str() == "target") || path.ends_with("repository.rs") {
                continue;
            }
            for mark in marks {
                assert!(!text.contains(mark), "{}: {mark}", path.display());
            }
        }
    }
}

#[test]
fn the_readme_shows_the_examples_as_they_are() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let short = fs::read_to_string(root().join("examples/short.rs")).unwrap();
    let program: String = short.lines().skip_while(|line| line.starts_with("//!")).collect::<Vec<_>>().join("\n");
    assert!(readme.contains(program.trim()), "README.md shows another program than examples/short.rs");
    assert!(program.trim().lines().count() <= 24, "the short program is no longer short");
}
