use shmtypes::ShmLayout;

#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
struct Flag {
    up: bool,
}

fn read(flag: FlagView<'_>) -> bool {
    flag.up().get()
}

fn main() {}
