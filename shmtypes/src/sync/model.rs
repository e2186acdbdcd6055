//! How loom's models are run, with and without mistakes seeded into them.

use crate::participants::tests::starting;
use std::process::{Command, Stdio};

/// Runs `model` through all interleavings with up to two preemptions, in which known mistakes in such algorithms show.
pub(crate) fn explore(model: impl Fn() + Send + Sync + 'static) {
    explore_to(2, model);
}

/// The same with up to so many preemptions.
pub(crate) fn explore_to(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// The variable that names the mistake to a second process.
const MISTAKE: &str = "SHMTYPES_MODEL_MISTAKE";

/// The mistake that this process is to make, if it was started by [`complaint`].
pub(crate) fn mistake() -> Option<String> {
    std::env::var(MISTAKE).ok()
}

/// Runs a test with a mistake in its model, in a process of its own: loom ends it in the middle of a panic. Returns what loom
/// says. `test` is the test's path, and runs the model that [`mistake`] names.
pub(crate) fn complaint(test: &str, mistake: &str) -> String {
    let child = {
        let _starting = starting();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", test, "--nocapture"])
            .env(MISTAKE, mistake)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{mistake}: nobody notices\n{said}");
    said
}
