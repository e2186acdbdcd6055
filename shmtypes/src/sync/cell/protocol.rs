//! How a value that others replace is read whole, and replaced whole.
//!
//! `current` counts the stores. Store number n goes into buffer n mod K, whose version is 2n when it is complete, and
//! 2n + 1 while it is written.
//!
//! ```text
//! writer, alone:  version[b] = 2n + 1;  fence(Release);  copy in;  version[b] = 2n;  current = n (Release)
//! reader:         n = current (Acquire);  copy out;  fence(Acquire);  version[n mod K] == 2n ?
//! ```
//!
//! 1. Who finds n in `current` finds all bytes of store n, or newer ones in the same buffer: the release store of `current`
//!    comes after them. So one look at the version, after the copy, is enough.
//! 2. Who has copied a byte of a newer store finds its mark when it looks, or a later version: the writer's release fence
//!    stands between mark and bytes, the reader's acquire fence between bytes and look. Then the copy is thrown away.
//! 3. A copy is thrown away only if K - 1 stores were made since `current` was read, and one more was begun. A writer that is
//!    stopped or killed is in nobody's way: it was writing into a buffer that no reader of the current value looks at.
//! 4. What a killed writer leaves needs no repair: the next one takes the same number again, and no reader has ever found
//!    that number in `current`.
//! 5. All zeros are a complete store number 0.
//!
//! Versions wrap after 2^63 stores. A hostile peer may write any number anywhere: then readers lose until somebody
//! stores, or get bytes that the peer chose.
//!
//! Written against two traits, so that `model_tests` runs this very code over loom's atomics.

use core::sync::atomic::Ordering;

/// The shared words and bytes, for reading.
pub(crate) trait Buffers: Copy {
    /// A value in private memory, which need not be valid.
    type Private;
    const COUNT: u64;

    fn current(self, order: Ordering) -> u64;

    fn version_of(self, buffer: usize, order: Ordering) -> u64;

    /// Copies the bytes of a buffer out, while others may change them.
    fn copy_from_buffer(self, buffer: usize, target: &mut Self::Private);

    fn fence(order: Ordering);
}

/// The same for who holds the writer's lock.
pub(crate) trait BuffersMut: Buffers {
    type Value;

    fn set_current(self, number: u64, order: Ordering);

    fn set_version(self, buffer: usize, version: u64, order: Ordering);

    /// Copies a value into a buffer, while others may read it.
    fn copy_into_buffer(self, buffer: usize, value: &Self::Value);
}

/// How often a reader may lose. Each time, K - 1 stores were faster than its copy.
pub(crate) const LOSSES: u32 = 1_000;

#[inline(always)]
fn buffer_of<B: Buffers>(number: u64) -> usize {
    // No truncation: less than the number of buffers.
    (number % B::COUNT) as usize
}

const fn complete(number: u64) -> u64 {
    number.wrapping_mul(2)
}

const fn being_written(number: u64) -> u64 {
    complete(number) | 1
}

/// Copies the current value out; `false` if stores were faster.
#[inline(always)]
pub(crate) fn try_read<B: Buffers>(buffers: B, target: &mut B::Private) -> bool {
    try_read_numbered(buffers, target).is_some()
}

/// The same, and says the number of the store.
#[inline(always)]
pub(crate) fn try_read_numbered<B: Buffers>(buffers: B, target: &mut B::Private) -> Option<u64> {
    // Acquire: pairs with the release in `write`, so that the bytes of this store, or newer ones, are there to be read.
    let number = buffers.current(Ordering::Acquire);
    let buffer = buffer_of::<B>(number);
    buffers.copy_from_buffer(buffer, target);
    // Pairs with the release fence in `write`: with a byte of a newer store comes its mark.
    B::fence(Ordering::Acquire);
    (buffers.version_of(buffer, Ordering::Relaxed) == complete(number)).then_some(number)
}

/// What a reader does that has lost, after `losses` others: waits until another try may succeed, and returns how many losses
/// there are then; `None` if there were enough. Looks before anything is copied, so that large values cost nothing where the
/// words contradict each other.
#[cold]
#[inline(never)]
pub(crate) fn lose<B: Buffers>(buffers: B, losses: u32) -> Option<u32> {
    for losses in losses + 1..LOSSES {
        core::hint::spin_loop();
        // Relaxed: decides only whether to try.
        let number = buffers.current(Ordering::Relaxed);
        if buffers.version_of(buffer_of::<B>(number), Ordering::Relaxed) == complete(number) {
            return Some(losses);
        }
    }
    None
}

/// Replaces the value, and returns the number of this store. The caller holds the writer's lock, so that no other writer
/// lives.
#[inline(always)]
pub(crate) fn write<B: BuffersMut>(buffers: B, value: &B::Value) -> u64 {
    // Relaxed: the lock orders it, or the kernel's word that the last writer is dead.
    let number = buffers.current(Ordering::Relaxed).wrapping_add(1);
    let buffer = buffer_of::<B>(number);
    // Relaxed: the fence carries it.
    buffers.set_version(buffer, being_written(number), Ordering::Relaxed);
    // Pairs with the acquire fence in `try_read`.
    B::fence(Ordering::Release);
    buffers.copy_into_buffer(buffer, value);
    // Relaxed: the release below carries it. Who still holds an older number finds that it is another one, in any order.
    buffers.set_version(buffer, complete(number), Ordering::Relaxed);
    // Release: pairs with the acquire in `try_read`.
    buffers.set_current(number, Ordering::Release);
    number
}
