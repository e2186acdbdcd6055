//! The manager's side of the conversation: one thread, any number of clients.
//!
//! Each client is a state machine without I/O (`shmtypes_compat::manager::ServerConnection`) behind a socket that never
//! blocks. So a client that is slow, silent or gone costs a descriptor until its deadline, and nobody waits for it.
//!
//! Rules:
//!
//! 1. Nothing that a client sends is looked at before it has proved the key, and it proves it by a deadline.
//! 2. Where descriptors run out, those go first that have waited longest without proving the key. Some are kept from
//!    clients: a request whose file cannot be opened would be refused to somebody who has proved the key. Where all others are
//!    with clients who have, two of those kept are lent to clients who come all the same: they are served for a second, but
//!    for what would keep a descriptor, which is refused with the limit. So there is always an answer.
//! 3. One request for each connection, as in Python; it is done at once, and takes a few system calls. What it reserves
//!    keeps the connection, and its descriptor, until the block has its name or the client has gone.

use super::owned::{Owned, farewell, is_reservation, traceback};
use super::socket::{Listener, Stream};
use crate::error::{Error, ErrorKind, Result};
use crate::sys;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit};
use shmtypes_compat::manager::{AuthKey, NONCE_BYTES, Options, Reply, Request, ServerConnection};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long a client may take to prove the key, which takes two exchanges.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// How long a client that has proved the key may take for its request, and for taking its answer. Python's connects before it
/// makes a list, which may take it minutes.
const CLIENT_PATIENCE: Duration = Duration::from_secs(600);

/// How many clients there can be at a time, as far as descriptors go.
const MOST_CLIENTS: usize = 8192;

/// How many descriptors are kept from clients, for doing what they ask.
const SPARE: usize = 4;

/// How many of those are lent to clients for whom there is no other.
const LENT: usize = 2;

/// How long such a client may take for everything. Others wait for its descriptor.
const BORROWER_PATIENCE: Duration = Duration::from_secs(1);

/// How long to leave new clients alone when there is no descriptor for them.
const PAUSE: Duration = Duration::from_millis(50);

/// How much of one client's bytes is taken before the next one's turn.
const TURN_BYTES: usize = 64 << 10;

#[derive(Debug)]
struct Client {
    stream: Stream,
    connection: ServerConnection,
    deadline: Instant,
    /// What it has reserved, until the connection is closed.
    reserved: Option<String>,
    /// Whether it has asked for the end.
    ends: bool,
    /// Whether its last turn had an answer, but for a refusal.
    is_answered: bool,
    /// Whether its descriptor is one of those kept from clients, lent to it.
    borrows: bool,
}

/// How long both sides look for the next message before they sleep. In a conversation it comes within this time, and to wake from
/// sleep may take longer: a virtual processor that has nothing to do is given away.
pub(super) const MOMENT: Duration = Duration::from_micros(100);

/// What becomes of a client after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Stays,
    Goes,
}

/// A manager at work.
#[derive(Debug)]
pub(super) struct Server<'a> {
    pub(super) listener: &'a Listener,
    pub(super) key: &'a AuthKey,
    pub(super) options: Options,
    pub(super) owned: &'a mut Owned,
    /// Descriptors whose being readable, or hung up, ends the manager.
    pub(super) ends: Vec<BorrowedFd<'a>>,
    /// Descriptors to close when a request needs one and there is none.
    spare: Vec<OwnedFd>,
    /// How many clients borrow one of those.
    lent: usize,
}

impl<'a> Server<'a> {
    /// A server that has all it takes to serve one client at least.
    ///
    /// # Errors
    /// [`ErrorKind::ManagerDidNotStart`] if this process may have too few descriptors.
    pub(super) fn new(
        listener: &'a Listener,
        key: &'a AuthKey,
        options: Options,
        owned: &'a mut Owned,
        ends: Vec<BorrowedFd<'a>>,
    ) -> Result<Self> {
        listener.set_nonblocking().map_err(failure("make the socket non-blocking"))?;
        let mut server = Self { listener, key, options, owned, ends, spare: Vec::new(), lent: 0 };
        let client = server.refill().and_then(|()| listener.as_fd().try_clone_to_owned());
        client.map(|_| server).map_err(|error| {
            let reason = if lacks_descriptor(&error) {
                format!("it takes {} descriptors for itself, and {}", SPARE + 1, descriptor_limit())
            } else {
                "it cannot keep descriptors for itself".to_owned()
            };
            Error::new(ErrorKind::ManagerDidNotStart { reason }).caused_by(error)
        })
    }

