//! Creating a segment: without a name until it is complete.
//!
//! 1. A file without a name (`O_TMPFILE`), its space reserved, mapped.
//! 2. Contents, header, and last the magic.
//! 3. The life lock, then the name, which must be free (`linkat`).
//!
//! The name never denotes a segment that is not ready, and a crash before step 3 leaves nothing. Where files cannot be
//! unnamed, the segment is built under a hidden name and renamed; a crash then leaves a file that `reap` removes.

use super::attachment::{Attachment, Location};
use super::detach::{self, Detached};
use super::header::{
    Container, HEADER_BYTES, HUGE_PAGES_GRANTED, HUGE_PAGES_REFUSED, Header, MAX_DIMENSIONS, MAX_SCHEMA_BYTES, PAGE,
    Persist, REGION_ALIGN,
};
use super::liveness::{self, Rung};
use super::name::{self, SegmentName};
use super::options::{SegmentOptions, invalid};
use crate::access;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::ShmLayout;
use crate::sys::{self, Access, Directory, Failure, File, LinkMethod, Map, Refusal, Status};
use nix::errno::Errno;
use std::path::{Path, PathBuf};

/// What a container asks of a new segment.
pub(crate) struct Plan<'a> {
    pub(crate) container: Container,
    pub(crate) shape: &'a [usize],
    /// Room for what changes but the data, in bytes.
    pub(crate) mutable_bytes: u32,
}

/// Segments that may have to be made again because a reaper took their hidden name for an orphan's.
const PUBLICATION_ATTEMPTS: usize = 16;

/// A segment without its name: nobody else can reach it.
#[derive(Debug)]
pub(crate) struct Draft {
    map: Map,
    header: Header,
    file: File,
    /// As it was created.
    status: Status,
    place: Place,
    options: SegmentOptions,
}

#[derive(Debug)]
enum Place {
    /// In memory, never to have a name.
    Unnamed,
    /// A file without a name, to be linked.
    Linkable { name: Option<SegmentName>, method: LinkMethod, rung: Rung },
    /// A file with a hidden name, to be renamed.
    Hidden { name: Option<SegmentName>, hidden: HiddenName, rung: Rung },
}

/// A hidden name, removed unless it became a real one.
#[derive(Debug)]
struct HiddenName(Option<PathBuf>);

impl Drop for HiddenName {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // If this fails, `reap` removes the file.
            let _ = Directory::unlink(path);
        }
    }
}

impl Draft {
    /// A new segment for elements of type `T`, all of whose data bytes are zero.
    pub(crate) fn new<T: ShmLayout>(options: &SegmentOptions, plan: &Plan<'_>) -> Result<Self> {
        let name = options.given_name()?;
        let label = name.as_ref().map_or("", SegmentName::as_str).to_owned();
        Self::build::<T>(options, plan, name).map_err(|error| error.on(&label))
    }

    fn build<T: ShmLayout>(options: &SegmentOptions, plan: &Plan<'_>, name: Option<SegmentName>) -> Result<Self> {
        options.check_mode()?;
        let schema = T::SCHEMA.to_json();
        let mut header = layout::<T>(options, plan, schema.len())?;
        detach::retry_deferred(None);
        if let Some(name) = &name {
            make_room(&options.directory, name)?;
        }

        let (file, status, place) = new_file(options, name)?;
        let (map, granted) = reserve_and_map(options, &file, header.total_bytes)?;
        header.optional_features = granted;
        if options.prefault {
            map.populate(Access::ReadWrite)?;
        }
        let mut draft = Self { map, header, file, status, place, options: options.clone() };
        draft.write_header(schema.as_bytes());
        Ok(draft)
    }

    /// Everything in front of the data but the magic.
    fn write_header(&mut self, schema: &[u8]) {
        let mut unfinished = self.header;
        unfinished.magic = [0; 8];
        self.write_bytes(0, zerocopy::IntoBytes::as_bytes(&unfinished));
        self.write_bytes(self.header.schema_offset as usize, schema);
    }

