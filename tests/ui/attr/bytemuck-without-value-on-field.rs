use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    #[shm(bytemuck)]
    price: f64,
}

fn main() {}
