//! A slot and its generation in 64 bits, as lock words store it.

use super::MAX_SLOTS;
use core::num::NonZeroU64;

/// Who holds a lock.
///
/// ```text
/// bit   0 ..  9   slot + 1: 1 to 1023, never 0
///      10 .. 31   0: lock words keep flags there
///      32 .. 63   generation of the slot, never 0 unless a peer wrote it
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Identity(NonZeroU64);

const SLOT_MASK: u64 = MAX_SLOTS as u64;
const GENERATION_SHIFT: u32 = 32;
const MASK: u64 = SLOT_MASK | u64::MAX << GENERATION_SHIFT;

const _: () = assert!((MAX_SLOTS + 1).is_power_of_two(), "the numbers of slots fill their bits");

impl Identity {
    /// `slot` is less than [`MAX_SLOTS`].
    pub(super) fn new(slot: u32, generation: u32) -> Self {
        debug_assert!(slot < MAX_SLOTS);
        let slot = NonZeroU64::MIN.saturating_add(u64::from(slot) & SLOT_MASK);
        Self(slot | u64::from(generation) << GENERATION_SHIFT)
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.0.get()
    }

    /// What a lock word says of its holder, whatever its flags; `None` if it names nobody.
    #[inline(always)]
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        if bits & SLOT_MASK == 0 {
            return None;
        }
        NonZeroU64::new(bits & MASK).map(Self)
    }

    /// The same for bits that hold an identity and no flags, or name nobody.
    #[inline(always)]
    pub(super) fn from_exact_bits(bits: u64) -> Option<Self> {
        debug_assert!(bits & SLOT_MASK == 0 || bits & !MASK == 0, "flags beside an identity: {bits:#x}");
        if bits & SLOT_MASK == 0 { None } else { NonZeroU64::new(bits).map(Self) }
    }

    pub(crate) fn slot(self) -> u32 {
        (self.0.get() & SLOT_MASK) as u32 - 1
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0.get() >> GENERATION_SHIFT) as u32
    }
}
