//! The handler of SIGBUS: zeros in the place of what a peer cut off one of our mappings; all else as before.
#![allow(unsafe_code, reason = "installs a signal handler that maps memory, for which there is no safe call")]

use super::ranges::Mapping;
use crate::sys::Failure;
use core::mem::MaybeUninit;
use core::ptr::{null, null_mut, with_exposed_provenance, without_provenance_mut};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicUsize};
use nix::errno::Errno;
use nix::libc::{self, c_int, c_void, siginfo_t};
use std::sync::{Mutex, PoisonError};

type Handler = extern "C" fn(c_int);
type HandlerWithInfo = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

/// What was installed before; null is the default action.
// Invariant: null, or a leaked action that never changes.
static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(null_mut());

/// The size of a page, known before the handler is installed.
static PAGE: AtomicUsize = AtomicUsize::new(0);

/// Held while installing, never by a handler.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Installs the handler, unless it is the one in place.
pub(crate) fn install() -> Result<(), Failure> {
    let _alone = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: a number of the system, with no other effect.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let page = usize::try_from(page).ok().filter(|page| page.is_power_of_two());
    // Relaxed: installing is a system call, and no handler runs before it.
    PAGE.store(page.ok_or(Failure { operation: "ask for the size of a page", errno: Errno::ENOSYS })?, Relaxed);

    let previous = exchange(None)?;
    if previous.sa_sigaction == own_address() {
        return Ok(());
    }
    // The handler must know the previous one before it can be called.
    publish(&previous);
    // Somebody else may have installed another one in between.
    publish(&exchange(Some(&own_action(&previous)))?);
    Ok(())
}

/// Notes that the kernel found no page for a word to sleep on: it raises no signal then. Without the guard, nothing.
pub(crate) fn note_unreachable(word: *const u32) {
    // Relaxed: stored by whoever installed the guard; one that comes now looks again later.
    let page = PAGE.load(Relaxed);
    if page != 0
        && let Some(mapping) = Mapping::around(word.addr())
    {
        mapping.note_missing(word.addr() & !(page - 1));
    }
}

/// The action that takes the place of `previous`. What that one blocks stays blocked in it.
fn own_action(previous: &libc::sigaction) -> libc::sigaction {
    let inherited = libc::SA_NODEFER | libc::SA_RESTART;
    let flags = match previous.sa_sigaction {
        libc::SIG_DFL => libc::SA_ONSTACK | previous.sa_flags & inherited,
        // An ignored signal interrupts no system call.
        libc::SIG_IGN => libc::SA_ONSTACK | libc::SA_RESTART | previous.sa_flags & inherited,
        // On the stack for which the handler was written.
        _ => previous.sa_flags & (libc::SA_ONSTACK | inherited),
    };
    let mut action = *previous;
    action.sa_sigaction = own_address();
    action.sa_flags = libc::SA_SIGINFO | flags;
    action
}

fn own_address() -> libc::sighandler_t {
    let handler: HandlerWithInfo = on_sigbus;
    handler as *const () as libc::sighandler_t
}

/// Installs an action for SIGBUS, or only asks, and gives the one before.
fn exchange(action: Option<&libc::sigaction>) -> Result<libc::sigaction, Failure> {
    let mut before = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: both pointers are null or those of private memory for a `sigaction`, the first one filled; its handler is
    // `on_sigbus`, which does only what a handler may.
    let result = unsafe { libc::sigaction(libc::SIGBUS, action.map_or(null(), |action| action), before.as_mut_ptr()) };
    Errno::result(result).map_err(|errno| Failure { operation: "sigaction", errno })?;
    // SAFETY: filled by the call, which succeeded.
    Ok(unsafe { before.assume_init() })
}

/// Makes an action the one that faults of others go on to, unless it is our own.
fn publish(previous: &libc::sigaction) {
    // Relaxed: stored by this thread or under the mutex, or null.
    let known = PREVIOUS.load(Relaxed);
    // SAFETY: null, or leaked and unchanging (invariant).
    let known = unsafe { known.as_ref() };
    // The handler looks at these two fields only.
    let is_known =
        known.is_some_and(|known| known.sa_sigaction == previous.sa_sigaction && known.sa_flags == previous.sa_flags);
    let new = match previous.sa_sigaction {
        libc::SIG_DFL => null_mut(),
        handler if handler == own_address() || is_known => return,
        _ => Box::leak(Box::new(*previous)),
    };
    // Release: pairs with the load in `take_previous`.
    PREVIOUS.store(new, Release);
}

