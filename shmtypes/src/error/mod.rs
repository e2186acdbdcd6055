//! What can go wrong, whose fault it is, and what to do about it.

mod text;

use core::fmt;
use shmtypes_compat::list::ListError;
use shmtypes_compat::manager::ConnectionError;
use shmtypes_compat::name::NameError;
use shmtypes_compat::pickle::{PickleError, PickleErrorKind};

/// Anything that goes wrong in this crate.
///
/// Opaque and one pointer wide: [`kind`](Error::kind) has the data, [`fault`](Error::fault) says whose fault it is,
/// [`hint`](Error::hint) what to do. Its `Display` is one line with all three.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    /// The name; empty for a segment that has none.
    segment: Option<String>,
    /// In place of the kind's.
    hint: Option<&'static str>,
    source: Option<std::io::Error>,
    /// Which value of a list it is about, where its kind does not say.
    value: Option<usize>,
}

/// Whose fault an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The call cannot succeed as it was made: a name, an index, a shape, a type.
    Caller,
    /// The segments are in a state that the call does not fit: a name taken or missing, a segment in use.
    State,
    /// Another process left something that is no valid segment or value.
    Peer,
    /// The operating system or its limits.
    System,
}

/// What went wrong, with the data.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The name is not allowed.
    InvalidName {
        /// The name as it was given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The name is none that a block of Python's can have.
    InvalidBlockName(NameError),
    /// The options contradict each other or the call.
    InvalidOptions {
        /// What does not fit.
        reason: String,
    },
    /// An index or range outside the container.
    OutOfRange {
        /// The index, or the end of the range.
        index: usize,
        /// The number of elements.
        len: usize,
    },
    /// Another number of dimensions, or another number of elements, than the container has.
    ShapeMismatch {
        /// What was given.
        given: Vec<usize>,
        /// What the container has.
        expected: Vec<usize>,
    },
    /// The container exists with another capacity than the call asks for.
    CapacityMismatch {
        /// The capacity that was asked for.
        given: usize,
        /// The capacity that the container has.
        found: usize,
    },
    /// The list exists with another number of values than the call gives.
    LengthMismatch {
        /// How many values were given.
        given: usize,
        /// How many values the list has.
        found: usize,
    },
    /// The element count times the element size is more than a program can address.
    SizeOverflow {
        /// The number of elements.
        elements: usize,
        /// The size of one in bytes.
        element_size: usize,
    },
    /// There is no segment of this name.
    NotFound,
    /// The name is taken.
    AlreadyExists {
        /// The user id of the file's owner, if it could be read.
        owner: Option<u32>,
    },
    /// Some process is attached.
    InUse,
    /// Another process was in the way for longer than the deadline: it held the segment's life-cycle lock or locks that keep
    /// participant slots from being taken, or changed what was to be read faster than it could be read.
    Busy,
    /// The deadline of a wait has passed.
    TimedOut {
        /// What has not come about.
        waited_for: &'static str,
    },
    /// All participant slots of the segment are taken: each attachment that may write has one.
    SlotsExhausted {
        /// How many there are.
        slots: u32,
    },
    /// The array is locked: it is opened as another type, whose every access takes its lock.
    NeedsLock,
    /// The array has no lock that every access takes.
    NotLocked,
    /// The last holder of the lock died, and what the lock protects may be half changed.
    OwnerDied,
    /// A holder of the lock died or panicked, and nobody has repaired since what it protects.
    Poisoned,
    /// A live holder kept the lock until the deadline.
    LockTimedOut {
        /// The holder's participant slot.
        slot: u32,
        /// Its process, as its own process id namespace knows it; 0 if unknown.
        pid: u32,
        /// Whether that is this process, by its own word: another thread of it, another handle, or an earlier guard.
        is_own: bool,
    },
    /// A call that does not wait found the lock held.
    LockHeld {
        /// The holder's participant slot.
        slot: u32,
        /// Its process, as its own process id namespace knows it; 0 if unknown.
        pid: u32,
        /// Whether that is this process, by its own word: another thread of it, another handle, or an earlier guard.
        is_own: bool,
    },
    /// A container of fixed capacity has no room for what was to be appended.
    Full {
        /// How many elements it can have.
        capacity: usize,
    },
    /// This thread would wait for itself: it holds already, by the same handle or a clone of it, what only one can hold.
    WouldDeadlock,
    /// An appender has lost its lease: it is a forked child's copy of its parent's, or a peer overwrote the lease.
    LeaseLost,
    /// The segment has no name, or no descriptor, and the call needs one.
    Unnamed,
    /// The file of this name is no segment of this crate.
    NotASegment {
        /// What it is instead.
        found: &'static str,
    },
    /// The file has a second name, which no segment has.
    HardLinked {
        /// The number of names.
        links: u64,
    },
    /// The file belongs to a user who is not trusted.
    Untrusted {
        /// The owner's user id.
        owner: u32,
        /// The user id that would be trusted.
        trusted: u32,
    },
    /// The segment was written on a machine of the other byte order.
    ForeignByteOrder,
    /// The segment has a format that this version of the crate does not know.
    UnknownFormat {
        /// The version in the header.
        found: u16,
        /// The newest version that this crate reads.
        supported: u16,
    },
    /// The segment needs a feature that this version of the crate does not have.
    UnknownFeatures {
        /// The bits that are not known.
        bits: u32,
    },
    /// The header contradicts itself or the file.
    Corrupt {
        /// The field that is wrong.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// The file is shorter than what it holds: when attaching, or later, under the guard of [`sigbus`](crate::sigbus).
    Truncated {
        /// The length that the segment has by its header, or the least length of any segment.
        expected: u64,
        /// The length of the file. Under the guard a guess: where the first page that was found missing starts. The file is
        /// longer if the file system had no memory for that page.
        found: u64,
    },
    /// The segment has holes: reading them could end in SIGBUS on a full file system. This crate makes none.
    Sparse {
        /// The length of the segment.
        bytes: u64,
        /// How many bytes the file system has set aside for it.
        reserved: u64,
    },
    /// The segment is larger than the limit on attaching.
    TooLarge {
        /// The length of the segment.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The segment holds another container.
    WrongContainer {
        /// The container in the segment.
        found: &'static str,
        /// The container that was asked for.
        expected: &'static str,
    },
    /// The segment holds another type.
    LayoutMismatch {
        /// What differs, field by field.
        differences: Vec<String>,
    },
    /// The elements are further apart than the type is long, so there are no slices or blocks of them.
    Strided {
        /// The distance from one element to the next in bytes.
        stride: usize,
        /// The size of this program's type in bytes.
        element_size: usize,
    },
    /// A peer left bytes that are no valid value.
    InvalidValue {
        /// The index of the element, if it is one of many.
        element: Option<usize>,
        /// The field, such as `state` or `legs[2].side`; empty for the value itself.
        path: String,
        /// The bytes found, as a number.
        found: u64,
        /// What should stand there.
        expected: &'static str,
    },
    /// A list cannot be read, changed or made.
    List(ListError),
    /// The value of a list is of another kind than the call needs.
    WrongKind {
        /// The position of the value.
        index: usize,
        /// What it is: `"str"`, `"None"`, …
        found: &'static str,
        /// What it would have to be.
        expected: &'static str,
    },
    /// The bytes are no pickle of a `SharedMemory` or `ShareableList`.
    Pickle(PickleError),
    /// A manager is started by starting this program again, and nothing in it would serve then.
    ManagerNotInitialised,
    /// A manager was to be started, or to serve, and does not.
    ManagerDidNotStart {
        /// Why.
        reason: String,
    },
    /// Nobody answers at the manager's address, or whoever did has gone.
    ManagerUnreachable {
        /// The address.
        address: String,
    },
    /// The manager has another key.
    AuthenticationFailed {
        /// The manager's address.
        address: String,
    },
    /// What came from the manager's address is not what managers say, or is what this program was told to refuse.
    ManagerProtocol(ConnectionError),
    /// The manager refused a request.
    ManagerRefused {
        /// What it said: a Python traceback, or the last line of one.
        traceback: String,
    },
    /// The directory for segments is missing.
    NoDirectory {
        /// Its path.
        path: std::path::PathBuf,
    },
    /// The file system has no room.
    NoSpace {
        /// How many bytes were to be reserved.
        needed: u64,
        /// How many are free; where no file system sets a limit, how much memory the machine has.
        available: u64,
    },
    /// The file system has room, but for no further file.
    NoInodes,
    /// The process may not make files of this size (`RLIMIT_FSIZE`).
    FileSizeLimit {
        /// How many bytes were to be reserved.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// No address space for the mapping (`RLIMIT_AS`, or the process has too many mappings).
    NoAddressSpace {
        /// How many bytes were to be mapped.
        needed: u64,
    },
    /// The process or the system has too many open files.
    TooManyFiles,
    /// The operating system refused.
    PermissionDenied {
        /// What was refused.
        operation: &'static str,
    },
    /// The file system or kernel lacks something that segments need.
    Unsupported {
        /// What it lacks.
        what: &'static str,
    },
    /// Any other failure of a system call.
    Os {
        /// What was tried.
        operation: &'static str,
        /// The error number.
        errno: i32,
    },
}

/// The result of most calls in this crate.
pub type Result<T, E = Error> = core::result::Result<T, E>;

impl Error {
    #[cold]
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self(Box::new(Inner { kind, segment: None, hint: None, source: None, value: None }))
    }

    /// Names the segment that the error is about.
    #[cold]
    pub(crate) fn on(mut self, segment: &str) -> Self {
        if self.0.segment.is_none() && !segment.is_empty() {
            self.0.segment = Some(segment.to_owned());
        }
        self
    }

    /// The same for who knows the segment: an empty name says that it has none.
    #[cold]
    pub(crate) fn in_segment(mut self, name: &str) -> Self {
        self.0.segment.get_or_insert_with(|| name.to_owned());
        self
    }

    /// Says what to do in place of what its kind says.
    #[cold]
    pub(crate) fn with_hint(mut self, hint: &'static str) -> Self {
        self.0.hint = Some(hint);
        self
    }

    #[cold]
    pub(crate) fn caused_by(mut self, source: std::io::Error) -> Self {
        self.0.source = Some(source);
        self
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn out_of_range(index: usize, len: usize) -> Self {
        Self::new(ErrorKind::OutOfRange { index, len })
    }

    /// Says which value of the segment's list the error is about.
    #[cold]
    pub(crate) fn at_value(mut self, index: Option<usize>) -> Self {
        self.0.value = index;
        self
    }

    /// What a forked child is told that would go on with what its parent has locked.
    #[cold]
    pub(crate) fn not_the_child_s() -> Self {
        Self::new(ErrorKind::Unsupported { what: "the use of a parent's guard by its forked child" })
            .with_hint("the lock is the parent's: the child takes it anew, once the parent has let go")
    }

    /// What went wrong, with the data.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The name of the segment that the error is about, if it is about one that has a name.
    #[must_use]
    pub fn segment(&self) -> Option<&str> {
        self.0.segment.as_deref().filter(|name| !name.is_empty())
    }

    /// The position of the value that the error is about, where a call on a whole list fails for one of its values.
    #[must_use]
    pub fn value_index(&self) -> Option<usize> {
        self.0.value
    }

    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        use ErrorKind as K;
        match self.0.kind {
            K::List(ref error) => match error {
                ListError::Truncated { .. }
                | ListError::Corrupt { .. }
                | ListError::UnknownFormat { .. }
                | ListError::NotUtf8 { .. } => Fault::Peer,
                ListError::Busy { .. } | ListError::Unfinished | ListError::NotFound => Fault::State,
                _ => Fault::Caller,
            },
            K::Pickle(_) => Fault::Peer,
            K::ManagerProtocol(_) => Fault::Peer,
            K::ManagerUnreachable { .. } | K::ManagerRefused { .. } => Fault::State,
            K::ManagerNotInitialised
            | K::AuthenticationFailed { .. }
            | K::InvalidName { .. }
            | K::InvalidBlockName(_)
            | K::InvalidOptions { .. }
            | K::OutOfRange { .. }
            | K::ShapeMismatch { .. }
            | K::CapacityMismatch { .. }
            | K::LengthMismatch { .. }
            | K::WouldDeadlock
            | K::SizeOverflow { .. }
            | K::WrongContainer { .. }
            | K::NeedsLock
            | K::NotLocked
            | K::LayoutMismatch { .. }
            | K::Strided { .. }
            | K::WrongKind { .. }
            | K::Unnamed => Fault::Caller,
            K::NotFound
            | K::AlreadyExists { .. }
            | K::InUse
            | K::Busy
            | K::TimedOut { .. }
            | K::SlotsExhausted { .. }
            | K::LockTimedOut { .. }
            | K::LockHeld { .. }
            | K::OwnerDied
            | K::Poisoned
            | K::Full { .. }
            | K::LeaseLost
            | K::TooLarge { .. } => Fault::State,
            K::NotASegment { .. }
            | K::HardLinked { .. }
            | K::Untrusted { .. }
            | K::ForeignByteOrder
            | K::UnknownFormat { .. }
            | K::UnknownFeatures { .. }
            | K::Corrupt { .. }
            | K::Truncated { .. }
            | K::Sparse { .. }
            | K::InvalidValue { .. } => Fault::Peer,
            K::ManagerDidNotStart { .. }
            | K::NoDirectory { .. }
            | K::NoSpace { .. }
            | K::NoInodes
            | K::FileSizeLimit { .. }
            | K::NoAddressSpace { .. }
            | K::TooManyFiles
            | K::PermissionDenied { .. }
            | K::Unsupported { .. }
            | K::Os { .. } => Fault::System,
        }
    }

    /// The exception that Python raises in this case: `"FileNotFoundError"`, `"IndexError"`, … Where Python raises nothing
    /// and loses data instead, as for text that ends in NUL, it is `"ValueError"`, which Python raises for text that does
    /// not fit.
    #[must_use]
    pub fn python_exception(&self) -> &'static str {
        use ErrorKind as K;
        match &self.0.kind {
            K::NotFound => "FileNotFoundError",
            K::AlreadyExists { .. } => "FileExistsError",
            K::PermissionDenied { .. } | K::Untrusted { .. } => "PermissionError",
            K::InvalidBlockName(error) => error.on_attach().class(),
            K::OutOfRange { .. } => "IndexError",
            K::WrongKind { .. } => "TypeError",
            K::List(error) => error.python_exception(),
            K::SizeOverflow { .. } => "OverflowError",
            // What glibc does not open, or the kernel does not map; an empty file Python refuses itself.
            K::NotASegment { found } if *found != "an empty file" => "OSError",
            // Cut between two instructions, and not inside one.
            K::Pickle(error) if *error.kind() == PickleErrorKind::Truncated && error.opcode().is_none() => "EOFError",
            K::Pickle(_) => "pickle.UnpicklingError",
            K::InvalidName { .. }
            | K::InvalidOptions { .. }
            | K::ShapeMismatch { .. }
            | K::CapacityMismatch { .. }
            | K::LengthMismatch { .. }
            | K::LayoutMismatch { .. }
            | K::WrongContainer { .. }
            | K::NeedsLock
            | K::NotLocked
            | K::Strided { .. }
            | K::InvalidValue { .. }
            | K::NotASegment { .. }
            | K::Truncated { .. }
            | K::Corrupt { .. } => "ValueError",
            K::AuthenticationFailed { .. } => "multiprocessing.AuthenticationError",
            K::ManagerRefused { .. } => "multiprocessing.managers.RemoteError",
            K::ManagerUnreachable { .. } => "ConnectionError",
            K::TimedOut { .. } | K::LockTimedOut { .. } => "TimeoutError",
            K::WouldDeadlock => "RuntimeError",
            _ => "OSError",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(segment) = &self.0.segment {
            match segment.as_str() {
                "" => f.write_str("an unnamed segment")?,
                name => write!(f, "{name:?}")?,
            }
            let joined = matches!(self.0.kind, ErrorKind::LayoutMismatch { .. });
            f.write_str(if joined { " " } else { ": " })?;
        }
        if let Some(index) = self.0.value {
            write!(f, "value {index}: ")?;
        }
        write!(f, "{}", self.0.kind)?;
        if let Some(hint) = self.hint() {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

/// The same line as `Display`, because `main` and `unwrap` show this one.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}

impl From<ListError> for Error {
    #[cold]
    fn from(error: ListError) -> Self {
        Self::new(ErrorKind::List(error))
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            ErrorKind::NotFound | ErrorKind::NoDirectory { .. } => Io::NotFound,
            ErrorKind::AlreadyExists { .. } => Io::AlreadyExists,
            ErrorKind::PermissionDenied { .. } | ErrorKind::Untrusted { .. } => Io::PermissionDenied,
            ErrorKind::InvalidName { .. }
            | ErrorKind::InvalidBlockName(_)
            | ErrorKind::InvalidOptions { .. }
            | ErrorKind::OutOfRange { .. }
            | ErrorKind::ShapeMismatch { .. }
            | ErrorKind::CapacityMismatch { .. }
            | ErrorKind::LengthMismatch { .. }
            | ErrorKind::WrongKind { .. }
            | ErrorKind::SizeOverflow { .. } => Io::InvalidInput,
            ErrorKind::List(
                ListError::OutOfRange { .. }
                | ListError::ExceedsStorage { .. }
                | ListError::TrailingNul { .. }
                | ListError::WouldBeCut { .. }
                | ListError::TooLong { .. },
            ) => Io::InvalidInput,
            ErrorKind::List(ListError::Busy { .. } | ListError::Unfinished) => Io::ResourceBusy,
            ErrorKind::NoSpace { .. } | ErrorKind::NoInodes | ErrorKind::Full { .. } => Io::StorageFull,
            ErrorKind::FileSizeLimit { .. } => Io::FileTooLarge,
            ErrorKind::NoAddressSpace { .. } => Io::OutOfMemory,
            ErrorKind::Unsupported { .. } => Io::Unsupported,
            ErrorKind::InUse
            | ErrorKind::Busy
            | ErrorKind::LeaseLost
            | ErrorKind::SlotsExhausted { .. }
            | ErrorKind::LockHeld { .. }
            | ErrorKind::OwnerDied
            | ErrorKind::Poisoned => Io::ResourceBusy,
            ErrorKind::TimedOut { .. } | ErrorKind::LockTimedOut { .. } => Io::TimedOut,
            ErrorKind::WouldDeadlock => Io::Deadlock,
            ErrorKind::Os { errno, .. } => std::io::Error::from_raw_os_error(*errno).kind(),
            _ => Io::InvalidData,
        };
        Self::new(kind, error)
    }
}
