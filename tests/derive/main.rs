//! Types with `#[derive(ShmLayout)]`, over the public interface.

mod capability;
mod fingerprint;
mod generics;
mod names;
mod schema;
mod views;

/// See the macro `two_words`.
mod words {
    pub(crate) type Word = u8;
}
