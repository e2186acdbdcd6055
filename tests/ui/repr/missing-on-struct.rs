use shmtypes::ShmLayout;

#[derive(ShmLayout)]
struct Tick {
    price: f64,
}

fn main() {}
