struct Tick {
    price: f64,
}

fn need<T: shmtypes::ShmLayout>() {}

fn main() {
    need::<Tick>();
}
