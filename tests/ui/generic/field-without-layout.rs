use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Named<T> {
    value: T,
    since: std::time::Duration,
}

fn main() {}
