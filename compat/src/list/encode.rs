//! Making a list: sizes first, then the bytes.

use super::kind::{Kind, MAX_TEXT};
use super::layout::WORD;
use super::store::{PADDING, check_end, text_bytes};
use super::{AsValue, Dialect, ListError, Text};
use crate::value::ValueRef;
use alloc::vec;
use alloc::vec::Vec;

/// What slots are multiples of (CPython's `_alignment`).
const ALIGNMENT: usize = 8;

/// How many bytes the list of these values has.
///
/// # Errors
/// [`ListError::TrailingNul`] and [`ListError::WouldBeCut`], unless `text` allows the loss; [`ListError::TooLong`],
/// [`ListError::TooLarge`].
pub fn encoded_len<V: AsValue>(values: &[V], dialect: Dialect, text: Text) -> Result<usize, ListError> {
    let mut data = 0_usize;
    for (index, value) in values.iter().enumerate() {
        let slot = slot_bytes(index, value.as_value(), dialect, text)?;
        data = data.checked_add(slot).ok_or(ListError::TooLarge)?;
    }
    let table = values.len().checked_mul(2 * WORD + 1).ok_or(ListError::TooLarge)?;
    let len = table.checked_add(data).and_then(|len| len.checked_add(front(dialect)));
    len.filter(|&len| isize::try_from(len).is_ok()).ok_or(ListError::TooLarge)
}

/// The words in front of the first value, but for one per value.
fn front(dialect: Dialect) -> usize {
    match dialect {
        Dialect::Py38 => WORD,
        Dialect::Portable | Dialect::Py39 => 2 * WORD,
    }
}

/// The size of a value's slot.
#[inline]
fn slot_bytes(index: usize, value: ValueRef<'_>, dialect: Dialect, text: Text) -> Result<usize, ListError> {
    let Some(bytes) = text_bytes(value) else { return Ok(ALIGNMENT) };
    check_end(bytes, text)?;
    let padding = usize::from(text == Text::Padded);
    let needed = bytes.len() + padding;
    // CPython takes `len` of the object: characters of a `str` (3.13, line 313).
    let counted = match value {
        ValueRef::Str(text) if dialect != Dialect::Portable => text.chars().count() + padding,
        _ => needed,
    };
    let slot = ALIGNMENT * (counted / ALIGNMENT + 1);
    if slot > MAX_TEXT {
        return Err(ListError::TooLong { index, len: needed });
    }
    if slot < needed && text != Text::AsCPython {
        return Err(ListError::WouldBeCut { index, needed, available: slot });
    }
    Ok(slot)
}

/// The list of these values.
///
/// # Errors
/// As [`encoded_len`].
pub fn encode<V: AsValue>(values: &[V], dialect: Dialect, text: Text) -> Result<Vec<u8>, ListError> {
    let mut bytes = vec![0; encoded_len(values, dialect, text)?];
    encode_into(&mut bytes, values, dialect, text)?;
    Ok(bytes)
}

/// Writes the list of these values into zeroed memory, such as a fresh segment. Memory of exactly [`encoded_len`] bytes is
/// best: an empty list, or one of 3.8, in more than that looks like one that is not finished.
///
/// # Errors
/// As [`encoded_len`]; [`ListError::Truncated`] if `target` is shorter than that. Then `target` is half written.
pub fn encode_into<V: AsValue>(target: &mut [u8], values: &[V], dialect: Dialect, text: Text) -> Result<(), ListError> {
    let (needed, found) = (encoded_len(values, dialect, text)?, target.len());
    let Some(target) = target.get_mut(..needed) else {
        return Err(ListError::Truncated { needed: needed as u64, found: found as u64 });
    };
    let count = values.len();
    let (table, rest) = target.split_at_mut(front(dialect) + count * WORD);
    let (slots, rest) = rest.split_at_mut(rest.len() - count * (WORD + 1));
    let (formats, codes) = rest.split_at_mut(count * WORD);

    let mut table = table.as_chunks_mut::<WORD>().0.iter_mut();
    let mut put = |number: usize| {
        if let Some(word) = table.next() {
            *word = (number as u64).to_ne_bytes();
        }
    };
    put(count);
    if dialect != Dialect::Py38 {
        put(0);
    }
    let mut end = 0;
    let formats = formats.as_chunks_mut::<WORD>().0;
    for (index, ((value, format), code)) in values.iter().zip(formats).zip(codes).enumerate() {
        let value = value.as_value();
        let start = end;
        let kind = match Kind::of_number(value) {
            Some((kind, word)) => {
                end += ALIGNMENT;
                slots[start..end].copy_from_slice(&word.to_ne_bytes());
                kind
            }
            None => {
                end += slot_bytes(index, value, dialect, text)?;
                let slot = &mut slots[start..end];
                let bytes = text_bytes(value).unwrap_or_default();
                let kept = bytes.len().min(slot.len());
                slot[..kept].copy_from_slice(&bytes[..kept]);
                if text == Text::Padded {
                    slot[kept] = PADDING;
                }
                if matches!(value, ValueRef::Str(_)) { Kind::Str(end - start) } else { Kind::Bytes(end - start) }
            }
        };
        *format = kind.format().to_ne_bytes();
        *code = kind.code();
        put(if dialect == Dialect::Py38 { end - start } else { end });
    }
    Ok(())
}
