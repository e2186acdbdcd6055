use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    price: f64,
}

impl Drop for Tick {
    fn drop(&mut self) {}
}

fn main() {}
