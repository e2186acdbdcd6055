//! The thread that took a lock lets go of it.

use shmtypes::{ShmBox, ShmMutex, ShmRwLock};

fn main() {
    let mutex = ShmBox::<ShmMutex<u64>>::create().unwrap();
    let lock = ShmBox::<ShmRwLock<u64>>::create().unwrap();
    let (guard, reader, writer) =
        (mutex.view().lock().unwrap(), lock.view().read().unwrap(), lock.view().write().unwrap());
    std::thread::scope(|threads| {
        threads.spawn(move || drop(guard));
        threads.spawn(move || drop(reader));
        threads.spawn(move || drop(writer));
    });
}
