//! What a manager owns, and the requests about it.

use super::registry::{Place, Registry, part_name};
use crate::compat::name::PosixName;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::detach::{Detached, RemoverPatience};
use crate::segment::hold::Hold;
use crate::segment::registry::{EntryKind, RegistryEntry, remove_block, remove_claimed};
use crate::sys::{self, Directory, FileId};
use nix::errno::Errno;
use shmtypes_compat::manager::{Object, Reply, Request};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// How a manager of this crate answers `dummy`, which every client sends first and to which Python's gives None: with this text and its
/// directory. Whoever gets it may ask for more than Python's manager knows.
pub(super) const GREETING: &str = "shmtypes 1";

/// Owns a name before it exists: `(name, device, inode)`. A client that is killed after it has given a block its name, and
/// before it has told its manager, would leave the block to nobody.
///
/// The client keeps its connection until the block has its name, and says so by a byte. When it closes it without, because
/// it died, the manager looks whether the block is there, and forgets it if not. A manager that will not own it closes the
/// connection first: the client looks for that once it has given the block its name, and takes the name back.
pub(super) const RESERVE_SEGMENT: &str = "reserve_segment";

/// Mappings that are left for everything but segments that are owned, of which each has one.
const OTHER_MAPPINGS: usize = 4096;

const TRACEBACK: &str = "Traceback (most recent call last):\n";

/// Everything that a manager owns.
#[derive(Debug)]
pub(super) struct Owned {
    directory: Directory,
    registry: Registry,
    /// By file name.
    things: HashMap<String, Thing>,
    /// File names in the order in which they came, for `list_segments`.
    order: BTreeMap<u64, String>,
    next: u64,
    /// Where its files are.
    device: u64,
    /// How many segments it may stay attached to.
    most_segments: usize,
    segments: usize,
    released: bool,
}

#[derive(Debug)]
struct Thing {
    id: FileId,
    order: u64,
    place: Place,
    /// Keeps a segment from ending with its last process. `None` for what was reserved.
    hold: Option<Hold>,
    /// Whether it is reserved, and its client has not closed the connection.
    is_pending: bool,
}

/// What a request came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) reply: Reply,
    /// Whether it failed because this process may have no more descriptors.
    pub(super) lacks_descriptors: bool,
    /// What was reserved, until the client closes its connection.
    pub(super) reserved: Option<String>,
}

impl Owned {
    /// Owns nothing yet. `registry` is random.
    pub(super) fn new(directory: Directory, registry: u128) -> Result<Self> {
        let registry = Registry::new(directory.clone(), registry)?;
        let device = Directory::status(&directory.join(&part_name(registry.name(), 0)))?.id.device;
        let (things, order) = (HashMap::new(), BTreeMap::new());
        let most_segments = sys::most_mappings().saturating_sub(OTHER_MAPPINGS);
        Ok(Self { directory, registry, things, order, next: 0, device, most_segments, segments: 0, released: false })
    }

    pub(super) fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Does what a client asks for.
    pub(super) fn handle(&mut self, request: &Request) -> Outcome {
        let answer = |result: Result<()>, name: &str| Outcome {
            lacks_descriptors: result.as_ref().is_err_and(|error| *error.kind() == ErrorKind::TooManyFiles),
            reply: result.map_or_else(|error| exception(&error, name), |()| Reply::none()),
            reserved: None,
        };
        let reply = match request {
            Request::Dummy => Reply::Return(Object::Tuple(vec![
                Object::Str(GREETING.to_owned()),
                Object::Bytes(self.directory.path().as_os_str().as_bytes().to_vec()),
            ])),
            Request::TrackSegment(name) => return answer(self.track(name), name),
            Request::ReleaseSegment(name) => match self.release(name, &mut RemoverPatience::for_one()) {
                Err(error) if *error.kind() == ErrorKind::NotFound => {
                    traceback(&format!("ValueError: list.remove(x): x not in list ({name:?})"))
                }
                result => return answer(result, name),
            },
            Request::ListSegments => Reply::names(self.order.values()),
            Request::NumberOfObjects => Reply::Return(Object::Int(self.things.len() as i64)),
            Request::DebugInfo => Reply::Return(Object::Str(self.describe())),
            Request::Other { method, args } if method == RESERVE_SEGMENT => match &args[..] {
                [Object::Str(name), Object::Int(device), Object::Int(inode)] => {
                    let id = FileId { device: device.cast_unsigned(), inode: inode.cast_unsigned() };
                    let (reserved, result) = match self.reserve(name, id) {
                        Ok(name) => (Some(name), Ok(())),
                        Err(error) => (None, Err(error)),
                    };
                    return Outcome { reserved, ..answer(result, name) };
                }
                _ => Reply::traceback("TypeError: reserve_segment takes a name, a device and an inode number"),
            },
            request => Reply::unrecognized(request.method()),
        };
        Outcome { reply, lacks_descriptors: false, reserved: None }
    }

