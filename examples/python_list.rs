//! One list, two languages: Python makes it, Rust reads, changes and counts, Python sees it; then the reverse.
//!
//! ```text
//! cargo run --release --example python_list
//! ```
//!
//! Needs `python3` (3.8 or newer) on the PATH.

use shmtypes::compat::{Dialect, ShareableList, Value};
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A Python process that runs each line it is sent, and answers with what the line printed.
struct Python {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

const LOOP: &str = r"
import sys
from multiprocessing import shared_memory
for line in sys.stdin:
    exec(line)
    sys.stdout.flush()
";

impl Python {
    fn start() -> Result<Self> {
        let mut child = Command::new("python3")
            .args(["-c", LOOP])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("python3: {error}; install it, such as with `apt-get install python3`"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("Python has no input or output".into());
        };
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    /// Runs a line that prints one line.
    fn run(&mut self, line: &str) -> Result<String> {
        println!(">>> {line}");
        writeln!(self.input, "{line}")?;
        let mut answer = String::new();
        if self.output.read_line(&mut answer)? == 0 {
            return Err(format!("Python ended at {line:?}").into());
        }
        println!("{}", answer.trim_end());
        Ok(answer.trim_end().to_owned())
    }

    fn end(mut self) -> Result<()> {
        drop(self.input);
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("Python ended with {status}").into()) }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("python_list: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut python = Python::start()?;
    let version = python.run("print('Python', *sys.version_info[:2])")?;

    println!("\n-- Python makes a list");
    let name = python.run(
        "a = shared_memory.ShareableList(['howdy', b'HoWdY', -273.154, 100, None, True, 42]); print(a.shm.name)",
    )?;
    let list = ShareableList::open(&name)?;
    println!("Rust: {list}");
    println!("Rust: {} values, {} of them equal to 42, 100 is at {}", list.len(), list.count(42)?, list.index(100)?);
    list.set(2, -78.5)?;
    list.set(4, "text")?;
    python.run("print(list(a))")?;
    python.run("a[3] = 42; print(a[3])")?;
    println!("Rust: now {} of them equal to 42", list.count(42)?);
    if let Err(error) = list.set(0, "far too long for its slot") {
        println!("Rust: {error}");
    }
    python.run("a.shm.unlink(); print('gone')")?;

    println!("\n-- Rust makes a list");
    let dialect = if version == "Python 3 8" { Dialect::Py38 } else { Dialect::default() };
    let values = [Value::from("naïve"), Value::from(1_i64 << 40), Value::from(false)];
    let list = ShareableList::create_with(&ShareableList::options().dialect(dialect), &values)?;
    println!("Rust: {list:?}");
    python.run(&format!("b = shared_memory.ShareableList(name='{}'); print(list(b))", list.name()))?;
    python.run("b[-1] = None; print(b.format)")?;
    println!("Rust: {list}");
    // Before Python ends: it would remove what it attached to, and complain that it is gone.
    python.run("b.shm.unlink(); b.shm.close(); print('gone')")?;
    python.end()
}
