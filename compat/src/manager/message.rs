//! Requests and replies: what `managers.dispatch` sends and `Server._handle_request` answers.

use super::object::{self, Copier, Object, Size};
use super::{EncodeError, MAX_REPLY_BYTES, MAX_REPLY_OBJECTS, MAX_REQUEST_BYTES, MAX_REQUEST_OBJECTS};
use crate::pickle::machine::{Id, Result as Step, Value, wrong};
use crate::pickle::write::Writer;
use crate::pickle::{DEFAULT_PROTOCOL, PickleError, PickleErrorKind};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Every Python reads it, and 3.8 to 3.13 write it.
const PROTOCOL: u8 = DEFAULT_PROTOCOL;

const REQUEST: Size = Size { bytes: MAX_REQUEST_BYTES, objects: MAX_REQUEST_OBJECTS };
const REPLY: Size = Size { bytes: MAX_REPLY_BYTES, objects: MAX_REPLY_OBJECTS };

const DUMMY: &str = "dummy";
const TRACK_SEGMENT: &str = "track_segment";
const RELEASE_SEGMENT: &str = "release_segment";
const LIST_SEGMENTS: &str = "list_segments";
const SHUTDOWN: &str = "shutdown";
const NUMBER_OF_OBJECTS: &str = "number_of_objects";
const DEBUG_INFO: &str = "debug_info";

const RETURN: &str = "#RETURN";
const TRACEBACK: &str = "#TRACEBACK";
const UNSERIALIZABLE: &str = "#UNSERIALIZABLE";

/// What a client asks of a manager: the call of a method of CPython's `SharedMemoryServer`.
///
/// On the wire it is the tuple `(None, method, args, kwargs)`. Names are as `SharedMemory.name` gives them, without a slash,
/// and nothing has checked them: a peer wrote them.
///
/// ```
/// use shmtypes_compat::manager::Request;
///
/// let request = Request::TrackSegment("psm_0123abcd".into());
/// assert_eq!(Request::parse(&request.encode()?)?, request);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Request {
    /// Nothing: `connect()` tries the connection with it. Returns None.
    Dummy,
    /// The manager is to own this segment. Returns None.
    TrackSegment(String),
    /// The manager is to unlink this segment and to forget it. Returns None.
    ReleaseSegment(String),
    /// Returns the names of the segments that the manager owns, a list of strings.
    ListSegments,
    /// The manager is to unlink all its segments and to end. Returns None; CPython's server says so twice, and its client
    /// reads one reply.
    Shutdown,
    /// Returns the number of proxied objects, an int.
    NumberOfObjects,
    /// Returns a string for people.
    DebugInfo,
    /// Another method, which a manager that does not know it answers with [`Reply::unrecognized`].
    Other {
        /// Its name.
        method: String,
        /// What it is called with.
        args: Vec<Object>,
    },
}

impl Request {
    /// The name of the method.
    ///
    /// ```
    /// assert_eq!(shmtypes_compat::manager::Request::ListSegments.method(), "list_segments");
    /// ```
    #[must_use]
    pub fn method(&self) -> &str {
        match self {
            Self::Dummy => DUMMY,
            Self::TrackSegment(_) => TRACK_SEGMENT,
            Self::ReleaseSegment(_) => RELEASE_SEGMENT,
            Self::ListSegments => LIST_SEGMENTS,
            Self::Shutdown => SHUTDOWN,
            Self::NumberOfObjects => NUMBER_OF_OBJECTS,
            Self::DebugInfo => DEBUG_INFO,
            Self::Other { method, .. } => method,
        }
    }

