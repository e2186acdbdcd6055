//! Names of segments: validated once, then trusted.

use crate::error::{Error, ErrorKind, Result};
use crate::sys;
use core::fmt;

/// The greatest length of a name. The file system's own limit is 255 bytes (`NAME_MAX`); the rest is room for suffixes.
const MAX_BYTES: usize = 200;

/// Which bytes a name is made of.
const ALLOWED: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        allowed[byte] = matches!(byte as u8, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        byte += 1;
    }
    allowed
};

/// What a hidden name starts and ends with, under which a segment is built where files cannot be unnamed.
const TEMPORARY: (&str, &str) = (".shmtypes-", ".tmp");

/// A valid name of a segment.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SegmentName(String);

impl SegmentName {
    pub(crate) fn new(name: &str) -> Result<Self> {
        if (1..=MAX_BYTES).contains(&name.len())
            && !name.starts_with('.')
            && name.bytes().all(|byte| ALLOWED[usize::from(byte)])
        {
            return Ok(Self(name.to_owned()));
        }
        let reason = if name.is_empty() {
            "it is empty"
        } else if name.len() > MAX_BYTES {
            "it is longer than 200 bytes"
        } else if name.contains('/') {
            "it contains a slash"
        } else if name.starts_with('.') {
            "it starts with a dot"
        } else {
            "it contains a character that is not allowed"
        };
        Err(Error::new(ErrorKind::InvalidName { name: name.to_owned(), reason }))
    }

    /// A name that nobody else uses: `shm_` and 80 random bits.
    pub(crate) fn fresh() -> Result<Self> {
        const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let random = u128::from_ne_bytes(sys::random()?);
        let digits = (0..16).map(|index| char::from(DIGITS[(random >> (5 * index)) as usize % DIGITS.len()]));
        Ok(Self("shm_".chars().chain(digits).collect()))
    }

    /// A file name that Python's rules allow, which are wider than ours.
    pub(crate) fn of_block(file_name: &str) -> Self {
        Self(file_name.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A name that another program may have chosen, with everything spelled out that could disturb a terminal. A valid
/// name stays as it is.
pub(crate) fn shown(name: &str) -> String {
    name.escape_debug().collect()
}

/// A hidden name to build a segment under.
pub(crate) fn temporary() -> Result<String> {
    let random = u128::from_ne_bytes(sys::random()?);
    Ok(format!("{}{random:032x}{}", TEMPORARY.0, TEMPORARY.1))
}

/// Whether a name is one that [`temporary`] makes.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.strip_prefix(TEMPORARY.0).and_then(|rest| rest.strip_suffix(TEMPORARY.1)).is_some_and(|middle| {
        middle.len() == 32 && middle.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_directory_or_the_terminal_are_refused() {
        for name in [
            "",
            ".",
            "..",
            ".hidden",
            "/a",
            "a/b",
            "../etc/passwd",
            "a b",
            "a\0b",
            "\x1b[2J",
            "naïve",
            "a\nb",
            "a\u{202e}b",
        ] {
            assert!(SegmentName::new(name).is_err(), "{name:?}");
        }
        assert!(SegmentName::new(&"a".repeat(201)).is_err());
        assert!(SegmentName::new(&"a".repeat(200)).is_ok());
        for name in ["a", "prices", "A-1_b.c", "psm_0123abcd"] {
            assert_eq!(SegmentName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn fresh_and_temporary_names_are_what_they_say() {
        let name = SegmentName::fresh().unwrap();
        assert!(SegmentName::new(name.as_str()).is_ok());
        assert_ne!(name, SegmentName::fresh().unwrap());
        assert!(is_temporary(&temporary().unwrap()));
        assert!(SegmentName::new(&temporary().unwrap()).is_err(), "no user can take a temporary name");
        for name in [".shmtypes-.tmp", "prices", ".shmtypes-xyz.tmp"] {
            assert!(!is_temporary(name), "{name}");
        }
    }
}
