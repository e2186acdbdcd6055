//! Mutexes of the C library, shared between processes: the peers of ours.
#![allow(unsafe_code, reason = "calls pthread")]

use nix::libc;

/// A place for a mutex, aligned and large enough for that of every C library in use.
pub(crate) const WORDS: usize = 8;

/// A process-shared mutex at a place in shared memory.
#[derive(Clone, Copy)]
pub(crate) struct Mutex(*mut libc::pthread_mutex_t);

const _: () = assert!(size_of::<libc::pthread_mutex_t>() <= WORDS * 8 && align_of::<libc::pthread_mutex_t>() <= 8);

impl Mutex {
    /// The mutex at `place`, which lives as long as it is used, and has been initialised if it is used.
    pub(crate) fn at(place: *mut u64) -> Self {
        Self(place.cast())
    }

    pub(crate) fn initialise(self, robust: bool) {
        let mut attributes = std::mem::MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        // SAFETY: initialises them.
        unsafe { libc::pthread_mutexattr_init(attributes.as_mut_ptr()) };
        // SAFETY: initialised.
        unsafe { libc::pthread_mutexattr_setpshared(attributes.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED) };
        if robust {
            // SAFETY: initialised.
            unsafe { libc::pthread_mutexattr_setrobust(attributes.as_mut_ptr(), libc::PTHREAD_MUTEX_ROBUST) };
        }
        // SAFETY: a place of its own (contract of `at`), and initialised attributes.
        unsafe { libc::pthread_mutex_init(self.0, attributes.as_ptr()) };
    }

    #[inline(always)]
    pub(crate) fn lock(self) {
        // SAFETY: initialised (contract of `at`).
        unsafe { libc::pthread_mutex_lock(self.0) };
    }

    #[inline(always)]
    pub(crate) fn unlock(self) {
        // SAFETY: as in `lock`, and held by this thread.
        unsafe { libc::pthread_mutex_unlock(self.0) };
    }
}
