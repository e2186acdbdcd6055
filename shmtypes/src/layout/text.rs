//! Text and bytes of fixed capacity: [`ShmStr`] and [`ShmBytes`].
//!
//! ```text
//! offset  size  content
//!      0     4  length in bytes, native byte order
//!      4     N  that many bytes of content; what follows is zero when written by this crate, and never read
//! ```
//!
//! Alignment 1, so that they never cause padding.
#![allow(unsafe_code, reason = "implements the unsafe layout traits; UTF-8 that has been checked becomes a str")]

use super::{AccessMode, Candidate, InvalidBits, Kind, Schema, ShmLayout, ShmRef, ShmValue, ShmZero};
use crate::access::Bounce;
use crate::error::{Error, ErrorKind};
use core::fmt;

/// The value does not fit the capacity of a [`ShmStr`] or [`ShmBytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// How many bytes the value has.
    pub len: usize,
    /// How many bytes there is room for.
    pub capacity: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes do not fit a capacity of {}", self.len, self.capacity)
    }
}

impl core::error::Error for TooLong {}

impl From<TooLong> for Error {
    fn from(error: TooLong) -> Self {
        Self::new(ErrorKind::InvalidOptions { reason: error.to_string() })
    }
}

/// A byte string of at most `N` bytes, stored in place.
///
/// ```
/// let digest = shmtypes::ShmBytes::<32>::new(b"\x00\xff")?;
/// assert_eq!(&*digest, b"\x00\xff");
/// # Ok::<(), shmtypes::TooLong>(())
/// ```
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ShmBytes<const N: usize> {
    // Invariant: at most `N`.
    len: [u8; 4],
    bytes: [u8; N],
}

/// UTF-8 text of at most `N` bytes, stored in place.
///
/// ```
/// let symbol = shmtypes::ShmStr::<12>::new("ÆTNA")?;
/// assert_eq!(symbol.as_str(), "ÆTNA");
/// assert!(shmtypes::ShmStr::<2>::new("ÆTNA").is_err());
/// # Ok::<(), shmtypes::TooLong>(())
/// ```
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct ShmStr<const N: usize> {
    // Invariant: UTF-8.
    bytes: ShmBytes<N>,
}

impl<const N: usize> ShmBytes<N> {
    /// Stores `value`.
    ///
    /// # Errors
    /// [`TooLong`] if it has more than `N` bytes.
    pub fn new(value: &[u8]) -> Result<Self, TooLong> {
        if value.len() > N {
            return Err(TooLong { len: value.len(), capacity: N });
        }
        let mut bytes = [0; N];
        bytes[..value.len()].copy_from_slice(value);
        Ok(Self { len: (value.len() as u32).to_ne_bytes(), bytes })
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..u32::from_ne_bytes(self.len) as usize]
    }

    const LAYOUT: () = assert!(N > 0 && N <= u32::MAX as usize, "the capacity is 1 to 4294967295 bytes");
}

impl<const N: usize> ShmStr<N> {
    /// Stores `text`.
    ///
    /// # Errors
    /// [`TooLong`] if it has more than `N` bytes of UTF-8.
    pub fn new(text: &str) -> Result<Self, TooLong> {
        Ok(Self { bytes: ShmBytes::new(text.as_bytes())? })
    }

    /// Stores as much of `text` as fits, cut between two characters.
    #[must_use]
    pub fn truncated(text: &str) -> Self {
        let mut end = text.len().min(N);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut bytes = [0; N];
        bytes[..end].copy_from_slice(&text.as_bytes()[..end]);
        Self { bytes: ShmBytes { len: (end as u32).to_ne_bytes(), bytes } }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // SAFETY: UTF-8 by the invariant, which `new` and `truncated` establish and `find_invalid` checks on values
        // that come out of a segment.
        unsafe { core::str::from_utf8_unchecked(self.bytes.as_bytes()) }
    }
}

impl<const N: usize> Default for ShmBytes<N> {
    fn default() -> Self {
        Self { len: [0; 4], bytes: [0; N] }
    }
}

impl<const N: usize> Default for ShmStr<N> {
    fn default() -> Self {
        Self { bytes: ShmBytes::default() }
    }
}