    /// Serves until a client asks for the end, or one of `ends` says so, and then releases everything.
    pub(super) fn run(mut self) -> Result<()> {
        let mut clients: Vec<Client> = Vec::new();
        let (mut paused_until, mut lingers) = (None, false);
        loop {
            let now = Instant::now();
            paused_until = paused_until.filter(|until| *until > now);
            let due = clients.iter().map(|client| client.deadline).chain(paused_until).min();
            let timeout = due.map_or(PollTimeout::NONE, |due| {
                // Rounded up, so that what is due is due on waking.
                let left = due.saturating_duration_since(now) + Duration::from_micros(999);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            });
            let ready = self.wait(&clients, paused_until.is_none(), lingers, timeout)?;
            if ready.ends {
                break;
            }
            let now = Instant::now();
            let mut turns = ready.clients.into_iter();
            let mut settling = Vec::new();
            let before = clients.len();
            // Whoever has been answered goes on at once. A byte of a stranger is worth no moment.
            lingers = ready.listener;
            clients.retain_mut(|client| {
                let is_ready = turns.next().unwrap_or_default();
                let after = if is_ready { self.turn(client) } else { After::Stays };
                lingers |= is_ready && (client.is_answered || client.connection.is_authenticated());
                let stays = after == After::Stays && (client.ends || client.deadline > now);
                if !stays {
                    settling.extend(client.reserved.take());
                }
                stays
            });
            self.count_lent(&clients);
            if clients.len() < before {
                paused_until = None;
            }
            // Now that their connections are closed.
            settling.iter().for_each(|name| self.owned.settle(name));
            if clients.iter().any(|client| client.ends) {
                break;
            }
            if ready.listener && self.accept(&mut clients)? == Accepted::NoRoom {
                paused_until = Some(Instant::now() + PAUSE);
            }
        }
        // Removing takes a descriptor, which strangers may have; and whoever is about to make what it has reserved is told not to.
        clients.retain(|client| client.ends);
        self.spare.clear();
        let released = self.owned.release_all();
        for mut client in clients {
            reply(&mut client, &farewell(&released));
            write(&mut client);
        }
        released
    }

    fn wait(&self, clients: &[Client], listens: bool, lingers: bool, timeout: PollTimeout) -> Result<Ready> {
        let mut polled = Vec::with_capacity(self.ends.len() + 1 + clients.len());
        polled.extend(self.ends.iter().map(|end| PollFd::new(*end, PollFlags::POLLIN)));
        let listen = if listens { PollFlags::POLLIN } else { PollFlags::empty() };
        polled.push(PollFd::new(self.listener.as_fd(), listen));
        polled.extend(clients.iter().map(|client| {
            let writes = !client.connection.pending_output().is_empty();
            let flags = if writes { PollFlags::POLLOUT } else { PollFlags::POLLIN };
            PollFd::new(client.stream.as_fd(), flags)
        }));
        let is_soon = if lingers { poll_for_a_moment(&mut polled) } else { Ok(false) };
        match is_soon.and_then(|is_soon| if is_soon { Ok(()) } else { poll_all(&mut polled, timeout) }) {
            Ok(()) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(failure("wait for clients")(errno.into())),
        }
        let is_ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
        let (ends, rest) = polled.split_at(self.ends.len());
        Ok(Ready {
            ends: ends.iter().any(is_ready),
            listener: rest.first().is_some_and(is_ready),
            clients: rest.iter().skip(1).map(is_ready).collect(),
        })
    }

