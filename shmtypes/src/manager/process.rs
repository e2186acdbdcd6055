//! The manager in a process of its own: this program, started again.
//!
//! ```text
//! owner                                       manager
//!   | /proc/self/exe with SHMTYPES_MANAGER set,   |
//!   | and as its standard input one end of a      |
//!   | pair of sockets                             |
//!   |---- key, with a descriptor of the owner --->| `init`, at the start of `main`: makes its registry and its
//!   |---- "start", address, directory, registry ->| socket
//!   |<--- where it is reached, or why not --------|
//!   |                                             | serves, until it is asked to end, or the owner's descriptor
//!   |                                             | says that it has ended, or the other end of the pair is closed
//! ```
//!
//! The key goes through the socket, so that nobody sees it among the arguments or in the environment; and not through a
//! pickle, of which there would be copies. The owner names the registry, so that it can remove what a manager leaves that is
//! killed before it has said anything.

use super::address::Address;
use super::options::{LONGEST_KEY, ManagerOptions, random, wipe};
use super::registry::{self, is_part_of};
use super::server::{descriptor_limit, failure, lacks_descriptor};
use super::socket::remaining;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::SegmentDirectory;
use crate::sys::{self, Birthplace, Directory, Failure, Patience};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use shmtypes_compat::manager::{AuthKey, Object, Reply, Request, frame};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Tells a program that it was started as a manager.
const VARIABLE: &str = "SHMTYPES_MANAGER";
const START: &str = "start";

/// Longer than any message that starts a manager.
const MOST_BYTES: usize = 64 << 10;

/// How long a manager that has not answered in time may take to take away what it has made. Then it is killed.
const GRACE: Duration = Duration::from_millis(500);

/// How often to look whether a manager has ended whose end of the pair stays open: a process may have a copy of it that another
/// thread forked while the manager was started.
const LOOK: Duration = Duration::from_millis(10);

/// How long a program that was started as a manager waits for being told what to do.
const OWNER_PATIENCE: Duration = Duration::from_secs(30);

static INITIALISED: AtomicBool = AtomicBool::new(false);

/// Lets this program start itself again as a manager, as Python's `freeze_support` does: call it first in `main`.
///
/// ```no_run
/// use shmtypes::manager::{self, SharedMemoryManager};
///
/// fn main() -> shmtypes::Result<()> {
///     manager::init();
///     let manager = SharedMemoryManager::start()?;
///     let block = manager.shared_memory(4096)?;
///     block.copy_from_slice(0, b"hello")
/// }
/// ```
///
/// In a process that was started as a manager it does not return: it serves, and ends the process. In all others it does
/// nothing but remember that it was called. What stands before it in `main` happens in the manager's process too.
///
/// # Tests
/// The `main` of a `#[test]` is not yours, so that nothing calls `init` there, and [`start`](super::SharedMemoryManager::start)
/// says so. Either a program of the package that calls it is the manager, such as one with a `main` of nothing but
/// `manager::init()`:
///
/// ```text
/// #[test]
/// fn prices_are_shared() -> shmtypes::Result<()> {
///     let manager = SharedMemoryManager::options().program(env!("CARGO_BIN_EXE_manager"), [""; 0]).start()?;
///     // …
///     Ok(())
/// }
/// ```
///
/// or the test has its own `main`, which calls `init` first, and Cargo.toml says so:
///
/// ```toml
/// [[test]]
/// name = "prices"
/// harness = false
/// ```
///
/// A program with rights that whoever started it does not have, such as one with a set-user-id bit, does not become a
/// manager: the other end of its input could be anybody's.
pub fn init() {
    // Relaxed: the flag stands for itself.
    INITIALISED.store(true, Ordering::Relaxed);
    if std::env::var_os(VARIABLE).is_some() {
        let status = match serve_owner() {
            Ok(()) => 0,
            Err(untold) => {
                if let Some(error) = untold {
                    let _ = writeln!(io::stderr(), "shmtypes manager: {error}");
                }
                1
            }
        };
        std::process::exit(status);
    }
}

