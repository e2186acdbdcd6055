//! Creating a segment: without a name until it is complete.
//!
//! 1. A file without a name (`O_TMPFILE`), its space reserved, mapped.
//! 2. Contents, and then the header with its magic. Of a small file that the caller fills with nothing, both steps are one
//!    call, which writes all of it.
//! 3. The life lock, the creator's slot if there are slots, then the name, which must be free (`linkat`).
//!
//! The name never denotes a segment that is not ready, and a crash before step 3 leaves nothing. Where files cannot be
//! unnamed, the segment is built under a hidden name and renamed; a crash then leaves a file that `reap` removes.
#![allow(unsafe_code, reason = "lends the mapping to the creator's participant")]

use super::attachment::Attachment;
use super::detach::{self, Detached};
use super::file::{self, Naming, NewFile};
use super::header::{
    Container, HEADER_BYTES, Header, MAX_DIMENSIONS, MAX_SCHEMA_BYTES, PAGE, Persist, REGION_ALIGN, extent,
};
use super::name::SegmentName;
use super::options::{SegmentOptions, invalid};
use super::slots::{self, Open};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::ShmLayout;
use crate::sys::{self, Access, Directory, Failure, Map};
use nix::errno::Errno;
use std::path::Path;
use zerocopy::IntoBytes;

/// What a container asks of a new segment.
pub(crate) struct Plan<'a> {
    pub(crate) container: Container,
    pub(crate) shape: &'a [usize],
    /// Room for what changes but the data, in bytes.
    pub(crate) mutable_bytes: u32,
    /// How many participant slots it has; 0 for none.
    pub(crate) slots: u32,
    /// Whether the caller's values go in before it has its name.
    pub(crate) filled: bool,
}

/// A segment without its name: nobody else can reach it.
#[derive(Debug)]
pub(crate) struct Draft<'o> {
    map: Map,
    header: Box<Header>,
    /// Whether the file has this header already.
    written: bool,
    schema: String,
    file: NewFile,
    name: Option<SegmentName>,
    options: &'o SegmentOptions,
}

impl<'o> Draft<'o> {
    /// A new segment for elements of type `T`, all of whose data bytes are zero.
    pub(crate) fn new<T: ShmLayout>(options: &'o SegmentOptions, plan: &Plan<'_>) -> Result<Self> {
        let name = options.given_name()?;
        Self::build::<T>(options, plan, name).map_err(|error| error.on(options.name.as_deref().unwrap_or_default()))
    }

