use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
#[shm(rename = "")]
struct Tick {
    price: f64,
}

fn main() {}
