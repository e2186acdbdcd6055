//! Messages to Python's resource tracker, the process that unlinks blocks whose owners are gone.
//!
//! A message is one line, in one of two forms, written with one `write` to the tracker's pipe, so that lines of several
//! writers never mix. Which form a tracker understands depends on its Python:
//!
//! | Python | [simple](MessageForm::Simple) | [JSON](MessageForm::Json) |
//! |---|---|---|
//! | 3.8 to 3.12, 3.13.0 to 3.13.9, 3.14.0 | yes, without `:` in the name | no |
//! | 3.13.10, 3.14.1 (gh-98896) | no | yes |
//! | from 3.13.11, 3.14.2, 3.15 on (gh-142206) | yes | yes |
//!
//! A tracker keeps a set: registering twice is registering once, and unregistering what is not registered prints a
//! traceback there. Python registers a block when it attaches, too.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The greatest length of a message: what POSIX lets every pipe take in one piece (CPython 3.13,
/// Lib/multiprocessing/resource_tracker.py line 206).
///
/// ```
/// use shmtypes_compat::tracker::{Action, MAX_MESSAGE_BYTES, MAX_SIMPLE_NAME_BYTES, MessageForm, message};
///
/// let name = format!("/{}", "x".repeat(MAX_SIMPLE_NAME_BYTES - 1));
/// assert_eq!(message(Action::Unregister, &name, MessageForm::Simple).unwrap().len(), MAX_MESSAGE_BYTES);
/// ```
pub const MAX_MESSAGE_BYTES: usize = 512;

/// The greatest length of a name in the simple form, with its slash: so that unregistering fits, too.
///
/// Registering alone would leave room for two bytes more, and for a block that could never be unregistered.
///
/// ```
/// use shmtypes_compat::tracker::{Action, MAX_SIMPLE_NAME_BYTES, MessageForm, message};
///
/// let name = format!("/{}", "x".repeat(MAX_SIMPLE_NAME_BYTES));
/// assert!(message(Action::Register, &name, MessageForm::Simple).is_err());
/// ```
pub const MAX_SIMPLE_NAME_BYTES: usize = MAX_MESSAGE_BYTES - "UNREGISTER::shared_memory\n".len();

/// The greatest length of a name in the JSON form, with its slash.
///
/// The longest file name of a block, 255 bytes, does not fit with its slash; Python leaves such a block behind.
///
/// ```
/// use shmtypes_compat::tracker::{Action, MAX_JSON_NAME_BYTES, MessageForm, message};
///
/// let name = format!("/{}", "x".repeat(MAX_JSON_NAME_BYTES));
/// assert!(message(Action::Register, &name, MessageForm::Json).is_err());
/// ```
pub const MAX_JSON_NAME_BYTES: usize = 255;

/// What the tracker is told about a block.
///
/// ```
/// use shmtypes_compat::tracker::{Action, MessageForm, message};
///
/// let line = message(Action::Unregister, "/trk_demo", MessageForm::Simple).unwrap();
/// assert_eq!(line, b"UNREGISTER:/trk_demo:shared_memory\n");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Unlink it once every writer of the pipe is gone.
    Register,
    /// Forget it.
    Unregister,
}

/// How a message is written.
///
/// ```
/// use shmtypes_compat::tracker::MessageForm;
///
/// assert_eq!(MessageForm::fitting("/psm_0123abcd"), MessageForm::Simple);
/// assert_eq!(MessageForm::fitting("/two\nlines"), MessageForm::Json);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageForm {
    /// `REGISTER:/name:shared_memory`: names in ASCII.
    Simple,
    /// `{"cmd":"REGISTER","rtype":"shared_memory","base64_name":"L25hbWU="}`: any name.
    Json,
}

impl MessageForm {
    /// The form to use for a name when nothing is known of the tracker's Python: the one that more of them understand.
    ///
    /// That is the simple one wherever it can say the name. A name with a colon, a newline or anything outside ASCII
    /// needs JSON; for a name with a colon, every Python that reads the simple form rightly reads JSON, too.
    ///
    /// ```
    /// use shmtypes_compat::tracker::MessageForm;
    ///
    /// assert_eq!(MessageForm::fitting("/a:b"), MessageForm::Json);
    /// assert_eq!(MessageForm::fitting("/é"), MessageForm::Json);
    /// ```
    #[must_use]
    pub fn fitting(name: &str) -> Self {
        if name.is_ascii() && !name.contains([':', '\n']) { Self::Simple } else { Self::Json }
    }
}

/// Why there is no message about a name.
///
/// ```
/// use shmtypes_compat::tracker::{Action, MessageForm, TrackerError, message};
///
/// let error = message(Action::Register, "psm_0123abcd", MessageForm::Simple).unwrap_err();
/// assert_eq!(error, TrackerError::NoSlash { name: "psm_0123abcd".into() });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrackerError {
    /// The name does not begin with Python's slash, so no tracker knows the block by it.
    NoSlash {
        /// The name.
        name: String,
    },
    /// The simple form cannot say the name.
    NotSimple {
        /// The name.
        name: String,
        /// The first character that it cannot say.
        character: char,
    },
    /// The message would be too long, or the name for the tracker.
    NameTooLong {
        /// The length of the name.
        bytes: usize,
        /// The limit of the form.
        limit: usize,
    },
}

impl fmt::Display for TrackerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSlash { name } => {
                write!(f, "{name:?} does not begin with a slash (use `PosixName::tracker_name`)")
            }
            Self::NotSimple { name, character } => {
                write!(f, "the simple form cannot say {character:?} in {name:?} (use `MessageForm::Json`)")
            }
            Self::NameTooLong { bytes, limit } => {
                write!(f, "the name's {bytes} bytes are more than the limit of {limit} (use a shorter name)")
            }
        }
    }
}

