use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(u8, align(4))]
enum Side {
    Buy,
    Sell,
}

fn main() {}
