use shmtypes::ShmLayout;

#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
struct Tick {
    price: f64,
}

fn raise(tick: TickView<'_, shmtypes::ReadOnly>) {
    tick.price().set(1.0);
}

fn main() {}
