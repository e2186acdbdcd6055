use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
#[shm(crate = shmtypes)]
struct Tick {
    price: f64,
}

fn main() {}