/// Async-signal-safe: atomics, mincore(2), mmap(2), sigaction(2), raise(3). Nothing in it panics.
extern "C" fn on_sigbus(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let errno = Errno::last_raw();
    if !replace_missing(info) {
        pass_on(signal, info, context);
    }
    Errno::set_raw(errno);
}

/// Maps zeros over what is missing, if the signal is about one of our mappings.
fn replace_missing(info: *mut siginfo_t) -> bool {
    // SAFETY: the kernel hands a filled `siginfo_t` to a handler with SA_SIGINFO.
    let info = unsafe { &*info };
    if info.si_code != libc::BUS_ADRERR {
        return false;
    }
    // SAFETY: a SIGBUS with this code carries an address.
    let address = unsafe { info.si_addr() }.addr();
    let Some(mapping) = Mapping::around(address) else { return false };
    // Relaxed: stored before the handler was installed.
    let page = PAGE.load(Relaxed);
    // A mapping starts at a page, so this is inside.
    let from = address & !(page - 1);
    let next = from.wrapping_add(page);
    let end = mapping.end_of_file_pages(page);
    // Either the file ended before this page; then all that follows is missing as well, and thousands of pages apart would be
    // as many signals and mappings. Or the file system had no page for this place; then what follows may stand.
    let until = if next < end && !is_any_present(&mapping, next, end, page) { end } else { next };
    mapping.note_missing(from);
    let protection = if mapping.writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
    // What stands before stays, and keeps the life lock.
    // SAFETY: inside one of our mappings, which this thread is using, so that it is not unmapped meanwhile (`ranges`); its
    // memory is outside the abstract machine, and zeros are what a peer could have written.
    let mapped =
        unsafe { libc::mmap(without_provenance_mut(from), until.wrapping_sub(from), protection, flags, -1, 0) };
    if mapped == libc::MAP_FAILED {
        return false;
    }
    if until == end {
        mapping.note_zeros(from);
    }
    true
}

/// Whether a page of `from .. end` is in memory. Without a right to write to the file the kernel says so of every page.
fn is_any_present(mapping: &Mapping, from: usize, end: usize, page: usize) -> bool {
    // Where it was the last time, so that a file full of holes is not searched at every one.
    let known = mapping.present();
    if (from..end).contains(&known) && first_present(known, known.wrapping_add(page), page).is_some() {
        return true;
    }
    let first = first_present(from, end, page);
    first.inspect(|&place| mapping.note_present(place)).is_some()
}

/// The first page of `from .. end` that is in memory, both at the start of one.
fn first_present(mut from: usize, end: usize, page: usize) -> Option<usize> {
    // A handler's stack is small.
    let mut answers = [0_u8; 256];
    while from < end {
        let bytes = end.wrapping_sub(from).min(answers.len() * page);
        // SAFETY: fills one byte per page, of which there are at most as many as `answers` has; touches no other memory.
        let result = unsafe { libc::mincore(without_provenance_mut(from), bytes, answers.as_mut_ptr()) };
        if result != 0 {
            // Not known: what may stand there stays.
            return Some(from);
        }
        if let Some(at) = answers.iter().take(bytes / page).position(|answer| answer & 1 != 0) {
            return Some(from.wrapping_add(at * page));
        }
        from = from.wrapping_add(bytes);
    }
    None
}

/// Stands in the last bytes of a signal's information while the previous handler has it. The kernel, which uses fewer, left
/// zeros there. Nothing that a thread keeps would do: a handler may leave by a jump, and never come back.
const PASSED_ON: [u8; 8] = *b"\x93shmtype";

fn mark(info: *mut siginfo_t) -> *mut [u8; 8] {
    info.wrapping_add(1).cast::<[u8; 8]>().wrapping_sub(1)
}

