//! Why a lock is not simply taken.

use super::waiting::Waiting;
use super::word::Refusal;
use crate::error::{Error, ErrorKind};
use crate::participants::{Holder, Participant};
use core::fmt;

/// What [`lock`](crate::ShmRef::lock), `read` and `write` return.
pub type LockResult<G> = core::result::Result<G, LockError<G>>;

/// Why a lock is not simply taken. In the first two cases it *is* taken, and the guard is inside.
///
/// `?` makes it an [`Error`](crate::Error), which drops that guard; where the function returns another error type, such as
/// `Box<dyn Error>`, say so: `lock().map_err(shmtypes::Error::from)?`.
///
/// ```
/// use shmtypes::ShmBox;
/// use shmtypes::sync::{LockError, ShmMutex};
///
/// let shared = ShmBox::create_from(ShmMutex::new([40_u64, 60]))?;
/// let mut guard = match shared.view().lock() {
///     Ok(guard) => guard,
///     // A process was killed, or a thread panicked, while it held the lock: look, repair, and say so.
///     Err(LockError::OwnerDied(mut guard) | LockError::Poisoned(mut guard)) => {
///         guard.update(|[one, two]| *two = 100 - *one)?;
///         guard.recover()
///     }
///     Err(other) => return Err(other.into()),
/// };
/// guard.update(|[one, two]| (*one, *two) = (*one - 5, *two + 5))?;
/// # drop(guard);
/// # Ok::<(), shmtypes::Error>(())
/// ```
#[non_exhaustive]
pub enum LockError<G> {
    /// The last holder died in the middle of something: what the lock protects may be half changed. Told to exactly one
    /// of those who come after it. Unless that one calls `recover`, the lock is poisoned for all others.
    OwnerDied(G),
    /// Somebody died or panicked while holding the lock, and nobody has called `recover` since.
    Poisoned(G),
    /// The deadline has passed. The holder lives (it may be stopped, or busy), and nothing is taken from it.
    TimedOut(Holder),
    /// A call that does not wait found the lock held.
    Held(Holder),
    /// The lock cannot be used at all.
    Failed(Error),
}

impl<G> LockError<G> {
    /// The guard, if the lock has been taken.
    #[must_use]
    pub fn into_guard(self) -> Option<G> {
        match self {
            Self::OwnerDied(guard) | Self::Poisoned(guard) => Some(guard),
            _ => None,
        }
    }

    #[cold]
    pub(crate) fn refused(refusal: Refusal, participant: &Participant, waiting: Waiting) -> Self {
        match (refusal, waiting) {
            (Refusal::Held(holder), Waiting::Not) => Self::Held(participant.holder(holder)),
            (Refusal::Held(holder), _) => Self::TimedOut(participant.holder(holder)),
            (Refusal::Contended, _) => Self::Failed(Error::new(ErrorKind::Busy)),
            (Refusal::Failed(error), _) => Self::Failed(error),
        }
    }
}

/// A guard inside is dropped: the lock stays poisoned.
impl<G> From<LockError<G>> for Error {
    fn from(error: LockError<G>) -> Self {
        match error {
            LockError::OwnerDied(_) => Self::new(ErrorKind::OwnerDied),
            LockError::Poisoned(_) => Self::new(ErrorKind::Poisoned),
            LockError::TimedOut(Holder { slot, pid }) => Self::new(ErrorKind::LockTimedOut { slot, pid }),
            LockError::Held(Holder { slot, pid }) => Self::new(ErrorKind::LockHeld { slot, pid }),
            LockError::Failed(error) => error,
        }
    }
}

impl<G> From<Error> for LockError<G> {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl<G> fmt::Debug for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnerDied(_) => f.write_str("OwnerDied(..)"),
            Self::Poisoned(_) => f.write_str("Poisoned(..)"),
            Self::TimedOut(holder) => write!(f, "TimedOut({holder:?})"),
            Self::Held(holder) => write!(f, "Held({holder:?})"),
            Self::Failed(error) => write!(f, "Failed({error})"),
        }
    }
}

impl<G> fmt::Display for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnerDied(_) => ErrorKind::OwnerDied.fmt(f),
            Self::Poisoned(_) => ErrorKind::Poisoned.fmt(f),
            Self::TimedOut(Holder { slot, pid }) => ErrorKind::LockTimedOut { slot: *slot, pid: *pid }.fmt(f),
            Self::Held(Holder { slot, pid }) => ErrorKind::LockHeld { slot: *slot, pid: *pid }.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<G> core::error::Error for LockError<G> {}