    fn build<T: ShmLayout>(options: &'o SegmentOptions, plan: &Plan<'_>, name: Option<SegmentName>) -> Result<Self> {
        options.check_mode()?;
        options.check_slots()?;
        let schema = T::SCHEMA.to_json();
        let mut header = layout::<T>(options, plan, schema.len())?;
        detach::retry_deferred(None);
        // Before anything is filled in vain. Without that, a small segment finds out when it takes its name, which costs
        // nothing extra.
        let look_first = plan.filled || header.total_bytes >= LOOK_FIRST;
        if look_first && let Some(name) = &name {
            make_room(&options.directory, name)?;
        }
        let mut reserve = || {
            let file = NewFile::create(options, header.total_bytes)?;
            if plan.slots > 0 {
                slots::check_rung(file.rung()?)?;
            }
            header.creator_uid = file.owner();
            if !plan.filled && file.may_be_written_whole(options) {
                let map = file.write_whole_and_map(options, [header.as_bytes(), schema.as_bytes()])?;
                return Ok((file, map, true));
            }
            let (map, granted) = file.reserve_and_map(options)?;
            header.optional_features = granted;
            Ok::<_, Error>((file, map, false))
        };
        let (file, map, written) = match (reserve(), &name) {
            // The space may be taken by a segment of that name, whose processes were all killed.
            (Err(full), Some(name))
                if !look_first && matches!(full.kind(), ErrorKind::NoSpace { .. } | ErrorKind::NoInodes) =>
            {
                if !make_room(&options.directory, name)? {
                    return Err(full);
                }
                reserve()?
            }
            (reserved, _) => reserved?,
        };
        if options.prefault {
            map.populate(Access::ReadWrite)?;
        }
        Ok(Self { map, header, written, schema, file, name, options })
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Sets the numbers whose meaning the container defines.
    pub(crate) fn set_parameters(&mut self, parameters: [u64; 8]) {
        self.header.parameters = parameters;
        self.written = false;
    }

    /// See [`Header::set_locked`].
    pub(crate) fn set_locked(&mut self) {
        self.header.set_locked();
        self.written = false;
    }

    pub(crate) fn map_mut(&mut self) -> &mut Map {
        &mut self.map
    }

    /// Whether nobody else can have reached the file: it has never had a name.
    pub(crate) fn is_private(&self) -> bool {
        self.file.is_private()
    }

    /// Completes the segment and gives it its name.
    pub(crate) fn publish(self) -> Result<Attachment> {
        let Self { map, header, written, schema, file, name, options } = self;
        let id = file.id();
        let publish = || {
            if !written {
                // By a call, which is cheaper than the fault of a page that the mapping has not touched yet.
                file.write_front(&[header.as_bytes(), schema.as_bytes()].concat())?;
            }
            let (file, unpublished) = file.complete(options)?;
            // Before it has its name: whoever finds it there finds its creator in a slot, and if there is none to be had,
            // there is no name.
            // SAFETY: the mapping is for writing and has the header's length; the attachment below keeps it longer.
            let open = unsafe { Open::new(file, id, &map, &header, Access::ReadWrite) }?;
            let location = unpublished.publish(open.file(), options, name, NAMING)?;
            Ok((open, location))
        };
        let (open, location) =
            publish().map_err(|error: Error| error.on(options.name.as_deref().unwrap_or_default()))?;
        Ok(Attachment::new(map, header, id, location, Some(open), Access::ReadWrite))
    }
}

const NAMING: Naming = Naming { fresh: SegmentName::fresh, vacate: is_orphan_removed };

/// From this size on, a taken name is found before the space is reserved.
const LOOK_FIRST: u64 = 64 << 10;

/// Fails if the name is taken. Whether there was a segment of that name whose processes were all killed, which is gone.
fn make_room(directory: &Directory, name: &SegmentName) -> Result<bool> {
    let path = directory.join(name.as_str());
    match Directory::status(&path) {
        Err(Failure { errno: Errno::ENOENT, .. }) => Ok(false),
        Err(failure) => Err(super::directory::no_directory(directory, failure)),
        Ok(_) if is_orphan_removed(directory, &path) => Ok(true),
        Ok(_) => Err(file::taken(&path)),
    }
}

/// Whether the name is free now that was taken by a segment whose processes were all killed.
fn is_orphan_removed(directory: &Directory, path: &Path) -> bool {
    matches!(super::directory::reap_orphan(directory, path), Ok(Detached::Removed | Detached::NameGone))
}

/// How long the file of such a segment would be.
pub(crate) fn file_bytes<T: ShmLayout>(options: &SegmentOptions, plan: &Plan<'_>) -> Result<u64> {
    Ok(layout::<T>(options, plan, T::SCHEMA.to_json().len())?.total_bytes)
}

fn layout<T: ShmLayout>(options: &SegmentOptions, plan: &Plan<'_>, schema_bytes: usize) -> Result<Box<Header>> {
    let element_bytes = size_of::<T>();
    let elements = plan.shape.iter().try_fold(1_usize, |product, &length| product.checked_mul(length));
    let overflow = || {
        let elements = elements.unwrap_or(usize::MAX);
        Error::new(ErrorKind::SizeOverflow { elements, element_size: element_bytes })
    };
    let elements = elements.ok_or_else(overflow)?;
    extent(plan.shape.iter().map(|&length| length as u64), element_bytes as u64).ok_or_else(overflow)?;
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
    if plan.slots > 0 {
        header.add_slots(plan.slots, options.lock_timeout);
    }
    let align = (align_of::<T>() as u64).max(if data_bytes >= PAGE { PAGE } else { REGION_ALIGN });
    header.data_offset = (header.mutable_offset + u64::from(header.mutable_bytes)).next_multiple_of(align);
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
    header.boot_id = sys::boot_id();
    header.created_ns = sys::realtime_nanoseconds();
    header.creator_pid = sys::process_id();
    header.creator_start = sys::process_start(header.creator_pid);
    header.creation_id = sys::unique(header.creator_pid, header.created_ns)?;
    header.set_type_name(T::SCHEMA.type_name().as_ref());
    Ok(header)
}
