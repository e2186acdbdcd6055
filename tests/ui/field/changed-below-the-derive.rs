use core::ops::Deref;
use shmtypes::ShmLayout;

#[derive(Clone, Copy)]
#[repr(transparent)]
struct Flag(bool);

impl Deref for Flag {
    type Target = u8;

    fn deref(&self) -> &u8 {
        &0
    }
}

#[derive(ShmLayout, Clone, Copy)]
#[shmtypes_tests_macros::replace(u8 Flag)]
#[repr(C)]
struct Tick {
    open: u8,
}

fn main() {}
