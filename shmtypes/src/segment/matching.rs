//! Does a segment hold the type that this program means?

use super::header::{Container, Header};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::ShmLayout;
use crate::layout::describe::{Layout, json_matches};

/// Checks the private copies of a segment's header and schema against a type.
///
/// The fingerprint is the fast path to a difference; equality is decided by the schemas themselves.
pub(crate) fn check<T: ShmLayout>(container: Container, header: &Header, schema: &[u8]) -> Result<()> {
    if header.container() != container {
        let (found, expected) = (header.container().name(), container.name());
        return Err(Error::new(ErrorKind::WrongContainer { found, expected }));
    }
    let same_schema = json_matches(&T::SCHEMA, schema);
    if same_schema && header.fingerprint == T::FINGERPRINT.to_bytes() {
        return Ok(());
    }
    if same_schema {
        let start = u64::from_ne_bytes(header.fingerprint.first_chunk().copied().unwrap_or_default());
        return Err(Error::new(ErrorKind::Corrupt { field: "fingerprint", value: start }));
    }
    let differences = Layout::parse(schema)?.differences(&Layout::from(&T::SCHEMA));
    Err(Error::new(ErrorKind::LayoutMismatch { differences }))
}
