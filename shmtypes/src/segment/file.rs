//! A file that is built before it has its name.
//!
//! Unnamed (`O_TMPFILE`), its space reserved, mapped, and linked to its name when all is written. Where files cannot be
//! unnamed it stands under a hidden name and is renamed; a crash then leaves a file that `reap` removes.

use super::attachment::Location;
use super::directory::no_directory;
use super::header::{HUGE_PAGES_GRANTED, HUGE_PAGES_REFUSED};
use super::liveness::{self, Rung};
use super::name::{self, SegmentName};
use super::options::SegmentOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::{self, Access, Directory, Failure, File, FileId, LinkMethod, Map, Refusal, RenameMode, Status};
use nix::errno::Errno;
use std::path::{Path, PathBuf};

/// Files of up to so many bytes are written whole, which costs one call in place of two; more pages cost more that way than
/// they save.
const SMALL: usize = 8192;

/// From this size on, memory that no file system limits is compared with what the machine has.
const LARGE: u64 = 64 << 20;

/// Files that may have to be made again because a reaper took their hidden name for an orphan's, and names that may have
/// to be asked for again because somebody else was faster.
const PUBLICATION_ATTEMPTS: usize = 16;

/// A file without its name: nobody else can reach it.
#[derive(Debug)]
pub(crate) struct NewFile {
    file: File,
    /// As it was created.
    status: Status,
    place: Place,
    /// How many bytes it is to have.
    total: u64,
}

#[derive(Debug)]
enum Place {
    /// In memory, never to have a name.
    Unnamed,
    /// A file without a name, to be linked.
    Linkable { method: LinkMethod, rung: Rung },
    /// A file with a hidden name, to be renamed.
    Hidden { hidden: HiddenName, rung: Rung },
}

/// A hidden name, removed unless it became a real one.
#[derive(Debug)]
struct HiddenName(Option<PathBuf>);

/// How a kind of file comes by its name.
#[derive(Clone, Copy)]
pub(crate) struct Naming {
    /// Makes names where none is given.
    pub(crate) fresh: fn() -> Result<SegmentName>,
    /// Takes a given name away from a file that nobody needs any more; `false` if it is needed.
    pub(crate) vacate: fn(&Directory, &Path) -> bool,
}

impl Drop for HiddenName {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // If this fails, `reap` removes the file.
            let _ = Directory::unlink(path);
        }
    }
}

impl NewFile {
    /// A file that nobody else can reach, marked as attached. It is to have `total` bytes.
    pub(crate) fn create(options: &SegmentOptions, total: u64) -> Result<Self> {
        if options.unnamed {
            let file = File::in_memory()?;
            let status = file.status()?;
            return Ok(Self { file, status, place: Place::Unnamed, total });
        }
        let unnamed = options.directory.create_unnamed().map_err(|failure| no_room(options, total, failure))?;
        if let Some(file) = unnamed
            && let Some(method) = options.directory.link_method(&file)
        {
            let status = file.status()?;
            let rung = liveness::rung(&file, &status)?;
            // Nobody can hold a lock on a file without a name.
            rung.lock_life(&file)?;
            return Ok(Self { file, status, place: Place::Linkable { method, rung }, total });
        }
        for _ in 0..PUBLICATION_ATTEMPTS {
            let path = options.directory.join(&name::temporary()?);
            let file = Directory::create_named(&path).map_err(|failure| no_room(options, total, failure))?;
            let hidden = HiddenName(Some(path));
            let status = file.status()?;
            let rung = liveness::rung(&file, &status)?;
            // Between the creation and this lock a reaper may take the file for an orphan; then another one is made.
            if rung.lock_life(&file)? && file.status()?.links == 1 {
                return Ok(Self { file, status, place: Place::Hidden { hidden, rung }, total });
            }
        }
        Err(Error::new(ErrorKind::Busy))
    }

    /// Writes what stands in front of the data.
    pub(crate) fn write_front(&self, bytes: &[u8]) -> Result<()> {
        Ok(self.file.write_at(bytes, 0)?)
    }

    /// The user id of its owner.
    pub(crate) fn owner(&self) -> u32 {
        self.status.owner
    }

