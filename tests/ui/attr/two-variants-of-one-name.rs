use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(u8)]
enum Side {
    Buy,
    #[shm(rename = "Buy")]
    Sell,
}

fn main() {}
