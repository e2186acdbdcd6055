//! A Python interpreter that times itself.

use crate::{Fallible, scratch};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// For every line with a number, creates and drops so many blocks, writes 8 bytes to each, and answers with the
/// processor time of one in nanoseconds. The resource tracker is a process of its own, whose time is not in it.
pub(crate) const BLOCKS: &str = r#"
import sys, time
from multiprocessing.shared_memory import SharedMemory
print("%d.%d.%d" % sys.version_info[:3], flush=True)
name = sys.argv[1]
for line in sys.stdin:
    count = int(line)
    start = time.process_time_ns()
    for _ in range(count):
        block = SharedMemory(name, create=True, size=4096)
        block.buf[:8] = b"12345678"
        block.close()
        block.unlink()
    print((time.process_time_ns() - start) / count, flush=True)
"#;

pub(crate) struct Python {
    child: Child,
    answers: BufReader<ChildStdout>,
    pub(crate) version: String,
}

impl Python {
    /// The newest interpreter that there is, with a program that first prints its version.
    pub(crate) fn start(program: &str) -> Fallible<Self> {
        let interpreter = newest().ok_or("no Python 3.8 or newer found")?;
        let mut child = Command::new(interpreter)
            .args(["-c", program, &scratch::name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let answers = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let mut python = Self { child, answers, version: String::new() };
        python.version = python.answer()?;
        Ok(python)
    }

    /// The program's answer to a line: nanoseconds.
    pub(crate) fn ask(&mut self, line: &str) -> Fallible<f64> {
        let input = self.child.stdin.as_mut().ok_or("no pipe")?;
        writeln!(input, "{line}")?;
        Ok(self.answer()?.parse()?)
    }

    fn answer(&mut self) -> Fallible<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.is_empty() { Err("the interpreter failed".into()) } else { Ok(line.trim().to_owned()) }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The newest of the interpreters in `SHMTYPES_PYTHONS` (a list like `PATH`), those of pyenv, and `python3`.
fn newest() -> Option<PathBuf> {
    let mut candidates = vec![PathBuf::from("python3")];
    if let Some(list) = std::env::var_os("SHMTYPES_PYTHONS") {
        candidates.extend(std::env::split_paths(&list));
    }
    let home = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".pyenv")));
    if let Some(versions) = home.and_then(|home| std::fs::read_dir(home.join("versions")).ok()) {
        candidates.extend(versions.flatten().map(|version| version.path().join("bin/python3")));
    }
    let versioned = candidates.into_iter().filter_map(|path| Some((version(&path)?, path)));
    versioned.filter(|(version, _)| *version >= (3, 8)).max().map(|(_, path)| path)
}

fn version(interpreter: &PathBuf) -> Option<(u32, u32)> {
    let output = Command::new(interpreter)
        .args(["-c", "import sys; print(*sys.version_info[:2])"])
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
