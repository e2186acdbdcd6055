//! The machine that runs a pickle: a stack, a memo, and values that can become a handle or nothing.
//!
//! Values live in a list and refer to each other by their place in it, because a pickle stores an object first and fills
//! it later (the dictionary by SETITEM, the partial by BUILD), and whoever took it from the memo sees it filled. Each
//! instruction adds at most two values and copies no string, so memory grows with the length of the pickle alone.
//! Nothing nests, so nothing recurses.

use super::read::{IntOrBool, Reader};
use super::{
    HIGHEST_PROTOCOL, Handle, MAX_MEMO, MAX_PICKLE_BYTES, MAX_STACK, NAME, PARTIAL, PickleError, PickleErrorKind,
    REBUILD_PARTIAL, SHAREABLE_LIST, SHARED_MEMORY, op,
};
use alloc::string::String;
use alloc::vec::Vec;

type Result<T> = core::result::Result<T, PickleErrorKind>;

/// The place of a value in [`Machine::values`].
type Id = usize;

/// The four things that a pickle of a handle imports.
#[derive(Clone, Copy, PartialEq)]
enum Global {
    SharedMemory,
    ShareableList,
    Partial,
    RebuildPartial,
}

#[derive(PartialEq)]
enum Value {
    None,
    Bool(bool),
    Int(i64),
    Str(String),
    Tuple(Vec<Id>),
    /// The value of the key `name`: no other key gets in.
    Dict(Option<Id>),
    Global(Global),
    /// A partial of `ShareableList`, by its dictionary of keywords.
    Partial(Id),
    /// The name, and the size.
    SharedMemory(Id, Option<u64>),
    /// The name.
    ShareableList(Id),
}

/// Reads the pickle of one handle.
///
/// The bytes must be one pickle and nothing else. An instruction may be used in any protocol, as in CPython.
///
/// # Errors
///
/// Every import other than those of the two classes, every shape that CPython does not write, everything beyond the
/// limits of [this module](super). Never panics, whatever the bytes.
///
/// ```
/// use shmtypes_compat::pickle::{Handle, parse};
///
/// let pickle = b"\x80\x02cmultiprocessing.shared_memory\nSharedMemory\nX\x0c\x00\x00\x00psm_0123abcd\x89Kd\x87R.";
/// assert_eq!(parse(pickle).unwrap(), Handle::SharedMemory { name: "psm_0123abcd".into(), size: Some(100) });
/// assert!(parse(&pickle[..50]).is_err());
/// ```
pub fn parse(pickle: &[u8]) -> core::result::Result<Handle, PickleError> {
    if pickle.len() > MAX_PICKLE_BYTES {
        let kind = PickleErrorKind::TooLong { bytes: pickle.len(), limit: MAX_PICKLE_BYTES };
        return Err(PickleError { offset: 0, opcode: None, kind });
    }
    let mut machine = Machine {
        reader: Reader::new(pickle),
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: [None; MAX_MEMO],
        memo_len: 0,
    };
    loop {
        let offset = machine.reader.offset();
        let opcode = machine.reader.byte().map_err(|kind| PickleError { offset, opcode: None, kind })?;
        let step = machine.step(opcode, offset);
        if let Some(handle) = step.map_err(|kind| PickleError { offset, opcode: Some(opcode), kind })? {
            return Ok(handle);
        }
    }
}

struct Machine<'a> {
    reader: Reader<'a>,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// The heights of the stack at each mark.
    marks: Vec<usize>,
    memo: [Option<Id>; MAX_MEMO],
    /// How many places of the memo are taken, which is where MEMOIZE puts its value.
    memo_len: usize,
}

