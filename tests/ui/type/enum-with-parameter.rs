use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(u8)]
enum Side<const N: usize> {
    Buy,
    Sell,
}

fn main() {}
