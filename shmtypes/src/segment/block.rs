//! Elements, and beside them a mutable block of a known type, whose place is found once.
#![allow(unsafe_code, reason = "keeps the block's place beside the attachment that keeps it mapped")]

use super::attachment::Attachment;
use super::elements::Kept;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{AccessMode, ReadWrite, ShmLayout, ShmRef};
use core::ops::Deref;

/// The elements of a segment whose mutable block starts with a `B`.
pub(crate) struct WithBlock<T, B, M = ReadWrite> {
    kept: Kept<T, M>,
    // Invariant: aligned for a `B` and mapped as long as `kept` lives, for writing too if `M` is `ReadWrite`; reached by
    // `ShmRef` only.
    block: *mut B,
}

// SAFETY: `block` points into the mapping, which belongs to the process, and is reached by `ShmRef` only, which is `Send`
// and `Sync`.
unsafe impl<T: ShmLayout, B: ShmLayout, M: AccessMode> Send for WithBlock<T, B, M> {}
// SAFETY: as above.
unsafe impl<T: ShmLayout, B: ShmLayout, M: AccessMode> Sync for WithBlock<T, B, M> {}

impl<T, B, M> Clone for WithBlock<T, B, M> {
    fn clone(&self) -> Self {
        // The clone keeps the same attachment, and so the same mapping.
        Self { kept: self.kept.clone(), block: self.block }
    }
}

impl<T: ShmLayout, B: ShmLayout, M: AccessMode> WithBlock<T, B, M> {
    /// The data of `attachment`, whose header must say that it holds elements like `T`.
    pub(crate) fn new(attachment: Attachment) -> Result<Self> {
        let length = attachment.header().mutable_bytes.into();
        let kept = Kept::new(attachment)?;
        let block = match kept.mutable::<B>(0) {
            Some(block) => block.as_ptr(),
            None => return Err(Error::new(ErrorKind::Corrupt { field: "mutable length", value: length })),
        };
        Ok(Self { kept, block })
    }

    /// The mutable block.
    #[inline(always)]
    pub(crate) fn block(&self) -> ShmRef<'_, B, M> {
        // SAFETY: by the invariant for as long as `self` is borrowed. The escape hatch reaches the data only, which start
        // behind the block.
        unsafe { ShmRef::new(self.block, self.kept.participant()) }
    }

    pub(crate) fn into_kept(self) -> Kept<T, M> {
        self.kept
    }
}

impl<T, B, M> Deref for WithBlock<T, B, M> {
    type Target = Kept<T, M>;

    #[inline(always)]
    fn deref(&self) -> &Kept<T, M> {
        &self.kept
    }
}
