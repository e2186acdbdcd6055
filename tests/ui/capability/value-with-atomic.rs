use shmtypes::ShmLayout;
use std::sync::atomic::AtomicU64;

#[derive(ShmLayout)]
#[repr(C)]
struct Counter {
    hits: AtomicU64,
}

fn need<T: shmtypes::ShmValue>() {}

fn main() {
    need::<Counter>();
}
