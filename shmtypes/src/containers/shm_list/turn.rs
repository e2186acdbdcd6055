//! The lock of a slot's writers, taken.

use crate::error::Result;
use crate::layout::{ShmRef, Writable};
use crate::sync::lock::error::LockError;
use crate::sync::lock::exclusive;
use crate::sync::lock::hold::{self, Hold};
use crate::sync::lock::waiting::Waiting;
use crate::sync::lock::word::{FREE, Found, Wake};
use core::sync::atomic::AtomicU64;

/// The right to store. Dropping it lets go, and leaves the lock clean: what a dead or panicking writer left needs no repair.
pub(super) struct Turn<'a, M: Writable> {
    word: ShmRef<'a, AtomicU64, M>,
    hold: Hold,
}

impl<'a, M: Writable> Turn<'a, M> {
    #[inline(always)]
    pub(super) fn take(word: ShmRef<'a, AtomicU64, M>, waiting: Waiting) -> Result<Self> {
        let (participant, me) = hold::participant(word.participant())?;
        if !exclusive::try_take(word, me) {
            let mut patience = waiting;
            // Whatever it finds: the old value is whole, or the new one is.
            exclusive::take(word, me, participant, &mut patience)
                .map_err(|refusal| LockError::<()>::refused(refusal, participant, waiting))?;
        }
        Ok(Self { word, hold: Hold::new(me, Found::Whole) })
    }

    /// Whether this process has taken it, and not the parent that it was forked from meanwhile.
    pub(super) fn is_mine(&self) -> bool {
        self.hold.holder(self.word.participant()).is_some()
    }
}

impl<M: Writable> Drop for Turn<'_, M> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some((_, me)) = self.hold.holder(self.word.participant()) {
            exclusive::release(self.word, me, FREE, Wake::One);
        }
    }
}