/// The length that the first four bytes claim, if it is possible.
fn claimed_length<const N: usize>(candidate: &Candidate<ShmBytes<N>>) -> Result<usize, InvalidBits> {
    let claimed = u32::from_ne_bytes(candidate.word());
    if claimed as usize <= N {
        Ok(claimed as usize)
    } else {
        Err(InvalidBits { offset: 0, found: claimed.into(), expected: "a length no greater than the capacity" })
    }
}

// SAFETY: `repr(C)` of two byte arrays: alignment 1, so no padding; nothing else inside.
#[diagnostic::do_not_recommend]
unsafe impl<const N: usize> ShmLayout for ShmBytes<N> {
    const SCHEMA: Schema = {
        () = Self::LAYOUT;
        Schema::of::<Self>(Kind::Bytes { capacity: N })
    };
    type View<'a, M: AccessMode> = ShmRef<'a, Self, M>;
}
// SAFETY: length 0.
#[diagnostic::do_not_recommend]
unsafe impl<const N: usize> ShmZero for ShmBytes<N> {}
// SAFETY: a length of at most `N` is the only invariant.
#[diagnostic::do_not_recommend]
unsafe impl<const N: usize> ShmValue for ShmBytes<N> {
    type Lane = Bounce;
    fn find_invalid(candidate: &Candidate<Self>) -> Option<InvalidBits> {
        claimed_length(candidate).err()
    }
}

// SAFETY: transparent over `ShmBytes`.
#[diagnostic::do_not_recommend]
unsafe impl<const N: usize> ShmLayout for ShmStr<N> {
    const SCHEMA: Schema = {
        () = ShmBytes::<N>::LAYOUT;
        Schema::of::<Self>(Kind::Text { capacity: N })
    };
    type View<'a, M: AccessMode> = ShmRef<'a, Self, M>;
}
// SAFETY: length 0.
#[diagnostic::do_not_recommend]
unsafe impl<const N: usize> ShmZero for ShmStr<N> {}
// SAFETY: checks both invariants, the length and UTF-8.
#[diagnostic::do_not_recommend]
unsafe impl<const N: usize> ShmValue for ShmStr<N> {
    type Lane = Bounce;
    fn find_invalid(candidate: &Candidate<Self>) -> Option<InvalidBits> {
        let bytes: &Candidate<ShmBytes<N>> = candidate.field(0);
        let len = match claimed_length(bytes) {
            Ok(len) => len,
            Err(invalid) => return Some(invalid),
        };
        let content = &bytes.field::<[u8; N]>(4).bytes()[..len];
        let error = core::str::from_utf8(content).err()?;
        let at = error.valid_up_to();
        Some(InvalidBits { offset: 4 + at, found: content[at].into(), expected: "UTF-8" })
    }
}

macro_rules! content_traits {
    ($type:ident, $content:ty, $get:ident) => {
        impl<const N: usize> core::ops::Deref for $type<N> {
            type Target = $content;
            fn deref(&self) -> &$content {
                self.$get()
            }
        }
        impl<const N: usize> AsRef<$content> for $type<N> {
            fn as_ref(&self) -> &$content {
                self.$get()
            }
        }
        impl<const N: usize> TryFrom<&$content> for $type<N> {
            type Error = TooLong;
            fn try_from(content: &$content) -> Result<Self, TooLong> {
                Self::new(content)
            }
        }
        impl<const N: usize> PartialEq for $type<N> {
            fn eq(&self, other: &Self) -> bool {
                self.$get() == other.$get()
            }
        }
        impl<const N: usize> Eq for $type<N> {}
        impl<const N: usize> PartialEq<$content> for $type<N> {
            fn eq(&self, other: &$content) -> bool {
                self.$get() == other
            }
        }
        impl<const N: usize> PartialEq<&$content> for $type<N> {
            fn eq(&self, other: &&$content) -> bool {
                self.$get() == *other
            }
        }
        impl<const N: usize> PartialOrd for $type<N> {
            fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }
        impl<const N: usize> Ord for $type<N> {
            fn cmp(&self, other: &Self) -> core::cmp::Ordering {
                self.$get().cmp(other.$get())
            }
        }
        impl<const N: usize> core::hash::Hash for $type<N> {
            fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
                self.$get().hash(state);
            }
        }
        impl<const N: usize> fmt::Debug for $type<N> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.$get(), f)
            }
        }
    };
}
content_traits!(ShmBytes, [u8], as_bytes);
content_traits!(ShmStr, str, as_str);

impl<const N: usize> fmt::Display for ShmStr<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
