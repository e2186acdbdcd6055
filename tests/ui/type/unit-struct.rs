use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Nothing;

fn main() {}
