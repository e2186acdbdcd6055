use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Pair<A, B> {
    first: A,
    second: B,
}

#[derive(ShmLayout)]
#[repr(C)]
struct Tick {
    pair: Pair<u8, u32>,
}

fn main() {}
