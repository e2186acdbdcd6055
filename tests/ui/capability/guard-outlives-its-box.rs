//! The box keeps the segment mapped in which the lock is.

use shmtypes::{ShmBox, ShmMutex};

fn main() {
    let mutex = ShmBox::<ShmMutex<u64>>::create().unwrap();
    let guard = mutex.view().lock().unwrap();
    drop(mutex);
    println!("{:?}", guard.get());
}