/// The process that serves, as its owner sees it.
#[derive(Debug)]
pub(super) struct Process {
    child: Mutex<Child>,
    pid: u32,
    ended: AtomicBool,
    /// The owner's end of the pair. When it is closed, the manager ends.
    control: UnixStream,
    /// The process that started it, which alone ends it: a forked child has only a copy of this.
    owner: Birthplace,
    registry: String,
    directory: Directory,
}

/// Starts a manager, and waits until it answers.
pub(super) fn start(options: &ManagerOptions, key: &AuthKey) -> Result<(Process, Address)> {
    // A program that starts itself and does not call `init` would go on for ever.
    if std::env::var_os(VARIABLE).is_some() {
        let reason =
            format!("{VARIABLE} is set: this program is itself to be a manager; let its `main` call `init` first");
        return Err(Error::new(ErrorKind::ManagerDidNotStart { reason }));
    }
    let mut command = match &options.program {
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
        // Relaxed: as in `init`.
        None if INITIALISED.load(Ordering::Relaxed) => {
            let mut command = Command::new("/proc/self/exe");
            command.arg0("shmtypes-manager");
            command
        }
        None => return Err(Error::new(ErrorKind::ManagerNotInitialised)),
    };
    let owner = Birthplace::new()?;
    let number = random()?;
    let (control, theirs) = UnixStream::pair().map_err(|error| match lacks_descriptor(&error) {
        true => Error::new(ErrorKind::TooManyFiles).caused_by(error),
        false => failure("make a pair of sockets")(error),
    })?;
    let own_process = match sys::own_process() {
        Ok(descriptor) => Some(descriptor),
        // Where there are none, or none are allowed, the manager still ends with the pair; a forked child that outlives the
        // owner would keep that open.
        Err(Failure { errno: Errno::ENOSYS | Errno::EPERM | Errno::EACCES | Errno::ENODEV, .. }) => None,
        Err(failure) => return Err(failure.into()),
    };
    command.env(VARIABLE, "1").stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null());
    let child = command.spawn().map_err(|error| {
        if lacks_descriptor(&error) {
            return Error::new(ErrorKind::TooManyFiles).caused_by(error);
        }
        let program = command.get_program().to_string_lossy();
        Error::new(ErrorKind::ManagerDidNotStart { reason: format!("{program} could not be run") }).caused_by(error)
    })?;
    // Holds the other end of the pair, too.
    drop(command);
    let (registry, directory) = (registry::name(number), options.directory.clone());
    let mut starting = Starting { child: Some(child), control: &control, registry: &registry, directory: &directory };
    let deadline = Instant::now() + options.timeout;
    let start = Start { key, options, registry: number };
    let answer = start
        .send(&control, own_process.as_ref().map(AsFd::as_fd), deadline)
        .and_then(|()| receive(&control, deadline));
    let reason = match answer.map(|bytes| Reply::parse(&bytes)) {
        Ok(Ok(Reply::Return(object))) => match parse_address(&object) {
            Some(address) => {
                let Some(child) = starting.child.take() else { return Err(Error::new(ErrorKind::Busy)) };
                drop(starting);
                let pid = child.id();
                let (child, ended) = (Mutex::new(child), AtomicBool::new(false));
                return Ok((Process { child, pid, ended, control, owner, registry, directory }, address));
            }
            None => "its answer is none that this program knows".to_owned(),
        },
        Ok(Ok(Reply::Traceback(reason))) => reason.trim_end().to_owned(),
        Ok(_) => "its answer is none that this program knows".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::TimedOut || error.kind() == io::ErrorKind::WouldBlock => {
            format!("it has said nothing for {:?}", options.timeout)
        }
        Err(_) => starting.ended(),
    };
    Err(Error::new(ErrorKind::ManagerDidNotStart { reason }))
}

/// A manager that has not answered yet. If it does not, it is ended, and leaves nothing.
struct Starting<'a> {
    child: Option<Child>,
    control: &'a UnixStream,
    registry: &'a str,
    directory: &'a Directory,
}

