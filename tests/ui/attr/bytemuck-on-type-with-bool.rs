use shmtypes::ShmLayout;

#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
#[shm(bytemuck)]
struct Flag {
    up: bool,
}

fn main() {}