    /// The pickle, without a frame: the bytes that CPython 3.8 to 3.13 send.
    ///
    /// # Errors
    ///
    /// When it would be longer or deeper than a manager takes.
    ///
    /// ```
    /// use shmtypes_compat::manager::Request;
    ///
    /// let pickle = Request::Dummy.encode()?;
    /// assert_eq!(pickle, b"\x80\x04\x95\x10\0\0\0\0\0\0\0(N\x8c\x05dummy\x94)}\x94t\x94.");
    /// # Ok::<(), shmtypes_compat::manager::EncodeError>(())
    /// ```
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        match self {
            Self::Other { args, .. } => REQUEST.check(args)?,
            Self::TrackSegment(name) | Self::ReleaseSegment(name) => REQUEST.check_bytes(name.len())?,
            _ => {}
        }
        let mut writer = Writer::new(PROTOCOL);
        writer.tuple(4, |writer| {
            writer.none();
            writer.text(self.method());
            match self {
                Self::Other { args, .. } => object::write_tuple(writer, args),
                Self::TrackSegment(name) | Self::ReleaseSegment(name) => writer.tuple(1, |writer| writer.text(name)),
                _ => writer.empty_tuple(),
            }
            writer.empty_dict();
        });
        let pickle = writer.finish();
        REQUEST.check_bytes(pickle.len())?;
        Ok(pickle)
    }

    /// Reads the pickle of a request, in any protocol.
    ///
    /// # Errors
    ///
    /// Every import, by its name; keyword arguments, of which no Python sends any; another object than `None` in front, which
    /// stands for a proxied object; a method of this enum with other arguments than it has; whatever is beyond the limits.
    ///
    /// ```
    /// use shmtypes_compat::manager::Request;
    ///
    /// // With the fewest instructions that Python takes.
    /// assert_eq!(Request::parse(b"\x80\x02(NX\x05\0\0\0dummy)}t.")?, Request::Dummy);
    /// let error = Request::parse(b"\x80\x02cos\nsystem\n.").unwrap_err();
    /// assert!(error.to_string().contains("it imports \"system\" from \"os\""));
    /// # Ok::<(), shmtypes_compat::pickle::PickleError>(())
    /// ```
    pub fn parse(pickle: &[u8]) -> Result<Self, PickleError> {
        Self::parse_within(pickle, MAX_REQUEST_BYTES)
    }

    pub(super) fn parse_within(pickle: &[u8], bytes: usize) -> Result<Self, PickleError> {
        object::parse(pickle, Size { bytes, ..REQUEST }, Self::from_parts)
    }

    fn from_parts(mut copier: Copier<'_, '_>, parts: &[Id]) -> Step<Self> {
        let machine = copier.machine;
        let [object, method, args, keywords] = *parts else {
            return Err(PickleErrorKind::WrongArguments {
                expected: "the four parts of a request",
                found: parts.len(),
            });
        };
        if *machine.value(object) != Value::None {
            return Err(wrong("None", machine.value(object)));
        }
        if !matches!(machine.value(keywords), Value::Other(object::Part::EmptyDict)) {
            return Err(wrong("an empty dict", machine.value(keywords)));
        }
        let args = machine.tuple_items(args)?;
        let named = |request: fn(String) -> Self, copier: &mut Copier<'_, '_>| match *args {
            [name] => copier.string(name).map(request),
            _ => Err(PickleErrorKind::WrongArguments { expected: "one name", found: args.len() }),
        };
        let plain = |request| match args {
            [] => Ok(request),
            _ => Err(PickleErrorKind::WrongArguments { expected: "no arguments", found: args.len() }),
        };
        match machine.text(method)? {
            DUMMY => plain(Self::Dummy),
            TRACK_SEGMENT => named(Self::TrackSegment, &mut copier),
            RELEASE_SEGMENT => named(Self::ReleaseSegment, &mut copier),
            LIST_SEGMENTS => plain(Self::ListSegments),
            SHUTDOWN => plain(Self::Shutdown),
            NUMBER_OF_OBJECTS => plain(Self::NumberOfObjects),
            DEBUG_INFO => plain(Self::DebugInfo),
            _ => Ok(Self::Other { method: copier.string(method)?, args: copier.objects(args)? }),
        }
    }
}

/// What a manager answers.
///
/// On the wire it is the tuple `(kind, object)`. Python's client makes a `RemoteError` of everything but `#RETURN`.
///
/// ```
/// use shmtypes_compat::manager::Reply;
///
/// let reply = Reply::names(["psm_a", "psm_b"]);
/// assert_eq!(Reply::parse(&reply.encode()?)?, reply);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reply {
    /// `#RETURN`: what the method returned.
    Return(Object),
    /// `#TRACEBACK`: what Python would print of the exception that the method raised, with a newline at the end.
    Traceback(String),
    /// `#UNSERIALIZABLE`: the `repr` of what the method returned. Only proxied objects answer so.
    Unserializable(String),
}

impl Reply {
    /// What a method returns that has nothing to return.
    ///
    /// ```
    /// use shmtypes_compat::manager::{Object, Reply};
    ///
    /// assert_eq!(Reply::none(), Reply::Return(Object::None));
    /// ```
    #[must_use]
    pub fn none() -> Self {
        Self::Return(Object::None)
    }

