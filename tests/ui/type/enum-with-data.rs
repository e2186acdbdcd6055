use shmtypes::ShmLayout;

#[derive(ShmLayout)]
#[repr(u8)]
enum Order {
    Limit(f64),
    Market,
    Stop { at: f64 },
}

fn main() {}
