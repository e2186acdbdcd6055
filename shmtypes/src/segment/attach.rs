//! Attaching to a segment: every check before the first mapped byte.
//!
//! 1. Open, without following links, without waiting, and never creating. That is harmless for all but device nodes,
//!    which only a privileged user can put there.
//! 2. The header, read once with `pread` into private memory and checked there. All later bounds come from this copy.
//!    Nothing in it changes after publication, so that it may be read before the lock is held; who means another type,
//!    trusts somebody else or wants no segment of that size is never seen as attached.
//! 3. The life lock. If a remover holds it, or has just taken the name away, start again.
//! 4. What was opened: regular, one name, a trusted owner, a length that is that of the header, space reserved. One
//!    question for all that, because each system call costs a twentieth of an attachment.
//! 5. Map, take a slot if the segment has some and this attachment may write, else close the descriptor.
#![allow(unsafe_code, reason = "lends the mapping to the participant")]

use super::attachment::{Attachment, Location};
use super::header::{self, FRONT_BYTES, HEADER_BYTES, HUGE_PAGES_GRANTED, Header};
use super::liveness::{self, Rung};
use super::name::SegmentName;
use super::options::SegmentOptions;
use super::slots::{self, Open};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::{Access, Directory, File, Lock, LockBytes, Status};
use nix::errno::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a remover may keep attachers out. It needs a few system calls, but may be stopped.
const REMOVER_PATIENCE: Duration = Duration::from_millis(200);

/// How much is read at first: the header, and the schema of all but large types.
const FIRST_READ: usize = 1024;

/// What a container checks before anything is mapped: the private copies of the header and the schema.
pub(crate) type Check<'a> = &'a dyn Fn(&Header, &[u8]) -> Result<()>;

/// Attaches to the segment of the name in `options`.
pub(crate) fn attach(options: &SegmentOptions, access: Access, check: Check<'_>) -> Result<Attachment> {
    let name = options.required_name()?;
    attach_named(options, name, access, check).map_err(|error| error.on(options.name.as_deref().unwrap_or_default()))
}

fn attach_named(options: &SegmentOptions, name: SegmentName, access: Access, check: Check<'_>) -> Result<Attachment> {
    let path = options.directory.join(name.as_str());
    let trusted = options.trusted();
    let mut start = None;
    let mut pause = Duration::from_micros(20);
    loop {
        let file = open(&options.directory, &path, access)?;
        match read_claims(&file, check) {
            Ok(header) => {
                if options.may_refuse(&header, trusted) {
                    check_file(options, &file, &file.status()?, check)?;
                }
                if let Some((status, rung)) = enter(&file)? {
                    check_status(options, &status, trusted)?;
                    check_header(options, &status, &header)?;
                    let location = Location { name, path, rung, created_here: false };
                    return map(options, file, &status, header, Some(location), access);
                }
            }
            // What is wrong is told in the order that users expect: a file's kind and owner before its contents.
            Err(_) => drop(check_file(options, &file, &file.status()?, check)?),
        }
        if start.get_or_insert_with(Instant::now).elapsed() > REMOVER_PATIENCE {
            check_file(options, &file, &file.status()?, check)?;
            return Err(Error::new(ErrorKind::Busy));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(2));
    }
}

/// Step 3. `None` if the file's name is being removed, or gone.
pub(super) fn enter(file: &File) -> Result<Option<(Status, Rung)>> {
    // Before it is known whether the file system has such locks, because most do, and the answer to both questions must
    // come after the lock.
    let locked = file.lock(LockBytes::LIFE, Lock::Shared);
    if let Ok(false) = locked {
        return Ok(None);
    }
    let mut status = file.status()?;
    check_kind(&status)?;
    let rung = liveness::rung(file, &status)?;
    if rung == Rung::WholeFile {
        if !rung.lock_life(file)? {
            return Ok(None);
        }
        status = file.status()?;
    } else {
        locked?;
    }
    Ok((status.links > 0).then_some((status, rung)))
}

/// Step 1. What cannot be opened because of its kind is told by it.
pub(crate) fn open(directory: &Directory, path: &Path, access: Access) -> Result<File> {
    Directory::open(path, access).map_err(|failure| {
        if failure.errno != Errno::ENOENT
            && let Ok(Status { irregular: Some(found), .. }) = Directory::status(path)
        {
            return Error::new(ErrorKind::NotASegment { found });
        }
        super::directory::no_directory(directory, failure)
    })
}

pub(crate) fn check_kind(status: &Status) -> Result<()> {
    match status.irregular {
        None => Ok(()),
        Some(found) => Err(Error::new(ErrorKind::NotASegment { found })),
    }
}

/// Refuses files that nobody may come to as mere bytes. Before they are mapped; what a file is does not change while it has a name.
pub(crate) fn check_open_to_all(file: &File) -> Result<()> {
    let mut front = [0; FRONT_BYTES];
    file.read_at(&mut front, 0)?;
    header::check_open_to_all(&front).map_err(Error::new)
}

