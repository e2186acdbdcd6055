//! The objects of messages: out of pickles, and into them.

use super::{EncodeError, MAX_DEPTH};
use crate::pickle::machine::{Id, Kind, Limits, Machine, Result, Value, run, wrong};
use crate::pickle::write::Writer;
use crate::pickle::{PickleError, PickleErrorKind, Subject, op};
use alloc::string::String;
use alloc::vec::Vec;

/// A Python object, of the few kinds that a message can have.
///
/// ```
/// use shmtypes_compat::manager::{Object, Reply};
///
/// let reply = Reply::parse(b"\x80\x04\x8c\x07#RETURN]\x8c\x05psm_aa\x86.")?;
/// assert_eq!(reply, Reply::Return(Object::List(vec![Object::Str("psm_a".into())])));
/// # Ok::<(), shmtypes_compat::pickle::PickleError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Object {
    /// `None`.
    None,
    /// A `bool`.
    Bool(bool),
    /// An `int` of 64 bits.
    Int(i64),
    /// A `str`.
    Str(String),
    /// A `bytes`.
    Bytes(Vec<u8>),
    /// A `list`.
    List(Vec<Object>),
    /// A `tuple`.
    Tuple(Vec<Object>),
}

impl Object {
    /// The strings of a list of strings, such as `list_segments` returns. Nothing has checked them.
    ///
    /// ```
    /// use shmtypes_compat::manager::Object;
    ///
    /// assert_eq!(Object::List(vec![Object::Str("psm_a".into())]).into_names(), Some(vec!["psm_a".to_owned()]));
    /// assert_eq!(Object::List(vec![Object::None]).into_names(), None);
    /// ```
    #[must_use]
    pub fn into_names(self) -> Option<Vec<String>> {
        let Self::List(items) = self else { return None };
        let name = |item| match item {
            Self::Str(name) => Some(name),
            _ => None,
        };
        items.into_iter().map(name).collect()
    }
}

/// How much a message may be.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) bytes: usize,
    pub(super) objects: usize,
}

impl Size {
    /// Refuses what the other side would refuse.
    pub(super) fn check<'a>(
        self,
        objects: impl IntoIterator<Item = &'a Object>,
    ) -> core::result::Result<(), EncodeError> {
        let mut found = Found { objects: 0, text: 0 };
        objects.into_iter().try_for_each(|object| self.check_one(object, 0, &mut found))
    }

    fn check_one(self, object: &Object, depth: usize, found: &mut Found) -> core::result::Result<(), EncodeError> {
        found.objects += 1;
        if found.objects > self.objects {
            return Err(EncodeError::TooMany { limit: self.objects });
        }
        match object {
            Object::None | Object::Bool(_) | Object::Int(_) => Ok(()),
            Object::Str(text) => self.check_text(text.len(), found),
            Object::Bytes(bytes) => self.check_text(bytes.len(), found),
            Object::List(items) | Object::Tuple(items) => {
                if depth >= MAX_DEPTH {
                    return Err(EncodeError::TooDeep { limit: MAX_DEPTH });
                }
                items.iter().try_for_each(|item| self.check_one(item, depth + 1, found))
            }
        }
    }

    fn check_text(self, bytes: usize, found: &mut Found) -> core::result::Result<(), EncodeError> {
        found.text = found.text.saturating_add(bytes);
        self.check_bytes(found.text)
    }

    pub(super) fn check_bytes(self, bytes: usize) -> core::result::Result<(), EncodeError> {
        if bytes > self.bytes { Err(EncodeError::TooLong { bytes, limit: self.bytes }) } else { Ok(()) }
    }
}

struct Found {
    objects: usize,
    text: usize,
}

/// Writes an object that was checked.
pub(super) fn write(writer: &mut Writer, object: &Object) {
    match object {
        Object::None => writer.none(),
        Object::Bool(value) => writer.bool(*value),
        Object::Int(value) => writer.int(*value),
        Object::Str(text) => writer.text(text),
        Object::Bytes(bytes) => writer.byte_string(bytes),
        Object::List(items) => writer.list(items, write),
        Object::Tuple(items) => write_tuple(writer, items),
    }
}

pub(super) fn write_tuple(writer: &mut Writer, items: &[Object]) {
    if items.is_empty() {
        return writer.empty_tuple();
    }
    writer.tuple(items.len(), |writer| items.iter().for_each(|item| write(writer, item)));
}

/// The parts around the objects: the tuple of the message, its kind or method, its arguments and keywords.
const ENVELOPE: usize = 8;

