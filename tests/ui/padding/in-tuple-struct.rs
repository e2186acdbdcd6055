use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick(u8, u32);

fn main() {}
