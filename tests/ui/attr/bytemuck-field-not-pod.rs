use shmtypes::ShmLayout;

#[derive(Clone, Copy)]
#[repr(transparent)]
struct Flag(bool);

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    #[shm(bytemuck = "flag")]
    flag: Flag,
}

fn main() {}
