//! Facts about this machine, this boot and this process.
#![allow(unsafe_code, reason = "nix has no getrandom and no getauxval; follows the pointer to a page of its own")]

use super::super::Failure;
use super::WipedPage;
use core::ptr::null_mut;
use nix::errno::Errno;
use nix::libc;
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// The process id. The kernel is asked once in each process, and the answer noted where a fork wipes it.
pub(crate) fn process_id() -> u32 {
    // Invariant: null, or the start of a `WipedPage` that is never unmapped.
    static NOTE: AtomicPtr<AtomicU32> = AtomicPtr::new(null_mut());
    // Relaxed: the page's address says all, since its bytes are the kernel's zeros at first.
    // SAFETY: null, or a mapped and aligned word, which is accessed as an atomic only (invariant).
    let note = unsafe { NOTE.load(Ordering::Relaxed).as_ref() };
    // Relaxed: the number stands for itself, and every thread would find the same.
    match note.map(|note| note.load(Ordering::Relaxed)) {
        Some(0) | None => {}
        Some(noted) => return noted,
    }
    let pid = std::process::id();
    if let Some(note) = note {
        note.store(pid, Ordering::Relaxed);
    } else if let Ok(page) = WipedPage::new() {
        let new = page.start().cast().as_ptr();
        // Relaxed: as above. If another thread was faster, this page goes again.
        if NOTE.compare_exchange(null_mut(), new, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            core::mem::forget(page);
        }
    }
    pid
}

pub(crate) fn effective_user() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Whether this program was given rights that whoever started it does not have, as by a set-user-id bit (getauxval(3),
/// `AT_SECURE`): then its environment and descriptors are not to be believed.
pub(crate) fn has_borrowed_rights() -> bool {
    // SAFETY: takes a number and returns one; reads what the kernel has told this process at its start.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

pub(crate) fn realtime_nanoseconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64
}

/// How many mappings a process may have (proc_sys_vm(5), `max_map_count`), or what that is by default.
pub(crate) fn most_mappings() -> usize {
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    text.trim().parse().unwrap_or(65530)
}

/// How much memory this machine has, swap included.
pub(crate) fn memory_bytes() -> u64 {
    nix::sys::sysinfo::sysinfo().map_or(u64::MAX, |info| info.ram_total().saturating_add(info.swap_total()))
}

/// 16 random bytes.
pub(crate) fn random() -> Result<[u8; 16], Failure> {
    let mut bytes = [0; 16];
    fill_random(&mut bytes)?;
    Ok(bytes)
}

/// Random bytes, of getrandom(2), or of /dev/urandom where a filter forbids the call.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), Failure> {
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: the pointer and length are those of a private buffer.
        let count = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(count) {
            Ok(count) => filled += count,
            Err(_) if Errno::last() == Errno::EINTR => {}
            Err(_) => {
                let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(bytes));
                return read.map_err(|error| Failure {
                    operation: "get random bytes",
                    errno: error.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
                });
            }
        }
    }
    Ok(())
}

/// 16 bytes that no other call gives, in this process or another, without a system call for each: random bytes drawn
/// once, or again after a fork, with a count and the time. (The time alone tells a child with its parent's process id
/// apart, which a new process id namespace can have.)
pub(crate) fn unique(pid: u32, nanoseconds: u64) -> Result<[u8; 16], Failure> {
    static DRAWN: Mutex<Option<(u32, u128)>> = Mutex::new(None);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // Only ever tried: a forked child may have inherited it locked. Then it draws anew.
    let mut kept = DRAWN.try_lock().ok();
    let base = match kept.as_deref() {
        Some(&Some((owner, base))) if owner == pid => base,
        _ => {
            let base = u128::from_ne_bytes(random()?);
            if let Some(kept) = &mut kept {
                **kept = Some((pid, base));
            }
            base
        }
    };
    // Relaxed: only that it differs counts.
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Ok((base ^ (u128::from(count) << 64 | u128::from(nanoseconds))).to_ne_bytes())
}

/// The user id that the kernel shows for users that have none here, such as in a user namespace without a mapping.
///
/// Read once, because it is asked for at every attach.
pub(crate) fn overflow_user() -> u32 {
    static FOUND: AtomicU64 = AtomicU64::new(u64::MAX);
    // Relaxed: the number stands for itself.
    if let Ok(found) = u32::try_from(FOUND.load(Ordering::Relaxed)) {
        return found;
    }
    // proc_sys_kernel(5); 65534 unless somebody changed it.
    let text = std::fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap_or_default();
    let found = text.trim().parse().unwrap_or(65534);
    FOUND.store(u64::from(found), Ordering::Relaxed);
    found
}

/// The identity of this boot, or zeros where /proc is missing.
pub(crate) fn boot_id() -> [u8; 16] {
    static BOOT: Mutex<Option<[u8; 16]>> = Mutex::new(None);
    // Only ever tried: a forked child may have inherited it locked. Then it reads anew.
    if let Ok(kept) = BOOT.try_lock()
        && let Some(id) = *kept
    {
        return id;
    }
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let id = parse_boot_id(&text);
    if let Ok(mut kept) = BOOT.try_lock() {
        *kept = Some(id);
    }
    id
}

fn parse_boot_id(text: &str) -> [u8; 16] {
    let mut digits = text.bytes().filter_map(|byte| char::from(byte).to_digit(16));
    let mut id = [0; 16];
    for byte in &mut id {
        let (Some(high), Some(low)) = (digits.next(), digits.next()) else { return [0; 16] };
        *byte = (high * 16 + low) as u8;
    }
    id
}

/// When this process, whose id is `pid`, started, in clock ticks since boot (field 22 of /proc/self/stat, proc_pid_stat(5)), or 0 where
/// /proc is missing. Reading it costs 14 µs, so it is kept, with the process id because a fork changes both.
pub(crate) fn process_start(pid: u32) -> u64 {
    static START: Mutex<(u32, u64)> = Mutex::new((0, 0));
    // A forked child may have inherited the mutex locked; then it reads anew.
    if let Ok(kept) = START.try_lock()
        && kept.0 == pid
    {
        return kept.1;
    }
    let stat = std::fs::read("/proc/self/stat").unwrap_or_default();
    // The second field, the command, may contain spaces and parentheses; the last `)` ends it.
    let after_command = stat.iter().rposition(|&byte| byte == b')').map_or(0, |at| at + 1);
    let start = String::from_utf8_lossy(&stat[after_command..])
        .split_ascii_whitespace()
        .nth(19)
        .and_then(|field| field.parse().ok())
        .unwrap_or(0);
    if let Ok(mut kept) = START.try_lock() {
        *kept = (pid, start);
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork};

    #[test]
    fn a_forked_child_does_not_take_itself_for_its_parent() {
        // Noted now.
        assert_eq!((process_id(), process_id()), (std::process::id(), std::process::id()));
        // SAFETY: the child calls functions that need no lock, and ends.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                let right = process_id() == std::process::id() && process_id() == std::process::id();
                // SAFETY: ends the process, without anything that the parent has registered.
                unsafe { libc::_exit(i32::from(!right)) }
            }
            ForkResult::Parent { child } => {
                assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
                assert_eq!(process_id(), std::process::id());
            }
        }
    }
}
