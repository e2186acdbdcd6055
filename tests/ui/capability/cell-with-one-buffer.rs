//! A cell with one buffer could not be written without being in its readers' way.

use shmtypes::{SeqCell, ShmLayout};

#[derive(ShmLayout)]
#[repr(C)]
struct Robot {
    pose: SeqCell<[f64; 3], 1>,
}

fn main() {}
