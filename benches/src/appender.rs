//! Another process that appends.

use crate::Fallible;
use shmtypes::ShmVec;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

pub(crate) const APPEND: &str = "--append";

/// A process that will append.
pub(crate) struct Appending(Child);

impl Appending {
    /// Starts it and waits until it has the lease.
    pub(crate) fn start(name: &str, count: u32) -> Fallible<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([APPEND, name, &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("no pipe")?;
        let appending = Self(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        if line == "ready\n" { Ok(appending) } else { Err("the process that appends failed".into()) }
    }

    pub(crate) fn go(&mut self) -> Fallible {
        // The end of its input is its sign to begin.
        drop(self.0.stdin.take());
        Ok(())
    }

    pub(crate) fn end(mut self) -> Fallible {
        if self.0.wait()?.success() { Ok(()) } else { Err("the process that appends failed".into()) }
    }
}

impl Drop for Appending {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn append(name: &str, count: &str) -> Fallible {
    let vec = ShmVec::<u64>::open(name)?;
    let mut appender = vec.appender()?;
    println!("ready");
    std::io::stdout().flush()?;
    std::io::stdin().read_line(&mut String::new())?;
    for value in 0..count.parse()? {
        appender.push(value)?;
        if value % 1000 == 0 {
            appender.flush()?;
        }
    }
    Ok(())
}
