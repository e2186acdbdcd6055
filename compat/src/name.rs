//! Names of `SharedMemory` blocks: what a Python program says, what the file is called, what the tracker is told.
//!
//! Python puts a slash before every name that a program gives (CPython 3.13, Lib/multiprocessing/shared_memory.py line
//! 105) and takes exactly one away when asked for it (line 217); glibc takes all leading slashes away. So `"abc"` and
//! `"/abc"` are one file and two names, each of which Python registers with its resource tracker (gh-105380).

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// The greatest length of a block's file name in bytes of UTF-8: Linux's `NAME_MAX`.
///
/// From 3.15 on, Python itself takes one byte less, because its resource tracker counts the slash: `SharedMemory` of 255
/// bytes makes or opens the block, and then raises `ValueError`.
///
/// ```
/// use shmtypes_compat::name::{NAME_MAX, PosixName};
///
/// assert!(PosixName::new("x".repeat(NAME_MAX)).is_ok());
/// assert!(PosixName::new("x".repeat(NAME_MAX + 1)).is_err());
/// ```
pub const NAME_MAX: usize = 255;

/// A name under which Linux has, or can have, a block.
///
/// ```
/// use shmtypes_compat::name::PosixName;
///
/// let name = PosixName::new("/abc").unwrap();
/// assert_eq!(name.file_name(), "abc");
/// assert_eq!(name.python_name(), "/abc");
/// assert_eq!(name.tracker_name(), "//abc");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PosixName {
    /// As a Python program gives it.
    given: String,
    /// Where the file name begins in it.
    slashes: usize,
}

impl PosixName {
    /// Checks a name as a Python program gives it to `SharedMemory`, reads it from `.name`, or pickles it.
    ///
    /// The name of a file in /dev/shm is such a name too.
    ///
    /// # Errors
    ///
    /// The names that Python or glibc refuses; see [`NameReason`].
    ///
    /// ```
    /// use shmtypes_compat::name::{NameReason, PosixName};
    ///
    /// assert_eq!(PosixName::new("psm_0123abcd").unwrap().file_name(), "psm_0123abcd");
    /// assert_eq!(PosixName::new("a/b").unwrap_err().reason(), NameReason::InnerSlash);
    /// ```
    pub fn new(given: impl Into<String>) -> Result<Self, NameError> {
        let given = given.into();
        let file_name = given.trim_start_matches('/');
        // In the order in which the layers look: Python, glibc, the kernel.
        let reason = if given.contains('\0') {
            NameReason::Nul
        } else if file_name.is_empty() {
            NameReason::Empty
        } else if file_name.contains('/') {
            NameReason::InnerSlash
        } else if file_name == "." || file_name == ".." {
            NameReason::Dots
        } else if file_name.len() > NAME_MAX {
            NameReason::TooLong { bytes: file_name.len() }
        } else {
            let slashes = given.len() - file_name.len();
            return Ok(Self { given, slashes });
        };
        Err(NameError { name: given, reason })
    }

    /// A fresh name such as Python makes for a block without one, from four random bytes.
    ///
    /// Python tries again with other bytes while the name is taken (CPython 3.13, shared_memory.py lines 40 to 47, 91
    /// to 103); so should the caller.
    ///
    /// ```
    /// use shmtypes_compat::name::PosixName;
    ///
    /// assert_eq!(PosixName::fresh([0x01, 0x23, 0xab, 0xcd]).python_name(), "psm_0123abcd");
    /// ```
    #[must_use]
    pub fn fresh(random: [u8; 4]) -> Self {
        let [a, b, c, d] = random;
        Self { given: format!("psm_{a:02x}{b:02x}{c:02x}{d:02x}"), slashes: 0 }
    }

    /// The name of the file in /dev/shm.
    ///
    /// ```
    /// use shmtypes_compat::name::PosixName;
    ///
    /// assert_eq!(PosixName::new("///abc").unwrap().file_name(), "abc");
    /// ```
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.given.get(self.slashes..).unwrap_or_default()
    }

    /// The name as a Python program gives it to `SharedMemory` and reads it from `.name`: what a pickle has.
    ///
    /// ```
    /// use shmtypes_compat::name::PosixName;
    ///
    /// assert_eq!(PosixName::new("abc").unwrap().python_name(), "abc");
    /// ```
    #[must_use]
    pub fn python_name(&self) -> &str {
        &self.given
    }

    /// The name with Python's slash before it, `SharedMemory._name`: what the resource tracker knows the block by.
    ///
    /// ```
    /// use shmtypes_compat::name::PosixName;
    ///
    /// assert_eq!(PosixName::new("abc").unwrap().tracker_name(), "/abc");
    /// ```
    #[must_use]
    pub fn tracker_name(&self) -> String {
        format!("/{}", self.given)
    }
}