    /// What tells the file from every other.
    pub(crate) fn id(&self) -> FileId {
        self.status.id
    }

    /// Whether nobody else can have reached the file: it has never had a name.
    pub(crate) fn is_private(&self) -> bool {
        !matches!(self.place, Place::Hidden { .. })
    }

    /// What keeps locks on it.
    pub(crate) fn rung(&self) -> Result<Rung> {
        match self.place {
            Place::Unnamed => liveness::rung(&self.file, &self.status),
            Place::Linkable { rung, .. } | Place::Hidden { rung, .. } => Ok(rung),
        }
    }

    /// Gives the file its mode, after which only the name is missing.
    pub(crate) fn complete(self, options: &SegmentOptions) -> Result<(File, Unpublished)> {
        let Self { file, status, place, total } = self;
        if let Place::Unnamed = place {
            file.set_mode(options.mode)?;
            file.seal_size()?;
        } else if status.mode != options.mode {
            // The umask took its part when the file was opened.
            file.set_mode(options.mode)?;
        }
        Ok((file, Unpublished { place, total }))
    }

    /// Whether [`write_whole_and_map`](Self::write_whole_and_map) will do: for a small file in memory that nobody can reach.
    /// Only there are the pages taken by the call that writes them; other file systems may find out later that they are full.
    pub(crate) fn may_be_written_whole(&self, options: &SegmentOptions) -> bool {
        let in_memory = matches!(self.place, Place::Linkable { rung: Rung::Memory, .. });
        in_memory && self.total <= SMALL as u64 && !options.huge_pages
    }

    /// Gives the file its contents, which are these parts and zeros behind them, and maps it.
    pub(crate) fn write_whole_and_map(&self, options: &SegmentOptions, front: [&[u8]; 2]) -> Result<Map> {
        // No more zeros are made than are needed.
        let written = if self.total as usize <= SMALL / 2 {
            self.file.write_whole(&padded::<{ SMALL / 2 }>(front)[..self.total as usize])
        } else {
            self.file.write_whole(&padded::<SMALL>(front)[..self.total as usize])
        };
        written.map_err(|refusal| self.refused(options, refusal))?;
        self.file.map(self.total as usize, Access::ReadWrite).map_err(|failure| self.no_address_space(failure))
    }

    fn refused(&self, options: &SegmentOptions, refusal: Refusal) -> Error {
        match refusal {
            Refusal::FileSizeLimit { limit } => Error::new(ErrorKind::FileSizeLimit { needed: self.total, limit }),
            Refusal::NoSpace => no_space(options, self.total),
            Refusal::Other(failure) => failure.into(),
        }
    }

    fn no_address_space(&self, failure: Failure) -> Error {
        match failure.errno {
            Errno::ENOMEM | Errno::EOVERFLOW => Error::new(ErrorKind::NoAddressSpace { needed: self.total }),
            _ => failure.into(),
        }
    }

    /// Reserves the space, with huge pages if they are asked for, and maps it.
    pub(crate) fn reserve_and_map(&self, options: &SegmentOptions) -> Result<(Map, u32)> {
        let (file, total) = (&self.file, self.total);
        let bytes = usize::try_from(total).map_err(|_| Error::new(ErrorKind::NoAddressSpace { needed: total }))?;
        let reserve = || file.reserve(total).map_err(|refusal| self.refused(options, refusal));
        let no_address_space = |failure| self.no_address_space(failure);
        // Filling huge pages one by one would use up all there is before it fails; and nothing limits a file in memory.
        let ask_first = options.huge_pages || options.unnamed && total > LARGE;
        if ask_first && available(options).is_some_and(|available| total > available) {
            return Err(no_space(options, total));
        }
        if !options.huge_pages {
            reserve()?;
            return Ok((file.map(bytes, Access::ReadWrite).map_err(no_address_space)?, 0));
        }
        // In this order: reserving first would fill the range with small pages, and collapsing those costs ten times more.
        file.check_size_limit(total).map_err(|limit| Error::new(ErrorKind::FileSizeLimit { needed: total, limit }))?;
        file.set_length(total).map_err(|failure| match failure.errno {
            Errno::EFBIG | Errno::EINVAL => no_space(options, total),
            _ => failure.into(),
        })?;
        let map = file.map_aligned(bytes, Access::ReadWrite).map_err(no_address_space)?;
        let granted = if map.collapse().is_ok() { HUGE_PAGES_GRANTED } else { HUGE_PAGES_REFUSED };
        reserve()?;
        Ok((map, granted))
    }
}

