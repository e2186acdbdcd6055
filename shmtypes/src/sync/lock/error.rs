//! Why a lock is not simply taken.

use super::waiting::Waiting;
use super::word::Refusal;
use crate::error::{Error, ErrorKind, Fault};
use crate::participants::{Holder, Identity, Participant};
use core::fmt;
use sealed::InSegment;

/// What [`lock`](crate::ShmRef::lock), `read` and `write` return.
pub type LockResult<G> = core::result::Result<G, LockError<G>>;

/// Why a lock is not simply taken. In the first two cases it *is* taken, and the guard is inside.
///
/// `?` makes it an [`Error`](crate::Error), which drops that guard; where the function returns another error type, such as
/// `Box<dyn Error>`, say so: `lock().map_err(shmtypes::Error::from)?`.
///
/// ```
/// use shmtypes::{LockError, ShmBox, ShmMutex};
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
    TimedOut(HeldBy),
    /// A call that does not wait found the lock held.
    Held(HeldBy),
    /// The lock cannot be used at all.
    Failed(Error),
}

/// Who holds a lock that somebody else wants. For people: process ids are used again.
///
/// ```
/// use shmtypes::{LockError, ShmBox, ShmMutex};
///
/// let total = ShmBox::create_from(ShmMutex::new(0_u64))?;
/// let guard = total.view().lock()?;
/// // Here, or in any function that this one calls:
/// let Err(LockError::Held(holder)) = total.view().try_lock() else { panic!("it is held") };
/// assert!(holder.is_own);
/// assert_eq!((holder.pid, holder.segment()), (std::process::id(), Some(total.name())));
/// # drop(guard);
/// # Ok::<(), shmtypes::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldBy {
    /// The participant slot, from 0 on.
    pub slot: u32,
    /// Its process, as its own process id namespace knows it; 0 if unknown.
    pub pid: u32,
    /// Whether that is this process, by its own word: another thread of it, another handle, or an earlier guard, which this
    /// very thread may have.
    pub is_own: bool,
    /// Empty for an unnamed one.
    segment: Box<str>,
}

impl HeldBy {
    fn new(holder: Identity, participant: &Participant) -> Self {
        let Holder { slot, pid } = participant.holder(holder);
        Self { slot, pid, is_own: participant.is_own(holder), segment: participant.segment().into() }
    }

    /// The name of the lock's segment; `None` if it has no name.
    #[must_use]
    pub fn segment(&self) -> Option<&str> {
        Some(&*self.segment).filter(|name| !name.is_empty())
    }

    fn timed_out(&self) -> Error {
        let &Self { slot, pid, is_own, ref segment } = self;
        Error::new(ErrorKind::LockTimedOut { slot, pid, is_own }).in_segment(segment)
    }

    fn held(&self) -> Error {
        let &Self { slot, pid, is_own, ref segment } = self;
        Error::new(ErrorKind::LockHeld { slot, pid, is_own }).in_segment(segment)
    }
}

/// A guard of one of this crate's locks, which a [`LockError`] may have inside.
///
/// For bounds only: `fn settle<G: LockGuard>(taken: LockResult<G>) -> Result<G> { Ok(taken?) }`.
pub trait LockGuard: InSegment {}

pub(crate) mod sealed {
    /// What knows its segment.
    pub trait InSegment {
        /// The name, empty for an unnamed segment; `None` if it is not known.
        #[doc(hidden)]
        fn segment(&self) -> Option<&str>;
    }
}

/// No guard, for those who take a lock without one.
impl InSegment for () {
    fn segment(&self) -> Option<&str> {
        None
    }
}
impl LockGuard for () {}

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
        // Also where the time has passed meanwhile: nobody holds what is cut off.
        if let Err(error) = participant.check_whole() {
            return Self::Failed(error);
        }
        match (refusal, waiting) {
            (Refusal::Held(holder), Waiting::Not) => Self::Held(HeldBy::new(holder, participant)),
            (Refusal::Held(holder), _) => Self::TimedOut(HeldBy::new(holder, participant)),
            (Refusal::Contended, _) => Self::Failed(Error::new(ErrorKind::Busy).in_segment(participant.segment())),
            (Refusal::Failed(error), _) => Self::Failed(error.in_segment(participant.segment())),
        }
    }

    /// The same as an error; the one that is inside, if there is one.
    fn told(&self, name: impl FnOnce(&G, Error) -> Error) -> Result<Error, &Error> {
        Ok(match self {
            Self::OwnerDied(guard) => name(guard, Error::new(ErrorKind::OwnerDied)),
            Self::Poisoned(guard) => name(guard, Error::new(ErrorKind::Poisoned)),
            Self::TimedOut(holder) => holder.timed_out(),
            Self::Held(holder) => holder.held(),
            Self::Failed(error) => return Err(error),
        })
    }

    /// What to do about it, where there is something to say.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        self.told(|_, error| error).map_or_else(Error::hint, |error| error.hint())
    }

    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.told(|_, error| error).map_or_else(Error::fault, |error| error.fault())
    }
}

impl<G: LockGuard> LockError<G> {
    /// The name of the lock's segment, if it has one.
    #[must_use]
    pub fn segment(&self) -> Option<&str> {
        match self {
            Self::OwnerDied(guard) | Self::Poisoned(guard) => guard.segment().filter(|name| !name.is_empty()),
            Self::TimedOut(holder) | Self::Held(holder) => holder.segment(),
            Self::Failed(error) => error.segment(),
        }
    }
}

fn named<G: LockGuard>(guard: &G, error: Error) -> Error {
    match guard.segment() {
        Some(name) => error.in_segment(name),
        None => error,
    }
}

/// A guard inside is dropped: the lock stays poisoned.
impl<G: LockGuard> From<LockError<G>> for Error {
    fn from(error: LockError<G>) -> Self {
        match error {
            LockError::OwnerDied(guard) => named(&guard, Self::new(ErrorKind::OwnerDied)),
            LockError::Poisoned(guard) => named(&guard, Self::new(ErrorKind::Poisoned)),
            LockError::TimedOut(holder) => holder.timed_out(),
            LockError::Held(holder) => holder.held(),
            LockError::Failed(error) => error,
        }
    }
}

impl<G> From<Error> for LockError<G> {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn show(told: Result<Error, &Error>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match told {
        Ok(error) => fmt::Display::fmt(&error, f),
        Err(failed) => fmt::Display::fmt(failed, f),
    }
}

/// The line of `Display`, because `unwrap` shows this one; but for the name of the segment where a guard would have to say it.
impl<G> fmt::Debug for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.told(|_, error| error), f)
    }
}

impl<G: LockGuard> fmt::Display for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.told(named), f)
    }
}

impl<G: LockGuard> core::error::Error for LockError<G> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            // Its own line is this one's.
            Self::Failed(error) => error.source(),
            _ => None,
        }
    }
}
