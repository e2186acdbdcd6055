use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    #[shm(skip)]
    price: f64,
}

fn main() {}
