//! Names of the run, and their removal however it ends.

use crate::Fallible;
use iceoryx2::prelude::*;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use std::ffi::CString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) const WORKER: &str = "--worker";

/// Set by the supervisor: what all names of the run start with.
const PREFIX: &str = "SHMTYPES_BENCH_PREFIX";

/// What all names of this run start with.
pub(crate) fn prefix() -> String {
    std::env::var(PREFIX).unwrap_or_else(|_| format!("shmtypes-bench-{}-", std::process::id()))
}

/// A name of a segment that nobody else uses.
pub(crate) fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}{}-{}", prefix(), std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The same for `shm_open`.
pub(crate) fn raw_name() -> CString {
    let mut name = name().into_bytes();
    name.insert(0, b'/');
    // The parts are digits and a constant.
    CString::new(name).unwrap_or_default()
}

/// Where iceoryx2 keeps its files of this run.
pub(crate) fn iceoryx_root() -> PathBuf {
    std::env::temp_dir().join(format!("{}iceoryx2", prefix()))
}

/// A node of iceoryx2, with all its files under names of this run.
pub(crate) fn iceoryx_node() -> Fallible<Node<ipc::Service>> {
    let mut config = Config::default();
    config.global.prefix = FileName::new(prefix().as_bytes()).map_err(|error| format!("{error:?}"))?;
    let root = iceoryx_root();
    config.global.set_root_path(&Path::new(root.as_os_str().as_encoded_bytes()).map_err(|error| format!("{error:?}"))?);
    Ok(NodeBuilder::new().config(&config).create::<ipc::Service>().map_err(|error| format!("{error:?}"))?)
}

/// Runs the measurement in a child and removes what it leaves behind.
pub(crate) fn supervise(groups: &[&str]) -> ExitCode {
    let prefix = prefix();
    let child = std::env::current_exe()
        .and_then(|program| Command::new(program).arg(WORKER).args(groups).env(PREFIX, &prefix).spawn());
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("error: cannot start the measuring process: {error}");
            return ExitCode::FAILURE;
        }
    };
    // After the spawn, because a child inherits the mask.
    let ending = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    if ending.thread_block().is_ok() {
        let id = Pid::from_raw(child.id().cast_signed());
        std::thread::spawn(move || {
            if ending.wait().is_ok() {
                // It may be gone already.
                let _ = kill(id, Signal::SIGKILL);
            }
        });
    }
    let succeeded = child.wait().is_ok_and(|status| status.success());
    sweep(&prefix);
    if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn sweep(prefix: &str) {
    // Missing or not ours to remove: nothing is left to do about either.
    let _ = std::fs::remove_dir_all(iceoryx_root());
    let Ok(entries) = std::fs::read_dir("/dev/shm") else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
