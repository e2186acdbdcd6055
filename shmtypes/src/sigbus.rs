//! A guard against peers that truncate a named segment. Needs the feature `sigbus`.
//!
//! The feature costs every access of a single element two cycles, installed or not, and blocks and bulk copies nothing that
//! shows. Without it nothing of the guard is compiled.
//!
//! Whoever may write to a file may cut it. A process that touches a mapped page behind the new end gets SIGBUS, which ends it.
//! A world in which all are of this crate never sees that: space is reserved at creation, and nobody truncates. A program that
//! must outlive peers it does not trust calls [`install`] once:
//!
//! ```
//! use shmtypes::{ErrorKind, ShmArray};
//!
//! # fn main() -> shmtypes::Result<()> {
//! shmtypes::sigbus::install()?;
//! let prices = ShmArray::<f64>::create(100_000)?;
//!
//! // Another process:
//! let path = format!("/dev/shm/{}", prices.name());
//! std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(4096).unwrap();
//!
//! // No signal, but an error, now and for as long as this attachment lives.
//! let error = prices.sum().unwrap_err();
//! assert!(matches!(error.kind(), ErrorKind::Truncated { found: 4096, .. }));
//! assert!(matches!(prices.get(0).unwrap_err().kind(), ErrorKind::Truncated { .. }));
//! # Ok(())
//! # }
//! ```
//!
//! # What it does
//!
//! It installs a handler for SIGBUS for the whole process. When a thread touches a missing page of a mapping of this crate,
//! [compat](crate::compat) blocks included, the handler maps private zeros from there to the end of the mapping, marks the
//! mapping, and lets the thread go on. (If a later page is in memory, the file was not cut: a page that was never written, or
//! was given back, found no memory on a full file system. Then zeros take the place of that page only.) Every method of its
//! handles that returns a `Result` and reads or writes what is shared answers
//! [`ErrorKind::Truncated`](crate::ErrorKind::Truncated) from then on, starting with the call that met the missing page:
//! those of arrays, cells, vectors and lists, of an [`Appender`](crate::Appender) and a [`Follower`](crate::Follower), those that
//! take a [lock](crate::sync), and `get` and `update` of its guard. Calls of these handles that wait for what is cut off end
//! with it within 50 ms. It stays so if the file grows again: attach anew. Mappings made before the guard was installed are
//! covered, and so is a forked child; exec ends it.
//!
//! Any other SIGBUS goes to the handler that was there before, or ends the process as it would have.
//!
//! # What it does not
//!
//! * **Infallible accesses say nothing.** Views ([`at`](crate::Elements::at)) and atomics read zeros and write to private memory;
//!   [`ShmRef::try_get`](crate::ShmRef::try_get) and what else a view gives as a `Result` is about the bytes only: a view knows
//!   no mapping. So it is with a [`SeqCell`](crate::sync::SeqCell) or [`ShmEvent`](crate::ShmEvent) in a
//!   [`ShmBox`](crate::ShmBox) or an array. Only their waits tell, where the segment has locks or cells and the handle may write; by other
//!   handles they end at their deadline.
//!   So do closures of block operations that are called before the operation ends with its error, and what is read through
//!   [`as_ptr`](crate::Elements::as_ptr) or `as_slice`. A `get` afterwards tells.
//! * **The rest of the last page that stands reads as zeros, and nobody notices**: the kernel clears it without a signal. The same
//!   is true of a file that was cut and grown again between two accesses. A peer that may do this may as well store zeros.
//!   A small segment whose elements all lie in the remaining page never reports anything.
//! * **Locks are cut off with the rest.** A word of zeros is a free lock. Who takes it or waits for it is told, but who has taken it before
//!   still holds it, while another process may attach to what somebody put there meanwhile. `get` and `update` of the guard tell; `set`, what goes
//!   through a view or a slice, and the end of the guard cannot.
//! * **Memory is not free.** Writes to what was cut off allocate private memory, up to the size of the segment.
//! * **Out of mappings**: if the kernel refuses the handler its zeros (vm.max_map_count, vm.overcommit_memory=2, a limit on
//!   locked memory), the process ends as before.
//! * **Memory of others.** Mappings that are not of this crate stay as they are.
//! * **System calls.** A call such as write(2) to which a program hands the address of a missing page fails with EFAULT.
//! * **Threads that block SIGBUS** end the process at such a fault: the kernel asks no handler then. So does a handler of another
//!   signal that touches a missing page while it interrupts this one.
//! * **A store beside the truncation** may be lost and not reported by that call, on the thread that did not meet the missing page
//!   itself, as is one right before the truncation. The next call reports it.
//! * **Handlers installed later** take its place, unless they chain to it. Calling [`install`] again puts it back, before them.
//!   An earlier handler that installs another one while it has a signal removes the guard, but for the default action, such as
//!   the Rust runtime's: then the guard stays, and the next signal of others has that action.
//! * **Huge pages of hugetlbfs** cannot be replaced in part: such a fault ends the process as before.
//!
//! Whether a later page is in memory the kernel tells of pages that are not swapped out. What is taken for cut off for that
//! reason reads as zeros in a mapping that reports the error anyway.
//!
//! If the first page of a mapping goes as well, the kernel no longer counts this process among the attached ones.

use crate::error::Result;

/// Installs the guard for this process, unless it is in place.
///
/// Not to be called in a signal handler, nor in the child of a process that forked while another thread called it.
///
/// # Errors
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) without an operating system (under Miri).
pub fn install() -> Result<()> {
    Ok(crate::sys::guard::install()?)
}
