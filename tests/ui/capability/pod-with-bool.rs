use shmtypes::ShmLayout;

#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
struct Flag {
    up: bool,
}

fn need<T: shmtypes::ShmPod>() {}

fn main() {
    need::<Flag>();
}
