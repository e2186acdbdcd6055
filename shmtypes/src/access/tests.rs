//! The copies and blocks on private memory, compared with plain copies.

use super::*;

/// Memory that stands for a segment.
fn shared(bytes: &[u8]) -> Vec<u64> {
    let mut words = vec![0_u64; bytes.len().div_ceil(8) + 32];
    bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..bytes.len()].copy_from_slice(bytes);
    words
}

fn numbered(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index * 7 + 3) as u8).collect()
}

macro_rules! round_trips {
    ($($type:ty),*) => { $( {
        let bytes = numbered(size_of::<$type>());
        let mut memory = shared(&bytes);
        let place: *mut $type = memory.as_mut_ptr().cast();
        // SAFETY: aligned to 8 like every type here, and large enough.
        let value = unsafe { load(place) }.word::<$type>();
        assert_eq!(bytemuck::bytes_of(&value), &bytes[..], stringify!($type));

        let next = place.wrapping_add(1);
        // SAFETY: `shared` has room for a second one; `next` is as aligned as an array's second element.
        unsafe { store(next, &value) };
        let written = &bytemuck::cast_slice::<u64, u8>(&memory)[size_of::<$type>()..][..size_of::<$type>()];
        assert_eq!(written, &bytes[..], stringify!($type));
    } )* };
}

#[test]
fn values_of_every_copy_path_come_out_and_go_in_unchanged() {
    // Single words, word by word, and `memcpy`.
    round_trips!(u8, u16, u32, u64, f32, f64, [u8; 3], [u16; 3], [u32; 3], [u64; 3], [u8; 17], [u64; 8]);
    round_trips!([u64; 9], [u8; 100]);
}

#[test]
fn bulk_copies_move_exactly_the_bytes_they_are_told() {
    for len in [0, 1, 7, 8, 15, 16, 17, 63, 64, 65, 127] {
        let source = numbered(len);
        let mut target = vec![0xee_u8; len + 2];
        // SAFETY: `target` has `len + 1` bytes behind its first.
        unsafe { copy_out(source.as_ptr(), target[1..].as_mut_ptr(), len) };
        assert_eq!((target[0], &target[1..=len], target[len + 1]), (0xee, &source[..], 0xee));

        target.fill(0xee);
        // SAFETY: as above.
        unsafe { copy_in(source.as_ptr(), target[1..].as_mut_ptr(), len) };
        assert_eq!((target[0], &target[1..=len], target[len + 1]), (0xee, &source[..], 0xee));
    }
}

fn blocks_round_trip<L: BlockLane, T: bytemuck::Pod + PartialEq + core::fmt::Debug>() {
    let full = L::capacity::<T>();
    for count in [1, full / 2 + 1, full] {
        let bytes = numbered(count * size_of::<T>());
        let mut memory = shared(&bytes);
        let first: *mut T = memory.as_mut_ptr().cast();
        let mut buffer = L::Buffer::new::<T>();
        // SAFETY: `count` elements, no more than a block.
        unsafe { L::load(&mut buffer, first.cast_const(), count) };
        // SAFETY: `load` filled `count` elements.
        let block = unsafe { loaded::<T, _>(&buffer, count) };
        let expected: Vec<T> = bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect();
        let values: Vec<T> = block.iter().map(|candidate| candidate.word()).collect();
        assert_eq!(values, expected);

        memory.fill(0);
        let first: *mut T = memory.as_mut_ptr().cast();
        // SAFETY: as above; the block is initialised.
        unsafe { L::store(&buffer, first, count) };
        assert_eq!(&bytemuck::cast_slice::<u64, u8>(&memory)[..bytes.len()], &bytes[..]);
    }
}

#[test]
fn blocks_hold_what_a_plain_copy_would_hold() {
    blocks_round_trip::<IntLane, u8>();
    blocks_round_trip::<IntLane, i32>();
    blocks_round_trip::<IntLane, u64>();
    blocks_round_trip::<FloatLane32, u32>();
    blocks_round_trip::<FloatLane64, u64>();
    blocks_round_trip::<Bounce, [u8; 3]>();
    blocks_round_trip::<Bounce, [u64; 5]>();
    blocks_round_trip::<Bounce, [u32; 2000]>();
}

#[test]
fn a_field_of_a_candidate_is_the_bytes_at_its_offset() {
    let memory = shared(&numbered(16));
    // SAFETY: 16 bytes, aligned to 8.
    let candidate = unsafe { load(memory.as_ptr().cast::<[u32; 4]>()) };
    let third: u32 = candidate.field::<u32>(8).word();
    assert_eq!(third.to_ne_bytes(), numbered(16)[8..12]);
    assert_eq!(candidate.elements().len(), 4);
}

#[test]
#[should_panic(expected = "assertion failed")]
fn a_field_past_the_end_of_a_candidate_is_refused() {
    let memory = shared(&numbered(16));
    // SAFETY: 16 bytes, aligned to 8.
    let candidate = unsafe { load(memory.as_ptr().cast::<[u32; 4]>()) };
    let _ = candidate.field::<u64>(12);
}
