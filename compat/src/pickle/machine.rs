//! The machine that runs a pickle: a stack, a memo, and the values that every pickle has.
//!
//! What else a pickle may make is its [`Kind`]'s matter: a handle has classes and calls, a message has lists and bytes.
//! Values live in a list and refer to each other by their place in it, because a pickle stores an object first and fills
//! it later, and whoever took it from the memo sees it filled. Each instruction adds at most two values and copies no
//! string, so memory grows with the length of the pickle alone. Nothing nests, so nothing recurses.

use super::read::{IntOrBool, Reader};
use super::{HIGHEST_PROTOCOL, PickleError, PickleErrorKind, Subject, op};
use alloc::borrow::Cow;
use alloc::vec::Vec;

pub(crate) type Result<T> = core::result::Result<T, PickleErrorKind>;

/// The place of a value in the machine's list of them.
pub(crate) type Id = usize;

/// What a pickle may take, whatever it says.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of the pickle.
    pub(crate) bytes: usize,
    /// Bytes of one string.
    pub(crate) string: usize,
    /// Values and marks on the stack.
    pub(crate) stack: usize,
    /// The numbers under which values are stored are below it.
    pub(crate) memo: usize,
    /// Values altogether.
    pub(crate) values: usize,
}

/// What stands for a Python object while the pickle runs.
#[derive(PartialEq)]
pub(crate) enum Value<'a, K> {
    None,
    Bool(bool),
    Int(i64),
    Str(Cow<'a, str>),
    Tuple(Vec<Id>),
    Other(K),
}

/// What the pickles of one kind have beside those values.
pub(crate) trait Kind<'a>: Sized {
    const SUBJECT: Subject;

    /// Runs an instruction that not every pickle has.
    fn step(machine: &mut Machine<'a, Self>, opcode: u8) -> Result<()>;

    /// An import. Whoever does not know it refuses it by name.
    fn import(module: &str, name: &str) -> Result<Self>;

    /// What it is, in an error.
    fn describe(&self) -> &'static str;
}

/// Reads one pickle and makes of it what it stands for. The bytes must be one pickle and nothing else; an instruction may be
/// used in any protocol, as in CPython.
pub(crate) fn run<'a, K: Kind<'a>, P>(
    pickle: &'a [u8],
    limits: Limits,
    product: impl FnOnce(&Machine<'a, K>, Id) -> Result<P>,
) -> core::result::Result<P, PickleError> {
    let failed = |offset, opcode, kind| PickleError { offset, opcode, kind, subject: K::SUBJECT };
    if pickle.len() > limits.bytes {
        return Err(failed(0, None, PickleErrorKind::TooLong { bytes: pickle.len(), limit: limits.bytes }));
    }
    let mut machine = Machine::<K> {
        reader: Reader::new(pickle, limits.string),
        limits,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
        stored: 0,
    };
    loop {
        machine.reader.next_instruction();
        let offset = machine.reader.offset();
        let opcode = machine.reader.byte().map_err(|kind| failed(offset, None, kind))?;
        let step = machine.step(opcode, offset);
        let failed = |kind| failed(offset, Some(opcode), kind);
        if let Some(result) = step.map_err(failed)? {
            return product(&machine, result).map_err(failed);
        }
    }
}

pub(crate) struct Machine<'a, K> {
    reader: Reader<'a>,
    limits: Limits,
    values: Vec<Value<'a, K>>,
    stack: Vec<Id>,
    /// The heights of the stack at each mark.
    marks: Vec<usize>,
    memo: Vec<Option<Id>>,
    /// How many places of the memo are taken, which is where MEMOIZE puts its value.
    stored: usize,
}

