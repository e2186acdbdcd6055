use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(C)]
struct Tick<'a> {
    price: f64,
    text: &'a str,
}

fn main() {}
