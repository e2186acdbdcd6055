use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    #[shm(crate = "::shmtypes")]
    price: f64,
}

fn main() {}
