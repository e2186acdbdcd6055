use shmtypes::ShmLayout;

struct Inner;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    first: Inner,
    price: f64,
    second: std::time::Instant,
}

fn main() {}
