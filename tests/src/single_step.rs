//! Processes that execute one instruction at a time, so that one of them can be killed behind any of them (x86-64 Linux).
//!
//! The program calls [`traced`]; the test starts it by [`Stepped::start`], and has it before the first instruction of what
//! is traced. All calls come from the thread that started it: the kernel knows no other tracer.

use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::process::{Child, Command, Stdio};

/// Runs `work` under the eyes of the process that started this one.
///
/// # Panics
/// If this process may not be traced.
pub fn traced<R>(work: impl FnOnce() -> R) -> R {
    ptrace::traceme().expect("let the parent trace this process");
    raise(Signal::SIGSTOP).expect("stop");
    let result = work();
    raise(Signal::SIGSTOP).expect("stop");
    result
}

/// A process inside of [`traced`]. Dropping it kills it.
#[derive(Debug)]
pub struct Stepped {
    child: Child,
    process: Pid,
}

impl Stepped {
    /// Starts a program, and lets it run until it calls [`traced`].
    ///
    /// # Panics
    /// If it ends before.
    #[must_use]
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let process = Pid::from_raw(child.id().try_into().expect("a process id"));
        let stepped = Self { child, process };
        stepped.expect_stop(&[Signal::SIGSTOP]);
        ptrace::setoptions(process, ptrace::Options::PTRACE_O_EXITKILL).expect("bind its life to this process");
        stepped
    }

    /// Executes one instruction; `false` if that was the last one.
    ///
    /// # Panics
    /// If the process ends, or gets a signal.
    #[must_use]
    pub fn step(&mut self) -> bool {
        ptrace::step(self.process, None).expect("let it execute one instruction");
        self.expect_stop(&[Signal::SIGTRAP, Signal::SIGSTOP]) == Signal::SIGTRAP
    }

    /// Kills it, and waits until it is gone.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(mut self) {
        self.child.kill().expect("kill it");
        self.child.wait().expect("wait for it");
    }

    fn expect_stop(&self, signals: &[Signal]) -> Signal {
        match waitpid(self.process, None).expect("wait for it") {
            WaitStatus::Stopped(_, signal) if signals.contains(&signal) => signal,
            other => panic!("it should have stopped by {signals:?}: {other:?}"),
        }
    }
}

impl Drop for Stepped {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
