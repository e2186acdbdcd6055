use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
union Word {
    number: u32,
    bytes: [u8; 4],
}

fn main() {}
