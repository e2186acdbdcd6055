//! Tests in a changed world: another /dev/shm, another user, other limits, failing system calls.
//!
//! A test cannot change the world of its own process without disturbing the others, so it starts its own binary again,
//! for itself only, under a program that changes the world (`unshare`, `prlimit`, `setpriv`, `strace`). Inside, the
//! same function runs its body.

use std::process::{Command, Output};

const INSIDE: &str = "SHMTYPES_TEST_INSIDE";

/// The shell words that put a tmpfs of its own over /dev/shm, in a mount namespace of its own. `options` are mount(8)
/// options such as `size=64k`.
#[must_use]
pub fn private_shm(options: &str) -> Vec<String> {
    mounts(&format!("mount -t tmpfs -o {options} tmpfs /dev/shm"))
}

/// The shell words that run the shell command `mount` in a mount namespace of its own, and there what follows. An
/// ordinary user gets a user namespace as well.
#[must_use]
pub fn mounts(mount: &str) -> Vec<String> {
    let script = format!("{mount} && exec \"$0\" \"$@\"");
    let user: &[&str] = if nix::unistd::geteuid().is_root() { &[] } else { &["--map-root-user"] };
    let words = ["unshare", "--mount", "--propagation", "private"].into_iter().chain(user.iter().copied());
    words.chain(["sh", "-c", &script]).map(str::to_owned).collect()
}

/// Runs `body` in another world: outside, starts this binary again under `wrapper` for the test `name` alone and fails
/// if that fails; inside, runs `body`. `name` is the test's path in its binary, such as `limits::no_space`.
///
/// # Panics
/// If the wrapper is not installed, or the test fails inside.
pub fn inside<W: AsRef<str>>(wrapper: &[W], name: &str, body: impl FnOnce()) {
    if std::env::var(INSIDE).is_ok_and(|inside| inside == name) {
        body();
        return;
    }
    let output = rerun(wrapper, name);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success() && text(&output.stdout).contains("1 passed"),
        "{name} inside its world ended with {}\n{}\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
}

/// Whether this process is the inner one of [`inside`] or [`rerun`] for the test `name`.
#[must_use]
pub fn is_inside(name: &str) -> bool {
    std::env::var(INSIDE).is_ok_and(|inside| inside == name)
}

/// Starts this test binary again under `wrapper`, for the test `name` alone, and waits for it, whatever comes of it.
///
/// # Panics
/// If the wrapper is not installed.
#[must_use]
pub fn rerun<W: AsRef<str>>(wrapper: &[W], name: &str) -> Output {
    command(wrapper, name).output().unwrap_or_else(|error| panic!("{}: {error}; is it installed?", words(wrapper)))
}

/// The command that starts this test binary again under `wrapper`, for the test `name` alone.
///
/// # Panics
/// If the path of this binary is not known.
#[must_use]
pub fn command<W: AsRef<str>>(wrapper: &[W], name: &str) -> Command {
    let own = std::env::current_exe().expect("the path of this binary");
    let mut words = wrapper.iter().map(AsRef::as_ref);
    let mut command = match words.next() {
        Some(program) => {
            let mut command = Command::new(program);
            command.args(words).arg(own);
            command
        }
        None => Command::new(own),
    };
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(INSIDE, name);
    command
}

fn words<W: AsRef<str>>(wrapper: &[W]) -> String {
    wrapper.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ")
}