impl Machine<'_> {
    /// Runs one instruction; STOP gives the handle.
    fn step(&mut self, opcode: u8, offset: usize) -> Result<Option<Handle>> {
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
            op::EMPTY_DICT => self.push(Value::Dict(None))?,
            op::DICT => {
                let items = self.pop_mark()?;
                self.push(Value::Dict(None))?;
                self.set_items(&items)?;
            }
            op::SETITEM => {
                let items = self.pop(2)?;
                self.set_items(&items)?;
            }
            op::SETITEMS => {
                let items = self.pop_mark()?;
                self.set_items(&items)?;
            }

            op::GLOBAL => {
                let module = self.reader.text_line()?;
                let name = self.reader.text_line()?;
                self.push(Value::Global(global(&module, &name)?))?;
            }
            op::STACK_GLOBAL => {
                let ids = self.pop(2)?;
                let [module, name] = *ids.as_slice() else { return Err(PickleErrorKind::StackUnderflow) };
                let found = global(self.text(module)?, self.text(name)?)?;
                self.push(Value::Global(found))?;
            }
            op::REDUCE => self.reduce()?,
            op::BUILD => self.build()?,

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
            op::MEMOIZE => self.put(self.memo_len as u64)?,
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
            _ => return Err(PickleErrorKind::UnknownOpcode),
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

    /// CPython takes the topmost value and ignores what lies below and behind; nothing that writes handles leaves any.
    fn stop(&mut self) -> Result<Handle> {
        let result = self.pop_one()?;
        let text = |id| self.text(id).map(String::from);
        let handle = match *self.value(result) {
            Value::SharedMemory(name, size) => Handle::SharedMemory { name: text(name)?, size },
            Value::ShareableList(name) => Handle::ShareableList { name: text(name)? },
            ref other => return Err(wrong("a handle", other)),
        };
        match (self.stack.len() + self.marks.len(), self.reader.left()) {
            (0, 0) => Ok(handle),
            (0, bytes) => Err(PickleErrorKind::Trailing { bytes }),
            (values, _) => Err(PickleErrorKind::Leftover { values }),
        }
    }

    fn value(&self, id: Id) -> &Value {
        // Ids are made by `add` alone and values are never taken away.
        self.values.get(id).unwrap_or(&Value::None)
    }

    fn text(&self, id: Id) -> Result<&str> {
        match self.value(id) {
            Value::Str(text) => Ok(text),
            other => Err(wrong("a string", other)),
        }
    }

    fn tuple_items(&self, id: Id) -> Result<&[Id]> {
        match self.value(id) {
            Value::Tuple(items) => Ok(items),
            other => Err(wrong("a tuple", other)),
        }
    }

    fn expect(&self, id: Id, value: &Value, expected: &'static str) -> Result<()> {
        let found = self.value(id);
        if found == value { Ok(()) } else { Err(wrong(expected, found)) }
    }

    fn add(&mut self, value: Value) -> Id {
        self.values.push(value);
        self.values.len() - 1
    }

    fn room(&self) -> Result<()> {
        if self.stack.len() + self.marks.len() >= MAX_STACK {
            return Err(PickleErrorKind::StackTooDeep { limit: MAX_STACK });
        }
        Ok(())
    }

    fn push(&mut self, value: Value) -> Result<()> {
        self.room()?;
        let id = self.add(value);
        self.stack.push(id);
        Ok(())
    }

    /// The topmost values, which must all lie above the last mark.
    fn pop(&mut self, count: usize) -> Result<Vec<Id>> {
        let floor = self.marks.last().copied().unwrap_or_default();
        match self.stack.len().checked_sub(count) {
            Some(height) if height >= floor => Ok(self.stack.split_off(height)),
            _ => Err(PickleErrorKind::StackUnderflow),
        }
    }

    fn pop_one(&mut self) -> Result<Id> {
        self.pop(1)?.pop().ok_or(PickleErrorKind::StackUnderflow)
    }

    /// The topmost value, which stays; like those taken, it must lie above the last mark.
    fn top(&self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or_default();
        self.stack.get(floor..).and_then(|above| above.last()).copied().ok_or(PickleErrorKind::StackUnderflow)
    }

    /// The values above the last mark, and the mark.
    fn pop_mark(&mut self) -> Result<Vec<Id>> {
        let height = self.marks.pop().ok_or(PickleErrorKind::NoMark)?;
        Ok(self.stack.split_off(height))
    }

    fn tuple(&mut self, count: usize) -> Result<()> {
        let items = self.pop(count)?;
        self.push(Value::Tuple(items))
    }

    /// Sets keys and values in the topmost value, a dictionary.
    fn set_items(&mut self, items: &[Id]) -> Result<()> {
        let target = self.top()?;
        let Value::Dict(mut entry) = *self.value(target) else { return Err(wrong("a dict", self.value(target))) };
        for pair in items.chunks(2) {
            let [key, value] = *pair else { return Err(PickleErrorKind::StackUnderflow) };
            let keyword = self.text(key)?;
            if keyword != NAME {
                return Err(PickleErrorKind::UnknownKeyword { keyword: keyword.into() });
            }
            entry = Some(value);
        }
        if let Some(dict) = self.values.get_mut(target) {
            *dict = Value::Dict(entry);
        }
        Ok(())
    }

    fn put(&mut self, index: u64) -> Result<()> {
        let id = self.top()?;
        let place = usize::try_from(index).ok().and_then(|index| self.memo.get_mut(index));
        let place = place.ok_or(PickleErrorKind::MemoIndex { index, limit: MAX_MEMO })?;
        if place.replace(id).is_none() {
            self.memo_len += 1;
        }
        Ok(())
    }

    fn get(&mut self, index: u64) -> Result<()> {
        let place = usize::try_from(index).ok().and_then(|index| self.memo.get(index));
        let place = place.ok_or(PickleErrorKind::MemoIndex { index, limit: MAX_MEMO })?;
        let id = place.ok_or(PickleErrorKind::MemoEmpty { index })?;
        self.room()?;
        self.stack.push(id);
        Ok(())
    }

    /// Calls the lower of the two topmost values with the upper.
    fn reduce(&mut self) -> Result<()> {
        let ids = self.pop(2)?;
        let [callable, arguments] = *ids.as_slice() else { return Err(PickleErrorKind::StackUnderflow) };
        // A copy, because the calls below add values: at most MAX_STACK places.
        let arguments = self.tuple_items(arguments)?.to_vec();
        let arguments = arguments.as_slice();
        let result = match *self.value(callable) {
            Value::Global(Global::SharedMemory) => self.shared_memory(arguments)?,
            Value::Global(Global::Partial) => {
                let [function] = *arguments else {
                    return Err(arguments_of("one argument of `partial`", arguments));
                };
                self.is_shareable_list(function)?;
                Value::Partial(self.add(Value::Dict(None)))
            }
            Value::Global(Global::RebuildPartial) => {
                let [function, positional, keywords] = *arguments else {
                    return Err(arguments_of("three arguments of `_rebuild_partial`", arguments));
                };
                self.is_shareable_list(function)?;
                self.expect(positional, &Value::Tuple(Vec::new()), "an empty tuple")?;
                let Value::Dict(entry) = *self.value(keywords) else {
                    return Err(wrong("a dict", self.value(keywords)));
                };
                // `partial(func, *args, **keywords)` copies the keywords.
                Value::Partial(self.add(Value::Dict(entry)))
            }
            Value::Partial(keywords) => {
                if !arguments.is_empty() {
                    return Err(arguments_of("no arguments of the partial", arguments));
                }
                let Value::Dict(Some(name)) = *self.value(keywords) else {
                    return Err(PickleErrorKind::WrongArguments { expected: "the keyword `name`", found: 0 });
                };
                self.text(name)?;
                Value::ShareableList(name)
            }
            ref other => return Err(wrong("something that makes a handle", other)),
        };
        self.push(result)
    }

    /// `SharedMemory(name[, create[, size]])`, which must not create: CPython 3.13, shared_memory.py line 193.
    fn shared_memory(&self, arguments: &[Id]) -> Result<Value> {
        let (name, create, size) = match *arguments {
            [name] => (name, None, None),
            [name, create] => (name, Some(create), None),
            [name, create, size] => (name, Some(create), Some(size)),
            _ => return Err(arguments_of("one to three arguments of `SharedMemory`", arguments)),
        };
        self.text(name)?;
        if let Some(create) = create {
            self.expect(create, &Value::Bool(false), "False")?;
        }
        let size = match size.map(|size| self.value(size)) {
            None => None,
            Some(Value::Int(size)) => {
                Some(u64::try_from(*size).map_err(|_| PickleErrorKind::NegativeSize { size: *size })?)
            }
            Some(other) => return Err(wrong("an int", other)),
        };
        Ok(Value::SharedMemory(name, size))
    }

    fn is_shareable_list(&self, id: Id) -> Result<()> {
        self.expect(id, &Value::Global(Global::ShareableList), "the class `ShareableList`")
    }

    /// Gives a partial its state, `(func, args, keywords, __dict__ or None)`, and keeps the very dictionary, as CPython
    /// does (3.13, Modules/_functoolsmodule.c, `partial_setstate`).
    fn build(&mut self) -> Result<()> {
        let state = self.pop_one()?;
        let target = self.top()?;
        if !matches!(self.value(target), Value::Partial(_)) {
            return Err(wrong("a partial", self.value(target)));
        }
        let items = self.tuple_items(state)?;
        let [function, positional, keywords, attributes] = *items else {
            return Err(arguments_of("four parts of a partial's state", items));
        };
        self.is_shareable_list(function)?;
        self.expect(positional, &Value::Tuple(Vec::new()), "an empty tuple")?;
        if !matches!(self.value(keywords), Value::Dict(_)) {
            return Err(wrong("a dict", self.value(keywords)));
        }
        // Empty rather than None once someone has looked at the partial's `__dict__`.
        if *self.value(attributes) != Value::Dict(None) {
            self.expect(attributes, &Value::None, "None")?;
        }
        if let Some(partial) = self.values.get_mut(target) {
            *partial = Value::Partial(keywords);
        }
        Ok(())
    }
}

