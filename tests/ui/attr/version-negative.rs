use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
#[shm(version = -1)]
struct Tick {
    price: f64,
}

fn main() {}
