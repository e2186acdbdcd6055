//! What can be said about a segment before it is created or opened.

use super::header::{Header, Persist};
use super::name::SegmentName;
use crate::error::{Error, ErrorKind, Result};
use crate::participants::MAX_SLOTS;
use crate::sys::{self, Directory};
use std::path::PathBuf;
use std::time::Duration;

/// Whose segments may be attached. The owner of a file can change and truncate it at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Segments of this process's effective user.
    #[default]
    Owner,
    /// Segments of this user.
    Uid(u32),
    /// Segments of any user.
    Anyone,
}

/// Which other layouts may be opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evolve {
    /// None: the layouts must be equal.
    #[default]
    Never,
    /// A struct that has this program's fields, and further ones behind them: an old reader and a newer segment.
    /// Element accesses work; slices and blocks are refused, because the elements lie further apart.
    Append,
}

/// The default limit on attaching: more than a process can map.
const MAX_BYTES: u64 = 1 << 46;

/// A lock that is held for so long is held by somebody who will not give it back.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Options common to all containers.
#[derive(Clone, Debug)]
pub(crate) struct SegmentOptions {
    pub(crate) name: Option<String>,
    pub(crate) unnamed: bool,
    pub(crate) directory: Directory,
    pub(crate) mode: u32,
    pub(crate) persist: Persist,
    pub(crate) trust: Trust,
    pub(crate) max_bytes: u64,
    pub(crate) prefault: bool,
    pub(crate) huge_pages: bool,
    pub(crate) evolve: Evolve,
    /// How many participant slots a new segment has, if its container has locks.
    pub(crate) slots: Option<u32>,
    /// How long its locks are waited for; `None` for ever.
    pub(crate) lock_timeout: Option<Duration>,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self {
            name: None,
            unnamed: false,
            directory: Directory::shared_memory(),
            mode: 0o600,
            persist: Persist::default(),
            trust: Trust::default(),
            max_bytes: MAX_BYTES,
            prefault: false,
            huge_pages: false,
            evolve: Evolve::default(),
            slots: None,
            lock_timeout: Some(LOCK_TIMEOUT),
        }
    }
}

impl SegmentOptions {
    pub(crate) fn set_directory(&mut self, path: PathBuf) {
        self.directory = Directory::new(path);
    }

    /// The name that was given, checked.
    pub(crate) fn given_name(&self) -> Result<Option<SegmentName>> {
        match &self.name {
            Some(_) if self.unnamed => Err(invalid("a segment cannot be unnamed and have a name")),
            Some(name) => SegmentName::new(name).map(Some),
            None => Ok(None),
        }
    }

    /// The name to attach to.
    pub(crate) fn required_name(&self) -> Result<SegmentName> {
        self.given_name()?.ok_or_else(|| invalid("opening needs a name: `.name(\"…\")`, or `from_fd` for a descriptor"))
    }

    pub(crate) fn check_mode(&self) -> Result<()> {
        if self.mode & !0o777 != 0 {
            return Err(invalid(&format!("mode {:#o} has bits beyond 0o777", self.mode)));
        }
        // Locks are taken through descriptors, so that nobody else could remove it either.
        if self.mode & 0o600 != 0o600 {
            let reason = "must let its owner read and write; who only reads opens with `open_read_only`";
            return Err(invalid(&format!("mode {:#o} {reason}", self.mode)));
        }
        if self.unnamed && self.persist == Persist::Keep {
            return Err(invalid("a segment without a name has none to keep"));
        }
        Ok(())
    }

    pub(crate) fn check_slots(&self) -> Result<()> {
        match self.slots {
            Some(slots) if !(1..=MAX_SLOTS).contains(&slots) => {
                Err(invalid(&format!("{slots} participant slots: a segment has 1 to {MAX_SLOTS}")))
            }
            _ => Ok(()),
        }
    }

    /// Whether a segment of this header is likely to be refused for its owner or size. A hint: the header may lie, and its
    /// file may have changed hands.
    pub(crate) fn may_refuse(&self, header: &Header, trusted: Option<u32>) -> bool {
        header.total_bytes > self.max_bytes || trusted.is_some_and(|trusted| trusted != header.creator_uid)
    }

    /// The user whose files are trusted, if not everybody's are.
    pub(crate) fn trusted(&self) -> Option<u32> {
        match self.trust {
            Trust::Owner => Some(sys::effective_user()),
            Trust::Uid(uid) => Some(uid),
            Trust::Anyone => None,
        }
    }

    /// Refuses the files of users other than the [trusted](Self::trusted) one.
    pub(crate) fn check_owner(&self, owner: u32, trusted: Option<u32>) -> Result<()> {
        let Some(trusted) = trusted else { return Ok(()) };
        if owner != trusted {
            return Err(Error::new(ErrorKind::Untrusted { owner, trusted }));
        }
        // In a user namespace, everybody without a mapping looks like the same user, this process perhaps among them.
        if self.trust == Trust::Owner && trusted == sys::overflow_user() {
            let what = "trust by owner where user ids are not mapped: name the user with `.trust(…)`";
            return Err(Error::new(ErrorKind::Unsupported { what }));
        }
        Ok(())
    }
}

pub(crate) fn invalid(reason: &str) -> Error {
    Error::new(ErrorKind::InvalidOptions { reason: reason.to_owned() })
}
