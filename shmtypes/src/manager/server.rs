//! The manager's side of the conversation: one thread, any number of clients.
//!
//! Each client is a state machine without I/O (`shmtypes_compat::manager::ServerConnection`) behind a socket that never
//! blocks. So a client that is slow, silent or gone costs a descriptor until its deadline, and nobody waits for it.
//!
//! Rules:
//!
//! 1. Nothing that a client sends is looked at before it has proved the key, and it proves it by a deadline.
//! 2. Where descriptors run out, those go first that have waited longest without proving the key. Some are kept from
//!    clients: a request whose file cannot be opened would be refused to somebody who has proved the key.
//! 3. One request for each connection, as in Python; it is done at once, and takes a few system calls.

use super::owned::{Owned, farewell};
use super::socket::{Listener, Stream};
use crate::error::{Error, ErrorKind, Result};
use crate::sys;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
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
}

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
    pub(super) spare: Vec<OwnedFd>,
}

impl Server<'_> {
    /// Serves until a client asks for the end, or one of `ends` says so, and then releases everything.
    pub(super) fn run(mut self) -> Result<()> {
        self.listener.set_nonblocking().map_err(failure("make the socket non-blocking"))?;
        let mut clients: Vec<Client> = Vec::new();
        let mut paused_until = None;
        loop {
            let now = Instant::now();
            paused_until = paused_until.filter(|until| *until > now);
            let due = clients.iter().map(|client| client.deadline).chain(paused_until).min();
            let timeout = due.map_or(PollTimeout::NONE, |due| {
                // Rounded up, so that what is due is due on waking.
                let left = due.saturating_duration_since(now) + Duration::from_micros(999);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            });
            let ready = self.wait(&clients, paused_until.is_none(), timeout)?;
            if ready.ends {
                break;
            }
            let now = Instant::now();
            let mut turns = ready.clients.into_iter();
            let mut settling = Vec::new();
            clients.retain_mut(|client| {
                let is_ready = turns.next().unwrap_or_default();
                let after = if is_ready { self.turn(client) } else { After::Stays };
                let stays = after == After::Stays && client.deadline > now;
                if !stays {
                    settling.extend(client.reserved.take());
                }
                stays
            });
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

    fn wait(&self, clients: &[Client], listens: bool, timeout: PollTimeout) -> Result<Ready> {
        let mut polled = Vec::with_capacity(self.ends.len() + 1 + clients.len());
        polled.extend(self.ends.iter().map(|end| PollFd::new(*end, PollFlags::POLLIN)));
        let listen = if listens { PollFlags::POLLIN } else { PollFlags::empty() };
        polled.push(PollFd::new(self.listener.as_fd(), listen));
        polled.extend(clients.iter().map(|client| {
            let writes = !client.connection.pending_output().is_empty();
            let flags = if writes { PollFlags::POLLOUT } else { PollFlags::POLLIN };
            PollFd::new(client.stream.as_fd(), flags)
        }));
        match poll(&mut polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
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
            match self.listener.accept() {
                Ok(stream) => {
                    if clients.len() >= MOST_CLIENTS && !evict(clients) {
                        // All of them have proved the key; this one has not.
                        return Ok(Accepted::All);
                    }
                    let connection = ServerConnection::new(self.key, nonce()?, self.options);
                    let mut client = Client {
                        stream,
                        connection,
                        deadline: Instant::now() + HANDSHAKE_PATIENCE,
                        reserved: None,
                        ends: false,
                    };
                    // The challenge fits the socket's buffer, so that the client need not wait for the next round.
                    if write(&mut client) == After::Stays {
                        clients.push(client);
                    }
                }
                Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                    Some(Errno::EAGAIN) => return Ok(Accepted::All),
                    Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => {
                        if !evict(clients) {
                            return Ok(Accepted::NoRoom);
                        }
                    }
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

    /// Lays descriptors by, if need be those of strangers.
    fn lay_by(&mut self, clients: &mut Vec<Client>) {
        while self.spare.len() < SPARE {
            match self.listener.as_fd().try_clone_to_owned() {
                Ok(descriptor) => self.spare.push(descriptor),
                Err(_) if evict(clients) => {}
                Err(_) => break,
            }
        }
    }

    fn turn(&mut self, client: &mut Client) -> After {
        if !client.connection.pending_output().is_empty() {
            return write(client);
        }
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
            if client.connection.is_authenticated() && !was_authenticated {
                client.deadline = Instant::now() + CLIENT_PATIENCE;
            }
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
        let mut outcome = self.owned.handle(request);
        if outcome.lacks_descriptors {
            // It has done nothing yet.
            self.spare.clear();
            outcome = self.owned.handle(request);
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

/// Drops the client that has waited longest without proving the key, if there is one.
fn evict(clients: &mut Vec<Client>) -> bool {
    let unknown = clients.iter().enumerate().filter(|(_, client)| !client.connection.is_authenticated());
    match unknown.min_by_key(|(_, client)| client.deadline).map(|(index, _)| index) {
        Some(index) => {
            clients.swap_remove(index);
            true
        }
        None => false,
    }
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
