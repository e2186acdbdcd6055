//! How a block is created or opened, and whose it is then.
#![allow(unsafe_code, reason = "lends a file that nobody else can reach")]

use super::{CreatorPatience, SharedMemory, TAKEN};
use crate::compat::name::{NameReason, PosixName};
use crate::compat::{Handle, pickle};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::ShmLayout;
use crate::segment::Trust;
use crate::segment::attach::{check_kind, check_open_to_all, open};
use crate::segment::file::{Naming, NewFile};
use crate::segment::lend::Unpublished;
use crate::segment::name::{SegmentName, is_temporary};
use crate::segment::options::{SegmentOptions, invalid};
use crate::sys::{self, Access, Directory, File, FileId, Map};
use core::fmt;
use nix::errno::Errno;
use std::path::PathBuf;
use std::sync::Arc;

const EMPTY: &str =
    "its maker does not get on or was killed before it gave the block a size; if it is gone, remove the file";

/// How many fresh names are tried for a block that somebody else is to own.
const FRESH_NAMES: usize = 16;

/// What can be said about a block before it is created or opened.
#[derive(Clone, Debug, Default)]
pub struct SharedMemoryOptions {
    segment: SegmentOptions,
    claim: Option<Claim>,
}

/// Whoever is to own new blocks.
pub(crate) trait Claimant: Send + Sync {
    /// Before the block gets its name.
    fn claim(&self, name: &str, id: FileId) -> Result<Box<dyn Claimed>>;
}

/// A block that somebody is about to own. Dropped, it does not come.
pub(crate) trait Claimed {
    /// The block has its name. If this fails, the block loses it.
    fn named(self: Box<Self>) -> Result<()>;
}

