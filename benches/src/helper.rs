//! Other processes: one that holds attachments, one that has few descriptors.

use crate::Fallible;
use nix::sys::resource::{Resource, setrlimit};
use shmtypes::ShmArray;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

pub(crate) const HOLD: &str = "--hold";
pub(crate) const DESCRIPTORS: &str = "--descriptors";

/// A process that holds attachments until this is dropped.
pub(crate) struct Holder(Child);

impl Holder {
    /// Starts it and waits until it has attached `count` times.
    pub(crate) fn start(name: &str, count: usize) -> Fallible<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([HOLD, name, &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("no pipe")?;
        let holder = Self(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        if line == "attached\n" { Ok(holder) } else { Err("the process that holds attachments failed".into()) }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // The end of its input is its sign to leave.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

pub(crate) fn hold(name: &str, count: &str) -> Fallible {
    let arrays = (0..count.parse()?).map(|_| ShmArray::<f64>::open(name)).collect::<Result<Vec<_>, _>>()?;
    println!("attached");
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(arrays);
    Ok(())
}

pub(crate) const DESCRIPTOR_LIMIT: u64 = 64;
pub(crate) const SEGMENTS: usize = 5000;

/// Creates and opens many segments under a low limit of descriptors, and prints how many it has then.
pub(crate) fn many_segments() -> Fallible {
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTOR_LIMIT, DESCRIPTOR_LIMIT)?;
    let open = || std::fs::read_dir("/proc/self/fd").map(Iterator::count);
    let before = open()?;
    let name = |i: usize| format!("{}many-{i}", crate::scratch::prefix());
    let create = |i| ShmArray::<f64>::options().name(name(i)).create(8);
    let created = (0..SEGMENTS).map(create).collect::<Result<Vec<_>, _>>()?;
    let opened = created.iter().map(|array| ShmArray::<f64>::open(array.name())).collect::<Result<Vec<_>, _>>()?;
    let after = open()?;
    println!("{} {}", opened.len(), after - before);
    Ok(())
}

/// How many segments the other process attached, and how many descriptors they cost.
pub(crate) fn count_descriptors() -> Fallible<(usize, usize)> {
    let output = Command::new(std::env::current_exe()?).arg(DESCRIPTORS).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8(output.stdout)?;
    let (attached, descriptors) = text.trim().split_once(' ').ok_or("the process with few descriptors failed")?;
    Ok((attached.parse()?, descriptors.parse()?))
}
