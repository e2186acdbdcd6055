use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
#[shm]
struct Tick {
    price: f64,
}

fn main() {}
