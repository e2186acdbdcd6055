use shmtypes::ShmLayout;

#[derive(ShmLayout, Clone, Copy)]
#[repr(u8)]
#[shm(bytemuck)]
enum Side {
    Buy,
    Sell,
}

fn main() {}
