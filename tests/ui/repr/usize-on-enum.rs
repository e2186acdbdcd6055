use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(usize)]
enum Side {
    Buy,
    Sell,
}

fn main() {}
