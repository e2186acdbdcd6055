//! Keeping a segment alive without looking into it: the life lock, and nothing else.

use super::attach::enter;
use super::header::{Container, Header, MAGIC};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::{Access, Directory, File, FileId, Map};
use core::mem::offset_of;
use nix::errno::Errno;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a remover may keep others out, as in `attach`.
const REMOVER_PATIENCE: Duration = Duration::from_millis(200);

/// What stands under a name, and what keeps it there.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) id: FileId,
    /// The user id of the file's owner.
    pub(crate) owner: u32,
    /// `None` for a block, which has no life lock: it stays until somebody removes it.
    kept: Option<Kept>,
}

/// What the life lock lives by.
#[derive(Debug)]
#[expect(dead_code, reason = "held for its drop, which ends the life lock")]
enum Kept {
    Mapping(Map),
    Descriptor(File),
}

impl Hold {
    /// Holds what stands under the name: a segment counts this as an attachment, of whatever type it is.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::NotASegment`] for what is no regular file; [`ErrorKind::Busy`] while
    /// somebody removes it.
    pub(crate) fn new(directory: &Directory, path: &Path) -> Result<Self> {
        let mut start = None;
        loop {
            let file = super::attach::open(directory, path, Access::ReadOnly)?;
            let mut magic = [0; MAGIC.len()];
            let status = file.status()?;
            super::attach::check_kind(&status)?;
            if file.read_at(&mut magic, 0)? < MAGIC.len() || magic != MAGIC {
                return Ok(Self { id: status.id, owner: status.owner, kept: None });
            }
            let mut container = [0; 4];
            file.read_at(&mut container, offset_of!(Header, container) as u64)?;
            if Container::from_number(u32::from_ne_bytes(container)) == Container::Registry {
                let operation = "take over a manager's registry";
                return Err(Error::new(ErrorKind::PermissionDenied { operation }));
            }
            if let Some((status, rung)) = enter(&file)? {
                let kept = if rung.keeps_descriptor() {
                    Kept::Descriptor(file)
                } else {
                    Kept::Mapping(file.map(1, Access::ReadOnly).map_err(|failure| match failure.errno {
                        Errno::ENOMEM => Error::new(ErrorKind::NoAddressSpace { needed: 1 }),
                        _ => failure.into(),
                    })?)
                };
                return Ok(Self { id: status.id, owner: status.owner, kept: Some(kept) });
            }
            if start.get_or_insert_with(Instant::now).elapsed() > REMOVER_PATIENCE {
                return Err(Error::new(ErrorKind::Busy));
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Whether it is a segment, which this keeps from ending with its last process.
    pub(crate) fn is_segment(&self) -> bool {
        self.kept.is_some()
    }
}
