//! The fingerprint tells layouts apart, and says the same in every build.

use shmtypes::{Fingerprint, ShmLayout};
use std::collections::HashMap;

/// A type per entry, all called `Tick` but one, and their fingerprints.
macro_rules! fingerprints {
    ($($what:ident: { $($item:tt)* })*) => {{
        $(
            #[allow(dead_code, reason = "only the layout matters")]
            mod $what {
                use shmtypes::ShmLayout;
                #[derive(ShmLayout, Clone, Copy)]
                #[repr(u8)]
                pub enum Side { Buy = 1, Sell = 2 }
                #[derive(ShmLayout, Clone, Copy)]
                $($item)*
            }
        )*
        [$((stringify!($what), <$what::Tick as ShmLayout>::FINGERPRINT),)*]
    }};
}

#[track_caller]
fn assert_all_differ(fingerprints: &[(&str, Fingerprint)]) {
    let mut seen = HashMap::new();
    for (what, fingerprint) in fingerprints {
        if let Some(other) = seen.insert(fingerprint, what) {
            panic!("{what} and {other} have the same fingerprint {fingerprint}");
        }
    }
}

#[test]
fn every_change_of_a_struct_changes_it() {
    let fingerprints = fingerprints! {
        original:           { #[repr(C)] pub struct Tick { price: f64, volume: u32, side: Side, _pad: [u8; 3] } }
        field_renamed:      { #[repr(C)] pub struct Tick { cost: f64, volume: u32, side: Side, _pad: [u8; 3] } }
        field_renamed_by_attribute:
                            { #[repr(C)] pub struct Tick { #[shm(rename = "p")] price: f64, volume: u32, side: Side, _pad: [u8; 3] } }
        padding_renamed:    { #[repr(C)] pub struct Tick { price: f64, volume: u32, side: Side, _fill: [u8; 3] } }
        names_swapped:      { #[repr(C)] pub struct Tick { price: f64, side: u32, volume: Side, _pad: [u8; 3] } }
        float_to_integer:   { #[repr(C)] pub struct Tick { price: u64, volume: u32, side: Side, _pad: [u8; 3] } }
        unsigned_to_signed: { #[repr(C)] pub struct Tick { price: f64, volume: i32, side: Side, _pad: [u8; 3] } }
        plain_to_char:      { #[repr(C)] pub struct Tick { price: f64, volume: char, side: Side, _pad: [u8; 3] } }
        plain_to_bytes:     { #[repr(C)] pub struct Tick { price: f64, volume: [u8; 4], side: Side, _pad: [u8; 3] } }
        enum_to_integer:    { #[repr(C)] pub struct Tick { price: f64, volume: u32, side: u8, _pad: [u8; 3] } }
        enum_to_bool:       { #[repr(C)] pub struct Tick { price: f64, volume: u32, side: bool, _pad: [u8; 3] } }
        non_zero:           { #[repr(C)] pub struct Tick { price: f64, volume: core::num::NonZero<u32>, side: Side, _pad: [u8; 3] } }
        optional_non_zero:  { #[repr(C)] pub struct Tick { price: f64, volume: Option<core::num::NonZero<u32>>, side: Side, _pad: [u8; 3] } }
        reordered:          { #[repr(C)] pub struct Tick { volume: u32, side: Side, _pad: [u8; 3], price: f64 } }
        padding_moved:      { #[repr(C)] pub struct Tick { price: f64, volume: u32, _pad: [u8; 3], side: Side } }
        padding_split:      { #[repr(C)] pub struct Tick { price: f64, volume: u32, side: Side, _pad: [u8; 2], _pad2: u8 } }
        padding_of_numbers: { #[repr(C)] pub struct Tick { price: f64, volume: u32, side: Side, _pad: [i8; 3] } }
        field_appended:     { #[repr(C)] pub struct Tick { price: f64, volume: u32, side: Side, _pad: [u8; 3], last: u64 } }
        field_removed:      { #[repr(C)] pub struct Tick { price: f64, volume: u32, _pad: [u8; 4] } }
        fields_joined:      { #[repr(C)] pub struct Tick { price: f64, volume: u32, side_pad: [u8; 4] } }
        version_given:      { #[repr(C)] #[shm(version = 1)] pub struct Tick { price: f64, volume: u32, side: Side, _pad: [u8; 3] } }
        version_raised:     { #[repr(C)] #[shm(version = 2)] pub struct Tick { price: f64, volume: u32, side: Side, _pad: [u8; 3] } }
        array:              { #[repr(C)] pub struct Tick { price: [f64; 1], volume: u32, side: Side, _pad: [u8; 3] } }
        longer_array:       { #[repr(C)] pub struct Tick { price: [f64; 2], volume: u32, side: Side, _pad: [u8; 3] } }
        nested_array:       { #[repr(C)] pub struct Tick { price: [[f64; 1]; 2], volume: u32, side: Side, _pad: [u8; 3] } }
        aligned:            { #[repr(C, align(16))] pub struct Tick { price: f64, volume: u32, side: Side, _pad: [u8; 3] } }
        tuple:              { #[repr(C)] pub struct Tick(f64, u32, Side, [u8; 3]); }
        foreign:            { #[repr(C)] pub struct Tick { #[shm(bytemuck = "f64")] price: f64, volume: u32, side: Side, _pad: [u8; 3] } }
        other_foreign:      { #[repr(C)] pub struct Tick { #[shm(bytemuck = "F64")] price: f64, volume: u32, side: Side, _pad: [u8; 3] } }
        text:               { #[repr(C)] pub struct Tick { name: shmtypes::ShmStr<12> } }
        longer_text:        { #[repr(C)] pub struct Tick { name: shmtypes::ShmStr<13> } }
        bytes:              { #[repr(C)] pub struct Tick { name: shmtypes::ShmBytes<12> } }
        raw_bytes:          { #[repr(C)] pub struct Tick { name: [u8; 16] } }
    };
    assert!(fingerprints.len() > 30);
    assert_all_differ(&fingerprints);
}

#[test]
fn every_change_of_an_enum_changes_it() {
    let fingerprints = fingerprints! {
        original:         { #[repr(u8)] pub enum Tick { Up = 1, Down = 2 } }
        variant_renamed:  { #[repr(u8)] pub enum Tick { Rise = 1, Down = 2 } }
        renamed_by_attribute: { #[repr(u8)] pub enum Tick { #[shm(rename = "up")] Up = 1, Down = 2 } }
        value_changed:    { #[repr(u8)] pub enum Tick { Up = 1, Down = 3 } }
        values_swapped:   { #[repr(u8)] pub enum Tick { Up = 2, Down = 1 } }
        reordered:        { #[repr(u8)] pub enum Tick { Down = 2, Up = 1 } }
        variant_appended: { #[repr(u8)] pub enum Tick { Up = 1, Down = 2, Flat = 3 } }
        variant_removed:  { #[repr(u8)] pub enum Tick { Up = 1 } }
        signed:           { #[repr(i8)] pub enum Tick { Up = 1, Down = 2 } }
        wider:            { #[repr(u16)] pub enum Tick { Up = 1, Down = 2 } }
        version_given:    { #[repr(u8)] #[shm(version = 1)] pub enum Tick { Up = 1, Down = 2 } }
        negative:         { #[repr(i8)] pub enum Tick { Up = 1, Down = -2 } }
    };
    assert_all_differ(&fingerprints);
}

#[derive(ShmLayout)]
#[repr(C)]
struct Sample {
    time: u64,
    value: f64,
}

#[derive(ShmLayout)]
#[repr(C)]
#[shm(rename = "Another", view = "AnotherView")]
struct Measurement {
    /// Neither documentation nor visibility matters.
    pub time: u64,
    #[shm(rename = "value")]
    reading: f64,
}

#[test]
fn names_of_types_are_not_in_it() {
    assert_eq!(Sample::FINGERPRINT, Measurement::FINGERPRINT);
}

#[derive(ShmLayout)]
#[repr(u8)]
enum Side {
    Buy = 1,
    Sell = 2,
}

#[derive(ShmLayout)]
#[repr(C)]
#[shm(version = 2)]
struct Order {
    name: shmtypes::ShmStr<11>,
    side: Side,
    sample: [Sample; 2],
}

/// Computed by another program from the description in `layout/fingerprint.rs`. Frozen: a change here is a change of the format, and every segment in use would be refused.
#[test]
fn fingerprints_of_released_layouts_stay_what_they_are() {
    assert_eq!(Sample::FINGERPRINT.to_string(), "c7873f567a4c0f3108d89e4d719b9045");
    assert_eq!(Side::FINGERPRINT.to_string(), "665b002c6f26dd744b1d1e74e4e48c19");
    assert_eq!(Order::FINGERPRINT.to_string(), "7fbf1df900f3fce54acfb368fd4efc94");
}
