use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    side: u8,
    r#type: u16,
}

fn main() {}
