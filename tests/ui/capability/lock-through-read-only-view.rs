//! A handle that may only read takes no lock: that would change it.

use shmtypes::ShmBox;
use shmtypes::sync::{ShmMutex, ShmRwLock};

fn main() {
    let mutex = ShmBox::<ShmMutex<u64>>::open_read_only("name").unwrap();
    let _ = mutex.view().is_poisoned();
    let _ = mutex.view().lock();
    let lock = ShmBox::<ShmRwLock<u64>>::open_read_only("name").unwrap();
    let _ = lock.view().read();
}
