use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(u8)]
enum Side {
    #[shm(version = 2)]
    Buy,
    Sell,
}

fn main() {}
