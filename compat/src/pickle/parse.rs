//! Handles out of pickles: the classes, the calls, and the one dictionary that their pickles have.

use super::machine::{Id, Kind, Limits, Machine, Result, Value, run, wrong};
use super::{
    Handle, MAX_MEMO, MAX_PICKLE_BYTES, MAX_STACK, MAX_STRING_BYTES, NAME, PARTIAL, PickleError, PickleErrorKind,
    REBUILD_PARTIAL, SHAREABLE_LIST, SHARED_MEMORY, Subject, op,
};
use alloc::string::String;
use alloc::vec::Vec;

const LIMITS: Limits = Limits {
    bytes: MAX_PICKLE_BYTES,
    string: MAX_STRING_BYTES,
    stack: MAX_STACK,
    memo: MAX_MEMO,
    // Each instruction adds at most two.
    values: 2 * MAX_PICKLE_BYTES,
};

/// The four things that a pickle of a handle imports.
#[derive(Clone, Copy, PartialEq)]
enum Global {
    SharedMemory,
    ShareableList,
    Partial,
    RebuildPartial,
}

#[derive(PartialEq)]
enum Part {
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
    run(pickle, LIMITS, handle)
}

impl<'a> Kind<'a> for Part {
    const SUBJECT: Subject = Subject::Handle;

    fn step(machine: &mut Machine<'a, Self>, opcode: u8) -> Result<()> {
        match opcode {
            op::EMPTY_DICT => machine.push(Value::Other(Part::Dict(None))),
            op::DICT => {
                let items = machine.pop_mark()?;
                machine.push(Value::Other(Part::Dict(None)))?;
                machine.set_items(&items)
            }
            op::SETITEM => {
                let items = machine.pop(2)?;
                machine.set_items(&items)
            }
            op::SETITEMS => {
                let items = machine.pop_mark()?;
                machine.set_items(&items)
            }
            op::REDUCE => machine.reduce(),
            op::BUILD => machine.build(),
            _ => Err(PickleErrorKind::UnknownOpcode),
        }
    }

    fn import(module: &str, name: &str) -> Result<Self> {
        Ok(Part::Global(match (module, name) {
            SHARED_MEMORY => Global::SharedMemory,
            SHAREABLE_LIST => Global::ShareableList,
            PARTIAL => Global::Partial,
            REBUILD_PARTIAL => Global::RebuildPartial,
            _ => return Err(PickleErrorKind::UnknownGlobal { module: module.into(), name: name.into() }),
        }))
    }

    fn describe(&self) -> &'static str {
        match self {
            Part::Dict(_) => "a dict",
            Part::Global(Global::SharedMemory) => "the class `SharedMemory`",
            Part::Global(Global::ShareableList) => "the class `ShareableList`",
            Part::Global(Global::Partial) => "the class `partial`",
            Part::Global(Global::RebuildPartial) => "the function `_rebuild_partial`",
            Part::Partial(_) => "a partial",
            Part::SharedMemory(..) => "a SharedMemory",
            Part::ShareableList(_) => "a ShareableList",
        }
    }
}

fn handle(machine: &Machine<'_, Part>, result: Id) -> Result<Handle> {
    let text = |id| machine.text(id).map(String::from);
    Ok(match *machine.value(result) {
        Value::Other(Part::SharedMemory(name, size)) => Handle::SharedMemory { name: text(name)?, size },
        Value::Other(Part::ShareableList(name)) => Handle::ShareableList { name: text(name)? },
        ref other => return Err(wrong("a handle", other)),
    })
}

impl<'a> Machine<'a, Part> {
    fn expect(&self, id: Id, value: &Value<'a, Part>, expected: &'static str) -> Result<()> {
        let found = self.value(id);
        if found == value { Ok(()) } else { Err(wrong(expected, found)) }
    }

