use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
enum Side {
    Buy,
    Sell,
}

fn main() {}
