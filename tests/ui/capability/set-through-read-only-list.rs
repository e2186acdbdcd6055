//! A list that was opened for reading takes no values.

use shmtypes::ShmList;

fn main() -> shmtypes::Result<()> {
    let list = ShmList::open_read_only("state")?;
    list.set(0, 1)?;
    list.update(0, |value| value)?;
    Ok(())
}