/// Two parts, and zeros behind them.
#[inline(always)]
fn padded<const N: usize>(front: [&[u8]; 2]) -> [u8; N] {
    let mut whole = [0; N];
    let (first, rest) = whole.split_at_mut(front[0].len());
    first.copy_from_slice(front[0]);
    rest[..front[1].len()].copy_from_slice(front[1]);
    whole
}

/// The name of a complete file, which it has not got yet.
#[derive(Debug)]
pub(crate) struct Unpublished {
    place: Place,
    total: u64,
}

impl Unpublished {
    /// Gives `file`, which was completed with it, its name, or fresh names until one is free. Returns where it stands if it
    /// is to have a name. A given name that is taken is asked of `naming.vacate`.
    pub(crate) fn publish(
        self,
        file: &File,
        options: &SegmentOptions,
        name: Option<SegmentName>,
        naming: Naming,
    ) -> Result<Option<Location>> {
        let total = self.total;
        match self.place {
            Place::Unnamed => Ok(None),
            Place::Linkable { method, rung } => {
                named(options, name, naming, rung, total, |path| Directory::link(method, file, path)).map(Some)
            }
            Place::Hidden { mut hidden, rung } => named(options, name, naming, rung, total, |path| {
                let Some(from) = &hidden.0 else { return Ok(()) };
                Directory::rename(from, path, RenameMode::NoReplace)?;
                hidden.0 = None;
                Ok(())
            })
            .map(Some),
        }
    }
}

/// Publishes under the given name, or under fresh ones until one is free.
fn named(
    options: &SegmentOptions,
    given: Option<SegmentName>,
    naming: Naming,
    rung: Rung,
    total: u64,
    mut publish: impl FnMut(&Path) -> Result<(), Failure>,
) -> Result<Location> {
    let mut attempts = 0;
    loop {
        let name = given.clone().map_or_else(naming.fresh, Ok)?;
        let path = options.directory.join(name.as_str());
        match publish(&path) {
            Ok(()) => return Ok(Location { name, path, rung, created_here: true }),
            Err(Failure { errno: Errno::EEXIST, .. }) if given.is_none() => {}
            Err(Failure { errno: Errno::EEXIST, .. }) => {
                attempts += 1;
                if attempts > PUBLICATION_ATTEMPTS || !(naming.vacate)(&options.directory, &path) {
                    return Err(taken(&path));
                }
            }
            Err(failure) => return Err(no_room(options, total, failure)),
        }
    }
}

pub(crate) fn taken(path: &Path) -> Error {
    let owner = Directory::status(path).ok().map(|status| status.owner);
    Error::new(ErrorKind::AlreadyExists { owner })
}

fn no_space(options: &SegmentOptions, needed: u64) -> Error {
    Error::new(ErrorKind::NoSpace { needed, available: available(options).unwrap_or(0) })
}

/// How many bytes there are for a new segment at most.
fn available(options: &SegmentOptions) -> Option<u64> {
    if options.unnamed { Some(sys::memory_bytes()) } else { options.directory.space().map(|space| space.bytes) }
}

/// Tells a full file system, or one without inodes, from other failures.
fn no_room(options: &SegmentOptions, needed: u64, failure: Failure) -> Error {
    match failure.errno {
        Errno::ENOSPC | Errno::EDQUOT => match options.directory.space() {
            Some(space) if space.inodes == 0 => Error::new(ErrorKind::NoInodes),
            _ => no_space(options, needed),
        },
        // Such as in /proc, whose directories take no files.
        Errno::ENOENT if options.directory.is_there() => {
            Error::new(ErrorKind::Unsupported { what: "new files in this directory" })
        }
        _ => no_directory(&options.directory, failure),
    }
}
