use shmtypes::ShmLayout;

const NONE: usize = 0;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    price: f64,
    other: [u8; NONE],
}

fn main() {}