    /// Takes clients that are waiting. Of those behind them, `poll` tells again.
    fn accept(&mut self, clients: &mut Vec<Client>) -> Result<Accepted> {
        self.lay_by(clients);
        // One at a time as long as there are few; where `poll` looks at many, some of them for each time.
        for _ in 0..=clients.len() / 64 {
            if clients.len() >= MOST_CLIENTS + self.lent && !self.evict(clients) && self.lent == LENT {
                return Ok(Accepted::NoRoom);
            }
            match self.accept_one(clients) {
                Ok(stream) => {
                    let is_over = clients.len() >= MOST_CLIENTS + self.lent;
                    let borrows = self.refill().is_err() || is_over;
                    let patience = if borrows { BORROWER_PATIENCE } else { HANDSHAKE_PATIENCE };
                    let mut client = Client {
                        stream,
                        connection: ServerConnection::new(self.key, nonce()?, self.options),
                        deadline: Instant::now() + patience,
                        reserved: None,
                        ends: false,
                        is_answered: false,
                        borrows,
                    };
                    // The challenge fits the socket's buffer, so that the client need not wait for the next round.
                    if write(&mut client) == After::Stays {
                        clients.push(client);
                    }
                    self.count_lent(clients);
                }
                Err(error) if lacks_descriptor(&error) => return Ok(Accepted::NoRoom),
                Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                    Some(Errno::EAGAIN) => return Ok(Accepted::All),
                    Some(Errno::ENOBUFS | Errno::ENOMEM) => return Ok(Accepted::NoRoom),
                    // accept(2): what was wrong with the client's connection is told here, and is the client's business. The
                    // others are told of by the next `poll`: a stranger who hangs up again and again keeps nobody waiting.
                    Some(
                        Errno::EINTR
                        | Errno::ECONNABORTED
                        | Errno::EPERM
                        | Errno::EPROTO
                        | Errno::ENETDOWN
                        | Errno::EHOSTDOWN
                        | Errno::ENONET
                        | Errno::EHOSTUNREACH
                        | Errno::EOPNOTSUPP
                        | Errno::ENETUNREACH
                        | Errno::ENOPROTOOPT,
                    ) => return Ok(Accepted::All),
                    _ => return Err(failure("accept a client")(error)),
                },
            }
        }
        Ok(Accepted::All)
    }

    /// Takes one, in the place of a stranger if need be, or else by a descriptor that is lent to it.
    fn accept_one(&mut self, clients: &mut Vec<Client>) -> io::Result<Stream> {
        loop {
            match self.listener.accept() {
                Err(error) if lacks_room(&error) => {
                    if !self.evict(clients) {
                        if self.lent == LENT || self.spare.pop().is_none() {
                            return Err(error);
                        }
                        return self.listener.accept();
                    }
                }
                outcome => return outcome,
            }
        }
    }

    /// Drops the client that has waited longest without proving the key, if there is one. Whom a descriptor is lent has it
    /// for a moment.
    fn evict(&mut self, clients: &mut Vec<Client>) -> bool {
        let just_now = Instant::now() + BORROWER_PATIENCE - PAUSE;
        let is_stranger = |client: &Client| {
            let has_just_come = client.borrows && client.deadline > just_now;
            !client.connection.is_authenticated() && !has_just_come
        };
        let strangers = clients.iter().enumerate().filter(|(_, client)| is_stranger(client));
        let longest = strangers.min_by_key(|(_, client)| client.deadline).map(|(index, _)| index);
        if let Some(index) = longest {
            clients.swap_remove(index);
            self.count_lent(clients);
        }
        longest.is_some()
    }

    fn count_lent(&mut self, clients: &[Client]) {
        self.lent = clients.iter().filter(|client| client.borrows).count();
    }

    /// Lays descriptors by, if need be those of strangers.
    fn lay_by(&mut self, clients: &mut Vec<Client>) {
        while self.refill().is_err() && self.evict(clients) {}
    }

    /// Lays descriptors by, as long as there are any.
    fn refill(&mut self) -> io::Result<()> {
        while self.spare.len() + self.lent < SPARE {
            self.spare.push(self.listener.as_fd().try_clone_to_owned()?);
        }
        Ok(())
    }

    fn turn(&mut self, client: &mut Client) -> After {
        if !client.connection.pending_output().is_empty() {
            return write(client);
        }
        client.is_answered = false;
        let mut buffer = [0; 8 << 10];
        let mut taken = 0;
        while taken < TURN_BYTES {
            let count = match client.stream.try_read(&mut buffer) {
                Ok(0) => return After::Goes,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return After::Stays,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return After::Goes,
            };
            if let Some(name) = client.reserved.take() {
                self.owned.confirm(&name);
                return After::Goes;
            }
            taken += count;
            let was_authenticated = client.connection.is_authenticated();
            let received = client.connection.receive(&buffer[..count]);
            if client.connection.is_authenticated() && !was_authenticated && !client.borrows {
                client.deadline = Instant::now() + CLIENT_PATIENCE;
            }
            client.is_answered |= received.is_ok() && !client.connection.pending_output().is_empty();
            // After an error, what there is to say of it is pending.
            match received {
                // Answered when everything is gone.
                Ok(Some(Request::Shutdown)) => {
                    client.ends = true;
                    return After::Stays;
                }
                Ok(Some(request)) => self.answer(client, &request),
                _ => {}
            }
            // Also where nothing is pending.
            let after = write(client);
            // Fewer bytes than there was room for: there are no more, or `poll` will tell.
            if after == After::Goes || count < buffer.len() || !client.connection.pending_output().is_empty() {
                return after;
            }
        }
        After::Stays
    }

    fn answer(&mut self, client: &mut Client, request: &Request) {
        if client.borrows && is_reservation(request) {
            return reply(client, &no_descriptors());
        }
        let mut outcome = self.owned.handle(request);
        if outcome.lacks_descriptors {
            // It has done nothing yet. What may be lent is kept: without it nobody could ask for anything any more.
            self.spare.truncate(LENT.saturating_sub(self.lent));
            outcome = self.owned.handle(request);
        }
        if outcome.lacks_descriptors {
            outcome.reply = no_descriptors();
        }
        client.reserved = outcome.reserved;
        reply(client, &outcome.reply);
    }
}

