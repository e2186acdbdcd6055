//! Which capabilities a type has follows from its fields.

use core::marker::PhantomData;
use core::num::NonZero;
use core::sync::atomic::AtomicU64;
use shmtypes::{ShmLayout, ShmPod, ShmStr, ShmValue, ShmZero};

/// Whether a type has a trait: an inherent constant, where its bound holds, goes before the trait's.
macro_rules! has {
    ($type:ty: $trait:path) => {{
        #[allow(dead_code, reason = "which of the two is used is the answer")]
        trait Otherwise {
            const HAS: bool = false;
        }
        impl<T> Otherwise for Probe<T> {}
        struct Probe<T>(PhantomData<T>);
        #[allow(dead_code, reason = "as above")]
        impl<T: $trait> Probe<T> {
            const HAS: bool = true;
        }
        <Probe<$type>>::HAS
    }};
}

/// `ShmLayout`, `ShmValue`, `ShmZero`, `ShmPod`, `Pod`.
macro_rules! assert_capabilities {
    ($($type:ty => $expected:expr;)*) => { $(
        assert_eq!(
            [has!($type: ShmLayout), has!($type: ShmValue), has!($type: ShmZero), has!($type: ShmPod), has!($type: bytemuck::Pod)],
            $expected.map(|has| has == 1),
            stringify!($type),
        );
    )* };
}

macro_rules! records {
    ($($(#[$attribute:meta])* $name:ident($field:ty);)*) => { $(
        #[derive(ShmLayout, Clone, Copy)]
        #[repr(C)]
        $(#[$attribute])*
        struct $name { field: $field }
    )* };
}

#[derive(ShmLayout, Clone, Copy)]
#[repr(u8)]
enum WithZero {
    One = 1,
    Zero = 0,
}

#[derive(ShmLayout, Clone, Copy)]
#[repr(i8)]
enum WithoutZero {
    Below = -1,
    Above = 1,
}

#[derive(ShmLayout)]
#[repr(u32)]
enum NotCopy {
    Zero,
}

records! {
    Number(f64);
    Numbers([[u16; 3]; 2]);
    Flag(bool);
    Letter(char);
    Text(ShmStr<4>);
    NotZero(NonZero<u32>);
    MaybeZero(Option<NonZero<u32>>);
    HoldsWithZero(WithZero);
    HoldsWithoutZero([WithoutZero; 2]);
    Deep(HoldsWithoutZero);
    DeepNumber([Numbers; 2]);
    #[shm(bytemuck)] AlsoPod(DeepNumber);
}

#[derive(ShmLayout)]
#[repr(C)]
struct Counter {
    hits: AtomicU64,
}

#[derive(ShmLayout)]
#[repr(C)]
struct NumberWithoutCopy {
    field: f64,
}

#[derive(ShmLayout)]
#[repr(C)]
struct HoldsNotCopy {
    field: NotCopy,
}

#[derive(bytemuck::Pod, bytemuck::Zeroable, Clone, Copy)]
#[repr(C)]
struct Point {
    x: f32,
    y: f32,
}

#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
#[shm(bytemuck)]
struct HoldsForeign {
    #[shm(bytemuck = "Point")]
    point: Point,
}

#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
struct Pair<A, B> {
    first: A,
    second: B,
}

#[derive(ShmLayout, Clone, Copy)]
#[repr(transparent)]
struct Wrapper<T>(T);

struct NoLayout;

macro_rules! two_words {
    ($name:ident) => {
        shmtypes_tests::beside_a_word!($name { $crate::words::Word });
    };
}
two_words!(TwoWords);

#[test]
fn capabilities_follow_from_the_fields() {
    assert_capabilities! {
        Number                 => [1, 1, 1, 1, 0];
        Numbers                => [1, 1, 1, 1, 0];
        Flag                   => [1, 1, 1, 0, 0];
        Letter                 => [1, 1, 1, 0, 0];
        Text                   => [1, 1, 1, 0, 0];
        NotZero                => [1, 1, 0, 0, 0];
        MaybeZero              => [1, 1, 1, 1, 0];
        HoldsWithZero          => [1, 1, 1, 0, 0];
        HoldsWithoutZero       => [1, 1, 0, 0, 0];
        Deep                   => [1, 1, 0, 0, 0];
        DeepNumber             => [1, 1, 1, 1, 0];
        AlsoPod                => [1, 1, 1, 1, 1];
        Counter                => [1, 0, 1, 0, 0];
        NumberWithoutCopy      => [1, 0, 1, 0, 0];
        HoldsForeign           => [1, 1, 1, 1, 1];
    }
}

#[test]
fn an_enum_is_never_pod_and_zero_if_a_variant_is() {
    assert_capabilities! {
        WithZero               => [1, 1, 1, 0, 0];
        WithoutZero            => [1, 1, 0, 0, 0];
        NotCopy                => [1, 0, 1, 0, 0];
        HoldsNotCopy           => [1, 0, 1, 0, 0];
    }
}

#[test]
fn a_generic_type_has_the_capabilities_of_its_arguments() {
    assert_capabilities! {
        Pair<f64, u64>         => [1, 1, 1, 1, 0];
        Pair<f64, [bool; 8]>   => [1, 1, 1, 0, 0];
        Pair<u64, AtomicU64>   => [1, 0, 1, 0, 0];
        Pair<u8, WithoutZero>  => [1, 1, 0, 0, 0];
        Pair<u8, NoLayout>     => [0, 0, 0, 0, 0];
        Wrapper<Pair<u8, i8>>  => [1, 1, 1, 1, 0];
        Wrapper<Wrapper<bool>> => [1, 1, 1, 0, 0];
        Wrapper<&'static u8>   => [0, 0, 0, 0, 0];
    }
}

#[test]
fn types_of_one_text_are_two_types() {
    assert_capabilities! {
        TwoWords               => [1, 1, 1, 0, 0];
    }
}

#[test]
fn bytemuck_sees_a_pod_type_as_bytes() {
    let point = HoldsForeign { point: Point { x: 1.0, y: -2.0 } };
    let bytes: [u8; 8] = bytemuck::cast(point);
    assert_eq!(bytes, bytemuck::cast::<[f32; 2], [u8; 8]>([1.0, -2.0]));
    assert_eq!(bytemuck::cast::<[u8; 24], AlsoPod>([7; 24]).field.field[1].field[0][2], 0x0707);
}
