use shmtypes::ShmLayout;

struct Inner {
    volume: u8,
}

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    price: f64,
    other: Inner,
}

fn main() {}
