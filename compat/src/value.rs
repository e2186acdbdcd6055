//! The values of a list, and when Python calls two of them equal.

use crate::repr;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::num::TryFromIntError;

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
    &String => |text| Self::Str(text.clone()),
    &str => |text| Self::Str(text.into()),
    Vec<u8> => |bytes| Self::Bytes(bytes),
    &Vec<u8> => |bytes| Self::Bytes(bytes.clone()),
    &[u8] => |bytes| Self::Bytes(bytes.into()),
    () => |_none| Self::None,
    ValueRef<'_> => |value| value.to_value(),
    &Value => |value| value.clone(),
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(bytes: [u8; N]) -> Self {
        Self::Bytes(bytes.into())
    }
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
    &'a str => |text| Self::Str(text),
    &'a String => |text| Self::Str(text),
    &'a [u8] => |bytes| Self::Bytes(bytes),
    &'a Vec<u8> => |bytes| Self::Bytes(bytes),
    () => |_none| Self::None,
}

impl<'a, const N: usize> From<&'a [u8; N]> for ValueRef<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a, T: Into<ValueRef<'a>>> From<Option<T>> for ValueRef<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

macro_rules! try_from {
    ($($integer:ty),*) => { $(
        /// Fails beyond the 64 bits that an `int` of a list has.
        impl TryFrom<$integer> for Value {
            type Error = TryFromIntError;

            fn try_from(value: $integer) -> Result<Self, TryFromIntError> {
                Ok(Self::Int(value.try_into()?))
            }
        }

        /// Fails beyond the 64 bits that an `int` of a list has.
        impl TryFrom<$integer> for ValueRef<'_> {
            type Error = TryFromIntError;

            fn try_from(value: $integer) -> Result<Self, TryFromIntError> {
                Ok(Self::Int(value.try_into()?))
            }
        }
    )* };
}

try_from!(u64, usize, isize, u128, i128);

#[cfg(test)]
mod tests {
    use super::{Needle, Value, ValueRef};
    use alloc::string::String;
    use alloc::vec;

    /// Each type becomes the same value owned, borrowed, and in place.
    #[test]
    fn what_has_a_place_in_a_list_becomes_a_value() {
        use crate::list::AsValue;
        macro_rules! same {
            ($($source:expr => $value:expr),* $(,)?) => { $({
                assert_eq!(Value::from($source), $value.to_value());
                assert_eq!(AsValue::as_value(&$source), $value);
            })* };
        }
        let (text, bytes) = (String::from("text"), vec![1_u8, 2]);
        same!(
            -1_i8 => Int(-1), -1_i16 => Int(-1), -1_i32 => Int(-1), i64::MIN => Int(i64::MIN),
            u8::MAX => Int(255), u16::MAX => Int(65_535), u32::MAX => Int(4_294_967_295),
            0.5_f32 => Float(0.5), 0.1_f64 => Float(0.1), true => Bool(true), () => None,
            "text" => Str("text"), text.clone() => Str("text"), &text => Str("text"),
            bytes.clone() => Bytes(&[1, 2]), &bytes => Bytes(&[1, 2]), bytes.as_slice() => Bytes(&[1, 2]),
            [1_u8, 2] => Bytes(&[1, 2]), b"\x01\x02" => Bytes(&[1, 2]),
            Some(1_u8) => Int(1), Option::<&str>::None => None, Some(Some("x")) => Str("x"), Some([1_u8]) => Bytes(&[1]),
        );
        macro_rules! borrowed {
            ($($source:expr => $value:expr),* $(,)?) => { $( assert_eq!(ValueRef::from($source), $value); )* };
        }
        borrowed!(
            -1_i8 => Int(-1), -1_i16 => Int(-1), -1_i32 => Int(-1), -1_i64 => Int(-1), 1_u8 => Int(1), 1_u16 => Int(1),
            1_u32 => Int(1), 0.5_f32 => Float(0.5), 0.5_f64 => Float(0.5), true => Bool(true), () => None,
            "text" => Str("text"), &text => Str("text"), &bytes => Bytes(&[1, 2]), b"x" => Bytes(b"x"),
            Some(1) => Int(1), Option::<i64>::None => None, Some(&text) => Str("text"), &Value::Int(1) => Int(1),
        );
        assert_eq!(Value::try_from(i64::MAX as u64), Ok(Value::Int(i64::MAX)));
        assert_eq!(ValueRef::try_from(7_usize), Ok(Int(7)));
        assert_eq!(Value::try_from(-7_isize), Ok(Value::Int(-7)));
        assert!(Value::try_from(u64::MAX).is_err() && ValueRef::try_from(1_u64 << 63).is_err());
        assert!(Value::try_from(i128::from(i64::MIN) - 1).is_err() && Value::try_from(u128::MAX).is_err());
    }

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
