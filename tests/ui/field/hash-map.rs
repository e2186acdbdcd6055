use shmtypes::ShmLayout;
use std::collections::HashMap;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    price: f64,
    other: HashMap<u32, u32>,
}

fn main() {}
