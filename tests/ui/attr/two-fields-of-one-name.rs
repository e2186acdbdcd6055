use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    price: f64,
    #[shm(rename = "price")]
    volume: f64,
}

fn main() {}
