//! The format has room for the numbers of 64 buffers.

use shmtypes::{SeqCell, ShmLayout};

#[derive(ShmLayout)]
#[repr(C)]
struct Robot {
    pose: SeqCell<[f64; 3], 65>,
}

fn main() {}