impl core::error::Error for TrackerError {}

/// The line that tells the tracker about a block, by its [name with the slash](crate::name::PosixName::tracker_name).
///
/// Write it with one `write`.
///
/// # Errors
///
/// When the name has no slash before it, is too long, or the form cannot say it: the simple form takes ASCII without
/// newlines. It takes colons, though trackers before 3.13.11 do not: [`MessageForm::fitting`] avoids them.
///
/// ```
/// use shmtypes_compat::name::PosixName;
/// use shmtypes_compat::tracker::{Action, MessageForm, message};
///
/// let name = PosixName::new("trk_demo").unwrap().tracker_name();
/// let line = message(Action::Register, &name, MessageForm::fitting(&name)).unwrap();
/// assert_eq!(line, b"REGISTER:/trk_demo:shared_memory\n");
/// let line = message(Action::Register, &name, MessageForm::Json).unwrap();
/// assert_eq!(line, br#"{"cmd":"REGISTER","rtype":"shared_memory","base64_name":"L3Rya19kZW1v"}
/// "#);
/// ```
pub fn message(action: Action, name: &str, form: MessageForm) -> Result<Vec<u8>, TrackerError> {
    if !name.starts_with('/') {
        return Err(TrackerError::NoSlash { name: name.into() });
    }
    let limit = match form {
        MessageForm::Simple => MAX_SIMPLE_NAME_BYTES,
        MessageForm::Json => MAX_JSON_NAME_BYTES,
    };
    if name.len() > limit {
        return Err(TrackerError::NameTooLong { bytes: name.len(), limit });
    }
    let command: &[u8] = match action {
        Action::Register => b"REGISTER",
        Action::Unregister => b"UNREGISTER",
    };
    Ok(match form {
        MessageForm::Simple => {
            if let Some(character) = name.chars().find(|character| !character.is_ascii() || *character == '\n') {
                return Err(TrackerError::NotSimple { name: name.into(), character });
            }
            [command, b":", name.as_bytes(), b":shared_memory\n"].concat()
        }
        MessageForm::Json => {
            let name = base64(name.as_bytes());
            [br#"{"cmd":""#, command, br#"","rtype":"shared_memory","base64_name":""#, &name, b"\"}\n"].concat()
        }
    })
}

/// Base64 with the URL-safe alphabet and padding, as Python's `urlsafe_b64encode` writes it.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index| u32::from(chunk.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (index, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = DIGITS[(bits >> shift) as usize % DIGITS.len()];
            out.push(if index <= chunk.len() { digit } else { b'=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use proptest::prelude::*;

    const BOTH: [Action; 2] = [Action::Register, Action::Unregister];

    #[test]
    fn base64_is_pythons() {
        for (bytes, text) in [
            (&b""[..], &b""[..]),
            (b"/", b"Lw=="),
            (b"/a", b"L2E="),
            (b"/ab", b"L2Fi"),
            ("/é?>~".as_bytes(), b"L8OpPz5-"),
            (b"\xff\xff\xff\xfb\xef\xbe", b"____----"),
        ] {
            assert_eq!(base64(bytes), text);
        }
    }

    /// How a tracker splits a simple line: 3.8 to 3.13.9 at every colon (3.13, resource_tracker.py line 244), later ones
    /// at the first and the last.
    fn split(line: &str) -> (&str, &str, &str) {
        let (command, rest) = line.trim().split_once(':').unwrap();
        let (name, kind) = rest.rsplit_once(':').unwrap();
        (command, name, kind)
    }

    #[test]
    fn the_simple_form_says_what_it_can() {
        for name in ["/psm_0123abcd", "//abc", "/a:b", "/ a ", "/"] {
            let line = message(Action::Register, name, MessageForm::Simple).unwrap();
            assert_eq!(split(core::str::from_utf8(&line).unwrap()), ("REGISTER", name, "shared_memory"));
        }
        for (name, character) in [("/a\nb", '\n'), ("/é", 'é')] {
            let expected = TrackerError::NotSimple { name: name.into(), character };
            assert_eq!(message(Action::Register, name, MessageForm::Simple), Err(expected));
        }
    }

    #[test]
    fn lengths_end_where_a_message_does() {
        for (form, limit) in [(MessageForm::Simple, 486), (MessageForm::Json, 255)] {
            for action in BOTH {
                let name = format!("/{}", "x".repeat(limit - 1));
                assert!(message(action, &name, form).unwrap().len() <= MAX_MESSAGE_BYTES);
                let bytes = limit + 1;
                let name = name + "xx";
                assert_eq!(message(action, &name[..bytes], form), Err(TrackerError::NameTooLong { bytes, limit }));
            }
        }
        for name in ["", "abc"] {
            assert_eq!(message(BOTH[0], name, MessageForm::Json), Err(TrackerError::NoSlash { name: name.into() }));
        }
    }

    proptest! {
        #[test]
        fn the_fitting_form_fits(name in "/(\\PC|[:\n\r ]){0,60}") {
            for action in BOTH {
                let line = message(action, &name, MessageForm::fitting(&name)).unwrap();
                prop_assert!(line.is_ascii() && line.len() <= MAX_MESSAGE_BYTES);
                prop_assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
            }
        }

        #[test]
        fn json_is_json(name in "/\\PC{0,60}") {
            let line = message(Action::Register, &name, MessageForm::Json).unwrap();
            let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
            let encoded = base64(name.as_bytes());
            let expected = core::str::from_utf8(&encoded).unwrap();
            prop_assert_eq!(value, serde_json::json!({
                "cmd": "REGISTER", "rtype": "shared_memory", "base64_name": expected,
            }));
        }
    }
}