    #[expect(unsafe_code, reason = "fills the new mapping")]
    fn write_bytes(&mut self, offset: usize, bytes: &[u8]) {
        assert!(offset.checked_add(bytes.len()).is_some_and(|end| end <= self.map.bytes()));
        let target = self.map.start().wrapping_add(offset);
        // SAFETY: inside the mapping by the assertion; the source is a private slice.
        unsafe { access::copy_in(bytes.as_ptr(), target, bytes.len()) };
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn map(&self) -> &Map {
        &self.map
    }

    /// Whether nobody else can have reached the file: it has never had a name.
    pub(crate) fn is_private(&self) -> bool {
        !matches!(self.place, Place::Hidden { .. })
    }

    /// Completes the segment and gives it its name.
    pub(crate) fn publish(mut self) -> Result<Attachment> {
        self.write_bytes(0, &super::header::MAGIC);
        let label = match &self.place {
            Place::Linkable { name, .. } | Place::Hidden { name, .. } => {
                name.as_ref().map_or("", SegmentName::as_str).to_owned()
            }
            Place::Unnamed => String::new(),
        };
        self.give_name().map_err(|error| error.on(&label))
    }

    fn give_name(self) -> Result<Attachment> {
        let Self { map, header, file, status, place, options } = self;
        let id = status.id;
        if let Place::Unnamed = place {
            file.seal_size()?;
            return Ok(Attachment::new(map, header, id, None, Some(file), Access::ReadWrite));
        }
        // The umask took its part when the file was opened.
        if status.mode != options.mode {
            file.set_mode(options.mode)?;
        }
        let location = match place {
            Place::Unnamed => return Err(Error::new(ErrorKind::Unnamed)),
            Place::Linkable { name, method, rung } => {
                let publish = |path: &Path| Directory::link(method, &file, path);
                named(&options, name, rung, publish)?
            }
            Place::Hidden { name, mut hidden, rung } => {
                let publish = |path: &Path| {
                    let Some(from) = &hidden.0 else { return Ok(()) };
                    Directory::rename(from, path)?;
                    hidden.0 = None;
                    Ok(())
                };
                named(&options, name, rung, publish)?
            }
        };
        let descriptor = location.rung.keeps_descriptor().then_some(file);
        Ok(Attachment::new(map, header, id, Some(location), descriptor, Access::ReadWrite))
    }
}

/// Publishes under the given name, or under fresh ones until one is free.
fn named(
    options: &SegmentOptions,
    given: Option<SegmentName>,
    rung: Rung,
    mut publish: impl FnMut(&Path) -> Result<(), Failure>,
) -> Result<Location> {
    loop {
        let name = given.clone().unwrap_or_else(SegmentName::fresh);
        let path = options.directory.join(name.as_str());
        match publish(&path) {
            Ok(()) => return Ok(Location { name, path, rung }),
            Err(Failure { errno: Errno::EEXIST, .. }) if given.is_none() => {}
            Err(Failure { errno: Errno::EEXIST, .. }) => return Err(taken(&path)),
            Err(failure) => return Err(no_room(options, 0, failure)),
        }
    }
}

fn taken(path: &Path) -> Error {
    let owner = Directory::status(path).ok().map(|status| status.owner);
    Error::new(ErrorKind::AlreadyExists { owner })
}

/// Fails early if the name is taken, and takes the name of a segment whose processes were all killed away.
fn make_room(directory: &Directory, name: &SegmentName) -> Result<()> {
    let path = directory.join(name.as_str());
    match Directory::status(&path) {
        Err(Failure { errno: Errno::ENOENT, .. }) => Ok(()),
        Err(failure) => Err(failure.into()),
        Ok(_) => match super::directory::reap_orphan(&path) {
            Ok(Detached::Removed | Detached::NameGone) => Ok(()),
            _ => Err(taken(&path)),
        },
    }
}

fn layout<T: ShmLayout>(options: &SegmentOptions, plan: &Plan<'_>, schema_bytes: usize) -> Result<Header> {
    let element_bytes = size_of::<T>();
    let elements = plan.shape.iter().try_fold(1_usize, |product, &length| product.checked_mul(length));
    let overflow = || {
        let elements = elements.unwrap_or(usize::MAX);
        Error::new(ErrorKind::SizeOverflow { elements, element_size: element_bytes })
    };
    let elements = elements.ok_or_else(overflow)?;
    let data_bytes = elements.checked_mul(element_bytes).ok_or_else(overflow)? as u64;
    if plan.shape.is_empty() || plan.shape.len() > MAX_DIMENSIONS {
        return Err(invalid("a shape has 1 to 8 dimensions"));
    }
    if align_of::<T>() as u64 > PAGE {
        return Err(invalid("a type aligned to more than 4096 bytes has no place in a segment"));
    }
    let schema_bytes = u32::try_from(schema_bytes).unwrap_or(u32::MAX);
    if schema_bytes > MAX_SCHEMA_BYTES {
        return Err(invalid("the type's schema is longer than 65536 bytes of JSON"));
    }

    let mut header = Header::template();
    header.container = plan.container.number();
    header.persist = u8::from(options.persist == Persist::Keep);
    header.schema_offset = HEADER_BYTES as u32;
    header.schema_bytes = schema_bytes;
    header.mutable_offset = (HEADER_BYTES as u64 + u64::from(schema_bytes)).next_multiple_of(REGION_ALIGN);
    header.mutable_bytes = plan.mutable_bytes;
    let align = (align_of::<T>() as u64).max(if data_bytes >= PAGE { PAGE } else { REGION_ALIGN });
    header.data_offset = (header.mutable_offset + u64::from(plan.mutable_bytes)).next_multiple_of(align);
    header.data_bytes = data_bytes;
    let granule = if options.huge_pages { Map::huge_page() as u64 } else { PAGE };
    header.total_bytes = header
        .data_offset
        .checked_add(data_bytes)
        .and_then(|end| end.checked_next_multiple_of(granule))
        .filter(|&total| isize::try_from(total).is_ok())
        .ok_or_else(overflow)?;

    header.fingerprint = T::FINGERPRINT.to_bytes();
    header.element_bytes = element_bytes as u64;
    header.element_align = align_of::<T>() as u32;
    header.dimensions = plan.shape.len() as u32;
    header.capacity = elements as u64;
    for (stored, &length) in header.shape.iter_mut().zip(plan.shape) {
        *stored = length as u64;
    }
    header.creation_id = sys::random();
    header.boot_id = sys::boot_id();
    header.created_ns = sys::realtime_nanoseconds();
    header.creator_start = sys::process_start();
    header.creator_pid = sys::process_id();
    header.creator_uid = sys::effective_user();
    header.set_type_name(T::SCHEMA.type_name().as_ref());
    Ok(header)
}

/// A file that nobody else can reach, marked as attached.
fn new_file(options: &SegmentOptions, name: Option<SegmentName>) -> Result<(File, Status, Place)> {
    if options.unnamed {
        let file = File::in_memory()?;
        let status = file.status()?;
        return Ok((file, status, Place::Unnamed));
    }
    let unnamed = options.directory.create_unnamed().map_err(|failure| no_room(options, 0, failure))?;
    if let Some(file) = unnamed
        && let Some(method) = options.directory.link_method(&file)
    {
        let status = file.status()?;
        let rung = liveness::rung(&file, status.id)?;
        // Nobody can hold a lock on a file without a name.
        rung.lock_life(&file)?;
        return Ok((file, status, Place::Linkable { name, method, rung }));
    }
    for _ in 0..PUBLICATION_ATTEMPTS {
        let path = options.directory.join(&name::temporary());
        let file = Directory::create_named(&path).map_err(|failure| no_room(options, 0, failure))?;
        let hidden = HiddenName(Some(path));
        let status = file.status()?;
        let rung = liveness::rung(&file, status.id)?;
        // Between the creation and this lock a reaper may take the file for an orphan; then another one is made.
        if rung.lock_life(&file)? && file.status()?.links == 1 {
            return Ok((file, status, Place::Hidden { name, hidden, rung }));
        }
    }
    Err(Error::new(ErrorKind::Busy))
}

/// Reserves the space, with huge pages if they are asked for, and maps it.
fn reserve_and_map(options: &SegmentOptions, file: &File, total: u64) -> Result<(Map, u32)> {
    let bytes = usize::try_from(total).map_err(|_| Error::new(ErrorKind::NoAddressSpace { needed: total }))?;
    let reserve = || {
        file.reserve(total).map_err(|refusal| match refusal {
            Refusal::FileSizeLimit { limit } => Error::new(ErrorKind::FileSizeLimit { needed: total, limit }),
            Refusal::NoSpace => no_space(options, total),
            Refusal::Other(failure) => failure.into(),
        })
    };
    let no_address_space = |failure: Failure| match failure.errno {
        Errno::ENOMEM | Errno::EOVERFLOW => Error::new(ErrorKind::NoAddressSpace { needed: total }),
        _ => failure.into(),
    };
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

fn no_space(options: &SegmentOptions, needed: u64) -> Error {
    let available = options.directory.space().map_or(0, |space| space.bytes);
    Error::new(ErrorKind::NoSpace { needed, available })
}

/// Tells a full file system, or one without inodes, from other failures.
fn no_room(options: &SegmentOptions, needed: u64, failure: Failure) -> Error {
    match failure.errno {
        Errno::ENOSPC | Errno::EDQUOT => match options.directory.space() {
            Some(space) if space.inodes == 0 => Error::new(ErrorKind::NoInodes),
            _ => no_space(options, needed),
        },
        _ => failure.into(),
    }
}
