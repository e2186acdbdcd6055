use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
#[shm(crate = "shmtypes::<u8>")]
struct Tick {
    price: f64,
}

fn main() {}
