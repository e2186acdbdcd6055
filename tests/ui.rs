//! What the derive and the traits refuse, and with which words. One rule per file, and the file's name says the rule.
//!
//! The expected messages beside the cases are those of rustc 1.95. With another compiler, whose words may differ, the
//! test asserts only that no case compiles: it runs on a copy of the cases without their messages.
//!
//! To renew the messages after a change: `TRYBUILD=overwrite cargo test --test ui`, and read what changed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The release whose messages stand beside the cases.
const PINNED: &str = "rustc 1.95.";

/// In the process that judges a copy: where the copy is.
const COPY: &str = "SHMTYPES_UI_COPY";

#[test]
fn refusals_name_the_mistake_and_the_remedy() {
    if let Some(copy) = env::var_os(COPY) {
        return compile_all(Path::new(&copy));
    }
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().expect("rustc says its version").stdout;
    if version.starts_with(PINNED.as_bytes()) {
        return compile_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("ui"));
    }
    let status = Command::new(env::current_exe().expect("a test knows its own path"))
        .env(COPY, copy_without_messages())
        .env("TRYBUILD", "overwrite")
        .status()
        .expect("a test can start itself");
    assert!(status.success(), "a case compiles that must not");
}

fn compile_all(cases: &Path) {
    trybuild::TestCases::new().compile_fail(cases.join("*/*.rs"));
}

fn copy_without_messages() -> PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui");
    let _ = fs::remove_dir_all(&copy);
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui");
    for topic in fs::read_dir(cases).expect("the cases are here").flatten() {
        let target = copy.join(topic.file_name());
        fs::create_dir_all(&target).expect("the target directory is writable");
        for case in fs::read_dir(topic.path()).expect("a topic is a directory").flatten() {
            if case.path().extension().is_some_and(|extension| extension == "rs") {
                fs::copy(case.path(), target.join(case.file_name())).expect("the target directory is writable");
            }
        }
    }
    copy
}
