//! A vector that was opened for reading lends no appender, and takes no elements.

use shmtypes::ShmVec;

fn main() -> shmtypes::Result<()> {
    let vec = ShmVec::<u64>::open_read_only("ticks")?;
    vec.push(1)?;
    let _appender = vec.appender()?;
    Ok(())
}
