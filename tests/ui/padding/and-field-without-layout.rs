use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    side: u8,
    name: std::time::Duration,
    price: f64,
}

fn main() {}
