mod market {
    #[derive(shmtypes::ShmLayout)]
    #[repr(C)]
    pub struct Tick {
        price: f64,
    }
}

fn read(tick: market::TickView<'_>) -> f64 {
    tick.price().get()
}

fn main() {}
