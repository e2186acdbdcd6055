//! The manager in a process of its own: this program, started again.
//!
//! ```text
//! owner                                       manager
//!   | /proc/self/exe with SHMTYPES_MANAGER set,   |
//!   | and as its standard input one end of a      |
//!   | pair of sockets                             |
//!   |---- "start", key, address, directory, ----->| `init`, at the start of `main`: opens its socket and
//!   |     with a descriptor of the owner          | its registry
//!   |<--- where it is reached, its registry ------|
//!   |                                             | serves, until it is asked to end, or the owner's descriptor
//!   |                                             | says that it has ended, or the other end of the pair is closed
//! ```
//!
//! The key goes through the socket, so that nobody sees it among the arguments or in the environment.

use super::address::Address;
use super::options::{ManagerOptions, Started};
use super::registry::is_part_of;
use super::server::failure;
use super::socket::remaining;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::SegmentDirectory;
use crate::sys::{self, Directory, Patience};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use shmtypes_compat::manager::{AuthKey, Object, Reply, Request, frame};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
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
/// A program with rights that whoever started it does not have, such as one with a set-user-id bit, does not become a
/// manager: the other end of its input could be anybody's.
pub fn init() {
    // Relaxed: the flag stands for itself.
    INITIALISED.store(true, Ordering::Relaxed);
    if std::env::var_os(VARIABLE).is_some() {
        let status = match serve_owner() {
            Ok(()) => 0,
            Err(error) => {
                let _ = writeln!(io::stderr(), "shmtypes manager: {error}");
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
    owner: u32,
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
    let (control, theirs) = UnixStream::pair().map_err(failure("make a pair of sockets"))?;
    // Without it the manager still ends with the pair; a forked child that outlives the owner would keep that open.
    let own_process = sys::own_process().ok();
    command.env(VARIABLE, "1").stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null());
    let child = command.spawn().map_err(|error| {
        let program = command.get_program().to_string_lossy();
        Error::new(ErrorKind::ManagerDidNotStart { reason: format!("{program} could not be run") }).caused_by(error)
    })?;
    // Holds the other end of the pair, too.
    drop(command);
    let mut starting = Starting { child: Some(child) };
    let deadline = Instant::now() + options.timeout;
    let answer = send_start(&control, options, key, own_process.as_ref().map(AsFd::as_fd), deadline)
        .and_then(|()| receive(&control, deadline));
    let reason = match answer.map(|(bytes, _)| Reply::parse(&bytes)) {
        Ok(Ok(Reply::Return(object))) => match parse_started(object) {
            Some((address, registry)) => {
                let Some(child) = starting.child.take() else { return Err(Error::new(ErrorKind::Busy)) };
                let directory = options.directory.clone();
                let (pid, owner) = (child.id(), std::process::id());
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

/// A manager that has not answered yet, and is ended if it does not.
struct Starting {
    child: Option<Child>,
}

impl Starting {
    /// Says how a process ended that has closed its end of the pair.
    fn ended(&mut self) -> String {
        let deadline = Instant::now() + Duration::from_secs(1);
        let Some(child) = &mut self.child else { return String::new() };
        // The pair is closed a moment before the process has ended.
        while Instant::now() < deadline {
            if let Ok(Some(status)) = child.try_wait() {
                return format!("the program ended before it served ({status}); does its `main` call `init` first?");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        "the program does not serve; does its `main` call `init` first?".to_owned()
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
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
        self.owner == std::process::id()
    }

    /// Waits for the end of a manager that was asked to end; one that has not ended by the deadline is killed. What a killed
    /// one owned is removed.
    pub(super) fn end(&self, deadline: Instant) {
        let Ok(mut child) = self.child.lock() else { return };
        // Nothing but its end ever comes from there.
        let _ = self.control.shutdown(std::net::Shutdown::Write);
        let ended = loop {
            let Ok(left) = remaining(deadline) else { break false };
            let _ = self.control.set_read_timeout(Some(left));
            match (&self.control).read(&mut [0; 64]) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break error.kind() == io::ErrorKind::ConnectionReset,
            }
        };
        if !ended {
            let _ = child.kill();
        }
        let status = child.wait();
        // Relaxed: as in `has_ended`.
        self.ended.store(true, Ordering::Relaxed);
        // There is nothing left of one that has ended as it should.
        if status.is_ok_and(|status| status.success()) {
            return;
        }
        // Any of its parts may be gone: it may have been killed while it took them away.
        for name in self.directory.names().unwrap_or_default() {
            if let Some(name) = name.to_str()
                && is_part_of(&self.registry, name)
            {
                // What this cannot remove, `reap` finds.
                let _ = SegmentDirectory::of(self.directory.clone()).reap_named(name);
            }
        }
    }
}

fn send_start(
    control: &UnixStream,
    options: &ManagerOptions,
    key: &AuthKey,
    own_process: Option<BorrowedFd<'_>>,
    deadline: Instant,
) -> io::Result<()> {
    let address = match &options.address {
        None => Object::None,
        Some(address) => address_object(address),
    };
    let request = Request::Other {
        method: START.to_owned(),
        args: vec![
            Object::Bytes(key.as_bytes().to_vec()),
            address,
            Object::Bytes(options.directory.path().as_os_str().as_bytes().to_vec()),
            Object::Bool(options.legacy),
        ],
    };
    let payload = request.encode().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let mut message = Vec::new();
    frame::encode(&payload, &mut message);
    control.set_write_timeout(Some(remaining(deadline)?))?;
    let sent = sys::send_with_descriptor(control.as_fd(), &message, own_process)?;
    let mut rest = &message[sent..];
    while !rest.is_empty() {
        rest = &rest[sys::send(control.as_fd(), rest, Patience::Waits)?..];
    }
    Ok(())
}

/// One frame, and the descriptor that came with it.
fn receive(control: &UnixStream, deadline: Instant) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut decoder = frame::Decoder::new(MOST_BYTES);
    let mut descriptor = None;
    let mut buffer = [0; 4096];
    loop {
        control.set_read_timeout(Some(remaining(deadline)?))?;
        let (count, received) = match sys::receive_with_descriptor(control.as_fd(), &mut buffer) {
            Ok(received) => received,
            Err(nix::errno::Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        descriptor = received.or(descriptor);
        let mut bytes = &buffer[..count];
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        if let Some(payload) = decoder.feed(&mut bytes).map_err(invalid)? {
            return Ok((payload, descriptor));
        }
    }
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

fn parse_started(object: Object) -> Option<(Address, String)> {
    let Object::Tuple(parts) = object else { return None };
    let [address, Object::Str(registry)] = &parts[..] else { return None };
    Some((parse_address(address)?, registry.clone()))
}

/// What the owner wants: the key, the options, and its own descriptor.
fn receive_start(control: &UnixStream) -> io::Result<(AuthKey, ManagerOptions, Option<OwnedFd>)> {
    let (bytes, owner) = receive(control, Instant::now() + OWNER_PATIENCE)?;
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let Ok(Request::Other { method, args }) = Request::parse(&bytes) else { return Err(invalid()) };
    match (method.as_str(), &args[..]) {
        (START, [Object::Bytes(key), address, Object::Bytes(directory), Object::Bool(legacy)]) => {
            let mut options = ManagerOptions::default().dir(OsString::from(OsStr::from_bytes(directory)));
            options.legacy = *legacy;
            if *address != Object::None {
                options.address = Some(parse_address(address).ok_or_else(invalid)?);
            }
            Ok((AuthKey::new(key), options, owner))
        }
        _ => Err(invalid()),
    }
}

/// The manager's process, from the start of `main` to its end.
fn serve_owner() -> Result<()> {
    if sys::has_borrowed_rights() {
        let reason = format!("{VARIABLE} is set in a program with rights that whoever started it does not have");
        return Err(Error::new(ErrorKind::ManagerDidNotStart { reason }));
    }
    let input = io::stdin().as_fd().try_clone_to_owned().map_err(failure("take standard input"))?;
    let control = UnixStream::from(input);
    let (key, options, owner) = receive_start(&control).map_err(|error| {
        let reason = format!("{VARIABLE} is set, and standard input is not from a program that starts a manager");
        Error::new(ErrorKind::ManagerDidNotStart { reason }).caused_by(error)
    })?;
    let signals = take_signals()?;
    let mut ends = vec![control.as_fd(), signals.as_fd()];
    ends.extend(owner.as_ref().map(AsFd::as_fd));
    let tell = |reply: Reply| {
        let mut message = Vec::new();
        if let Ok(payload) = reply.encode() {
            frame::encode(&payload, &mut message);
        }
        // If the owner has ended meanwhile, that is found out next.
        let _ = sys::send(control.as_fd(), &message, Patience::Waits);
    };
    let mut served = false;
    let result = options.serve_until(&key, None, ends, |started: &Started<'_>| {
        served = true;
        let address = address_object(started.address);
        tell(Reply::Return(Object::Tuple(vec![address, Object::Str(started.registry.to_owned())])));
    });
    if let Err(error) = &result
        && !served
    {
        let reason = match error.kind() {
            ErrorKind::ManagerDidNotStart { reason } => reason.clone(),
            _ => error.to_string(),
        };
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        tell(Reply::traceback(reason + &cause));
    }
    result
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
