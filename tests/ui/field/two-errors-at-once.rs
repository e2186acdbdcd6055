use shmtypes::ShmLayout;

#[derive(ShmLayout)]
struct Tick {
    #[shm(renam = "text")]
    text: String,
    index: usize,
}

fn main() {}
