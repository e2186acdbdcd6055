//! Processes: knowing that one has ended, and handing a descriptor to another.
#![allow(unsafe_code, reason = "nix has no pidfd_open; descriptors arrive as numbers")]

use super::super::Failure;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A descriptor of this process, which becomes readable when the process has ended, in whatever way (pidfd_open(2), since
/// Linux 5.3). Whoever it is sent to sees the end of exactly this process, whatever becomes of its number.
pub(crate) fn own_process() -> Result<OwnedFd, Failure> {
    let pid = std::process::id();
    // SAFETY: takes two numbers and returns one; touches no memory.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let failure = |errno| Failure { operation: "get a descriptor of this process", errno };
    let descriptor = Errno::result(descriptor).map_err(failure)?;
    let descriptor = i32::try_from(descriptor).map_err(|_| failure(Errno::EBADF))?;
    // SAFETY: the kernel has just made it for this call, so that nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Sends bytes, and a descriptor along with the first of them. Raises no SIGPIPE.
pub(crate) fn send_with_descriptor(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> Result<usize, Errno> {
    let numbers = descriptor.map(|descriptor| [descriptor.as_raw_fd()]);
    let rights = numbers.as_ref().map(|numbers| ControlMessage::ScmRights(numbers));
    sendmsg::<UnixAddr>(socket.as_raw_fd(), &[IoSlice::new(bytes)], rights.as_slice(), MsgFlags::MSG_NOSIGNAL, None)
}

/// Receives bytes, and the descriptor that came along with them, if one did. `EMFILE` if this process could not have it.
pub(crate) fn receive_with_descriptor(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
) -> Result<(usize, Option<OwnedFd>), Errno> {
    let mut space = nix::cmsg_space!([i32; 1]);
    let mut parts = [IoSliceMut::new(bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    if message.flags.contains(MsgFlags::MSG_CTRUNC) {
        // There is room for one, and the kernel had no number for it.
        return Err(Errno::EMFILE);
    }
    let mut received = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            for number in numbers {
                // SAFETY: the kernel has just put it into this process's table, for this message.
                received = Some(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
    }
    Ok((message.bytes, received))
}

/// Whether a call waits for the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    None,
    /// As long as the socket's own limit.
    Waits,
}

/// Sends bytes without raising SIGPIPE.
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8], patience: Patience) -> Result<usize, Errno> {
    let wait = if patience == Patience::None { MsgFlags::MSG_DONTWAIT } else { MsgFlags::empty() };
    nix::sys::socket::send(socket.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL | wait)
}

/// Receives what is there.
pub(crate) fn try_receive(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<usize, Errno> {
    nix::sys::socket::recv(socket.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT)
}
