//! What a guard of a locked array lends ends with the guard, and a shared slice is not written to.

use shmtypes::LockedArray;

fn main() {
    let array = LockedArray::<f64>::create(3).unwrap();
    let view = array.read().unwrap().at(0);
    println!("{}", view.get());
    let slices = unsafe { array.clone().assume_cooperative() };
    slices.read().unwrap()[0] = 1.0;
    let mut guard = slices.write().unwrap();
    let first = &mut guard[0];
    drop(guard);
    *first = 1.0;
    let guard = slices.read().unwrap();
    drop(slices);
    println!("{}", guard[0]);
}
