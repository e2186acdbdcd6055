use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    price: f64,
}

fn need<T: shmtypes::ShmPod>() {}

fn main() {
    need::<Tick>();
}