fn reply(client: &mut Client, reply: &Reply) {
    if let Err(error) = client.connection.reply(reply) {
        // Such as a list of more names than a message can have.
        let text = format!("multiprocessing.managers.RemoteError: the answer cannot be sent: {error}");
        let told = client.connection.reply(&Reply::traceback(text));
        debug_assert!(told.is_ok(), "{told:?}");
    }
}

#[derive(Debug)]
struct Ready {
    ends: bool,
    listener: bool,
    clients: Vec<bool>,
}

#[derive(Debug, PartialEq, Eq)]
enum Accepted {
    All,
    NoRoom,
}

/// Writes what is pending, as far as it goes.
fn write(client: &mut Client) -> After {
    while !client.connection.pending_output().is_empty() {
        match client.stream.try_write(client.connection.pending_output()) {
            Ok(0) => return After::Goes,
            Ok(count) => client.connection.advance_output(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return After::Stays,
            Err(_) => return After::Goes,
        }
    }
    if client.connection.is_closing() && client.reserved.is_none() { After::Goes } else { After::Stays }
}

/// Whether something is so of one of them before it is worth sleeping.
fn poll_for_a_moment(polled: &mut [PollFd<'_>]) -> nix::Result<bool> {
    let start = Instant::now();
    while start.elapsed() < MOMENT {
        match poll(polled, PollTimeout::ZERO) {
            Ok(0) => std::thread::yield_now(),
            Ok(_) => return Ok(true),
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(false)
}

/// Waits until something is so of one of them, or until the time is up, or earlier.
fn poll_all(polled: &mut [PollFd<'_>], timeout: PollTimeout) -> nix::Result<()> {
    match poll(polled, timeout) {
        // More of them than this process may have descriptors (poll(2)): somebody has lowered the limit since.
        Err(Errno::EINVAL) => {}
        outcome => return outcome.map(drop),
    }
    let (most, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let most = usize::try_from(most).unwrap_or(usize::MAX).clamp(1, polled.len());
    let mut ready = 0;
    for part in polled.chunks_mut(most) {
        ready += poll(part, PollTimeout::ZERO)?;
    }
    if ready == 0 {
        let pause = PollTimeout::try_from(PAUSE).unwrap_or(PollTimeout::ZERO);
        let timeout = if timeout.is_none() { pause } else { timeout.min(pause) };
        poll(&mut polled[..most], timeout)?;
    }
    Ok(())
}

/// Whether there is no descriptor, for this process or for all.
pub(super) fn lacks_descriptor(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EMFILE | Errno::ENFILE))
}

fn lacks_room(error: &io::Error) -> bool {
    lacks_descriptor(error) || matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::ENOBUFS | Errno::ENOMEM))
}

/// What to say of it.
pub(super) fn descriptor_limit() -> String {
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or_default();
    format!("may have {limit} in all (RLIMIT_NOFILE): raise `ulimit -n`")
}

fn no_descriptors() -> Reply {
    traceback(&format!("OSError: [Errno 24] Too many open files: the manager {}", descriptor_limit()))
}

pub(super) fn nonce() -> Result<[u8; NONCE_BYTES]> {
    let mut nonce = [0; NONCE_BYTES];
    sys::fill_random(&mut nonce)?;
    Ok(nonce)
}

pub(super) fn failure(operation: &'static str) -> impl Fn(io::Error) -> Error {
    move |error| {
        let errno = error.raw_os_error().unwrap_or_default();
        Error::new(ErrorKind::Os { operation, errno }).caused_by(error)
    }
}
