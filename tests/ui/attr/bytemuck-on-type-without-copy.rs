use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
#[shm(bytemuck)]
struct Tick {
    price: f64,
}

fn main() {}
