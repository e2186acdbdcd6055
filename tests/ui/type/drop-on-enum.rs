use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(u8)]
enum Side {
    Buy,
    Sell,
}

impl Drop for Side {
    fn drop(&mut self) {}
}

fn main() {}
