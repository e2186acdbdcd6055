//! Every public call on one directory, once around: what must work, or fail clearly, wherever it runs.

use shmtypes::{Detached, Error, Persist, SegmentDirectory, ShmArray, Trust};
use std::path::Path;

/// Creates, opens, uses, inspects and removes arrays in `directory`, which is listed as `listed`: the same directory,
/// perhaps by another path. Leaves nothing, whether it succeeds or not.
///
/// # Errors
/// The first error of a call.
///
/// # Panics
/// If a call succeeds and gives another result than it must.
pub fn tour(directory: &Path, listed: &Path) -> Result<(), Error> {
    let segments = SegmentDirectory::new(listed);
    let own = format!("tour{}", std::process::id());
    let options = |suffix: &str| ShmArray::<u64>::options().dir(directory).name(format!("{own}{suffix}"));

    let array = options("a").create_with(1000, |slots| slots.fill(3))?;
    assert_eq!(array.sum()?, 3000);
    array.set(999, 9)?;
    let other = options("a").open()?;
    assert_eq!(other.get(999)?, 9);
    assert_eq!(options("a").open_read_only()?.to_vec()?[998..], [3, 9]);
    assert_eq!(options("a").trust(Trust::Anyone).prefault(true).open_or_create(1000)?.len(), 1000);
    let info = segments.inspect(array.name())?;
    assert!(info.attached && info.shape == [1000], "{info:?}");
    assert!(segments.list()?.segments.iter().any(|info| info.name == array.name()));
    assert!(!segments.reap()?.removed.contains(&array.name().to_owned()), "attached");
    assert!(segments.reap_named(array.name()).is_err(), "attached");
    assert_eq!(other.close()?, Detached::StillInUse);
    assert_eq!(array.close()?, Detached::Removed);

    let kept = options("b").persist(Persist::Keep).mode(0o640).create_from_slice(&[1, 2, 3])?;
    assert_eq!(kept.close()?, Detached::Kept);
    let kept = options("b").open()?;
    assert_eq!(kept.to_vec()?, [1, 2, 3]);
    segments.unlink(kept.name())?;
    drop(kept);

    for array in [
        options("c").create(10)?,
        options("d").create_from_fn(10, |index| index as u64)?,
        options("e").open_or_create(10)?,
        options("f").prefault(true).create(100_000)?,
        options("g").huge_pages(true).create(10)?,
        ShmArray::options().dir(directory).create(10)?,
    ] {
        assert_eq!(segments.inspect(array.name())?.data_bytes, 8 * array.len() as u64);
        assert_eq!(array.close()?, Detached::Removed);
    }
    segments.reap()?;
    Ok(())
}

/// Shares an unnamed array by its descriptor.
///
/// # Errors
/// The first error of a call.
///
/// # Panics
/// If a call succeeds and gives another result than it must.
pub fn unnamed_tour() -> Result<(), Error> {
    let array = ShmArray::<u64>::options().unnamed().create_from_slice(&[1, 2, 3])?;
    let copy = array.as_fd().expect("an unnamed array has a descriptor").try_clone_to_owned().expect("dup");
    let other = ShmArray::<u64>::from_fd(copy)?;
    other.set(1, 9)?;
    assert_eq!(array.to_vec()?, [1, 9, 3]);
    assert_eq!(other.close()?, Detached::Unnamed);
    Ok(())
}
