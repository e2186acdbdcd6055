//! One manager, two languages: Rust runs it and Python processes work on what it owns; then the reverse.
//!
//! ```text
//! cargo run --release --example python_manager
//! ```
//!
//! The example of Python's documentation of `SharedMemoryManager`: two workers fill halves of a list of 2,000 numbers, and
//! the manager's owner has the sum. Needs `python3` (3.8 or newer) on the PATH, or another one in `PYTHON`.

use shmtypes::compat::{Dialect, ShareableList, SharedMemory, Value};
use shmtypes::manager::{self, Address, AuthKey, SharedMemoryManager};
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const NUMBERS: usize = 2000;
const HALVES: [(usize, usize); 2] = [(0, NUMBERS / 2), (NUMBERS / 2, NUMBERS)];

/// What a Python process knows before its first line: the key comes where nobody else can read it.
const LOOP: &str = r"
import sys
from multiprocessing import resource_tracker, shared_memory
from multiprocessing.managers import SharedMemoryManager

def do_work(shared_list, start, end):
    for index in range(start, end):
        shared_list[index] = index

address, authkey = sys.stdin.readline().rstrip('\n'), bytes.fromhex(sys.stdin.readline())
for line in sys.stdin:
    exec(line)
    sys.stdout.flush()
";

/// A Python process that runs each line it is sent, and answers with what the line printed.
struct Python {
    prompt: &'static str,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Python {
    fn start(prompt: &'static str, address: &str, key: &AuthKey) -> Result<Self> {
        let program = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
        let mut child =
            Command::new(program)
                .args(["-c", LOOP])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .map_err(|error| format!("python3: {error}; install it, such as with `apt-get install python3`"))?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("Python has no input or output".into());
        };
        let key: String = key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(input, "{address}\n{key}")?;
        Ok(Self { prompt, child, input, output: BufReader::new(output) })
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        println!("{}>>> {line}", self.prompt);
        Ok(writeln!(self.input, "{line}")?)
    }

    fn answer(&mut self) -> Result<String> {
        let mut answer = String::new();
        if self.output.read_line(&mut answer)? == 0 {
            return Err("Python has ended".into());
        }
        Ok(answer.trim_end().to_owned())
    }

    /// Runs a line that prints one line.
    fn run(&mut self, line: &str) -> Result<String> {
        self.tell(line)?;
        let answer = self.answer()?;
        println!("{answer}");
        Ok(answer)
    }

    fn end(mut self) -> Result<()> {
        drop(self.input);
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("Python ended with {status}").into()) }
    }
}

fn main() -> ExitCode {
    // First: the manager is this program, started again.
    manager::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match &arguments[..] {
        [name, start, end] => work(name, start, end),
        _ => rust_manager().and_then(|()| python_manager()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("python_manager: {error}");
            ExitCode::FAILURE
        }
    }
}

fn rust_manager() -> Result<()> {
    let manager = SharedMemoryManager::start()?;
    let address = manager.address().to_string();
    let mut workers =
        [Python::start("1", &address, manager.authkey())?, Python::start("2", &address, manager.authkey())?];
    let version = workers[0].run("print('Python', *sys.version_info[:2])")?;

    println!("\n-- A manager of Rust's, and two Python workers");
    let dialect = if version == "Python 3 8" { Dialect::Py38 } else { Dialect::default() };
    let list = manager.lists().dialect(dialect).create(&vec![0; NUMBERS])?;
    println!("Rust: the manager owns {:?}, a list of {} zeros", manager.segments()?, list.len());
    for worker in &mut workers {
        worker.run("resource_tracker.register = lambda name, kind: None; print('untracked')")?;
    }
    for (worker, (start, end)) in workers.iter_mut().zip(HALVES) {
        let name = list.name();
        worker.tell(&format!(
            "sl = shared_memory.ShareableList(name='{name}'); do_work(sl, {start}, {end}); print('done')"
        ))?;
    }
    for worker in &mut workers {
        let answer = worker.answer()?;
        println!("{}: {answer}", worker.prompt);
    }
    println!("Rust: the sum is {}", sum(&list));
    let name = workers[0].run(
        "smm = SharedMemoryManager(address, authkey); smm.connect(); sm = smm.SharedMemory(5); sm.buf[:] = b'hello'; print(sm.name)",
    )?;
    let said = String::from_utf8(SharedMemory::open(&name)?.to_vec()?)?;
    println!("Rust: the manager owns {:?}, and the new block says {said}", manager.segments()?);
    for worker in workers {
        worker.end()?;
    }
    let owned = manager.segments()?;
    drop(manager);
    gone(&owned)?;
    println!("Rust: both are gone with the manager");
    Ok(())
}

fn python_manager() -> Result<()> {
    println!("\n-- A manager of Python's, and two Rust workers");
    let key = AuthKey::new(b"sekrit");
    let mut python = Python::start("", "", &key)?;
    let name = python.run(
        "smm = SharedMemoryManager(authkey=authkey); smm.start(); sl = smm.ShareableList([0] * 2000); print(sl.shm.name)",
    )?;
    let workers = HALVES.map(|(start, end)| {
        Command::new(std::env::current_exe()?).args([&name, &start.to_string(), &end.to_string()]).spawn()
    });
    for worker in workers {
        let status = worker?.wait()?;
        if !status.success() {
            return Err(format!("a worker ended with {status}").into());
        }
    }
    println!("Rust: two processes have filled it");
    python.run("print('the sum is', sum(sl))")?;

    // Not shown, because it is another one each time.
    writeln!(python.input, "print(smm.address)")?;
    let address: Address = python.answer()?.parse()?;
    let manager = SharedMemoryManager::connect(address, key.as_bytes())?;
    let block = manager.shared_memory(5)?;
    block.copy_from_slice(0, b"hello")?;
    println!("Rust: the manager owns {:?}", manager.segments()?);
    python.run(&format!("sm = shared_memory.SharedMemory('{}'); print(bytes(sm.buf[:5]))", block.name()))?;
    let owned = manager.segments()?;
    python.run("smm.shutdown(); print('gone')")?;
    gone(&owned)?;
    println!("Rust: both are gone with the manager");
    python.end()
}

/// A worker: fills a part of the list.
fn work(name: &str, start: &str, end: &str) -> Result<()> {
    let list = ShareableList::open(name)?;
    let (start, end): (isize, isize) = (start.parse()?, end.parse()?);
    for index in start..end {
        list.set(index, index as i64)?;
    }
    Ok(())
}

fn sum(list: &ShareableList) -> i64 {
    list.iter().map(|value| if let Ok(Value::Int(number)) = value { number } else { 0 }).sum()
}

fn gone(names: &[String]) -> Result<()> {
    match names.iter().find(|name| SharedMemory::open(name).is_ok()) {
        Some(name) => Err(format!("{name} is left").into()),
        None => Ok(()),
    }
}
