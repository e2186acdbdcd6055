use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(u128)]
enum Side {
    Buy,
    Sell,
}

fn main() {}
