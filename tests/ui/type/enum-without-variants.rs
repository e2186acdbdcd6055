use shmtypes::ShmLayout;

#[derive(ShmLayout)]
enum Never {}

fn main() {}
