//! Another process that answers whoever connects to its Unix socket: bytes there, as many bytes back.

use crate::{Fallible, scratch};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub(crate) const ANSWER: &str = "--answer";

/// As many as a request of a manager's client has.
const BYTES: usize = 64;

pub(crate) struct Answerer {
    child: Child,
    path: PathBuf,
}

impl Answerer {
    pub(crate) fn start() -> Fallible<Self> {
        let path = std::env::temp_dir().join(scratch::name());
        let program = std::env::current_exe()?;
        let mut child = Command::new(program).arg(ANSWER).arg(&path).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or("no pipe")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let answerer = Self { child, path };
        if line == "ready\n" { Ok(answerer) } else { Err("the process that answers failed".into()) }
    }

    pub(crate) fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).expect("it listens")
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.path);
    }
}

/// There and back.
pub(crate) fn exchange(mut stream: &UnixStream) {
    stream.write_all(&[7; BYTES]).expect("it reads");
    stream.read_exact(&mut [0; BYTES]).expect("it answers");
}

pub(crate) fn answer(path: &str) -> Fallible {
    let listener = UnixListener::bind(path)?;
    println!("ready");
    std::io::stdout().flush()?;
    loop {
        let (mut stream, _) = listener.accept()?;
        let mut bytes = [0; BYTES];
        while stream.read_exact(&mut bytes).is_ok() && stream.write_all(&bytes).is_ok() {}
    }
}
