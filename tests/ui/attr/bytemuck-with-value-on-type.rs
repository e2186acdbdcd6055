use shmtypes::ShmLayout;

#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
#[shm(bytemuck = "Tick")]
struct Tick {
    price: f64,
}

fn main() {}
