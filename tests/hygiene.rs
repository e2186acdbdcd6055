//! The derive in a place that has nothing: no prelude, and names of the language and the library taken by others.
//!
//! Also under every lint that a strict user may deny, since expansions are compiled in the user's crate.

#![no_implicit_prelude]
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, missing_debug_implementations, missing_copy_implementations, unreachable_pub)]
#![deny(unused_qualifications, unused_lifetimes, single_use_lifetimes, elided_lifetimes_in_paths)]
#![deny(trivial_casts, trivial_numeric_casts, unused_results, let_underscore_drop, variant_size_differences)]
#![deny(clippy::all, clippy::pedantic, clippy::nursery)]

/// Everything is shadowed inside.
#[allow(non_camel_case_types, missing_debug_implementations, missing_copy_implementations, reason = "names to be hit")]
pub mod shadowed {
    /// Nothing that the derive should name.
    pub mod core {}
    /// Nothing that the derive should name.
    pub mod std {}
    /// Nothing that the derive should name.
    pub mod alloc {}
    /// Nothing that the derive should name.
    pub mod bytemuck {}

    macro_rules! taken {
        ($($name:ident)*) => { $(
            /// Not what the derive should mean.
            pub struct $name;
        )* };
    }
    taken! {
        Option Some None Result Ok Err Copy Clone Debug Default Sized Drop Send Sync Self_ String Vec Box PhantomData
        bool u8 i8 u16 i16 u32 i32 u64 i64 u128 i128 usize isize f32 f64 str char
        ShmView ShmRef ShmValue ShmPod ShmZero Schema Kind Field Variant Scalar Candidate InvalidBits AccessMode
        ReadWrite ReadOnly Bounce ValueIn PodIn ZeroIn CopyIn Condition HoldsIn M T
    }

    #[allow(unused_macros, reason = "their being in scope is the test")]
    macro_rules! panic {
        () => {
            compile_error!("a macro of the user's")
        };
    }
    #[allow(unused_macros, reason = "as above")]
    macro_rules! assert {
        ($($tokens:tt)*) => {
            compile_error!("a macro of the user's")
        };
    }
    #[allow(unused_macros, reason = "as above")]
    macro_rules! write {
        ($($tokens:tt)*) => {
            compile_error!("a macro of the user's")
        };
    }
    #[allow(unused_macros, reason = "as above")]
    macro_rules! offset_of {
        ($($tokens:tt)*) => {
            compile_error!("a macro of the user's")
        };
    }
    #[allow(unused_imports, reason = "their being in scope is the test")]
    use {assert, offset_of, panic, write};

    /// A fieldless enum.
    #[derive(::shmtypes::ShmLayout, ::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
    #[repr(i8)]
    pub enum Side {
        /// Below.
        Buy = -1,
        /// Neither.
        Flat = 0,
        /// Above.
        Sell = 1,
    }

    /// A struct.
    #[derive(::shmtypes::ShmLayout, ::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
    #[repr(C)]
    pub struct Tick {
        /// Documented.
        pub price: ::core::primitive::f64,
        pub(crate) volume: ::core::primitive::u32,
        /// Another type.
        pub side: Side,
        #[deprecated]
        old: ::core::primitive::bool,
        is_open: ::core::primitive::bool,
        len: [::core::primitive::u8; 1],
    }

    /// A struct that others may also see as bytes.
    #[derive(::shmtypes::ShmLayout, ::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
    #[repr(C)]
    #[shm(bytemuck)]
    pub struct Bytes {
        /// The bytes.
        pub bytes: [::core::primitive::u8; 3],
    }

    /// A generic tuple struct.
    #[derive(::shmtypes::ShmLayout, ::core::fmt::Debug)]
    #[repr(C)]
    pub struct Pair<A, B, const N: ::core::primitive::usize>(pub A, pub [B; N])
    where
        A: ::core::fmt::Debug,
        B: ::core::fmt::Debug;

    /// A private type with parts that nobody uses.
    #[derive(::shmtypes::ShmLayout)]
    #[repr(C)]
    struct Private {
        unused: ::core::primitive::u8,
    }

    const _: ::shmtypes::Schema = <Private as ::shmtypes::ShmLayout>::SCHEMA;
}

/// The view has the traits that every view has, without bounds on the parameters.
#[test]
fn views_are_copy_and_show_themselves() {
    const fn need<T: ::core::marker::Copy + ::core::fmt::Debug + ::core::marker::Send + ::core::marker::Sync>() {}
    need::<shadowed::TickView<'static>>();
    need::<shadowed::TickView<'static, ::shmtypes::ReadOnly>>();
    need::<shadowed::PairView<'static, u8, u8, 2>>();
}

/// Expansions in a hostile place say what they say elsewhere.
#[test]
fn schemas_are_as_elsewhere() {
    ::core::assert_eq!(<shadowed::Tick as ::shmtypes::ShmLayout>::SCHEMA.size(), 16);
    ::core::assert_eq!(<shadowed::Pair<u16, u8, 4> as ::shmtypes::ShmLayout>::SCHEMA.size(), 6);
    ::core::assert_eq!(<shadowed::Side as ::shmtypes::ShmLayout>::SCHEMA.size(), 1);
    ::core::assert_eq!(::bytemuck::bytes_of(&shadowed::Bytes { bytes: [1, 2, 3] }), &[1, 2, 3]);
}
