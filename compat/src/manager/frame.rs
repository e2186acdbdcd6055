//! Frames: a length and as many bytes, as `multiprocessing.connection.Connection` sends them.
//!
//! ```text
//! 0           4                      4 + n
//! | n: i32 BE | n bytes              |          n <= 0x7fff_ffff
//!
//! 0           4             12                       12 + n
//! | -1        | n: u64 BE   | n bytes                |
//! ```
//!
//! CPython 3.13, Lib/multiprocessing/connection.py: `Connection._send_bytes`, `_recv_bytes`.
#![allow(clippy::big_endian_bytes, reason = "lengths of frames are in network order")]

use alloc::vec::Vec;
use core::fmt;

/// The longest header: -1 and eight bytes.
const LONG_HEADER: usize = 12;
const SHORT_HEADER: usize = 4;

/// Why a frame was refused. The stream has no meaning behind such a header: close the connection.
///
/// ```
/// use shmtypes_compat::manager::frame::{Decoder, FrameError};
///
/// let error = Decoder::new(256).feed(&mut &[0, 1, 0, 0][..]).unwrap_err();
/// assert_eq!(error, FrameError::TooLong { bytes: 65_536, limit: 256 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame says that it is longer than the limit. CPython closes the connection too (`_bad_message_length`).
    TooLong {
        /// The length that it says it has.
        bytes: u64,
        /// The limit.
        limit: usize,
    },
    /// A negative length other than -1, which no Python sends.
    NegativeLength {
        /// The length.
        length: i32,
    },
}

impl FrameError {
    /// What to do about it.
    ///
    /// ```
    /// use shmtypes_compat::manager::frame::FrameError;
    ///
    /// assert!(FrameError::NegativeLength { length: -2 }.hint().contains("manager"));
    /// ```
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::TooLong { limit: ..=256, .. } => {
                "a frame of the handshake is short: check that the other side is a manager, or a client of one"
            }
            Self::TooLong { .. } => "ask for less at once, or raise the limit",
            Self::NegativeLength { .. } => "check that the other side is a manager, or a client of one",
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes, limit } => {
                write!(f, "the peer sends a frame of {bytes} bytes, and {limit} are the limit")?;
            }
            Self::NegativeLength { length } => write!(f, "the peer sends a frame of {length} bytes")?,
        }
        write!(f, " ({})", self.hint())
    }
}

impl core::error::Error for FrameError {}

/// Takes frames out of a stream that arrives in pieces of any size.
///
/// It holds what has arrived of one frame: at most twice that much memory, and never more than the frame, whatever length it claims.
///
/// ```
/// use shmtypes_compat::manager::frame::Decoder;
///
/// let mut decoder = Decoder::new(256);
/// assert_eq!(decoder.feed(&mut &b"\0\0"[..])?, None);
/// let mut rest = &b"\0\x02hi\0\0\0\x01!"[..];
/// assert_eq!(decoder.feed(&mut rest)?.as_deref(), Some(&b"hi"[..]));
/// assert_eq!(decoder.feed(&mut rest)?.as_deref(), Some(&b"!"[..]));
/// assert!(rest.is_empty());
/// # Ok::<(), shmtypes_compat::manager::frame::FrameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Decoder {
    limit: usize,
    header: [u8; LONG_HEADER],
    /// How many bytes of the header there are.
    headed: usize,
    /// The length, once the header is whole.
    length: Option<usize>,
    payload: Vec<u8>,
    failed: Option<FrameError>,
}

impl Decoder {
    /// A decoder of frames up to a length.
    ///
    /// ```
    /// use shmtypes_compat::manager::frame::Decoder;
    ///
    /// assert!(Decoder::new(0).feed(&mut &[0, 0, 0, 1][..]).is_err());
    /// ```
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, header: [0; LONG_HEADER], headed: 0, length: None, payload: Vec::new(), failed: None }
    }

    /// Changes the limit for frames whose header is not whole yet.
    ///
    /// ```
    /// use shmtypes_compat::manager::frame::Decoder;
    ///
    /// let mut decoder = Decoder::new(0);
    /// decoder.set_limit(1);
    /// assert_eq!(decoder.feed(&mut &[0, 0, 0, 1, 7][..])?.as_deref(), Some(&[7][..]));
    /// # Ok::<(), shmtypes_compat::manager::frame::FrameError>(())
    /// ```
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Whether the stream may end here.
    ///
    /// ```
    /// use shmtypes_compat::manager::frame::Decoder;
    ///
    /// let mut decoder = Decoder::new(256);
    /// assert!(decoder.is_between_frames());
    /// decoder.feed(&mut &[0][..])?;
    /// assert!(!decoder.is_between_frames());
    /// # Ok::<(), shmtypes_compat::manager::frame::FrameError>(())
    /// ```
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.headed == 0 && self.failed.is_none()
    }

    /// Takes from the front of `bytes` what belongs to the next frame, and returns the frame once it is whole. Bytes that
    /// are left begin the next one: call again until there are none.
    ///
    /// # Errors
    ///
    /// A frame over the limit, or with a length that is none; and from then on the same error for all that follows.
    ///
    /// ```
    /// use shmtypes_compat::manager::frame::Decoder;
    ///
    /// let mut bytes = &b"\xff\xff\xff\xff\0\0\0\0\0\0\0\x01a"[..];
    /// assert_eq!(Decoder::new(256).feed(&mut bytes)?.as_deref(), Some(&b"a"[..]));
    /// # Ok::<(), shmtypes_compat::manager::frame::FrameError>(())
    /// ```
    pub fn feed(&mut self, bytes: &mut &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let Some(length) = self.read_header(bytes).inspect_err(|error| self.failed = Some(*error))? else {
            return Ok(None);
        };
        let wanted = length - self.payload.len();
        let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
        *bytes = rest;
        self.grow(self.payload.len() + taken.len(), length);
        self.payload.extend_from_slice(taken);
        if self.payload.len() < length {
            return Ok(None);
        }
        self.headed = 0;
        self.length = None;
        Ok(Some(core::mem::take(&mut self.payload)))
    }

    /// Doubles the buffer, up to the length of the frame, where what has arrived does not fit.
    fn grow(&mut self, needed: usize, length: usize) {
        let held = self.payload.capacity();
        if needed > held {
            let capacity = needed.max(held.saturating_mul(2)).min(length);
            self.payload.reserve_exact(capacity - self.payload.len());
        }
    }

    /// Completes the header; `None` if that takes more bytes.
    fn read_header(&mut self, bytes: &mut &[u8]) -> Result<Option<usize>, FrameError> {
        if let Some(length) = self.length {
            return Ok(Some(length));
        }
        let length = loop {
            match self.header {
                [a, b, c, d, ..] if self.headed == SHORT_HEADER => match i32::from_be_bytes([a, b, c, d]) {
                    -1 => {}
                    length => break u64::try_from(length).map_err(|_| FrameError::NegativeLength { length })?,
                },
                [_, _, _, _, ref long @ ..] if self.headed == LONG_HEADER => break u64::from_be_bytes(*long),
                _ => {}
            }
            let Some(byte) = bytes.split_off_first() else { return Ok(None) };
            if let Some(place) = self.header.get_mut(self.headed) {
                *place = *byte;
            }
            self.headed += 1;
        };
        match usize::try_from(length) {
            Ok(length) if length <= self.limit => self.length = Some(length),
            _ => return Err(FrameError::TooLong { bytes: length, limit: self.limit }),
        }
        Ok(self.length)
    }
}