impl Starting<'_> {
    /// Says how a process ended that has closed its end of the pair.
    fn ended(&mut self) -> String {
        let deadline = Instant::now() + Duration::from_secs(1);
        let Some(child) = &mut self.child else { return String::new() };
        // The pair is closed a moment before the process has ended.
        while Instant::now() < deadline {
            match child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Ok(Some(status)) => {
                    let hint = if status.code().is_some() { "; does its `main` call `init` first?" } else { "" };
                    return format!("the program ended before it served ({status}){hint}");
                }
                // Where SIGCHLD is ignored the kernel keeps no status (wait(2)).
                Err(_) => return "the program ended before it served; does its `main` call `init` first?".to_owned(),
            }
        }
        "the program does not serve; does its `main` call `init` first?".to_owned()
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        // When it comes to serving, it finds this end closed, and removes even what its owner does not know of.
        let _ = self.control.shutdown(Shutdown::Write);
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(1));
        }
        // It may have ended itself.
        let _ = child.kill();
        if !child.wait().is_ok_and(|status| status.success()) {
            remove_left(self.directory, self.registry);
        }
    }
}

/// Removes what a manager has left that did not end as it should.
fn remove_left(directory: &Directory, registry: &str) {
    SegmentDirectory::of(directory.clone()).reap_parts(|name| is_part_of(registry, name));
}

impl Process {
    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.pid
    }

    /// Whether it was seen to have ended.
    pub(super) fn has_ended(&self) -> bool {
        // Relaxed: whoever set it has done all there is to do.
        self.ended.load(Ordering::Relaxed)
    }

    /// Whether this process is the one that started the manager.
    pub(super) fn is_own(&self) -> bool {
        self.owner.is_here()
    }

    /// Waits for the end of a manager that was asked to end; one that has not ended by the deadline is killed. What a killed
    /// one owned is removed.
    pub(super) fn end(&self, deadline: Instant) {
        let Ok(mut child) = self.child.lock() else { return };
        // Nothing but its end ever comes from there.
        let _ = self.control.shutdown(Shutdown::Write);
        let ended = loop {
            match child.try_wait() {
                Ok(None) => {}
                ended => break ended.ok().flatten(),
            }
            let Ok(left) = remaining(deadline) else {
                let _ = child.kill();
                break child.wait().ok();
            };
            let _ = self.control.set_read_timeout(Some(left.min(LOOK)));
            match (&self.control).read(&mut [0; 64]) {
                // Closed, a moment before the process has ended as a rule.
                Ok(0) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                _ => {}
            }
        };
        // Relaxed: as in `has_ended`.
        self.ended.store(true, Ordering::Relaxed);
        // There is nothing left of one that has ended as it should.
        if !ended.is_some_and(|status| status.success()) {
            remove_left(&self.directory, &self.registry);
        }
    }
}

/// What a manager is told by whoever starts it.
struct Start<'a> {
    key: &'a AuthKey,
    options: &'a ManagerOptions,
    registry: u128,
}

impl Start<'_> {
    fn send(&self, control: &UnixStream, own_process: Option<BorrowedFd<'_>>, deadline: Instant) -> io::Result<()> {
        let address = match &self.options.address {
            None => Object::None,
            Some(address) => address_object(address),
        };
        let request = Request::Other {
            method: START.to_owned(),
            args: vec![
                address,
                Object::Bytes(self.options.directory.path().as_os_str().as_bytes().to_vec()),
                Object::Bool(self.options.legacy),
                Object::Bytes(self.registry.to_ne_bytes().to_vec()),
            ],
        };
        let payload = request.encode().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let mut message = Vec::new();
        frame::encode(&payload, &mut message);
        let key = self.key.as_bytes();
        let length = (key.len() as u32).to_ne_bytes();
        let sent = loop {
            control.set_write_timeout(Some(remaining(deadline)?))?;
            match sys::send_with_descriptor(control.as_fd(), &length, own_process) {
                Err(Errno::EINTR) => {}
                sent => break sent?,
            }
        };
        [&length[sent..], key, &message].into_iter().try_for_each(|bytes| send_all(control, bytes, Some(deadline)))
    }
}

