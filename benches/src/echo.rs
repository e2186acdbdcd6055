//! Another process that answers each waking with one of its own.
#![allow(unsafe_code, reason = "a bare futex")]

use crate::{Fallible, scratch};
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::prelude::*;
use nix::libc;
use shmtypes::{Deadline, ShmBox, ShmEvent};
use std::cell::Cell;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) const ECHO: &str = "--echo";

/// One of two processes that wake each other.
pub(crate) trait Side: Sized {
    const KIND: &str;

    /// The side that speaks first makes what the other one opens.
    fn new(name: &str, first: bool) -> Fallible<Self>;

    /// Wakes the other side.
    fn tell(&self);

    /// Sleeps until the other side has told something since the last time.
    fn hear(&self);
}

/// The other process, and this side of the connection.
pub(crate) struct Echo<S> {
    pub(crate) side: S,
    child: Child,
}

impl Echo<()> {
    pub(crate) fn start<S: Side>() -> Fallible<Echo<S>> {
        let name = scratch::name();
        let side = S::new(&name, true)?;
        let mut child =
            Command::new(std::env::current_exe()?).args([ECHO, S::KIND, &name]).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or("no pipe")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let echo = Echo { side, child };
        if line == "ready\n" { Ok(echo) } else { Err("the process that answers failed".into()) }
    }
}

impl<S> Drop for Echo<S> {
    fn drop(&mut self) {
        // It waits for ever, and holds nothing that the run's end does not remove.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn answer(kind: &str, name: &str) -> Fallible {
    match kind {
        Raw::KIND => answer_as::<Raw>(name),
        Events::KIND => answer_as::<Events>(name),
        Services::KIND => answer_as::<Services>(name),
        _ => Err("unknown kind".into()),
    }
}

fn answer_as<S: Side>(name: &str) -> Fallible {
    let side = S::new(name, false)?;
    println!("ready");
    std::io::stdout().flush()?;
    loop {
        side.hear();
        side.tell();
    }
}

/// Two events of the library.
pub(crate) struct Events {
    events: ShmBox<[ShmEvent; 2]>,
    own: usize,
    heard: Cell<u32>,
}

impl Side for Events {
    const KIND: &str = "events";

    fn new(name: &str, first: bool) -> Fallible<Self> {
        let events = ShmBox::open_or_create(name)?;
        Ok(Self { events, own: usize::from(!first), heard: Cell::new(0) })
    }

    fn tell(&self) {
        self.events.view().at(self.own).notify();
    }

    fn hear(&self) {
        let event = self.events.view().at(1 - self.own);
        self.heard.set(event.wait_changed(self.heard.get(), Deadline::NEVER).expect("wait"));
    }
}

/// The same words, and no library between them and the kernel.
pub(crate) struct Raw(Events);

impl Raw {
    fn word(&self, index: usize) -> &AtomicU32 {
        let place = self.0.events.view().at(index).as_ptr().cast::<u32>();
        // SAFETY: mapped as long as the box lives; only atomics touch it.
        unsafe { AtomicU32::from_ptr(place) }
    }
}

impl Side for Raw {
    const KIND: &str = "raw";

    fn new(name: &str, first: bool) -> Fallible<Self> {
        Events::new(name, first).map(Self)
    }

    fn tell(&self) {
        let word = self.word(self.0.own);
        word.fetch_add(1, Ordering::Release);
        // SAFETY: the word is only a key.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
    }

    fn hear(&self) {
        let word = self.word(1 - self.0.own);
        let seen = self.0.heard.get();
        loop {
            let count = word.load(Ordering::Acquire);
            if count != seen {
                self.0.heard.set(count);
                return;
            }
            let never = std::ptr::null::<libc::timespec>();
            // SAFETY: the kernel reads the word, which is mapped.
            unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, seen, never) };
        }
    }
}

/// Two event services of iceoryx2.
pub(crate) struct Services {
    notifier: Notifier<ipc::Service>,
    listener: Listener<ipc::Service>,
    _node: Node<ipc::Service>,
}

impl Side for Services {
    const KIND: &str = "services";

    fn new(name: &str, first: bool) -> Fallible<Self> {
        let node = scratch::iceoryx_node()?;
        let event = |way: &str| -> Fallible<_> {
            let name = ServiceName::new(&format!("{name}-{way}"))?;
            Ok(node.service_builder(&name).event().open_or_create().map_err(|error| format!("{error:?}"))?)
        };
        let (there, back) = (event("there")?, event("back")?);
        let (own, other) = if first { (there, back) } else { (back, there) };
        let notifier = own.notifier_builder().create().map_err(|error| format!("{error:?}"))?;
        let listener = other.listener_builder().create().map_err(|error| format!("{error:?}"))?;
        Ok(Self { notifier, listener, _node: node })
    }

    fn tell(&self) {
        self.notifier.notify().expect("notify");
    }

    fn hear(&self) {
        while self.listener.blocking_wait(|_| ()).expect("wait") == 0 {}
    }
}
