use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(align(8))]
struct Tick {
    price: f64,
}

fn main() {}
