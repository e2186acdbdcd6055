use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(Rust)]
struct Tick {
    price: f64,
}

fn main() {}
