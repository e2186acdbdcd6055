use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    side: u8,
    price: f64,
}

fn main() {}
