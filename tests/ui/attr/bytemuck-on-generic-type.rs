use shmtypes::ShmLayout;

#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
#[shm(bytemuck)]
struct Pair<T> {
    both: [T; 2],
}

fn main() {}
