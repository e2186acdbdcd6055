use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
#[shm(view = "Tick View")]
struct Tick {
    price: f64,
}

fn main() {}