fn global(module: &str, name: &str) -> Result<Global> {
    Ok(match (module, name) {
        SHARED_MEMORY => Global::SharedMemory,
        SHAREABLE_LIST => Global::ShareableList,
        PARTIAL => Global::Partial,
        REBUILD_PARTIAL => Global::RebuildPartial,
        _ => return Err(PickleErrorKind::UnknownGlobal { module: module.into(), name: name.into() }),
    })
}

#[cold]
fn arguments_of(expected: &'static str, found: &[Id]) -> PickleErrorKind {
    PickleErrorKind::WrongArguments { expected, found: found.len() }
}

#[cold]
fn wrong(expected: &'static str, found: &Value) -> PickleErrorKind {
    let found = match found {
        Value::None => "None",
        Value::Bool(false) => "False",
        Value::Bool(true) => "True",
        Value::Int(_) => "an int",
        Value::Str(_) => "a string",
        Value::Tuple(items) if items.is_empty() => "an empty tuple",
        Value::Tuple(_) => "a tuple",
        Value::Dict(_) => "a dict",
        Value::Global(Global::SharedMemory) => "the class `SharedMemory`",
        Value::Global(Global::ShareableList) => "the class `ShareableList`",
        Value::Global(Global::Partial) => "the class `partial`",
        Value::Global(Global::RebuildPartial) => "the function `_rebuild_partial`",
        Value::Partial(_) => "a partial",
        Value::SharedMemory(..) => "a SharedMemory",
        Value::ShareableList(_) => "a ShareableList",
    };
    PickleErrorKind::WrongValue { expected, found }
}
