//! A locked array gives no slice without the promise, and its read guard does not write.

use shmtypes::LockedArray;

fn main() {
    let array = LockedArray::<f64>::create(3).unwrap();
    let _slice: &[f64] = &array.read().unwrap();
    let _element = array.at(0);
    array.read().unwrap().set(0, 1.0).unwrap();
    array.read().unwrap().at(0).set(1.0);
    let mut guard = array.write().unwrap();
    guard[0] = 1.0;
}
