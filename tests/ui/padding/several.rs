use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    side: u8,
    price: f64,
    kind: u16,
    volume: u32,
    last: u8,
}

fn main() {}