/// Appends a payload as a frame, as CPython sends it.
///
/// ```
/// let mut out = Vec::new();
/// shmtypes_compat::manager::frame::encode(b"#WELCOME#", &mut out);
/// assert_eq!(out, b"\0\0\0\x09#WELCOME#");
/// ```
pub fn encode(payload: &[u8], out: &mut Vec<u8>) {
    header(payload.len() as u64, out);
    out.extend_from_slice(payload);
}

fn header(length: u64, out: &mut Vec<u8>) {
    match i32::try_from(length) {
        Ok(length) => out.extend_from_slice(&length.to_be_bytes()),
        Err(_) => {
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    /// What CPython 3.13 writes: `struct.pack("!i", n)`, and from 2 GiB on `struct.pack("!i", -1) + struct.pack("!Q", n)`.
    #[test]
    fn headers_are_those_of_cpython() {
        for (length, expected) in [
            (0, "00000000"),
            (59, "0000003b"),
            (0x7fff_ffff, "7fffffff"),
            (0x8000_0000, "ffffffff0000000080000000"),
            (u64::MAX, "ffffffffffffffffffffffff"),
        ] {
            let mut out = vec![];
            header(length, &mut out);
            assert_eq!(hex::encode(out), expected);
        }
    }

    #[test]
    fn lengths_beyond_the_limit_and_below_zero_are_refused_for_good() {
        for (bytes, error) in [
            (&b"\0\0\x01\x01"[..], FrameError::TooLong { bytes: 257, limit: 256 }),
            (b"\x7f\xff\xff\xff", FrameError::TooLong { bytes: 0x7fff_ffff, limit: 256 }),
            (b"\xff\xff\xff\xff\0\0\0\0\0\0\x01\x01", FrameError::TooLong { bytes: 257, limit: 256 }),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", FrameError::TooLong { bytes: u64::MAX, limit: 256 }),
            (b"\xff\xff\xff\xfe", FrameError::NegativeLength { length: -2 }),
            (b"\x80\0\0\0", FrameError::NegativeLength { length: i32::MIN }),
        ] {
            let mut decoder = Decoder::new(256);
            assert_eq!(decoder.feed(&mut &bytes[..bytes.len() - 1]), Ok(None));
            assert!(!decoder.is_between_frames());
            assert_eq!(decoder.feed(&mut &bytes[bytes.len() - 1..]), Err(error));
            assert_eq!(decoder.feed(&mut &b"\0\0\0\0"[..]), Err(error));
            assert!(!decoder.is_between_frames());
        }
    }

    #[test]
    fn memory_follows_what_has_arrived_and_not_what_is_claimed() {
        let claimed = 1 << 24;
        let mut decoder = Decoder::new(claimed);
        decoder.feed(&mut &b"\x01\0\0\0"[..]).unwrap();
        assert_eq!(decoder.payload.capacity(), 0);
        for arrived in 1..10_000 {
            assert_eq!(decoder.feed(&mut &[7][..]), Ok(None));
            assert!(decoder.payload.capacity() <= 2 * arrived, "{} for {arrived}", decoder.payload.capacity());
        }
        decoder.feed(&mut vec![0; claimed - 10_000].as_slice()).unwrap();
        assert!(decoder.payload.capacity() <= claimed);
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6),
            pieces in prop::collection::vec(1_usize..40, 1..40),
        ) {
            let mut stream = vec![];
            payloads.iter().for_each(|payload| encode(payload, &mut stream));
            let (mut decoder, mut found, mut rest) = (Decoder::new(300), vec![], stream.as_slice());
            for piece in pieces.iter().cycle() {
                let (mut taken, behind) = rest.split_at((*piece).min(rest.len()));
                rest = behind;
                while !taken.is_empty() {
                    found.extend(decoder.feed(&mut taken).unwrap());
                }
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(found, payloads);
            prop_assert!(decoder.is_between_frames());
        }
    }
}