    /// The client that had reserved a name has given it to its block.
    pub(super) fn confirm(&mut self, name: &str) {
        if let Some(thing) = self.things.get_mut(name) {
            thing.is_pending = false;
        }
    }

    /// A client that had reserved a name has closed its connection, or it was closed for it: if the block is there, it is owned for good.
    pub(super) fn settle(&mut self, name: &str) {
        let Some(thing) = self.things.get(name).filter(|thing| thing.is_pending) else { return };
        if self.is_there(name, thing.id) {
            self.confirm(name);
        } else {
            self.forget(name);
        }
    }

    /// Takes over what stands under the name; what it owns already stays as it is.
    fn track(&mut self, name: &str) -> Result<()> {
        let name = file_name(name)?;
        let path = self.directory.join(&name);
        let hold = Hold::new(&self.directory, &path)?;
        if let Some(thing) = self.things.get_mut(&name) {
            if thing.id == hold.id {
                return Ok(());
            }
            if thing.is_pending {
                // Another client's block is about to have the name.
                return Err(Error::new(ErrorKind::AlreadyExists { owner: None }));
            }
            // What had the name is gone; somebody else removed it.
            self.forget(&name);
        }
        let user = sys::effective_user();
        if hold.owner != user && user != 0 {
            let (owner, trusted) = (hold.owner, user);
            return Err(Error::new(ErrorKind::Untrusted { owner, trusted }));
        }
        if hold.is_segment() && self.segments >= self.most_segments {
            return Err(Error::new(ErrorKind::NoAddressSpace { needed: 1 }));
        }
        self.own(name, hold.id, Some(hold))
    }

    /// Returns the name in the directory.
    fn reserve(&mut self, name: &str, id: FileId) -> Result<String> {
        let name = file_name(name)?;
        if id.device != self.device {
            let reason = "the client's directory of segments is on another file system than the manager's".to_owned();
            return Err(Error::new(ErrorKind::InvalidOptions { reason }));
        }
        let is_taken = self.things.get(&name).is_some_and(|thing| thing.is_pending || self.is_there(&name, thing.id));
        if is_taken || self.registry.is_part(&name) {
            return Err(Error::new(ErrorKind::AlreadyExists { owner: None }));
        }
        // What had the name is gone; somebody else removed it.
        self.forget(&name);
        self.own(name.clone(), id, None)?;
        Ok(name)
    }

    /// Whether a name still is that of what was owned under it. Where that is not known, it is.
    fn is_there(&self, name: &str, id: FileId) -> bool {
        match Directory::status(&self.directory.join(name)) {
            Ok(status) => status.id == id,
            Err(failure) => failure.errno != Errno::ENOENT,
        }
    }

    fn own(&mut self, name: String, id: FileId, hold: Option<Hold>) -> Result<()> {
        let place = self.registry.add(&RegistryEntry::new(EntryKind::Name, OsStr::new(&name), id)?)?;
        let order = self.next;
        self.next += 1;
        self.order.insert(order, name.clone());
        self.segments += usize::from(hold.as_ref().is_some_and(Hold::is_segment));
        let is_pending = hold.is_none();
        self.things.insert(name, Thing { id, order, place, hold, is_pending });
        Ok(())
    }

