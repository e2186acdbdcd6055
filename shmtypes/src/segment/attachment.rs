//! One attachment of this process to one segment.

use super::detach::{self, Detached};
use super::header::{Header, MAX_DIMENSIONS};
use super::liveness::Rung;
use super::name::SegmentName;
use super::slots::Open;
use crate::error::Result;
use crate::participants::Participant;
use crate::sys::{Access, FileId, Map};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a segment's name stands.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    pub(crate) name: SegmentName,
    pub(crate) path: PathBuf,
    pub(crate) rung: Rung,
    /// Whether this attachment gave the segment its name.
    pub(crate) created_here: bool,
}

/// A mapped segment. Dropping it detaches: the last one out removes the name of an `UntilLastDetach` segment.
#[derive(Debug)]
pub(crate) struct Attachment {
    /// `None` once detached.
    mapped: Option<Mapped>,
    /// The private copy of the header, from which all bounds come.
    header: Box<Header>,
    /// The header's shape, as Rust counts.
    shape: [usize; MAX_DIMENSIONS],
    id: FileId,
    location: Option<Location>,
    access: Access,
}

#[derive(Debug)]
struct Mapped {
    // Dropped in this order: a participant uses the mapping.
    open: Option<Open>,
    map: Map,
}

impl Attachment {
    /// `open` is the file, unless it is closed already.
    pub(super) fn new(
        map: Map,
        header: Box<Header>,
        id: FileId,
        location: Option<Location>,
        open: Option<Open>,
        access: Access,
    ) -> Self {
        // No truncation: the product of those that are not 0 is an `isize` (`Header::check_geometry`).
        let shape = header.shape.map(|length| length as usize);
        let mut open = open.and_then(|open| open.kept(location.as_ref()));
        if let (Some(Open::Participant(participant)), Some(location)) = (&mut open, &location) {
            participant.set_segment(location.name.as_str());
        }
        Self { mapped: Some(Mapped { open, map }), header, shape, id, location, access }
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The lengths of the dimensions.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape[..self.header.shape().len()]
    }

    /// The mapping, which starts with the header.
    pub(crate) fn map(&self) -> Option<&Map> {
        self.mapped.as_ref().map(|mapped| &mapped.map)
    }

    pub(crate) fn access(&self) -> Access {
        self.access
    }

    /// The name, or the empty text.
    pub(crate) fn name(&self) -> &str {
        self.location.as_ref().map_or("", |location| location.name.as_str())
    }

    /// The descriptor of an unnamed segment.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self.location {
            Some(_) => None,
            None => self.mapped.as_ref()?.open.as_ref().map(|open| open.file().descriptor()),
        }
    }

    /// Its part in the segment's locks, if the segment has slots and the attachment may write.
    #[inline(always)]
    pub(crate) fn participant(&self) -> Option<&Participant> {
        match &self.mapped.as_ref()?.open {
            Some(Open::Participant(participant)) => Some(participant),
            _ => None,
        }
    }

    /// Ends this process's attachment, if this is its last handle, and says what became of the segment.
    pub(crate) fn close(attachment: Arc<Self>) -> Result<Detached> {
        // Of several threads that close their handles at once, exactly one gets the attachment.
        match Arc::into_inner(attachment) {
            Some(mut attachment) => attachment.detach(true),
            None => Ok(Detached::StillInUse),
        }
    }

    fn detach(&mut self, wanted: bool) -> Result<Detached> {
        let Some(mapped) = self.mapped.take() else { return Ok(Detached::StillInUse) };
        // Frees the slot, closes and unmaps: the life lock ends before the question whether anybody else holds one.
        drop(mapped);
        match self.location.take() {
            Some(location) => detach::leave(&self.header, self.id, location, wanted),
            None => Ok(Detached::Unnamed),
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // There is nobody to tell. A name that stays is remembered, or found by `reap`.
        let _ = self.detach(false);
    }
}
