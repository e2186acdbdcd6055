use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
#[shm(krate = "::shmtypes")]
struct Tick {
    price: f64,
}

fn main() {}
