use shmtypes::ShmLayout;

#[derive(ShmLayout)]
enum Side {
    Buy,
    Sell,
}

fn main() {}
