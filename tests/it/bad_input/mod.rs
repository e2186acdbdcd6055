//! Bad input: files, headers, types, names and values that are not what they should be.

mod files;
mod header;
mod layouts;
mod listing;
mod mutator;
mod names;
mod owners;
mod requests;
mod values;

use shmtypes::{Error, ErrorKind};

/// The kind of the error that a call must end with.
#[track_caller]
fn kind<T>(result: Result<T, Error>) -> ErrorKind {
    match result {
        Ok(_) => panic!("the call succeeded"),
        Err(error) => error.kind().clone(),
    }
}
