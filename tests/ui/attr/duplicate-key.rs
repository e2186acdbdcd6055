use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
#[shm(version = 1, rename = "Quote", version = 2)]
struct Tick {
    price: f64,
}

fn main() {}
