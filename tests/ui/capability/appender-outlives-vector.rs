//! An appender borrows its vector, and cannot be had longer.

use shmtypes::{Appender, ShmVec};

fn make() -> shmtypes::Result<Appender<'static, u64>> {
    let vec = ShmVec::<u64>::create(10)?;
    vec.appender()
}

fn main() -> shmtypes::Result<()> {
    make()?.push(1)?;
    let vec = ShmVec::<u64>::create(10)?;
    let mut appender = vec.appender()?;
    drop(vec);
    appender.push(1)
}
