use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Pair<A, B> {
    first: A,
    second: B,
}

fn need<T: ShmLayout>() {}

fn main() {
    need::<Pair<u32, std::time::Duration>>();
}
