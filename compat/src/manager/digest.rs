//! The secret that both sides share, and the digests by which they prove it.

use super::HandshakeError;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use hmac::{Hmac, KeyInit, Mac, SimpleHmac};
use zeroize::Zeroizing;

/// The authentication key of a manager: `authkey` in Python. Any bytes, of any length.
///
/// Python's default is 32 random bytes that only the processes know which `multiprocessing` has started
/// (`multiprocessing.process.current_process().authkey`): name a key on both sides. Copies share the bytes, and the last
/// one wipes them. The key itself never goes over the wire.
///
/// ```
/// use shmtypes_compat::manager::AuthKey;
///
/// let key = AuthKey::new(b"sekrit");
/// assert_eq!(format!("{key:?}"), "AuthKey(..)");
/// ```
#[derive(Clone)]
pub struct AuthKey(Arc<Zeroizing<Vec<u8>>>);

impl AuthKey {
    /// A key of these bytes, which are copied.
    ///
    /// ```
    /// use shmtypes_compat::manager::AuthKey;
    ///
    /// assert_eq!(AuthKey::new(b"").as_bytes(), b"");
    /// ```
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Arc::new(Zeroizing::new(bytes.to_vec())))
    }

    /// The bytes, to hand the key to a process that may know it.
    ///
    /// ```
    /// use shmtypes_compat::manager::AuthKey;
    ///
    /// assert_eq!(AuthKey::new(b"sekrit").as_bytes(), b"sekrit");
    /// ```
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthKey(..)")
    }
}

/// A digest for the proof: HMAC with this hash. CPython's `_ALLOWED_DIGESTS`.
///
/// ```
/// use shmtypes_compat::manager::Digest;
///
/// assert_eq!(Digest::default(), Digest::Sha256);
/// assert_eq!(Digest::Sha3_384.name(), "sha3_384");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Digest {
    /// The only one of CPython up to 3.11. Broken for signatures, and not known to be for this use.
    Md5,
    /// What CPython asks for since 3.12.
    #[default]
    Sha256,
    /// Longer.
    Sha384,
    /// Of another family.
    Sha3_256,
    /// Longer, and of another family.
    Sha3_384,
}

impl Digest {
    /// All of them.
    ///
    /// ```
    /// use shmtypes_compat::manager::Digest;
    ///
    /// assert!(Digest::ALL.contains(&Digest::default()));
    /// ```
    pub const ALL: [Self; 5] = [Self::Md5, Self::Sha256, Self::Sha384, Self::Sha3_256, Self::Sha3_384];

    /// Its name on the wire, where it stands in braces.
    ///
    /// ```
    /// assert_eq!(shmtypes_compat::manager::Digest::Md5.name(), "md5");
    /// ```
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha3_256 => "sha3_256",
            Self::Sha3_384 => "sha3_384",
        }
    }

    fn prefix(self) -> &'static [u8] {
        match self {
            Self::Md5 => b"{md5}",
            Self::Sha256 => b"{sha256}",
            Self::Sha384 => b"{sha384}",
            Self::Sha3_256 => b"{sha3_256}",
            Self::Sha3_384 => b"{sha3_384}",
        }
    }

    /// The digest that a message names at its start, and the rest.
    pub(super) fn of(message: &[u8]) -> Option<(Self, &[u8])> {
        Self::ALL.into_iter().find_map(|digest| Some((digest, message.strip_prefix(digest.prefix())?)))
    }

    /// `{digest}` and what follows.
    pub(super) fn prefixed(self, rest: &[u8]) -> Vec<u8> {
        [self.prefix(), rest].concat()
    }

    fn length(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha256 | Self::Sha3_256 => 32,
            Self::Sha384 | Self::Sha3_384 => 48,
        }
    }

    /// The HMAC of a message.
    pub(super) fn sign(self, key: &AuthKey, message: &[u8]) -> Vec<u8> {
        fn sign<M: Mac + KeyInit>(key: &AuthKey, message: &[u8]) -> Vec<u8> {
            mac::<M>(key, message).map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default()
        }
        match self {
            Self::Md5 => sign::<Hmac<md5::Md5>>(key, message),
            Self::Sha256 => sign::<Hmac<sha2::Sha256>>(key, message),
            Self::Sha384 => sign::<Hmac<sha2::Sha384>>(key, message),
            Self::Sha3_256 => sign::<SimpleHmac<sha3::Sha3_256>>(key, message),
            Self::Sha3_384 => sign::<SimpleHmac<sha3::Sha3_384>>(key, message),
        }
    }

    /// Whether `found` is the HMAC of a message, in a time that does not tell how much of it is.
    pub(super) fn verify(self, key: &AuthKey, message: &[u8], found: &[u8]) -> Result<(), HandshakeError> {
        fn verify<M: Mac + KeyInit>(key: &AuthKey, message: &[u8], found: &[u8]) -> bool {
            mac::<M>(key, message).is_some_and(|mac| mac.verify_slice(found).is_ok())
        }
        let expected = self.length();
        if found.len() != expected {
            return Err(HandshakeError::DigestLength { digest: self, expected, found: found.len() });
        }
        let same = match self {
            Self::Md5 => verify::<Hmac<md5::Md5>>(key, message, found),
            Self::Sha256 => verify::<Hmac<sha2::Sha256>>(key, message, found),
            Self::Sha384 => verify::<Hmac<sha2::Sha384>>(key, message, found),
            Self::Sha3_256 => verify::<SimpleHmac<sha3::Sha3_256>>(key, message, found),
            Self::Sha3_384 => verify::<SimpleHmac<sha3::Sha3_384>>(key, message, found),
        };
        if same { Ok(()) } else { Err(HandshakeError::WrongKey) }
    }
}

/// HMAC takes keys of any length, so there always is one; without one nothing is proved, and nothing is believed.
fn mac<M: Mac + KeyInit>(key: &AuthKey, message: &[u8]) -> Option<M> {
    let mac = <M as KeyInit>::new_from_slice(key.as_bytes()).ok()?;
    Some(mac.chain_update(message))
}
