//! The same computations on slices, and on arrays by the safe interface.
//!
//! None is inlined, so that the compiler knows as little about a reference's buffer as about a segment.
#![allow(unsafe_code, reason = "the peer of bulk copies is copy_nonoverlapping")]

use shmtypes::{Result, ShmArray};

const LANES: usize = 16;

/// 16 interleaved partial sums, as `ShmArray::sum` has them.
#[inline(never)]
pub(crate) fn sum(values: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for (sum, value) in sums.iter_mut().zip(block) {
            *sum += value;
        }
    }
    for (sum, value) in sums.iter_mut().zip(rest) {
        *sum += value;
    }
    sums.iter().sum()
}

/// 16 interleaved partial sums, as `ShmArray::dot` has them.
#[inline(never)]
pub(crate) fn dot(left: &[f64], right: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let ((left, left_rest), (right, right_rest)) = (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    for (left, right) in left.iter().zip(right) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += left * right;
        }
    }
    for ((sum, left), right) in sums.iter_mut().zip(left_rest).zip(right_rest) {
        *sum += left * right;
    }
    sums.iter().sum()
}

/// Bounded, so that it can be repeated for ever.
#[inline(always)]
fn change(value: f64) -> f64 {
    value * 0.5 + 1.0
}

#[inline(never)]
pub(crate) fn map_in_place(values: &mut [f64]) {
    for value in values {
        *value = change(*value);
    }
}

#[inline(never)]
pub(crate) fn saxpy(factor: f64, from: &[f64], to: &mut [f64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += factor * from;
    }
}

#[inline(never)]
pub(crate) fn fill(values: &mut [f64]) {
    values.fill(1.0);
}

#[inline(never)]
pub(crate) fn shm_sum(array: &ShmArray<f64>) -> Result<f64> {
    array.sum()
}

#[inline(never)]
pub(crate) fn shm_dot(left: &ShmArray<f64>, right: &ShmArray<f64>) -> Result<f64> {
    left.dot(right)
}

#[inline(never)]
pub(crate) fn shm_map_in_place(array: &ShmArray<f64>) -> Result<()> {
    array.map_in_place(change)
}

#[inline(never)]
pub(crate) fn gather(values: &[f64], indices: &[u32]) -> u64 {
    // An integer sum: a sum of floats would wait for itself, and hide what an access costs.
    indices.iter().fold(0, |sum, &index| sum ^ values[index as usize].to_bits())
}

#[inline(never)]
pub(crate) fn shm_gather(array: &ShmArray<f64>, indices: &[u32]) -> Result<u64> {
    indices.iter().try_fold(0, |sum, &index| Ok(sum ^ array.get(index as usize)?.to_bits()))
}

#[inline(never)]
pub(crate) fn scatter(values: &mut [f64], indices: &[u32]) {
    for &index in indices {
        values[index as usize] = f64::from(index);
    }
}

#[inline(never)]
pub(crate) fn shm_scatter(array: &ShmArray<f64>, indices: &[u32]) -> Result<()> {
    for &index in indices {
        array.set(index as usize, f64::from(index))?;
    }
    Ok(())
}

#[inline(never)]
pub(crate) fn copy(from: &[f64], to: &mut [f64]) {
    assert!(from.len() == to.len());
    // SAFETY: two slices of one length, one of them exclusive, so they do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to.as_mut_ptr(), from.len()) };
}

/// A slice of `len` numbers, at a multiple of 64, in a vector that is longer by up to 8.
pub(crate) struct Aligned {
    numbers: Vec<f64>,
    start: usize,
    len: usize,
}

impl Aligned {
    pub(crate) fn new(len: usize, value: f64) -> Self {
        let numbers = vec![value; len + 8];
        // In elements, and fewer than 8 because an `f64` is aligned to 8.
        let start = numbers.as_ptr().align_offset(64);
        Self { numbers, start, len }
    }

    pub(crate) fn as_slice(&self) -> &[f64] {
        &self.numbers[self.start..][..self.len]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f64] {
        &mut self.numbers[self.start..][..self.len]
    }
}

/// `count` indices below `len`, in no order.
pub(crate) fn random_indices(count: usize, len: usize) -> Vec<u32> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % len
    };
    (0..count).map(|_| next() as u32).collect()
}
