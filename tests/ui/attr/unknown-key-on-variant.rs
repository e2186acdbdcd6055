use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(u8)]
enum Side {
    #[shm(other)]
    Buy,
    Sell,
}

fn main() {}
