use shmtypes::ShmLayout;

#[derive(ShmLayout, Clone, Copy)]
#[repr(u8)]
enum Side {
    Buy = 1,
    Sell = 2,
}

fn need<T: shmtypes::ShmZero>() {}

fn main() {
    need::<Side>();
}
