//! Python interpreters: which ones there are, and processes of them that do what a test says.

use crate::peer::Peer;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value as Json, json};
use shmtypes::compat::{Value, ValueRef};
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// An interpreter that can be started.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interpreter {
    /// Its version, such as `[3, 13, 0]`.
    pub version: Vec<u32>,
    /// The program.
    pub program: PathBuf,
}

impl Interpreter {
    fn at(program: &Path) -> Option<Self> {
        let output = Command::new(program).args(["-c", "import sys; print(*sys.version_info[:3])"]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let version: Vec<u32> = text.split_whitespace().map_while(|number| number.parse().ok()).collect();
        (output.status.success() && version.len() == 3).then(|| Self { version, program: program.to_owned() })
    }

    /// Whether it is at least this version.
    #[must_use]
    pub fn is_at_least(&self, major: u32, minor: u32) -> bool {
        self.version >= vec![major, minor]
    }
}

/// Where `tests/python/newer_pythons` puts what it finds, if it is called as `.ci/run` calls it.
const NEWER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/pythons/bin");

/// Every CPython from 3.8 on that can be found, oldest first: those of `SHMTYPES_PYTHONS` (separated by colons), else
/// `python3` on the PATH, the versions under pyenv, and those that `tests/python/newer_pythons` fetched. Prints which
/// ones they are.
///
/// # Panics
/// If there is none.
pub fn interpreters() -> &'static [Interpreter] {
    static FOUND: OnceLock<Vec<Interpreter>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let candidates: Vec<PathBuf> = match std::env::var_os("SHMTYPES_PYTHONS") {
            Some(list) => std::env::split_paths(&list).collect(),
            None => {
                let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
                let pyenv = pyenv.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")));
                let versions = pyenv.and_then(|root| std::fs::read_dir(root.join("versions")).ok());
                let versions = versions.into_iter().flatten().flatten().map(|entry| entry.path().join("bin/python3"));
                let newer = std::fs::read_dir(NEWER).into_iter().flatten().flatten().map(|entry| entry.path());
                std::iter::once(PathBuf::from("python3")).chain(versions).chain(newer).collect()
            }
        };
        let found = candidates.iter().filter_map(|program| Interpreter::at(program));
        let by_version: BTreeMap<_, _> = found.map(|found| (found.version.clone(), found)).collect();
        let found: Vec<_> = by_version.into_values().filter(|found| found.is_at_least(3, 8)).collect();
        assert!(
            !found.is_empty(),
            "these tests need CPython 3.8 or newer: install it (Debian: `apt-get install python3`), or name interpreters in \
             SHMTYPES_PYTHONS"
        );
        for interpreter in &found {
            println!("CPython {:?}: {}", interpreter.version, interpreter.program.display());
        }
        found
    })
}

/// A Python process that does what it is told.
#[derive(Debug)]
pub struct Python {
    peer: Peer,
    /// The group of its processes, if it is to take them with it.
    family: Option<Pid>,
}

impl Drop for Python {
    fn drop(&mut self) {
        if let Some(family) = self.family {
            // Some of them may have ended.
            let _ = killpg(family, Signal::SIGKILL);
        }
    }
}

impl Python {
    /// Starts an interpreter.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(interpreter: &Interpreter) -> Self {
        Self { peer: Peer::spawn(Self::command(interpreter)), family: None }
    }

    /// Starts an interpreter that starts further processes, which a test that fails kills with it. Temporary files are made
    /// in `temporary`.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start_family(interpreter: &Interpreter, temporary: &Path) -> Self {
        let mut command = Self::command(interpreter);
        command.env("TMPDIR", temporary).process_group(0);
        let peer = Peer::spawn(command);
        let family = i32::try_from(peer.id()).ok().map(Pid::from_raw);
        Self { peer, family }
    }

    fn command(interpreter: &Interpreter) -> Command {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/peer.py");
        let mut command = Command::new(&interpreter.program);
        // What its resource tracker says of names that a test removes is part of the tests that ask for it.
        command.args(["-B", script]).stderr(Stdio::null());
        command
    }

    /// Runs a command and returns the answer, which may be an exception.
    ///
    /// # Panics
    /// If the process is gone.
    pub fn ask(&mut self, command: &Json) -> Json {
        self.peer.tell(&command.to_string());
        let line = self.peer.line().unwrap_or_else(|| panic!("Python ended at {command}"));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// Runs a command that must succeed.
    ///
    /// # Panics
    /// If it raises, or the process is gone.
    #[track_caller]
    pub fn run(&mut self, command: &Json) -> Json {
        let answer = self.ask(command);
        assert!(answer["err"].is_null(), "{command}: {answer}");
        answer
    }

    /// The values of a list that was made or opened before.
    ///
    /// # Panics
    /// If that raises.
    #[track_caller]
    pub fn values(&mut self) -> Vec<Value> {
        let answer = self.run(&json!({"op": "values"}));
        answer["values"].as_array().expect("values").iter().map(untyped).collect()
    }

    /// Ends the process as Python ends: its resource tracker removes what is registered. Waits for both.
    ///
    /// # Panics
    /// If it does not end.
    pub fn end(mut self) {
        // The tracker holds the output open until it is done.
        assert!(self.peer.wait().success());
        self.family = None;
    }

    /// Waits for the end of all processes that it started, however it ended itself.
    ///
    /// # Panics
    /// If they do not end.
    pub fn end_family(mut self) {
        let _ = self.peer.wait();
        self.family = None;
    }

    /// The process.
    pub fn peer(&mut self) -> &mut Peer {
        &mut self.peer
    }
}

/// A value as the peer spells it.
#[must_use]
pub fn typed(value: ValueRef<'_>) -> Json {
    match value {
        ValueRef::Int(int) => json!({"t": "int", "v": int.to_string()}),
        ValueRef::Float(float) => json!({"t": "float", "bits": format!("{:016x}", float.to_bits())}),
        ValueRef::Bool(bool) => json!({"t": "bool", "v": bool}),
        ValueRef::Str(text) => json!({"t": "str", "utf8": hex(text.as_bytes())}),
        ValueRef::Bytes(bytes) => json!({"t": "bytes", "hex": hex(bytes)}),
        ValueRef::None => json!({"t": "none"}),
    }
}

/// A value that the peer spelt.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn untyped(json: &Json) -> Value {
    let text = |key: &str| json[key].as_str().unwrap_or_else(|| panic!("{json} without {key}"));
    match text("t") {
        "int" => Value::Int(text("v").parse().expect("an integer")),
        "float" => Value::Float(f64::from_bits(u64::from_str_radix(text("bits"), 16).expect("bits"))),
        "bool" => Value::Bool(json["v"].as_bool().expect("a boolean")),
        "none" => Value::None,
        "str" => Value::Str(String::from_utf8(unhex(text("utf8"))).expect("UTF-8")),
        "bytes" => Value::Bytes(unhex(text("hex"))),
        other => panic!("no value of a list: {other}"),
    }
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hexadecimal digits as bytes.
///
/// # Panics
/// If they are none.
#[must_use]
pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("digits")).collect()
}