/// Attaches to the segment behind a descriptor.
pub(crate) fn attach_descriptor(options: &SegmentOptions, descriptor: OwnedFd, check: Check<'_>) -> Result<Attachment> {
    let file = File::from(descriptor);
    let status = file.status()?;
    check_kind(&status)?;
    if !file.is_writable()? {
        return Err(Error::new(ErrorKind::PermissionDenied { operation: "write through a read-only descriptor" }));
    }
    // Whoever serves another file system could answer a page fault late, or never.
    if !file.file_system()?.is_memory() {
        return Err(Error::new(ErrorKind::Unsupported { what: "descriptors of files that are not in memory" }));
    }
    let header = check_file(options, &file, &status, check)?;
    if status.links == 0 && !file.is_size_sealed()? {
        return Err(Error::new(ErrorKind::NotASegment { found: "a file whose sender can still truncate it" }));
    }
    if status.links > 0 {
        // A named segment: its name lives as long as this attachment, but is not for this process to remove.
        let rung = liveness::rung(&file, &status)?;
        if !rung.lock_life(&file)? {
            return Err(Error::new(ErrorKind::Busy));
        }
    }
    map(options, file, &status, header, None, Access::ReadWrite)
}

/// Steps 2 and 4 for a file whose status is known.
fn check_file(options: &SegmentOptions, file: &File, status: &Status, check: Check<'_>) -> Result<Box<Header>> {
    check_status(options, status, options.trusted())?;
    let header = read_header(file, status, check)?;
    check_header(options, status, &header)?;
    Ok(header)
}

fn check_status(options: &SegmentOptions, status: &Status, trusted: Option<u32>) -> Result<()> {
    check_kind(status)?;
    if status.links > 1 {
        return Err(Error::new(ErrorKind::HardLinked { links: status.links }));
    }
    options.check_owner(status.owner, trusted)
}

fn check_header(options: &SegmentOptions, status: &Status, header: &Header) -> Result<()> {
    header.check_length(status.bytes).map_err(Error::new)?;
    if header.total_bytes > options.max_bytes {
        return Err(Error::new(ErrorKind::TooLarge { bytes: header.total_bytes, limit: options.max_bytes }));
    }
    if status.reserved < header.total_bytes {
        return Err(Error::new(ErrorKind::Sparse { bytes: header.total_bytes, reserved: status.reserved }));
    }
    Ok(())
}

/// Step 5.
fn map(
    options: &SegmentOptions,
    file: File,
    status: &Status,
    header: Box<Header>,
    location: Option<Location>,
    access: Access,
) -> Result<Attachment> {
    let needs_slot = slots::needs_slot(&header, access);
    if needs_slot {
        slots::check_file(&file, status, location.as_ref())?;
    }
    let no_address_space = || Error::new(ErrorKind::NoAddressSpace { needed: header.total_bytes });
    let bytes = usize::try_from(header.total_bytes).map_err(|_| no_address_space())?;
    let map = if header.optional_features & HUGE_PAGES_GRANTED == 0 {
        file.map(bytes, access)
    } else {
        file.map_aligned(bytes, access)
    };
    let map = map.map_err(|failure| match failure.errno {
        Errno::ENOMEM | Errno::EOVERFLOW => no_address_space(),
        _ => failure.into(),
    })?;
    if options.prefault {
        map.populate(access)?;
    }
    let in_company = needs_slot && file.locked(LockBytes::LIFE)?.is_some();
    // SAFETY: the mapping has the header's length and this access; the attachment keeps it longer.
    match unsafe { Open::new(file, status.id, &map, &header, access) } {
        Ok(open) => Ok(Attachment::new(map, header, status.id, location, Some(open), access)),
        Err(error) => {
            // The last one of the others may have left meanwhile, and have left the name to this one: detach as any attachment.
            // But what nobody was attached to before is left as it was found.
            if in_company {
                drop(Attachment::new(map, header, status.id, location, None, access));
            }
            Err(error)
        }
    }
}

/// Reads the header and the schema into private memory and checks both.
pub(crate) fn read_header(file: &File, status: &Status, check: Check<'_>) -> Result<Box<Header>> {
    read(file, check, |bytes| Header::parse(bytes, status.bytes))
}

/// The same for a file of unknown length.
fn read_claims(file: &File, check: Check<'_>) -> Result<Box<Header>> {
    read(file, check, Header::parse_claims)
}

fn read(file: &File, check: Check<'_>, parse: impl Fn(&[u8]) -> Result<Box<Header>, ErrorKind>) -> Result<Box<Header>> {
    let mut first = [0; FIRST_READ];
    let filled = file.read_at(&mut first, 0)?;
    let header = parse(&first[..filled.min(HEADER_BYTES)]).map_err(Error::new)?;
    let (offset, bytes) = header.schema_range();
    let end = offset + bytes;
    if end <= filled as u64 {
        check(&header, &first[offset as usize..end as usize])?;
    } else {
        let mut schema = vec![0; bytes as usize];
        let filled = file.read_at(&mut schema, offset)?;
        if filled < schema.len() {
            return Err(Error::new(ErrorKind::Truncated { expected: end, found: offset + filled as u64 }));
        }
        check(&header, &schema)?;
    }
    Ok(header)
}
