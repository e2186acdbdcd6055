use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    price: f64,
    other: [std::time::Duration; 4],
}

fn main() {}