impl FromStr for PosixName {
    type Err = NameError;

    fn from_str(given: &str) -> Result<Self, NameError> {
        Self::new(given)
    }
}

impl fmt::Display for PosixName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given)
    }
}

/// A name that no block can have.
///
/// ```
/// use shmtypes_compat::name::PosixName;
///
/// let error = PosixName::new("/").unwrap_err();
/// assert_eq!(error.to_string(), "\"/\" cannot be the name of a block: it is empty (use 1 to 255 bytes without a slash)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    name: String,
    reason: NameReason,
}

/// What is wrong with a name.
///
/// ```
/// use shmtypes_compat::name::{NameReason, PosixName};
///
/// assert_eq!(PosixName::new("x".repeat(300)).unwrap_err().reason(), NameReason::TooLong { bytes: 300 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameReason {
    /// Nothing is left without the leading slashes.
    Empty,
    /// A slash inside or at the end.
    InnerSlash,
    /// A NUL. Python up to 3.12.1 at least cuts the name off there, 3.13 refuses it (gh-115886).
    Nul,
    /// The file name is `.` or `..`.
    Dots,
    /// The file name has more than [`NAME_MAX`] bytes.
    TooLong {
        /// How many it has.
        bytes: usize,
    },
}

/// The exception with which Python refuses a name on Linux.
///
/// ```
/// use shmtypes_compat::name::PythonException;
///
/// assert_eq!(PythonException::OsError { errno: 17 }.class(), "FileExistsError");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PythonException {
    /// `ValueError`.
    ValueError,
    /// `OSError`, or the subclass that goes with the number.
    OsError {
        /// Its `errno`, by Linux's numbers.
        errno: i32,
    },
}

impl PythonException {
    /// The name of the exception's class.
    ///
    /// ```
    /// use shmtypes_compat::name::PythonException;
    ///
    /// assert_eq!(PythonException::ValueError.class(), "ValueError");
    /// assert_eq!(PythonException::OsError { errno: 22 }.class(), "OSError");
    /// ```
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::ValueError => "ValueError",
            Self::OsError { errno: EEXIST } => "FileExistsError",
            Self::OsError { .. } => "OSError",
        }
    }
}

const EEXIST: i32 = 17;
const EINVAL: i32 = 22;
const ENAMETOOLONG: i32 = 36;

impl NameError {
    /// The name as it was given.
    ///
    /// ```
    /// assert_eq!(shmtypes_compat::name::PosixName::new("a/b").unwrap_err().name(), "a/b");
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is wrong with it.
    ///
    /// ```
    /// use shmtypes_compat::name::{NameReason, PosixName};
    ///
    /// assert_eq!(PosixName::new("").unwrap_err().reason(), NameReason::Empty);
    /// ```
    #[must_use]
    pub fn reason(&self) -> NameReason {
        self.reason
    }

    /// What `SharedMemory(name)` raises.
    ///
    /// ```
    /// use shmtypes_compat::name::{PosixName, PythonException};
    ///
    /// let exception = PosixName::new("..").unwrap_err().on_attach();
    /// assert_eq!(exception, PythonException::OsError { errno: 22 });
    /// ```
    #[must_use]
    pub fn on_attach(&self) -> PythonException {
        match self.reason {
            NameReason::Nul => PythonException::ValueError,
            // One byte too many is the kernel's to refuse; glibc (2.36) refuses more as EINVAL.
            NameReason::TooLong { bytes } if bytes == NAME_MAX + 1 => PythonException::OsError { errno: ENAMETOOLONG },
            NameReason::Empty | NameReason::InnerSlash | NameReason::TooLong { .. } | NameReason::Dots => {
                PythonException::OsError { errno: EINVAL }
            }
        }
    }

