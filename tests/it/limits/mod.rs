//! Limits of the file system, the process and the kernel: clear errors, no signal, nothing left.

mod cut_off;
mod file_system;
mod kernel;
mod process;
mod sigbus;
mod truncations;

use shmtypes::{Error, ErrorKind, Persist, ShmArray};
use std::path::Path;

/// The kind of the error that a call must end with.
#[track_caller]
fn kind<T>(result: Result<T, Error>) -> ErrorKind {
    match result {
        Ok(_) => panic!("the call succeeded"),
        Err(error) => error.kind().clone(),
    }
}

/// Every way to create an array of `n` elements in a directory, by name.
fn constructors(directory: &Path, n: usize) -> Vec<(&'static str, Result<ShmArray<f64>, Error>)> {
    let unused = || ShmArray::<f64>::options().dir(directory);
    let options = || unused().name("a");
    let values = vec![1.0; n];
    let source = ndarray::Array1::from(values.clone());
    let mut made = vec![
        ("create", options().create(n)),
        ("create under a fresh name", unused().create(n)),
        ("create_with", options().create_with(n, |slots| slots.fill(1.0))),
        ("try_create_with", options().try_create_with::<Error>(n, |_| Ok(()))),
        ("create_from_fn", options().create_from_fn(n, |_| 1.0)),
        ("try_create_from_fn", options().try_create_from_fn::<Error>(n, |_| Ok(1.0))),
        ("create_from_slice", options().create_from_slice(&values)),
        ("open_or_create", options().open_or_create(n)),
        ("create_with_ndarray", options().shape(&[n]).create_with_ndarray(|mut view| view.fill(1.0))),
        ("keep", options().persist(Persist::Keep).create(n)),
        ("huge_pages", options().huge_pages(true).create(n)),
        ("prefault", options().prefault(true).create(n)),
        ("huge_pages and prefault", options().huge_pages(true).prefault(true).create_with(n, |slots| slots.fill(1.0))),
    ];
    // The short forms know one directory.
    if directory == Path::new("/dev/shm") {
        made.extend([
            ("ShmArray::create", ShmArray::create(n)),
            ("ShmArray::create_with", ShmArray::create_with(n, |slots| slots.fill(1.0))),
            ("ShmArray::create_from_fn", ShmArray::create_from_fn(n, |_| 1.0)),
            ("ShmArray::create_from_slice", ShmArray::create_from_slice(&values)),
            ("ShmArray::create_from_ndarray", ShmArray::create_from_ndarray(&source)),
            ("ShmArray::create_with_ndarray", ShmArray::create_with_ndarray(&[n], |mut view| view.fill(1.0))),
            ("ShmArray::open_or_create", ShmArray::open_or_create("b", n)),
        ]);
    }
    made
}