/// Runs the pickle of a message, a tuple, of whose parts `message` makes what it stands for.
pub(super) fn parse<'a, T>(
    pickle: &'a [u8],
    size: Size,
    message: impl FnOnce(Copier<'_, 'a>, &[Id]) -> Result<T>,
) -> core::result::Result<T, PickleError> {
    let values = size.objects + ENVELOPE;
    // Each value can have a mark.
    let limits = Limits { bytes: size.bytes, string: size.bytes, stack: 2 * values, memo: values, values };
    run(pickle, limits, |machine, result| {
        let parts = machine.tuple_items(result)?;
        message(Copier { machine, size, objects: 0, text: 0 }, parts)
    })
}

/// What messages have and handles have not.
#[derive(PartialEq)]
pub(super) enum Part<'a> {
    Bytes(&'a [u8]),
    List(Vec<Id>),
    /// Keywords, of which no request has any.
    EmptyDict,
}

impl<'a> Kind<'a> for Part<'a> {
    const SUBJECT: Subject = Subject::Message;

    fn step(machine: &mut Machine<'a, Self>, opcode: u8) -> Result<()> {
        match opcode {
            op::EMPTY_DICT => machine.push(Value::Other(Part::EmptyDict)),
            op::EMPTY_LIST => machine.push(Value::Other(Part::List(Vec::new()))),
            op::APPEND => {
                let items = machine.pop(1)?;
                machine.append(items)
            }
            op::APPENDS => {
                let items = machine.pop_mark()?;
                machine.append(items)
            }
            op::SHORT_BINBYTES | op::BINBYTES | op::BINBYTES8 => {
                let bytes = machine.sized_bytes(opcode)?;
                machine.push(Value::Other(Part::Bytes(bytes)))
            }
            _ => Err(PickleErrorKind::UnknownOpcode),
        }
    }

    fn import(module: &str, name: &str) -> Result<Self> {
        Err(PickleErrorKind::UnknownGlobal { module: module.into(), name: name.into() })
    }

    fn describe(&self) -> &'static str {
        match self {
            Part::Bytes(_) => "bytes",
            Part::List(_) => "a list",
            Part::EmptyDict => "an empty dict",
        }
    }
}

impl<'a> Machine<'a, Part<'a>> {
    fn append(&mut self, items: Vec<Id>) -> Result<()> {
        let target = self.top()?;
        match self.value_mut(target) {
            Some(Value::Other(Part::List(list))) => list.extend(items),
            _ => return Err(wrong("a list", self.value(target))),
        }
        Ok(())
    }
}

/// Makes objects of a message's values. A value that the pickle uses again is copied, so the sum of all copies is limited.
pub(super) struct Copier<'m, 'a> {
    pub(super) machine: &'m Machine<'a, Part<'a>>,
    size: Size,
    objects: usize,
    text: usize,
}

impl Copier<'_, '_> {
    pub(super) fn object(&mut self, id: Id) -> Result<Object> {
        self.nested(id, 0)
    }

    pub(super) fn objects(&mut self, ids: &[Id]) -> Result<Vec<Object>> {
        self.all(ids, 0)
    }

    pub(super) fn string(&mut self, id: Id) -> Result<String> {
        let text = self.machine.text(id)?;
        self.take(text.len())?;
        Ok(text.into())
    }

    fn all(&mut self, ids: &[Id], depth: usize) -> Result<Vec<Object>> {
        // Not with a capacity: a list may be used again many times, and the sum is found out on the way.
        let mut objects = Vec::new();
        for id in ids {
            objects.push(self.nested(*id, depth)?);
        }
        Ok(objects)
    }

    fn nested(&mut self, id: Id, depth: usize) -> Result<Object> {
        self.objects += 1;
        if self.objects > self.size.objects {
            return Err(PickleErrorKind::TooManyValues { limit: self.size.objects });
        }
        let machine = self.machine;
        Ok(match machine.value(id) {
            Value::None => Object::None,
            Value::Bool(value) => Object::Bool(*value),
            Value::Int(value) => Object::Int(*value),
            Value::Str(_) => Object::Str(self.string(id)?),
            Value::Other(Part::Bytes(bytes)) => {
                self.take(bytes.len())?;
                Object::Bytes(bytes.to_vec())
            }
            Value::Tuple(items) => Object::Tuple(self.deeper(items, depth)?),
            Value::Other(Part::List(items)) => Object::List(self.deeper(items, depth)?),
            other => return Err(wrong("None, a bool, an int, a string, bytes, a list or a tuple", other)),
        })
    }

    fn deeper(&mut self, items: &[Id], depth: usize) -> Result<Vec<Object>> {
        if depth >= MAX_DEPTH {
            return Err(PickleErrorKind::TooDeep { limit: MAX_DEPTH });
        }
        self.all(items, depth + 1)
    }

    fn take(&mut self, bytes: usize) -> Result<()> {
        self.text = self.text.saturating_add(bytes);
        if self.text > self.size.bytes {
            return Err(PickleErrorKind::TooMuchText { limit: self.size.bytes });
        }
        Ok(())
    }
}
