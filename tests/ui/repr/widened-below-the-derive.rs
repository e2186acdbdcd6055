use shmtypes::ShmLayout;

#[derive(ShmLayout, Clone, Copy)]
#[shmtypes_tests_macros::replace(u8 u16)]
#[repr(u8)]
enum Side {
    Buy = 1,
    Sell = 2,
}

fn main() {}
