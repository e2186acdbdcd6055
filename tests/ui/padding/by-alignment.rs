use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C, align(16))]
struct Tick {
    price: f64,
}

fn main() {}
