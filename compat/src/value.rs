//! The values of a list, and when Python calls two of them equal.

use crate::repr;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A value of a list, with text of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `int`, as far as 64 bits go.
    Int(i64),
    /// `float`
    Float(f64),
    /// `bool`
    Bool(bool),
    /// `str`
    Str(String),
    /// `bytes`
    Bytes(Vec<u8>),
    /// `None`
    None,
}

/// A value of a list, with borrowed text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// `int`, as far as 64 bits go.
    Int(i64),
    /// `float`
    Float(f64),
    /// `bool`
    Bool(bool),
    /// `str`
    Str(&'a str),
    /// `bytes`
    Bytes(&'a [u8]),
    /// `None`
    None,
}

impl Value {
    /// The value with its text borrowed.
    #[inline]
    #[must_use]
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Int(value) => ValueRef::Int(*value),
            Self::Float(value) => ValueRef::Float(*value),
            Self::Bool(value) => ValueRef::Bool(*value),
            Self::Str(text) => ValueRef::Str(text),
            Self::Bytes(bytes) => ValueRef::Bytes(bytes),
            Self::None => ValueRef::None,
        }
    }
}

impl ValueRef<'_> {
    /// The value with text of its own.
    #[inline]
    #[must_use]
    pub fn to_value(self) -> Value {
        match self {
            Self::Int(value) => Value::Int(value),
            Self::Float(value) => Value::Float(value),
            Self::Bool(value) => Value::Bool(value),
            Self::Str(text) => Value::Str(text.into()),
            Self::Bytes(bytes) => Value::Bytes(bytes.into()),
            Self::None => Value::None,
        }
    }

    /// Whether Python says that both are equal: `1 == True == 1.0`, NaN equals nothing, `str` never equals `bytes`. An
    /// integer and a float are compared exactly, not after rounding (CPython, `float_richcompare`).
    ///
    /// ```
    /// use shmtypes_compat::ValueRef::{Bool, Bytes, Float, Int, Str};
    ///
    /// assert!(Int(1).python_eq(Bool(true)) && Bool(true).python_eq(Float(1.0)));
    /// assert!(!Int((1 << 53) + 1).python_eq(Float(9007199254740992.0)));
    /// assert!(!Str("a").python_eq(Bytes(b"a")));
    /// ```
    #[inline]
    #[must_use]
    pub fn python_eq(self, other: ValueRef<'_>) -> bool {
        use ValueRef::{Bool, Bytes, Float, Int, None, Str};
        match (self, other) {
            (Str(a), Str(b)) => a == b,
            (Bytes(a), Bytes(b)) => a == b,
            (None, None) => true,
            (Float(a), Float(b)) => a == b,
            (Int(a), Int(b)) => a == b,
            (Bool(a), Bool(b)) => a == b,
            (Int(int), Bool(bool)) | (Bool(bool), Int(int)) => int == i64::from(bool),
            (Float(float), Int(int)) | (Int(int), Float(float)) => is_exactly(float, int),
            (Float(float), Bool(bool)) | (Bool(bool), Float(float)) => is_exactly(float, i64::from(bool)),
            _ => false,
        }
    }
}

/// A value that many others are compared with, as [`python_eq`](ValueRef::python_eq) compares: what integers and floats
/// are equal to it is found out once.
#[derive(Clone, Copy, Debug)]
pub struct Needle<'a> {
    value: ValueRef<'a>,
    /// The one integer.
    int: Option<i64>,
    /// The one float, or NaN, which no float is equal to.
    float: f64,
}

impl<'a> Needle<'a> {
    /// The value, prepared.
    #[must_use]
    pub fn new(value: ValueRef<'a>) -> Self {
        let (int, float) = match value {
            ValueRef::Int(int) => (Some(int), int as f64),
            ValueRef::Bool(bool) => (Some(bool.into()), f64::from(bool)),
            ValueRef::Float(float) => (Some(float as i64), float),
            ValueRef::Str(_) | ValueRef::Bytes(_) | ValueRef::None => (None, f64::NAN),
        };
        // An integer may lie between two floats, and a float between two integers.
        let int = int.filter(|&int| value.python_eq(ValueRef::Int(int)));
        let float = if value.python_eq(ValueRef::Float(float)) { float } else { f64::NAN };
        Self { value, int, float }
    }

    /// Whether Python says that `other` is equal to the value.
    #[inline(always)]
    #[must_use]
    pub fn is(&self, other: ValueRef<'_>) -> bool {
        match other {
            ValueRef::Int(int) => self.int == Some(int),
            ValueRef::Float(float) => self.float == float,
            other => self.value.python_eq(other),
        }
    }
}

