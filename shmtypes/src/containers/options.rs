//! What the options of all containers have in common.

use crate::error::{Error, ErrorKind, Result};
use crate::layout::{Guard, Kind, READERS, Schema, ShmLayout};
use crate::participants::DEFAULT_SLOTS;
use crate::segment::options::{SegmentOptions, invalid};

/// How often [`open_or_create`] may lose a race against processes that create and remove the same name.
const ATTEMPTS: usize = 100;

/// Opens what is there, or creates it.
pub(super) fn open_or_create<H>(open: impl Fn() -> Result<H>, create: impl Fn() -> Result<H>) -> Result<H> {
    let mut lost = Error::new(ErrorKind::Busy);
    for _ in 0..ATTEMPTS {
        match open() {
            Err(error) if *error.kind() == ErrorKind::NotFound => {}
            outcome => return outcome,
        }
        match create() {
            Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists { .. }) => lost = error,
            outcome => return outcome,
        }
    }
    Err(lost)
}

/// How many participant slots a new segment for elements of type `T` gets.
pub(super) fn slots_for<T: ShmLayout>(options: &SegmentOptions) -> Result<u32> {
    let slots = options.slots.unwrap_or(if T::SCHEMA.has_locks() { DEFAULT_SLOTS } else { 0 });
    if slots > READERS as u32 && has_reader_writer_lock(&T::SCHEMA) {
        return Err(invalid(&format!(
            "{slots} participant slots: the type has a `ShmRwLock`, which takes up to {READERS}"
        )));
    }
    Ok(slots)
}

fn has_reader_writer_lock(schema: &Schema) -> bool {
    match schema.kind() {
        Kind::Guarded { guard: Guard::RwLock, .. } => true,
        Kind::Guarded { value: inner, .. } | Kind::Array { element: inner, .. } => has_reader_writer_lock(inner),
        Kind::Struct { fields, .. } => fields.iter().any(|field| has_reader_writer_lock(field.schema)),
        _ => false,
    }
}

/// The methods by which options say things about the segment, for a type with a field `segment`; `of no type` for one
/// whose elements are always the same.
macro_rules! segment_options {
    ($options:ident) => {
        /// What can be said about the segment.
        impl<T: $crate::layout::ShmLayout> $options<T> {
            segment_options!(@methods);

            /// Which other layouts may be opened; [`Evolve::Never`](crate::Evolve::Never) unless given.
            #[must_use]
            pub fn evolve(mut self, evolve: $crate::segment::Evolve) -> Self {
                self.segment.evolve = evolve;
                self
            }
        }
    };
    ($options:ident of no type) => {
        /// What can be said about the segment.
        impl $options {
            segment_options!(@methods);
        }
    };
    (@methods) => {
        /// The name: 1 to 200 of the characters `A-Z a-z 0-9 . _ -`, not starting with a dot. Without one, creating makes
        /// a fresh name.
        #[must_use]
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.segment.name = Some(name.into());
            self
        }

        /// Creates it without a name, to be shared by its descriptor (`as_fd` of the handle,
        /// [`from_fd`](Self::from_fd)). Its size is sealed: no peer can truncate it.
        #[must_use]
        pub fn unnamed(mut self) -> Self {
            self.segment.unnamed = true;
            self
        }

        /// The directory, in place of /dev/shm; best another tmpfs.
        #[must_use]
        pub fn dir(mut self, path: impl Into<std::path::PathBuf>) -> Self {
            self.segment.set_directory(path.into());
            self
        }

        /// The permission bits of a new segment, whatever the umask; 0o600 unless given. The owner must be let read
        /// and write; peers that may only read open it with `open_read_only`, where there is that.
        #[must_use]
        pub fn mode(mut self, mode: u32) -> Self {
            self.segment.mode = mode;
            self
        }

        /// When the name of a new segment goes away;
        /// [`Persist::UntilLastDetach`](crate::Persist::UntilLastDetach) unless given.
        #[must_use]
        pub fn persist(mut self, persist: $crate::segment::Persist) -> Self {
            self.segment.persist = persist;
            self
        }

        /// Whose segments may be opened; [`Trust::Owner`](crate::Trust::Owner) unless given.
        #[must_use]
        pub fn trust(mut self, trust: $crate::segment::Trust) -> Self {
            self.segment.trust = trust;
            self
        }

        /// The size in bytes of the greatest segment to be opened; 2^46 unless given.
        #[must_use]
        pub fn max_bytes(mut self, bytes: u64) -> Self {
            self.segment.max_bytes = bytes;
            self
        }

        /// Fills the page tables when creating or opening, in place of at the first touch of each page.
        #[must_use]
        pub fn prefault(mut self, prefault: bool) -> Self {
            self.segment.prefault = prefault;
            self
        }

        /// Asks for huge pages when creating: the size is rounded up to 2 MiB, and the kernel is asked to put the memory on
        /// huge pages, which works on a plain /dev/shm. Where it refuses, the segment stands on small pages, and
        /// [`inspect`](crate::inspect) says so.
        #[must_use]
        pub fn huge_pages(mut self, huge_pages: bool) -> Self {
            self.segment.huge_pages = huge_pages;
            self
        }

        /// How many attachments that may write a new segment can have at once: 1 to 1023. Unless given, 64 where there are
        /// locks or cells in it, and any number elsewhere. Clones of a handle share one.
        #[must_use]
        pub fn slots(mut self, slots: u32) -> Self {
            self.segment.slots = Some(slots);
            self
        }

        /// How long to wait for a lock of a new segment where no deadline is given; `None` for ever. 30 seconds unless
        /// said. It is recorded in the segment, and the same for all.
        #[must_use]
        pub fn lock_timeout(mut self, timeout: Option<std::time::Duration>) -> Self {
            self.segment.lock_timeout = timeout;
            self
        }
    };
}
pub(super) use segment_options;
