//! Second processes: real programs that talk to the test by lines.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a peer may be silent before the test fails. No test waits for this time to pass.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running peer process. Dropping it kills it.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Peer {
    /// Starts `program` with `arguments`, its input and output connected to this test.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments);
        Self::spawn(command)
    }

    /// Starts a command, its input and output connected to this test.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}; is it installed?"));
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("its output is a pipe");
        let (sender, lines) = channel();
        // Reads on a thread of its own, so that a peer that hangs fails the test instead of hanging it.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, stdin, lines }
    }

    /// The next line that the peer prints, or `None` if it closed its output.
    ///
    /// # Panics
    /// If it says nothing for a minute.
    pub fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("peer {} said nothing for {PATIENCE:?}", self.id()),
        }
    }

    /// A line that the peer has printed already, without waiting for one.
    pub fn said(&mut self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    /// Waits for a line that must be `expected`.
    ///
    /// # Panics
    /// If it is another one, or the peer is silent or gone.
    #[track_caller]
    pub fn expect_line(&mut self, expected: &str) {
        assert_eq!(self.line().as_deref(), Some(expected), "what peer {} says", self.id());
    }

    /// Sends a line to the peer.
    ///
    /// # Panics
    /// If the peer no longer listens.
    pub fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its input was closed");
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).expect("write to the peer");
    }

    /// Closes the peer's input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the peer's main thread sleeps on a word in shared memory, or on any other.
    ///
    /// # Panics
    /// If it does not within a minute, or is gone.
    pub fn until_it_sleeps(&self) {
        let start = Instant::now();
        let call = format!("{} ", nix::libc::SYS_futex);
        let path = format!("/proc/{}/syscall", self.id());
        while !fs::read_to_string(&path).expect("read its system call").starts_with(&call) {
            assert!(start.elapsed() < PATIENCE, "peer {} does not wait", self.id());
            std::thread::yield_now();
        }
    }

    /// Kills the peer with SIGKILL and waits until it is gone.
    ///
    /// # Panics
    /// If it cannot be killed or waited for.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill the peer");
        self.child.wait().expect("wait for the peer");
    }

    /// Waits until the peer has ended.
    ///
    /// # Panics
    /// If it cannot be waited for, or prints for a minute no line and does not end.
    pub fn wait(&mut self) -> ExitStatus {
        self.close_input();
        while self.line().is_some() {}
        self.child.wait().expect("wait for the peer")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
