//! Leaf types of other crates: zerocopy's byte-order types, and behind features `half`, `num-complex` and `uuid`.
#![allow(unsafe_code, reason = "implements the unsafe layout traits for leaf types of other crates")]

use super::leaf::pod;
use super::schema::Scalar;
use crate::access::Bounce;
use zerocopy::byteorder::{BigEndian, LittleEndian};

macro_rules! byte_order {
    ($($type:ident $little:ident $big:ident;)*) => { $(
        // Transparent over `[u8; N]` (zerocopy's documentation: "no alignment requirement", "same size").
        pod!(zerocopy::byteorder::$type<LittleEndian>, Scalar::$little, Bounce);
        pod!(zerocopy::byteorder::$type<BigEndian>, Scalar::$big, Bounce);
    )* };
}
byte_order! {
    U16 U16Le U16Be;
    U32 U32Le U32Be;
    U64 U64Le U64Be;
    U128 U128Le U128Be;
    I16 I16Le I16Be;
    I32 I32Le I32Be;
    I64 I64Le I64Be;
    I128 I128Le I128Be;
    F32 F32Le F32Be;
    F64 F64Le F64Be;
}

#[cfg(feature = "half")]
pod!(half::f16, Scalar::F16, crate::access::IntLane);
#[cfg(feature = "half")]
pod!(half::bf16, Scalar::Bf16, crate::access::IntLane);

#[cfg(feature = "num-complex")]
pod!(num_complex::Complex<f32>, Scalar::Complex32, crate::access::FloatLane32);
#[cfg(feature = "num-complex")]
pod!(num_complex::Complex<f64>, Scalar::Complex64, crate::access::FloatLane64);

#[cfg(feature = "uuid")]
pod!(uuid::Uuid, Scalar::Uuid, Bounce);
