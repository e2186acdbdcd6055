//! Processes under strace: every system call known, and any of them the last one, or failing.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// One system call of a traced process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// The how-manieth call of this name it is, from 1.
    pub nth: usize,
    /// How strace writes it.
    pub line: String,
}

/// A command under strace, with what to inject (`linkat:error=EPERM`); only what is injected into is traced.
#[must_use]
pub fn injected(injections: &[&str], program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null"]);
    let names: Vec<&str> = injections.iter().map(|injection| injection.split(':').next().unwrap_or_default()).collect();
    command.args(["-e", &format!("trace={}", names.join(","))]);
    for injection in injections {
        command.args(["-e", &format!("inject={injection}")]);
    }
    command.arg(program).args(arguments);
    command
}

/// Runs a command under strace and returns its system calls between the two writes whose text starts with `begin` and
/// `end`, with what it printed. `log` is a file that it may use.
///
/// # Panics
/// If strace is not installed, or the command fails.
#[must_use]
pub fn calls(injections: &[&str], log: &Path, program: &str, arguments: &[&str]) -> (Vec<Call>, Output) {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-s", "256", "-e", "signal=none", "-o"]).arg(log);
    for injection in injections {
        command.args(["-e", &format!("inject={injection}")]);
    }
    let output = run(command.arg(program).args(arguments));
    assert!(output.status.success(), "{arguments:?}: {}", describe(&output));
    let text = fs::read_to_string(log).expect("read strace's log");
    fs::remove_file(log).expect("remove strace's log");

    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut calls: Vec<Call> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        // `PID name(arguments) = result`
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let Some((name, _)) = line.split_once('(') else { continue };
        let nth = counts.entry(name.to_owned()).or_default();
        *nth += 1;
        inside |= line.starts_with("write(1, \"begin");
        if inside {
            calls.push(Call { name: name.to_owned(), nth: *nth, line: line.to_owned() });
        }
        if line.starts_with("write(1, \"end") {
            break;
        }
    }
    assert!(calls.last().is_some_and(|call| call.line.contains("\"end")), "no whole window in:\n{text}");
    (calls, output)
}

/// Runs a command to its end.
///
/// # Panics
/// If it cannot be started.
pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| {
        panic!("{}: {error}; is it installed (apt-get install strace)?", command.get_program().display())
    })
}

/// How a process ended and what it said.
#[must_use]
pub fn describe(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}