/// Sends all of it, by the deadline if there is one.
fn send_all(control: &UnixStream, mut bytes: &[u8], deadline: Option<Instant>) -> io::Result<()> {
    while !bytes.is_empty() {
        control.set_write_timeout(deadline.map(remaining).transpose()?)?;
        match sys::send(control.as_fd(), bytes, Patience::Waits) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// One frame.
fn receive(control: &UnixStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut decoder = frame::Decoder::new(MOST_BYTES);
    let mut buffer = [0; 4096];
    loop {
        control.set_read_timeout(Some(remaining(deadline)?))?;
        let mut control = control;
        let count = match control.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut bytes = &buffer[..count];
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        if let Some(payload) = decoder.feed(&mut bytes).map_err(invalid)? {
            return Ok(payload);
        }
    }
}

/// So many bytes, however slowly they come, but by the deadline.
fn fill(mut control: &UnixStream, bytes: &mut [u8], deadline: Instant) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        control.set_read_timeout(Some(remaining(deadline)?))?;
        match control.read(&mut bytes[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The key, and the descriptor that came with it.
fn receive_key(control: &UnixStream, deadline: Instant) -> io::Result<(AuthKey, Option<OwnedFd>)> {
    let mut length = [0; 4];
    let mut descriptor = None;
    let mut filled = 0;
    while filled < length.len() {
        control.set_read_timeout(Some(remaining(deadline)?))?;
        let (count, received) = match sys::receive_with_descriptor(control.as_fd(), &mut length[filled..]) {
            Ok(received) => received,
            Err(nix::errno::Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        descriptor = received.or(descriptor);
        filled += count;
    }
    let length = u32::from_ne_bytes(length) as usize;
    if length > LONGEST_KEY {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    let key = fill(control, &mut bytes, deadline).map(|()| AuthKey::new(&bytes));
    wipe(&mut bytes);
    Ok((key?, descriptor))
}

fn address_object(address: &Address) -> Object {
    let (kind, bytes) = match address {
        Address::Unix(path) => ("unix", path.as_os_str().as_bytes().to_vec()),
        Address::Abstract(name) => ("abstract", name.clone()),
        Address::Tcp(address) => ("tcp", address.to_string().into_bytes()),
    };
    Object::Tuple(vec![Object::Str(kind.to_owned()), Object::Bytes(bytes)])
}

fn parse_address(object: &Object) -> Option<Address> {
    let Object::Tuple(parts) = object else { return None };
    let [Object::Str(kind), Object::Bytes(bytes)] = &parts[..] else { return None };
    match kind.as_str() {
        "unix" => Some(Address::Unix(PathBuf::from(OsStr::from_bytes(bytes)))),
        "abstract" => Some(Address::Abstract(bytes.clone())),
        "tcp" => Some(Address::Tcp(std::str::from_utf8(bytes).ok()?.parse().ok()?)),
        _ => None,
    }
}

/// What the owner wants.
struct Received {
    key: AuthKey,
    options: ManagerOptions,
    registry: u128,
    /// The owner's own descriptor.
    owner: Option<OwnedFd>,
}

fn receive_start(control: &UnixStream) -> io::Result<Received> {
    let deadline = Instant::now() + OWNER_PATIENCE;
    let (key, owner) = receive_key(control, deadline)?;
    let bytes = receive(control, deadline)?;
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let Ok(Request::Other { method, args }) = Request::parse(&bytes) else { return Err(invalid()) };
    match (method.as_str(), &args[..]) {
        (START, [address, Object::Bytes(directory), Object::Bool(legacy), Object::Bytes(registry)]) => {
            let mut options = ManagerOptions::default().dir(OsString::from(OsStr::from_bytes(directory)));
            options.legacy = *legacy;
            if *address != Object::None {
                options.address = Some(parse_address(address).ok_or_else(invalid)?);
            }
            let registry = u128::from_ne_bytes(registry.as_slice().try_into().map_err(|_| invalid())?);
            Ok(Received { key, options, registry, owner })
        }
        _ => Err(invalid()),
    }
}

/// The manager's process, from the start of `main` to its end.
///
/// # Errors
/// `None` if whoever started it was told.
fn serve_owner() -> Result<(), Option<Error>> {
    if sys::has_borrowed_rights() {
        let reason = format!("{VARIABLE} is set in a program with rights that whoever started it does not have");
        return Err(Some(Error::new(ErrorKind::ManagerDidNotStart { reason })));
    }
    let input = io::stdin().as_fd().try_clone_to_owned().map_err(|error| failure("take standard input")(error))?;
    let control = UnixStream::from(input);
    let tell = |reply: Reply| {
        let mut message = Vec::new();
        if let Ok(payload) = reply.encode() {
            frame::encode(&payload, &mut message);
        }
        send_all(&control, &message, None).is_ok()
    };
    let mut served = false;
    let result = receive_start(&control).map_err(not_started).and_then(|start| {
        let signals = take_signals()?;
        let mut ends = vec![control.as_fd(), signals.as_fd()];
        ends.extend(start.owner.as_ref().map(AsFd::as_fd));
        start.options.serve_until(&start.key, start.registry, None, ends, |address| {
            served = true;
            // If the owner has ended meanwhile, that is found out next.
            tell(Reply::Return(address_object(address)));
        })
    });
    result.map_err(|error| {
        let is_told = !served && tell(Reply::traceback(reason(&error)));
        (!is_told).then_some(error)
    })
}

/// Why a program that was started as a manager knows no more than that.
fn not_started(error: io::Error) -> Error {
    let reason = if lacks_descriptor(&error) {
        "it cannot take the descriptor of its owner".to_owned()
    } else {
        format!("{VARIABLE} is set, and standard input is not from a program that starts a manager")
    };
    Error::new(ErrorKind::ManagerDidNotStart { reason }).caused_by(error)
}

/// What the owner is told.
fn reason(error: &Error) -> String {
    let reason = match error.kind() {
        ErrorKind::ManagerDidNotStart { reason } => reason.clone(),
        _ => error.to_string(),
    };
    match std::error::Error::source(error) {
        Some(cause) if cause.downcast_ref().is_some_and(lacks_descriptor) && !reason.contains("RLIMIT_NOFILE") => {
            format!("{reason}: it needs more descriptors, and {}", descriptor_limit())
        }
        Some(cause) => format!("{reason}: {cause}"),
        None => reason,
    }
}

/// SIGTERM and SIGHUP as something to wait for: they end the manager, and everything that it owns. Where the owner was told
/// to survive a hangup (nohup(1)), so is the manager. What comes from the keyboard is meant for the owner, who decides;
/// Python's manager ignores SIGINT, too.
fn take_signals() -> Result<SignalFd> {
    let failure = |errno: nix::errno::Errno| failure("take the signals")(errno.into());
    let mut ending = SigSet::empty();
    ending.add(Signal::SIGTERM);
    if !sys::is_ignored(Signal::SIGHUP)? {
        ending.add(Signal::SIGHUP);
    }
    ending.thread_block().map_err(failure)?;
    sys::ignore(Signal::SIGINT)?;
    sys::ignore(Signal::SIGQUIT)?;
    // Clients are many, and the limit that programs inherit is for those that use `select`.
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
    SignalFd::with_flags(&ending, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each byte comes in time, and all of them take four times as long.
    #[test]
    fn a_key_that_trickles_in_is_not_waited_for_beyond_the_deadline() {
        const KEY_BYTES: u32 = 400;
        let (control, mut starter) = UnixStream::pair().expect("a pair of sockets");
        let deadline = Instant::now() + Duration::from_millis(100);
        let trickling = std::thread::spawn(move || {
            starter.write_all(&KEY_BYTES.to_ne_bytes())?;
            (0..KEY_BYTES).try_for_each(|_| {
                std::thread::sleep(Duration::from_millis(1));
                starter.write_all(b"x")
            })
        });
        let error = receive_key(&control, deadline).map(drop).expect_err("no time for all of it");
        assert!(matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock), "{error:?}");
        drop(control);
        trickling.join().expect("no panic").expect_err("nobody listens any more");
    }
}
