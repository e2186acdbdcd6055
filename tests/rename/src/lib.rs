//! Knows shmtypes under another name only, as a crate does that gets it re-exported by a framework.
//!
//! An expansion that says `::shmtypes` anywhere does not compile here.

use renamed::{ShmLayout, ShmStr};

/// A struct.
#[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
#[shm(crate = "renamed", bytemuck)]
pub struct Sample {
    /// In nanoseconds.
    pub time: u64,
    /// In volts.
    pub value: f64,
}

/// An enum, with the path that a re-exporting module has.
#[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
#[shm(crate = "self::framework::shm")]
pub enum State {
    /// Nothing connected.
    Idle,
    /// Measuring.
    Busy,
}

/// A generic struct with text, an enum and a nested type.
#[derive(ShmLayout, Clone, Copy, Debug)]
#[repr(C)]
#[shm(crate = "crate::framework::shm")]
pub struct Channel<T> {
    /// What it measures.
    pub name: ShmStr<7>,
    /// Whether it does.
    pub state: State,
    _pad: [u8; 4],
    /// The last samples.
    pub last: [T; 2],
}

/// A framework that re-exports shmtypes under its own roof.
pub mod framework {
    pub use renamed as shm;

    /// Below the root, so that the path climbs.
    pub mod inner {
        use super::shm::ShmLayout;

        /// One number.
        #[derive(ShmLayout, Clone, Copy, Debug)]
        #[repr(transparent)]
        #[shm(crate = "super::shm")]
        pub struct Number(pub u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use renamed::{ReadOnly, ShmPod, ShmRef, ShmValue, ShmView, ShmZero};

    fn is_pod<T: ShmPod + ShmZero>() {}
    fn is_value<T: ShmValue + ShmZero>() {}

    #[test]
    fn the_derive_works_under_another_name() {
        is_pod::<Sample>();
        is_pod::<framework::inner::Number>();
        is_value::<State>();
        is_value::<Channel<Sample>>();
        assert_eq!(Channel::<Sample>::SCHEMA.size(), 48);
        assert_eq!(State::SCHEMA.size(), 1);
    }

    #[test]
    fn views_are_those_of_the_renamed_crate() {
        fn time<'a, V: ShmView<'a, ReadOnly, Target = Sample>>(_: fn(V) -> ShmRef<'a, u64, ReadOnly>) {}
        time(SampleView::time);
    }
}
