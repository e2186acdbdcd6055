use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(u8)]
#[shm(view = "SidePlace")]
enum Side {
    Buy,
    Sell,
}

fn main() {}
