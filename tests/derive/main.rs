//! Derived types.
use shmtypes::ShmLayout;
#[derive(ShmLayout, Clone, Copy)]
#[repr(u8)]
pub enum Side {
    Buy = 1,
    Sell = 2,
}
/// x
#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
pub struct Tick {
    pub side: Side,
    pub r#type: bool,
    _pad: [u8; 6],
    pub price: f64,
}
#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
pub struct Pair<A, B> {
    a: A,
    b: B,
}
#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
pub struct Arr<T, const N: usize>([T; N], u8, u8)
where
    T: Copy;
#[test]
fn t() {
    println!("{:#?}", Tick::SCHEMA);
    println!("{:?}", <Pair<u8, u8>>::SCHEMA.size());
    println!("{:?}", <Arr<u8, 4>>::SCHEMA);
}