    /// Sets keys and values in the topmost value, a dictionary.
    fn set_items(&mut self, items: &[Id]) -> Result<()> {
        let target = self.top()?;
        let Value::Other(Part::Dict(mut entry)) = *self.value(target) else {
            return Err(wrong("a dict", self.value(target)));
        };
        for pair in items.chunks(2) {
            let [key, value] = *pair else { return Err(PickleErrorKind::StackUnderflow) };
            let keyword = self.text(key)?;
            if keyword != NAME {
                return Err(PickleErrorKind::UnknownKeyword { keyword: keyword.into() });
            }
            entry = Some(value);
        }
        self.set(target, Value::Other(Part::Dict(entry)));
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
            Value::Other(Part::Global(Global::SharedMemory)) => self.shared_memory(arguments)?,
            Value::Other(Part::Global(Global::Partial)) => {
                let [function] = *arguments else {
                    return Err(arguments_of("one argument of `partial`", arguments));
                };
                self.is_shareable_list(function)?;
                Value::Other(Part::Partial(self.add(Value::Other(Part::Dict(None)))?))
            }
            Value::Other(Part::Global(Global::RebuildPartial)) => {
                let [function, positional, keywords] = *arguments else {
                    return Err(arguments_of("three arguments of `_rebuild_partial`", arguments));
                };
                self.is_shareable_list(function)?;
                self.expect(positional, &Value::Tuple(Vec::new()), "an empty tuple")?;
                let Value::Other(Part::Dict(entry)) = *self.value(keywords) else {
                    return Err(wrong("a dict", self.value(keywords)));
                };
                // `partial(func, *args, **keywords)` copies the keywords.
                Value::Other(Part::Partial(self.add(Value::Other(Part::Dict(entry)))?))
            }
            Value::Other(Part::Partial(keywords)) => {
                if !arguments.is_empty() {
                    return Err(arguments_of("no arguments of the partial", arguments));
                }
                let Value::Other(Part::Dict(Some(name))) = *self.value(keywords) else {
                    return Err(PickleErrorKind::WrongArguments { expected: "the keyword `name`", found: 0 });
                };
                self.text(name)?;
                Value::Other(Part::ShareableList(name))
            }
            ref other => return Err(wrong("something that makes a handle", other)),
        };
        self.push(result)
    }

    /// `SharedMemory(name[, create[, size]])`, which must not create: CPython 3.13, shared_memory.py line 193.
    fn shared_memory(&self, arguments: &[Id]) -> Result<Value<'a, Part>> {
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
        Ok(Value::Other(Part::SharedMemory(name, size)))
    }

    fn is_shareable_list(&self, id: Id) -> Result<()> {
        self.expect(id, &Value::Other(Part::Global(Global::ShareableList)), "the class `ShareableList`")
    }

    /// Gives a partial its state, `(func, args, keywords, __dict__ or None)`, and keeps the very dictionary, as CPython
    /// does (3.13, Modules/_functoolsmodule.c, `partial_setstate`).
    fn build(&mut self) -> Result<()> {
        let state = self.pop_one()?;
        let target = self.top()?;
        if !matches!(self.value(target), Value::Other(Part::Partial(_))) {
            return Err(wrong("a partial", self.value(target)));
        }
        let items = self.tuple_items(state)?;
        let [function, positional, keywords, attributes] = *items else {
            return Err(arguments_of("four parts of a partial's state", items));
        };
        self.is_shareable_list(function)?;
        self.expect(positional, &Value::Tuple(Vec::new()), "an empty tuple")?;
        if !matches!(self.value(keywords), Value::Other(Part::Dict(_))) {
            return Err(wrong("a dict", self.value(keywords)));
        }
        // Empty rather than None once someone has looked at the partial's `__dict__`.
        if *self.value(attributes) != Value::Other(Part::Dict(None)) {
            self.expect(attributes, &Value::None, "None")?;
        }
        self.set(target, Value::Other(Part::Partial(keywords)));
        Ok(())
    }
}

#[cold]
fn arguments_of(expected: &'static str, found: &[Id]) -> PickleErrorKind {
    PickleErrorKind::WrongArguments { expected, found: found.len() }
}
