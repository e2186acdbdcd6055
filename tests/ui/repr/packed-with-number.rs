use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C, packed(2))]
struct Tick {
    side: u8,
    price: f64,
}

fn main() {}
