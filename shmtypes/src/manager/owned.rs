//! What a manager owns, and the requests about it.

use super::registry::{Place, Registry};
use crate::compat::name::PosixName;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::Detached;
use crate::segment::hold::Hold;
use crate::segment::registry::{EntryKind, RegistryEntry, remove_block, remove_claimed};
use crate::sys::{self, Directory, FileId};
use shmtypes_compat::manager::{Object, Reply, Request};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;

/// How a manager of this crate answers `dummy`, which every client sends first and to which Python's gives None: whoever
/// gets this text may ask for more than Python's manager knows.
pub(super) const GREETING: &str = "shmtypes 1";

/// Owns a name before it exists: `(name, device, inode)`. A client that is killed after it has given a block its name, and
/// before it has told its manager, would leave the block to nobody.
pub(super) const RESERVE_SEGMENT: &str = "reserve_segment";

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
}

#[derive(Debug)]
struct Thing {
    id: FileId,
    order: u64,
    place: Place,
    /// Keeps a segment from ending with its last process. `None` for what was reserved and not looked at yet.
    hold: Option<Hold>,
}

/// What a request came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) reply: Reply,
    /// Whether the manager is to end.
    pub(super) ends: bool,
    /// Whether it failed because this process may have no more descriptors.
    pub(super) lacks_descriptors: bool,
}

impl Owned {
    pub(super) fn new(directory: Directory) -> Result<Self> {
        let registry = Registry::new(directory.clone())?;
        Ok(Self { directory, registry, things: HashMap::new(), order: BTreeMap::new(), next: 0 })
    }

    pub(super) fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Does what a client asks for.
    pub(super) fn handle(&mut self, request: &Request) -> Outcome {
        let answer = |result: Result<()>, name: &str| Outcome {
            lacks_descriptors: result.as_ref().is_err_and(|error| *error.kind() == ErrorKind::TooManyFiles),
            reply: result.map_or_else(|error| traceback(&error, name), |()| Reply::none()),
            ends: false,
        };
        let reply = match request {
            Request::Dummy => Reply::Return(Object::Str(GREETING.to_owned())),
            Request::TrackSegment(name) => return answer(self.track(name), name),
            Request::ReleaseSegment(name) => match self.release(name) {
                Err(error) if *error.kind() == ErrorKind::NotFound => {
                    Reply::traceback(format!("{TRACEBACK}ValueError: list.remove(x): x not in list ({name:?})"))
                }
                result => return answer(result, name),
            },
            Request::ListSegments => Reply::names(self.order.values()),
            Request::NumberOfObjects => Reply::Return(Object::Int(self.things.len() as i64)),
            Request::DebugInfo => Reply::Return(Object::Str(self.describe())),
            Request::Shutdown => return Outcome { ends: true, ..answer(self.release_all(), "") },
            Request::Other { method, args } if method == RESERVE_SEGMENT => match &args[..] {
                [Object::Str(name), Object::Int(device), Object::Int(inode)] => {
                    let id = FileId { device: device.cast_unsigned(), inode: inode.cast_unsigned() };
                    return answer(self.reserve(name, id), name);
                }
                _ => Reply::traceback("TypeError: reserve_segment takes a name, a device and an inode number"),
            },
            request => Reply::unrecognized(request.method()),
        };
        Outcome { reply, ends: false, lacks_descriptors: false }
    }

    /// Takes over what stands under the name; what it owns already stays as it is.
    fn track(&mut self, name: &str) -> Result<()> {
        let name = file_name(name)?;
        if self.registry.is_part(&name) {
            return Err(Error::new(ErrorKind::PermissionDenied { operation: "take over a manager's own registry" }));
        }
        let path = self.directory.join(&name);
        let hold = Hold::new(&self.directory, &path)?;
        if let Some(thing) = self.things.get_mut(&name) {
            if thing.id == hold.id {
                thing.hold = Some(hold);
                return Ok(());
            }
            // What had the name is gone; somebody else removed it.
            self.forget(&name);
        }
        let user = sys::effective_user();
        if hold.owner != user && user != 0 {
            let (owner, trusted) = (hold.owner, user);
            return Err(Error::new(ErrorKind::Untrusted { owner, trusted }));
        }
        self.own(name, hold.id, Some(hold))
    }

    fn reserve(&mut self, name: &str, id: FileId) -> Result<()> {
        let name = file_name(name)?;
        if self.things.contains_key(&name) || self.registry.is_part(&name) {
            return Err(Error::new(ErrorKind::AlreadyExists { owner: None }));
        }
        self.own(name, id, None)
    }

    fn own(&mut self, name: String, id: FileId, hold: Option<Hold>) -> Result<()> {
        let place = self.registry.add(&RegistryEntry::new(EntryKind::Name, OsStr::new(&name), id)?)?;
        let order = self.next;
        self.next += 1;
        self.order.insert(order, name.clone());
        self.things.insert(name, Thing { id, order, place, hold });
        Ok(())
    }

    fn forget(&mut self, name: &str) {
        if let Some(thing) = self.things.remove(name) {
            self.order.remove(&thing.order);
            self.registry.remove(thing.place);
        }
    }

    /// Removes what it owns under the name, if it is still there. What cannot be removed stays owned.
    fn release(&mut self, name: &str) -> Result<()> {
        let name = file_name(name)?;
        let Some(thing) = self.things.get(&name) else { return Err(Error::new(ErrorKind::NotFound)) };
        let path = self.directory.join(&name);
        let removed = match &thing.hold {
            Some(hold) if hold.is_segment() => remove_claimed(&path, thing.id),
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

    /// Removes all that it owns and is still there, past what cannot be removed.
    ///
    /// # Errors
    /// The first one; everything else is gone.
    pub(super) fn release_all(&mut self) -> Result<()> {
        let names: Vec<String> = self.order.values().cloned().collect();
        let mut first = Ok(());
        for name in names {
            let released = self.release(&name).map_err(|error| error.on(&name));
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
                Some(_) => "block",
                None => "reserved",
            };
            text.push_str(&format!("{name}: {kind}\n"));
        }
        text
    }
}

/// What ends without having been asked to, by a panic, releases everything all the same.
impl Drop for Owned {
    fn drop(&mut self) {
        // What cannot be removed stays in the registry, for `reap`.
        let _ = self.release_all();
    }
}

/// The name in the directory that a client means: Python's rules, by which no name leads out of it.
fn file_name(name: &str) -> Result<String> {
    let name = PosixName::new(name).map_err(|error| Error::new(ErrorKind::InvalidBlockName(error)))?;
    Ok(name.file_name().to_owned())
}

/// As Python's server would have told it: the text of an exception.
fn traceback(error: &Error, name: &str) -> Reply {
    let text = match error.kind() {
        ErrorKind::NotFound => format!("FileNotFoundError: [Errno 2] No such file or directory: {name:?}"),
        _ => format!("{}: {error}", error.python_exception()),
    };
    Reply::traceback(format!("{TRACEBACK}{text}"))
}
