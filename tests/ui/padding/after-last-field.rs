use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    price: f64,
    side: u8,
}

fn main() {}
