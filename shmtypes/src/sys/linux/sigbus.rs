//! The handler of SIGBUS: zeros in the place of what a peer cut off one of our mappings; all else as before.
#![allow(unsafe_code, reason = "installs a signal handler that maps memory, for which there is no safe call")]

use super::super::Failure;
use super::ranges::Mapping;
use core::mem::MaybeUninit;
use core::ptr::{null, null_mut, with_exposed_provenance, without_provenance_mut};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize};
use nix::errno::Errno;
use nix::libc::{self, c_int, c_void, siginfo_t};

type Handler = extern "C" fn(c_int);
type HandlerWithInfo = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

static INSTALLED: AtomicBool = AtomicBool::new(false);

/// What was installed before.
// Invariant: null, or a leaked action that never changes.
static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(null_mut());

/// The size of a page, known before the handler is installed.
static PAGE: AtomicUsize = AtomicUsize::new(0);

/// Installs the handler, once per process.
pub(crate) fn guard_against_truncation() -> Result<(), Failure> {
    // Acquire: pairs with the store below.
    if INSTALLED.load(Acquire) {
        return Ok(());
    }
    // SAFETY: a number of the system, with no other effect.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let page = usize::try_from(page).ok().filter(|page| page.is_power_of_two());
    // Relaxed: installing is a system call, and no handler runs before it.
    PAGE.store(page.ok_or(Failure { operation: "ask for the size of a page", errno: Errno::ENOSYS })?, Relaxed);

    // The handler must know the previous one before it can be called, so that is asked for first.
    let previous = exchange(None)?;
    publish(&previous);
    let mut action = previous;
    action.sa_sigaction = own_address();
    // On the alternate stack, as the previous handler may need it. What the previous one blocks stays blocked in it.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | previous.sa_flags & (libc::SA_NODEFER | libc::SA_RESTART);
    // Somebody else may have installed another one in between.
    publish(&exchange(Some(&action))?);
    // Release: pairs with the load above: who finds it installed finds it working.
    INSTALLED.store(true, Release);
    Ok(())
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

/// Makes an action the one that faults of others go on to, unless it is our own: another thread may be installing too.
fn publish(previous: &libc::sigaction) {
    // Acquire: pairs with the store below.
    let known = PREVIOUS.load(Acquire);
    // SAFETY: null, or leaked and unchanging (invariant).
    let known = unsafe { known.as_ref() };
    let is_known = known.is_some_and(|known| known.sa_sigaction == previous.sa_sigaction);
    if previous.sa_sigaction != own_address() && !is_known {
        // Release: pairs with the load in `pass_on`.
        PREVIOUS.store(Box::leak(Box::new(*previous)), Release);
    }
}

/// Async-signal-safe: atomics, mmap(2), sigaction(2), raise(3). Nothing in it panics.
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
    let end = mapping.start.wrapping_add(mapping.bytes).wrapping_add(page - 1) & !(page - 1);
    mapping.note_missing(from.wrapping_sub(mapping.start));
    let protection = if mapping.writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
    // To the end: the file ended before this page, so what follows is missing as well, and thousands of pages apart would be
    // as many signals and mappings. What stands before stays, and keeps the life lock.
    // SAFETY: inside one of our mappings, which this thread is using, so that it is not unmapped meanwhile (`ranges`); its
    // memory is outside the abstract machine, and zeros are what a peer could have written.
    let mapped = unsafe { libc::mmap(without_provenance_mut(from), end.wrapping_sub(from), protection, flags, -1, 0) };
    mapped != libc::MAP_FAILED
}

/// Lets happen what would have happened without this handler.
fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel hands a filled `siginfo_t` to a handler with SA_SIGINFO.
    let code = unsafe { (*info).si_code };
    // Faults of the thread itself: they come again. Others were sent, or are a report of broken memory elsewhere.
    let comes_again = (libc::BUS_ADRALN..=libc::BUS_MCEERR_AR).contains(&code);
    // Acquire: pairs with the store in `publish`.
    let previous = PREVIOUS.load(Acquire);
    // SAFETY: null, or leaked and unchanging (invariant).
    let previous = unsafe { previous.as_ref() };
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
            if previous.sa_flags & libc::SA_RESETHAND != 0 {
                restore_default();
            }
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
        }
    }
}

fn restore_default() {
    // SAFETY: all bits zero are a `sigaction`: the default action, no flags, nothing blocked.
    let default = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    // SAFETY: the first pointer is that of a private action, the default one; no answer is wanted.
    unsafe { libc::sigaction(libc::SIGBUS, &default, null_mut()) };
}
