use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    price: f64,
    other: std::sync::atomic::AtomicPtr<u8>,
}

fn main() {}