    /// What [`Request::ListSegments`] returns.
    ///
    /// ```
    /// use shmtypes_compat::manager::{Object, Reply};
    ///
    /// assert_eq!(Reply::names(["psm_a"]), Reply::Return(Object::List(vec![Object::Str("psm_a".into())])));
    /// ```
    #[must_use]
    pub fn names(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::Return(Object::List(names.into_iter().map(|name| Object::Str(name.into())).collect()))
    }

    /// The end of a traceback: the exception, and a newline, with which Python's client needs it to end.
    ///
    /// ```
    /// use shmtypes_compat::manager::Reply;
    ///
    /// assert_eq!(Reply::traceback("ValueError: no"), Reply::Traceback("ValueError: no\n".into()));
    /// ```
    #[must_use]
    pub fn traceback(exception: impl Into<String>) -> Self {
        let mut text = exception.into();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Self::Traceback(text)
    }

    /// What CPython's server says of a method that it does not have.
    ///
    /// ```
    /// use shmtypes_compat::manager::Reply;
    ///
    /// assert_eq!(Reply::unrecognized("fly"), Reply::traceback("AssertionError: 'fly' unrecognized"));
    /// ```
    #[must_use]
    pub fn unrecognized(method: &str) -> Self {
        Self::traceback(format!("AssertionError: {} unrecognized", crate::value::ValueRef::Str(method)))
    }

    /// The pickle, without a frame.
    ///
    /// # Errors
    ///
    /// When it would be longer or deeper than a client takes.
    ///
    /// ```
    /// use shmtypes_compat::manager::Reply;
    ///
    /// let pickle = Reply::none().encode()?;
    /// assert_eq!(pickle, b"\x80\x04\x95\x0e\0\0\0\0\0\0\0\x8c\x07#RETURN\x94N\x86\x94.");
    /// # Ok::<(), shmtypes_compat::manager::EncodeError>(())
    /// ```
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new(PROTOCOL);
        match self {
            Self::Return(object) => REPLY.check([object])?,
            Self::Traceback(text) | Self::Unserializable(text) => REPLY.check_bytes(text.len())?,
        }
        writer.tuple(2, |writer| match self {
            Self::Return(object) => {
                writer.text(RETURN);
                object::write(writer, object);
            }
            Self::Traceback(text) => {
                writer.text(TRACEBACK);
                writer.text(text);
            }
            Self::Unserializable(text) => {
                writer.text(UNSERIALIZABLE);
                writer.text(text);
            }
        });
        let pickle = writer.finish();
        REPLY.check_bytes(pickle.len())?;
        Ok(pickle)
    }

    /// Reads the pickle of a reply, in any protocol.
    ///
    /// # Errors
    ///
    /// Every import, by its name, and so every `#ERROR`, which is an exception object; other kinds of replies; whatever is
    /// beyond the limits.
    ///
    /// ```
    /// use shmtypes_compat::manager::{Object, Reply};
    ///
    /// assert_eq!(Reply::parse(b"\x80\x02X\x07\0\0\0#RETURNK\x07\x86.")?, Reply::Return(Object::Int(7)));
    /// # Ok::<(), shmtypes_compat::pickle::PickleError>(())
    /// ```
    pub fn parse(pickle: &[u8]) -> Result<Self, PickleError> {
        Self::parse_within(pickle, MAX_REPLY_BYTES)
    }

    pub(super) fn parse_within(pickle: &[u8], bytes: usize) -> Result<Self, PickleError> {
        object::parse(pickle, Size { bytes, ..REPLY }, Self::from_parts)
    }

    fn from_parts(mut copier: Copier<'_, '_>, parts: &[Id]) -> Step<Self> {
        let machine = copier.machine;
        let [kind, object] = *parts else {
            return Err(PickleErrorKind::WrongArguments { expected: "the two parts of a reply", found: parts.len() });
        };
        match machine.text(kind)? {
            RETURN => copier.object(object).map(Self::Return),
            TRACEBACK => copier.string(object).map(Self::Traceback),
            UNSERIALIZABLE => copier.string(object).map(Self::Unserializable),
            _ => Err(PickleErrorKind::WrongValue {
                expected: "#RETURN, #TRACEBACK or #UNSERIALIZABLE",
                found: "another string",
            }),
        }
    }
}
