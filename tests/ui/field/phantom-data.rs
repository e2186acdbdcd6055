use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    price: f64,
    other: std::marker::PhantomData<u8>,
}

fn main() {}
