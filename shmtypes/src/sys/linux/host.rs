//! Facts about this machine, this boot and this process.
#![allow(unsafe_code, reason = "nix has no getrandom")]

use nix::libc;
use std::sync::Mutex;
use std::sync::OnceLock;

pub(crate) fn process_id() -> u32 {
    std::process::id()
}

pub(crate) fn effective_user() -> u32 {
    nix::unistd::geteuid().as_raw()
}

pub(crate) fn realtime_nanoseconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64
}

/// How much memory this machine has, swap included.
pub(crate) fn memory_bytes() -> u64 {
    nix::sys::sysinfo::sysinfo().map_or(u64::MAX, |info| info.ram_total().saturating_add(info.swap_total()))
}

/// 16 random bytes (getrandom(2)).
pub(crate) fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: the pointer and length are those of a private buffer.
        let count = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        // Fails with EINTR only, before the pool is ready.
        filled += usize::try_from(count).unwrap_or(0);
    }
    bytes
}

/// The identity of this boot, or zeros where /proc is missing.
pub(crate) fn boot_id() -> [u8; 16] {
    static BOOT: OnceLock<[u8; 16]> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let mut digits = text.bytes().filter_map(|byte| char::from(byte).to_digit(16));
        let mut id = [0; 16];
        for byte in &mut id {
            let (Some(high), Some(low)) = (digits.next(), digits.next()) else { return [0; 16] };
            *byte = (high * 16 + low) as u8;
        }
        id
    })
}

/// When this process started, in clock ticks since boot (field 22 of /proc/self/stat, proc_pid_stat(5)), or 0 where
/// /proc is missing. Reading it costs 14 µs, so it is kept, with the process id because a fork changes both.
pub(crate) fn process_start() -> u64 {
    static START: Mutex<(u32, u64)> = Mutex::new((0, 0));
    let pid = process_id();
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