/// The action to go on to. One for a single signal gives way to the default.
fn take_previous() -> Option<&'static libc::sigaction> {
    loop {
        // Acquire: pairs with the store in `publish`.
        let place = PREVIOUS.load(Acquire);
        // SAFETY: null, or leaked and unchanging (invariant).
        let previous = unsafe { place.as_ref() }?;
        if previous.sa_flags & libc::SA_RESETHAND == 0
            // Release: as in `publish`; null has nothing to show. Acquire: as above.
            || PREVIOUS.compare_exchange(place, null_mut(), AcqRel, Relaxed).is_ok()
        {
            return Some(previous);
        }
    }
}

/// Lets happen what would have happened without this handler.
fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel hands a filled `siginfo_t` to a handler with SA_SIGINFO.
    let code = unsafe { (*info).si_code };
    // Faults of the thread itself: they come again. Others were sent, or are a report of broken memory elsewhere.
    let comes_again = (libc::BUS_ADRALN..=libc::BUS_MCEERR_AR).contains(&code);
    let mark = mark(info);
    // SAFETY: the last bytes of the `siginfo_t`, which are those of this thread's stack.
    let is_back = unsafe { mark.read() } == PASSED_ON;
    // A handler that was installed anew may go on to this one, and this one to it.
    let previous = if is_back { None } else { take_previous() };
    let handler = previous.map_or(libc::SIG_DFL, |previous| previous.sa_sigaction);
    match (previous, handler) {
        // The kernel lets nobody ignore a fault.
        (_, libc::SIG_IGN) if !comes_again => {}
        (None, _) | (_, libc::SIG_DFL | libc::SIG_IGN) => {
            restore_default();
            if !comes_again {
                // SAFETY: sends the signal to this thread, which gets it when this handler returns.
                unsafe { libc::raise(signal) };
            }
        }
        (Some(previous), handler) => {
            // SAFETY: as above.
            unsafe { mark.write(PASSED_ON) };
            let handler = with_exposed_provenance::<()>(handler);
            if previous.sa_flags & libc::SA_SIGINFO == 0 {
                // SAFETY: whoever installed it without SA_SIGINFO promised the kernel a function of this type.
                let handler = unsafe { core::mem::transmute::<*const (), Handler>(handler) };
                handler(signal);
            } else {
                // SAFETY: whoever installed it with SA_SIGINFO promised the kernel a function of this type.
                let handler = unsafe { core::mem::transmute::<*const (), HandlerWithInfo>(handler) };
                handler(signal, info, context);
            }
            // SAFETY: as above.
            unsafe { mark.write([0; 8]) };
            stay(previous);
        }
    }
}

/// Takes the place of the default action that the previous handler left, as that of the runtime does for every signal that is
/// not its own. From now on that default is what signals of others go on to, so that a fault that comes again ends the process.
fn stay(previous: &libc::sigaction) {
    if exchange(None).is_ok_and(|now| now.sa_sigaction == libc::SIG_DFL) {
        // Release: as in `publish`.
        PREVIOUS.store(null_mut(), Release);
        let _ = exchange(Some(&own_action(previous)));
    }
}

fn restore_default() {
    // SAFETY: all bits zero are a `sigaction`: the default action, no flags, nothing blocked.
    let default = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    // SAFETY: the first pointer is that of a private action, the default one; no answer is wanted.
    unsafe { libc::sigaction(libc::SIGBUS, &default, null_mut()) };
}

#[cfg(test)]
mod tests {
    use super::super::Registration;
    use super::*;
    use crate::error::ErrorKind;
    use crate::sys::Access;
    use core::ptr::without_provenance;

    #[test]
    fn a_word_that_the_kernel_finds_no_page_for_is_noted() {
        // An address that no program has.
        const START: usize = 1 << 59;
        install().unwrap();
        let page = PAGE.load(Relaxed);
        let mapping = Registration::new(without_provenance(START), 3 * page, Access::ReadOnly);
        note_unreachable(without_provenance(START - 4));
        note_unreachable(without_provenance(START + 3 * page));
        assert!(mapping.watch().check().is_ok(), "outside");
        note_unreachable(without_provenance(START + page + 64));
        let error = mapping.watch().check().unwrap_err();
        let expected = ErrorKind::Truncated { expected: 3 * page as u64, found: page as u64 };
        assert_eq!(*error.kind(), expected);
    }
}
