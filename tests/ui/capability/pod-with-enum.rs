use shmtypes::ShmLayout;

#[derive(ShmLayout, Clone, Copy)]
#[repr(u8)]
enum Side {
    Buy,
    Sell,
}

fn need<T: shmtypes::ShmPod>() {}

fn main() {
    need::<Side>();
}
