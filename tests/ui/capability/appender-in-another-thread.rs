//! An appender stays in the thread that took it.

use shmtypes::ShmVec;

fn main() -> shmtypes::Result<()> {
    let vec = ShmVec::<u64>::create(3)?;
    let appender = vec.appender()?;
    std::thread::scope(|scope| {
        scope.spawn(move || drop(appender));
    });
    Ok(())
}
