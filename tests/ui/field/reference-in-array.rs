use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    price: f64,
    other: [&'static u8; 2],
}

fn main() {}
