use shmtypes::ShmLayout;
use std::sync::atomic::AtomicUsize;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    price: f64,
    other: AtomicUsize,
}

fn main() {}
