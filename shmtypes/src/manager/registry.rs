//! The registry that a manager keeps while it runs.

use crate::error::Result;
use crate::layout::ReadWrite;
use crate::segment::create::{Draft, Plan};
use crate::segment::elements::Kept;
use crate::segment::header::Container;
use crate::segment::options::SegmentOptions;
use crate::segment::registry::{MOST_ENTRIES, RegistryEntry};
use crate::sys::Directory;

/// How many entries the first part has. Each further part has twice as many as the one before, up to the greatest.
const FIRST_PART: usize = 256;
const GREATEST_PART: usize = MOST_ENTRIES;

/// Room that every container has for what may come.
const MUTABLE_BYTES: u32 = 128;

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    part: usize,
    index: usize,
}

/// The entries of this manager, in segments that only it is attached to: one at first, a further one whenever all are full.
/// Nobody else writes them.
#[derive(Debug)]
pub(super) struct Registry {
    directory: Directory,
    /// What the names of the parts start with.
    name: String,
    parts: Vec<Part>,
}

/// What is still owned is for `reap` to find: a part with entries is not detached, and so not removed, before this process
/// has ended.
impl Drop for Registry {
    fn drop(&mut self) {
        for part in self.parts.drain(..) {
            if part.free.len() < part.entries.len() {
                core::mem::forget(part);
            }
        }
    }
}

struct Part {
    entries: Kept<RegistryEntry, ReadWrite>,
    free: Vec<usize>,
}

impl core::fmt::Debug for Part {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Part").field("len", &self.entries.len()).field("free", &self.free.len()).finish()
    }
}

impl Part {
    fn new(directory: &Directory, name: String, len: usize) -> Result<Self> {
        let options = SegmentOptions { name: Some(name), directory: directory.clone(), ..SegmentOptions::default() };
        let plan = Plan {
            container: Container::Registry,
            shape: &[len],
            mutable_bytes: MUTABLE_BYTES,
            slots: 0,
            filled: false,
        };
        let attachment = Draft::new::<RegistryEntry>(&options, &plan)?.publish()?;
        let free = (0..len).rev().collect();
        Ok(Self { entries: Kept::new(attachment)?, free })
    }
}

impl Registry {
    pub(super) fn new(directory: Directory, number: u128) -> Result<Self> {
        let name = name(number);
        let first = Part::new(&directory, part_name(&name, 0), FIRST_PART)?;
        Ok(Self { directory, name, parts: vec![first] })
    }

    /// What the names of its segments start with.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Writes an entry down. When this returns, it survives the manager.
    pub(super) fn add(&mut self, entry: &RegistryEntry) -> Result<Place> {
        let part = match self.parts.iter().position(|part| !part.free.is_empty()) {
            Some(part) => part,
            None => {
                let len = self.parts.last().map_or(FIRST_PART, |part| (part.entries.len() * 2).min(GREATEST_PART));
                let name = part_name(&self.name, self.parts.len());
                self.parts.push(Part::new(&self.directory, name, len)?);
                self.parts.len() - 1
            }
        };
        let place = &mut self.parts[part];
        let index = place.free.pop().unwrap_or_default();
        // The number last: a manager that is killed in between leaves a free entry.
        place.entries.set(index, entry.unset())?;
        place.entries.at(index).inode().set(entry.inode);
        Ok(Place { part, index })
    }

    /// Takes an entry back.
    pub(super) fn remove(&mut self, place: Place) {
        let part = &mut self.parts[place.part];
        part.entries.at(place.index).inode().set(0);
        part.free.push(place.index);
    }

    /// Whether the file of this number is a part of it.
    pub(super) fn is_part(&self, name: &str) -> bool {
        is_part_of(&self.name, name)
    }
}

/// What the names of a manager's registries start with, by a random number.
pub(super) fn name(number: u128) -> String {
    format!("manager_{number:032x}")
}

/// Whether a name is one of a manager's registries.
pub(super) fn is_part_of(registry: &str, name: &str) -> bool {
    name.strip_prefix(registry).is_some_and(|rest| rest.starts_with('-'))
}

/// The name of one of a manager's registries.
pub(super) fn part_name(name: &str, part: usize) -> String {
    format!("{name}-{part}")
}