/// Hands new blocks over to their owner.
#[derive(Clone)]
pub(crate) struct Claim(pub(crate) Arc<dyn Claimant>);

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claim")
    }
}
impl SharedMemoryOptions {
    /// The name, as Python takes it: up to 255 bytes, no slash but leading ones, which do not count. Without one,
    /// creating makes a fresh name, `psm_` and eight hexadecimal digits.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.segment.name = Some(name.into());
        self
    }

    /// The permission bits of a new block, whatever the umask; 0o600 unless given, as in Python.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.segment.mode = mode;
        self
    }

    /// The directory, in place of /dev/shm. Python knows no other one.
    #[must_use]
    pub fn dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.segment.set_directory(path.into());
        self
    }

    /// Whose blocks may be opened; [`Trust::Owner`] unless given.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.segment.trust = trust;
        self
    }

    /// Creates a block of `size` zero bytes.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] (also for `.` and `..`), [`ErrorKind::InvalidBlockName`],
    /// [`ErrorKind::InvalidOptions`] for no bytes,
    /// [`ErrorKind::NoSpace`] and the limits of the process.
    pub fn create(&self, size: usize) -> Result<SharedMemory> {
        self.create_elements::<u8, Error>(size, 0, size, |_| Ok(()))
    }

    /// Creates a block and lends its bytes, all zero, before anybody else can see it. If `fill` fails, nothing is left.
    ///
    /// # Errors
    /// As [`create`](Self::create), and what `fill` returns.
    pub fn create_with(&self, size: usize, fill: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<SharedMemory> {
        self.create_elements(size, 0, size, |mut bytes| bytes.lend(fill)?)
    }

    /// Creates a block of `size` bytes and lends the `len` elements from `offset` on, which lie inside and are aligned,
    /// before anybody else can see them.
    pub(in crate::compat) fn create_elements<T: ShmLayout, E: From<Error>>(
        &self,
        size: usize,
        offset: usize,
        len: usize,
        fill: impl FnOnce(Unpublished<'_, T>) -> Result<(), E>,
    ) -> Result<SharedMemory, E> {
        let named = |error: Error| {
            let is_taken = matches!(error.kind(), ErrorKind::AlreadyExists { .. });
            let error = if is_taken { error.with_hint(TAKEN) } else { error };
            E::from(error.on(self.segment.name.as_deref().unwrap_or_default()))
        };
        let given = self.given_name().map_err(|error| match error.kind() {
            // A directory is in the way, as everywhere.
            ErrorKind::InvalidBlockName(name) if name.reason() == NameReason::Dots => {
                named(Error::new(ErrorKind::AlreadyExists { owner: None }))
            }
            _ => error.into(),
        })?;
        let (file, mut map) = self.unpublished(size).map_err(named)?;
        // SAFETY: `unpublished` has just made and mapped the file, for writing, and nobody else has the mapping.
        fill(unsafe { Unpublished::new(&mut map, offset, len, file.is_private()) })?;
        self.publish(file, map, given, size).map_err(named)
    }

    fn given_name(&self) -> Result<Option<PosixName>> {
        self.segment.name.as_deref().map(block_name).transpose()
    }

    fn unpublished(&self, size: usize) -> Result<(NewFile, Map)> {
        self.segment.check_mode()?;
        if size == 0 {
            return Err(invalid("a block has at least one byte"));
        }
        if isize::try_from(size).is_err() {
            return Err(Error::new(ErrorKind::SizeOverflow { elements: size, element_size: 1 }));
        }
        let file = NewFile::create(&self.segment, size as u64)?;
        let (map, _) = file.reserve_and_map(&self.segment)?;
        Ok((file, map))
    }

    /// Options whose new blocks belong to somebody else, who removes them.
    pub(crate) fn claimed(mut self, claim: Claim) -> Self {
        self.claim = Some(claim);
        self
    }

    fn publish(&self, file: NewFile, map: Map, given: Option<PosixName>, size: usize) -> Result<SharedMemory> {
        let Some(Claim(claimant)) = &self.claim else { return self.publish_plain(file, map, given, size) };
        // The owner is told the name first, so that a fresh one is not found by trying to publish.
        let mut attempts = 0;
        let (name, claimed) = loop {
            let name = match &given {
                Some(name) => name.clone(),
                None => block_name(fresh_name()?.as_str())?,
            };
            let text = name.python_name().to_owned();
            let is_free = Directory::status(&self.segment.directory.join(name.file_name())).is_err();
            attempts += 1;
            match claimant.claim(&text, file.id()) {
                Ok(claimed) if is_free || given.is_some() => break (name, claimed),
                // Lets go of it.
                Ok(_) => {}
                Err(error) if given.is_none() && matches!(error.kind(), ErrorKind::AlreadyExists { .. }) => {}
                Err(error) => return Err(error),
            }
            if attempts == FRESH_NAMES {
                return Err(Error::new(ErrorKind::AlreadyExists { owner: None }));
            }
        };
        let block = self.publish_plain(file, map, Some(name), size)?;
        match claimed.named() {
            Ok(()) => Ok(block),
            Err(error) => {
                // It is nobody's. If it cannot be removed, what went wrong first is what counts.
                let _ = block.unlink();
                Err(error)
            }
        }
    }

    fn publish_plain(&self, file: NewFile, map: Map, given: Option<PosixName>, size: usize) -> Result<SharedMemory> {
        let id = file.id();
        let file_name = given.as_ref().map(|name| SegmentName::of_block(name.file_name()));
        let (file, unpublished) = file.complete(&self.segment)?;
        let naming = Naming { fresh: fresh_name, vacate: |_, _| false };
        let location = unpublished.publish(&file, &self.segment, file_name, naming)?;
        let name = match (given, location) {
            (Some(given), _) => given,
            (None, Some(location)) => block_name(location.name.as_str())?,
            (None, None) => return Err(Error::new(ErrorKind::Unnamed)),
        };
        Ok(SharedMemory { map, size, id, name, directory: self.segment.directory.clone() })
    }

    /// Attaches to the block of this name.
    ///
    /// # Errors
    /// As [`SharedMemory::open`].
    pub fn open(&self) -> Result<SharedMemory> {
        self.open_for(Access::ReadWrite)
    }

    /// The block of a reader must not leave its `NdArray<T, ReadOnly>`.
    pub(in crate::compat) fn open_for(&self, access: Access) -> Result<SharedMemory> {
        Ok(self.open_with_file(access)?.0)
    }

    /// The same, and the file that is mapped.
    pub(in crate::compat) fn open_with_file(&self, access: Access) -> Result<(SharedMemory, File)> {
        let name = self.given_name()?.ok_or_else(|| invalid("opening needs a name"))?;
        self.attach(name, access).map_err(|error| error.on(self.segment.name.as_deref().unwrap_or_default()))
    }

    /// Attaches to the block whose handle was pickled, with these options but for the name, which is the pickle's.
    ///
    /// # Errors
    /// As [`SharedMemory::from_pickle`], and those of the options.
    pub fn from_pickle(&self, bytes: &[u8]) -> Result<SharedMemory> {
        match pickle::parse(bytes) {
            Ok(Handle::SharedMemory { name, .. }) => self.clone().name(name).open(),
            Ok(_) => Err(invalid("the pickle is of a ShareableList, not of a SharedMemory")),
            Err(error) => Err(Error::new(ErrorKind::Pickle(error))),
        }
    }

    fn attach(&self, name: PosixName, access: Access) -> Result<(SharedMemory, File)> {
        let directory = self.segment.directory.clone();
        let path = directory.join(name.file_name());
        let patience = CreatorPatience::new();
        loop {
            let file = open(&directory, &path, access)?;
            let status = file.status()?;
            check_kind(&status)?;
            self.segment.check_owner(status.owner, self.segment.trusted())?;
            if status.links > 1 {
                return Err(Error::new(ErrorKind::HardLinked { links: status.links }));
            }
            if status.bytes == 0 {
                if patience.wait() {
                    continue;
                }
                return Err(Error::new(ErrorKind::NotASegment { found: "an empty file" }).with_hint(EMPTY));
            }
            check_open_to_all(&file)?;
            let no_address_space = || Error::new(ErrorKind::NoAddressSpace { needed: status.bytes });
            let size = usize::try_from(status.bytes).map_err(|_| no_address_space())?;
            let map = file.map(size, access).map_err(|failure| match failure.errno {
                Errno::ENOMEM | Errno::EOVERFLOW => no_address_space(),
                _ => failure.into(),
            })?;
            return Ok((SharedMemory { map, size, id: status.id, name, directory }, file));
        }
    }
}

/// A name that the user gave, by Python's rules. A file that is yet to become a segment, and may be a locked one then, is
/// nobody's block.
pub(super) fn block_name(name: &str) -> Result<PosixName> {
    let name = PosixName::new(name).map_err(|error| Error::new(ErrorKind::InvalidBlockName(error)))?;
    if is_temporary(name.file_name()) {
        return Err(invalid("segments that are being made have such names"));
    }
    Ok(name)
}

fn fresh_name() -> Result<SegmentName> {
    let random = sys::random()?;
    Ok(SegmentName::of_block(PosixName::fresh([random[0], random[1], random[2], random[3]]).file_name()))
}
