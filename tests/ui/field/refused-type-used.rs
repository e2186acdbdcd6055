use shmtypes::ShmLayout;

#[derive(ShmLayout, Clone, Copy)]
struct Tick {
    price: f64,
}

fn need<T: shmtypes::ShmPod>() {}

#[derive(ShmLayout)]
#[repr(C)]
struct Book {
    best: Tick,
}

fn main() {
    need::<Tick>();
    let _: fn(TickView<'_>) = |view| view.price().set(1.0);
}