impl<'a, K: Kind<'a>> Machine<'a, K> {
    /// Runs one instruction; STOP gives the result.
    fn step(&mut self, opcode: u8, offset: usize) -> Result<Option<Id>> {
        match opcode {
            op::PROTO => self.protocol(offset)?,
            op::FRAME => self.reader.frame()?,
            op::STOP => return self.stop().map(Some),
            op::MARK => {
                self.room()?;
                self.marks.push(self.stack.len());
            }

            op::NONE => self.push(Value::None)?,
            op::NEWTRUE => self.push(Value::Bool(true))?,
            op::NEWFALSE => self.push(Value::Bool(false))?,
            op::INT => match self.reader.int_or_bool()? {
                IntOrBool::Bool(value) => self.push(Value::Bool(value))?,
                IntOrBool::Int(value) => self.push(Value::Int(value))?,
            },
            op::LONG => {
                let value = self.reader.decimal(Some(b'L'))?;
                self.push(Value::Int(value))?;
            }
            op::LONG1 => {
                let value = self.reader.long1()?;
                self.push(Value::Int(value))?;
            }
            op::BININT => {
                let value = self.reader.i32()?;
                self.push(Value::Int(value.into()))?;
            }
            op::BININT1 => {
                let value = self.reader.byte()?;
                self.push(Value::Int(value.into()))?;
            }
            op::BININT2 => {
                let value = self.reader.u16()?;
                self.push(Value::Int(value.into()))?;
            }
            op::UNICODE => {
                let text = self.reader.escaped_line()?;
                self.push(Value::Str(text))?;
            }
            op::BINUNICODE => {
                let bytes = self.reader.u32()?;
                let text = self.reader.text(bytes)?;
                self.push(Value::Str(text))?;
            }
            op::SHORT_BINUNICODE => {
                let bytes = self.reader.byte()?;
                let text = self.reader.text(bytes.into())?;
                self.push(Value::Str(text))?;
            }

            op::EMPTY_TUPLE => self.push(Value::Tuple(Vec::new()))?,
            op::TUPLE1 => self.tuple(1)?,
            op::TUPLE2 => self.tuple(2)?,
            op::TUPLE3 => self.tuple(3)?,
            op::TUPLE => {
                let items = self.pop_mark()?;
                self.push(Value::Tuple(items))?;
            }
            op::GLOBAL => {
                let module = self.reader.text_line()?;
                let name = self.reader.text_line()?;
                self.push(Value::Other(K::import(module, name)?))?;
            }
            op::STACK_GLOBAL => {
                let ids = self.pop(2)?;
                let [module, name] = *ids.as_slice() else { return Err(PickleErrorKind::StackUnderflow) };
                let found = K::import(self.text(module)?, self.text(name)?)?;
                self.push(Value::Other(found))?;
            }

            op::PUT => {
                let index = self.reader.decimal(None)?;
                self.put(u64::try_from(index).map_err(|_| PickleErrorKind::BadNumber)?)?;
            }
            op::BINPUT => {
                let index = self.reader.byte()?;
                self.put(index.into())?;
            }
            op::LONG_BINPUT => {
                let index = self.reader.u32()?;
                self.put(index.into())?;
            }
            op::MEMOIZE => self.put(self.stored as u64)?,
            op::GET => {
                let index = self.reader.decimal(None)?;
                self.get(u64::try_from(index).map_err(|_| PickleErrorKind::BadNumber)?)?;
            }
            op::BINGET => {
                let index = self.reader.byte()?;
                self.get(index.into())?;
            }
            op::LONG_BINGET => {
                let index = self.reader.u32()?;
                self.get(index.into())?;
            }
            other => K::step(self, other)?,
        }
        Ok(None)
    }

    fn protocol(&mut self, offset: usize) -> Result<()> {
        let protocol = self.reader.byte()?;
        if offset != 0 {
            return Err(PickleErrorKind::Misplaced);
        }
        if protocol > HIGHEST_PROTOCOL {
            return Err(PickleErrorKind::UnknownProtocol { protocol, supported: HIGHEST_PROTOCOL });
        }
        Ok(())
    }

    /// CPython takes the topmost value and ignores what lies below and behind; nothing that writes such pickles leaves any.
    fn stop(&mut self) -> Result<Id> {
        let result = self.pop_one()?;
        match (self.stack.len() + self.marks.len(), self.reader.left()) {
            (0, 0) => Ok(result),
            (0, bytes) => Err(PickleErrorKind::Trailing { bytes }),
            (values, _) => Err(PickleErrorKind::Leftover { values }),
        }
    }

    pub(crate) fn value(&self, id: Id) -> &Value<'a, K> {
        // Ids are made by `add` alone and values are never taken away.
        self.values.get(id).unwrap_or(&Value::None)
    }

    pub(crate) fn text(&self, id: Id) -> Result<&str> {
        match self.value(id) {
            Value::Str(text) => Ok(text),
            other => Err(wrong("a string", other)),
        }
    }

    pub(crate) fn tuple_items(&self, id: Id) -> Result<&[Id]> {
        match self.value(id) {
            Value::Tuple(items) => Ok(items),
            other => Err(wrong("a tuple", other)),
        }
    }

    pub(crate) fn set(&mut self, id: Id, value: Value<'a, K>) {
        // Ids are made by `add` alone and values are never taken away.
        if let Some(place) = self.values.get_mut(id) {
            *place = value;
        }
    }

    pub(crate) fn value_mut(&mut self, id: Id) -> Option<&mut Value<'a, K>> {
        self.values.get_mut(id)
    }

    /// As many bytes of the pickle as the next length says, of one, four or eight bytes.
    pub(crate) fn sized_bytes(&mut self, opcode: u8) -> Result<&'a [u8]> {
        let bytes = match opcode {
            op::SHORT_BINBYTES => self.reader.byte()?.into(),
            op::BINBYTES => self.reader.u32()?.into(),
            _ => self.reader.u64()?,
        };
        self.reader.sized(bytes)
    }

    pub(crate) fn add(&mut self, value: Value<'a, K>) -> Result<Id> {
        if self.values.len() >= self.limits.values {
            return Err(PickleErrorKind::TooManyValues { limit: self.limits.values });
        }
        self.values.push(value);
        Ok(self.values.len() - 1)
    }

    fn room(&self) -> Result<()> {
        if self.stack.len() + self.marks.len() >= self.limits.stack {
            return Err(PickleErrorKind::StackTooDeep { limit: self.limits.stack });
        }
        Ok(())
    }

    pub(crate) fn push(&mut self, value: Value<'a, K>) -> Result<()> {
        self.room()?;
        let id = self.add(value)?;
        self.stack.push(id);
        Ok(())
    }

    /// The topmost values, which must all lie above the last mark.
    pub(crate) fn pop(&mut self, count: usize) -> Result<Vec<Id>> {
        let floor = self.marks.last().copied().unwrap_or_default();
        match self.stack.len().checked_sub(count) {
            Some(height) if height >= floor => Ok(self.stack.split_off(height)),
            _ => Err(PickleErrorKind::StackUnderflow),
        }
    }

    pub(crate) fn pop_one(&mut self) -> Result<Id> {
        self.pop(1)?.pop().ok_or(PickleErrorKind::StackUnderflow)
    }

    /// The topmost value, which stays; like those taken, it must lie above the last mark.
    pub(crate) fn top(&self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or_default();
        self.stack.get(floor..).and_then(|above| above.last()).copied().ok_or(PickleErrorKind::StackUnderflow)
    }

    /// The values above the last mark, and the mark.
    pub(crate) fn pop_mark(&mut self) -> Result<Vec<Id>> {
        let height = self.marks.pop().ok_or(PickleErrorKind::NoMark)?;
        Ok(self.stack.split_off(height))
    }

    fn tuple(&mut self, count: usize) -> Result<()> {
        let items = self.pop(count)?;
        self.push(Value::Tuple(items))
    }

    fn put(&mut self, index: u64) -> Result<()> {
        let id = self.top()?;
        // CPython counts, so that no number is beyond what was read. A greater one would buy memory for nothing.
        let limit = self.limits.memo.min(self.reader.offset().max(FREE_MEMO));
        let at = usize::try_from(index).ok().filter(|at| *at < limit);
        let at = at.ok_or(PickleErrorKind::MemoIndex { index, limit })?;
        if self.memo.len() <= at {
            self.memo.resize(at + 1, None);
        }
        if let Some(place) = self.memo.get_mut(at)
            && place.replace(id).is_none()
        {
            self.stored += 1;
        }
        Ok(())
    }

    fn get(&mut self, index: u64) -> Result<()> {
        let limit = self.limits.memo;
        let at = usize::try_from(index).ok().filter(|at| *at < limit);
        let at = at.ok_or(PickleErrorKind::MemoIndex { index, limit })?;
        let id = self.memo.get(at).copied().flatten().ok_or(PickleErrorKind::MemoEmpty { index })?;
        self.room()?;
        self.stack.push(id);
        Ok(())
    }
}

/// The numbers under which a pickle of any length may store values.
const FREE_MEMO: usize = 64;

#[cold]
pub(crate) fn wrong<'a, K: Kind<'a>>(expected: &'static str, found: &Value<'a, K>) -> PickleErrorKind {
    let found = match found {
        Value::None => "None",
        Value::Bool(false) => "False",
        Value::Bool(true) => "True",
        Value::Int(_) => "an int",
        Value::Str(_) => "a string",
        Value::Tuple(items) if items.is_empty() => "an empty tuple",
        Value::Tuple(_) => "a tuple",
        Value::Other(other) => other.describe(),
    };
    PickleErrorKind::WrongValue { expected, found }
}