    fn forget(&mut self, name: &str) {
        if let Some(thing) = self.things.remove(name) {
            self.order.remove(&thing.order);
            self.segments -= usize::from(thing.hold.as_ref().is_some_and(Hold::is_segment));
            self.registry.remove(thing.place);
        }
    }

    /// Removes what it owns under the name, if it is still there. What cannot be removed stays owned.
    fn release(&mut self, name: &str, patience: &mut RemoverPatience) -> Result<()> {
        let name = file_name(name)?;
        let Some(thing) = self.things.get(&name) else { return Err(Error::new(ErrorKind::NotFound)) };
        if thing.is_pending {
            // Its client would go on to make it.
            return Err(Error::new(ErrorKind::Busy));
        }
        let path = self.directory.join(&name);
        let removed = match &thing.hold {
            Some(hold) if hold.is_segment() => remove_claimed(&path, thing.id, patience),
            _ => remove_block(&path, thing.id, sys::effective_user()),
        };
        match removed? {
            Detached::Removed | Detached::NameGone => {
                self.forget(&name);
                Ok(())
            }
            Detached::LeftForOwner => Err(Error::new(ErrorKind::PermissionDenied { operation: "remove the name" })),
            _ => Err(Error::new(ErrorKind::Busy)),
        }
    }

    /// Removes all that it owns and is still there, past what cannot be removed. No client may be about to make what it has reserved:
    /// their connections are closed.
    ///
    /// # Errors
    /// The first one; everything else is gone.
    pub(super) fn release_all(&mut self) -> Result<()> {
        self.released = true;
        let names: Vec<String> = self.order.values().cloned().collect();
        let (mut first, mut patience) = (Ok(()), RemoverPatience::for_many());
        for name in names {
            self.settle(&name);
            if !self.things.contains_key(&name) {
                continue;
            }
            let released = self.release(&name, &mut patience).map_err(|error| error.on(&name));
            first = first.and(released);
        }
        first
    }

    fn describe(&self) -> String {
        let mut text = format!("registry: {}\n", self.registry.name());
        for name in self.order.values() {
            let Some(thing) = self.things.get(name) else { continue };
            let kind = match &thing.hold {
                Some(hold) if hold.is_segment() => "segment",
                None if thing.is_pending => "reserved",
                _ => "block",
            };
            text.push_str(&format!("{name}: {kind}\n"));
        }
        text
    }
}

/// What ends without having been asked to, by a panic, releases everything all the same.
impl Drop for Owned {
    fn drop(&mut self) {
        if !self.released {
            // What cannot be removed stays in the registry, for `reap`.
            let _ = self.release_all();
        }
    }
}

/// What is answered to whoever asked for the end.
pub(super) fn farewell(released: &Result<()>) -> Reply {
    released.as_ref().map_or_else(|error| exception(error, ""), |()| Reply::none())
}

/// Whether it keeps the client's connection.
pub(super) fn is_reservation(request: &Request) -> bool {
    matches!(request, Request::Other { method, .. } if method == RESERVE_SEGMENT)
}

/// The name in the directory that a client means: Python's rules, by which no name leads out of it.
fn file_name(name: &str) -> Result<String> {
    let name = PosixName::new(name).map_err(|error| Error::new(ErrorKind::InvalidBlockName(error)))?;
    Ok(name.file_name().to_owned())
}

/// As Python's server would have told it: the text of an exception.
fn exception(error: &Error, name: &str) -> Reply {
    let text = match error.kind() {
        ErrorKind::NotFound => format!("FileNotFoundError: [Errno 2] No such file or directory: {name:?}"),
        _ => format!("{}: {error}", error.python_exception()),
    };
    traceback(&text)
}

/// A traceback of one line.
pub(super) fn traceback(exception: &str) -> Reply {
    Reply::traceback(format!("{TRACEBACK}{exception}"))
}