/// As Python's `repr`: `'text'`, `b'bytes'`, `1.0`, `True`, `None`.
impl fmt::Display for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Int(int) => write!(f, "{int}"),
            Self::Float(float) => repr::write_float(f, float),
            Self::Bool(bool) => f.write_str(if bool { "True" } else { "False" }),
            Self::Str(text) => repr::write_str(f, text),
            Self::Bytes(bytes) => repr::write_bytes(f, bytes),
            Self::None => f.write_str("None"),
        }
    }
}

/// As Python's `repr`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

#[inline]
fn is_exactly(float: f64, int: i64) -> bool {
    // The cast saturates: 2^63 becomes 2^63 - 1, whose own float is 2^63 again.
    float as i64 == int && int as f64 == float && float < 9_223_372_036_854_775_808.0
}

macro_rules! from {
    ($($source:ty => |$value:ident| $result:expr),* $(,)?) => { $(
        impl From<$source> for Value {
            fn from($value: $source) -> Self {
                $result
            }
        }
    )* };
}

from! {
    i8 => |value| Self::Int(value.into()),
    i16 => |value| Self::Int(value.into()),
    i32 => |value| Self::Int(value.into()),
    i64 => |value| Self::Int(value),
    u8 => |value| Self::Int(value.into()),
    u16 => |value| Self::Int(value.into()),
    u32 => |value| Self::Int(value.into()),
    f32 => |value| Self::Float(value.into()),
    f64 => |value| Self::Float(value),
    bool => |value| Self::Bool(value),
    String => |text| Self::Str(text),
    &str => |text| Self::Str(text.into()),
    Vec<u8> => |bytes| Self::Bytes(bytes),
    &[u8] => |bytes| Self::Bytes(bytes.into()),
    () => |_none| Self::None,
    ValueRef<'_> => |value| value.to_value(),
    &Value => |value| value.clone(),
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Bytes(bytes.as_slice().into())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        value.as_ref()
    }
}

macro_rules! borrow {
    ($($source:ty => |$value:ident| $result:expr),* $(,)?) => { $(
        impl<'a> From<$source> for ValueRef<'a> {
            fn from($value: $source) -> Self {
                $result
            }
        }
    )* };
}

borrow! {
    i32 => |value| Self::Int(value.into()),
    i64 => |value| Self::Int(value),
    f64 => |value| Self::Float(value),
    bool => |value| Self::Bool(value),
    &'a str => |text| Self::Str(text),
    &'a String => |text| Self::Str(text),
    &'a [u8] => |bytes| Self::Bytes(bytes),
    () => |_none| Self::None,
}

impl<'a, const N: usize> From<&'a [u8; N]> for ValueRef<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::Needle;
    use super::ValueRef::{Bool, Bytes, Float, Int, None, Str};

    #[test]
    fn equality_is_pythons() {
        let max = i64::MAX;
        let equal = [
            (Int(1), Bool(true)),
            (Float(1.0), Bool(true)),
            (Int(0), Float(-0.0)),
            (Bool(false), Float(0.0)),
            (Int(1 << 53), Float(9_007_199_254_740_992.0)),
            (Int(i64::MIN), Float(-9_223_372_036_854_775_808.0)),
            (None, None),
            (Str("é"), Str("é")),
        ];
        let different = [
            (Int((1 << 53) + 1), Float(9_007_199_254_740_992.0)),
            (Int(max), Float(9_223_372_036_854_775_808.0)),
            (Float(f64::NAN), Float(f64::NAN)),
            (Int(0), Float(f64::NAN)),
            (Int(max), Float(f64::INFINITY)),
            (Str("a"), Bytes(b"a")),
            (None, Int(0)),
            (None, Bool(false)),
            (Int(1), Str("1")),
            (Float(0.5), Int(0)),
            (Float(0.5), Bool(false)),
        ];
        for (a, b) in equal {
            assert!(a.python_eq(b) && b.python_eq(a), "{a:?} == {b:?}");
            assert!(Needle::new(a).is(b) && Needle::new(b).is(a), "{a:?} == {b:?}");
        }
        for (a, b) in different {
            assert!(!a.python_eq(b) && !b.python_eq(a), "{a:?} != {b:?}");
            assert!(!Needle::new(a).is(b) && !Needle::new(b).is(a), "{a:?} != {b:?}");
        }
    }
}