    /// What `SharedMemory(name, create=True, size=…)` raises.
    ///
    /// ```
    /// use shmtypes_compat::name::{PosixName, PythonException};
    ///
    /// let exception = PosixName::new("..").unwrap_err().on_create();
    /// assert_eq!(exception, PythonException::OsError { errno: 17 });
    /// ```
    #[must_use]
    pub fn on_create(&self) -> PythonException {
        match self.reason {
            // A directory is in the way; without O_EXCL, glibc turns that into EINVAL.
            NameReason::Dots => PythonException::OsError { errno: EEXIST },
            _ => self.on_attach(),
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} cannot be the name of a block: ", self.name)?;
        match self.reason {
            NameReason::Empty => f.write_str("it is empty")?,
            NameReason::InnerSlash => f.write_str("it has a slash behind its start")?,
            NameReason::Nul => f.write_str("it has a NUL")?,
            NameReason::Dots => f.write_str("it is a directory's")?,
            NameReason::TooLong { bytes } => write!(f, "its {bytes} bytes are more than the limit of {NAME_MAX}")?,
        }
        write!(f, " (use 1 to {NAME_MAX} bytes without a slash)")
    }
}

impl core::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn names_that_python_takes() {
        let long = "x".repeat(255);
        let slashed = format!("{}xq", "/".repeat(300));
        for (given, file) in [
            ("psm_0123abcd", "psm_0123abcd"),
            ("/abc", "abc"),
            ("//abc", "abc"),
            (&long, &long),
            (&slashed, "xq"),
            ("...", "..."),
            ("a:b\nc", "a:b\nc"),
            ("é", "é"),
        ] {
            let name = PosixName::new(given).unwrap();
            assert_eq!(name.file_name(), file);
            assert_eq!(name.python_name(), given);
            assert_eq!(name.to_string(), given);
            assert_eq!(name.tracker_name(), format!("/{given}"));
            assert_eq!(given.parse(), Ok(name));
        }
    }

    /// What CPython 3.13.0 raises for each, on attaching and on creating, with glibc 2.36.
    #[test]
    fn names_that_python_refuses() {
        let os = |errno| PythonException::OsError { errno };
        let long = |count: usize| "x".repeat(count);
        let accents = "é".repeat(128);
        for (given, reason, attach, create) in [
            ("", NameReason::Empty, os(22), os(22)),
            ("/", NameReason::Empty, os(22), os(22)),
            ("//", NameReason::Empty, os(22), os(22)),
            (".", NameReason::Dots, os(22), os(17)),
            ("..", NameReason::Dots, os(22), os(17)),
            ("/.", NameReason::Dots, os(22), os(17)),
            ("a/b", NameReason::InnerSlash, os(22), os(22)),
            ("a/", NameReason::InnerSlash, os(22), os(22)),
            ("/a/", NameReason::InnerSlash, os(22), os(22)),
            (&long(256), NameReason::TooLong { bytes: 256 }, os(36), os(36)),
            (&accents, NameReason::TooLong { bytes: 256 }, os(36), os(36)),
            (&long(257), NameReason::TooLong { bytes: 257 }, os(22), os(22)),
            (&(long(256) + "/"), NameReason::InnerSlash, os(22), os(22)),
            (&long(5000), NameReason::TooLong { bytes: 5000 }, os(22), os(22)),
            ("a\0b", NameReason::Nul, PythonException::ValueError, PythonException::ValueError),
            ("/\0", NameReason::Nul, PythonException::ValueError, PythonException::ValueError),
            ("x/\0", NameReason::Nul, PythonException::ValueError, PythonException::ValueError),
        ] {
            let error = PosixName::new(given).unwrap_err();
            assert_eq!(error.name(), given);
            assert_eq!(error.reason(), reason, "{given:?}");
            assert_eq!((error.on_attach(), error.on_create()), (attach, create), "{given:?}");
        }
    }

    #[test]
    fn fresh_names_have_every_digit() {
        assert_eq!(PosixName::fresh([0, 1, 0xfe, 0xff]).python_name(), "psm_0001feff");
        assert_eq!(PosixName::fresh([0; 4]).tracker_name().len(), 13, "Python's _SHM_SAFE_NAME_LENGTH is 14");
    }

    proptest! {
        #[test]
        fn accepted_names_never_leave_the_directory(given in "[/.a\0é]{0,8}") {
            if let Ok(name) = PosixName::new(given.as_str()) {
                let file = name.file_name();
                prop_assert!(!file.is_empty() && file.len() <= NAME_MAX && file != "." && file != "..");
                prop_assert!(!file.contains(['/', '\0']));
                let again = PosixName::new(file).unwrap();
                prop_assert_eq!(again.file_name(), file);
            }
        }
    }
}
