//! Processes: knowing that one has ended, and handing a descriptor to another.
#![allow(unsafe_code, reason = "nix has no pidfd_open; descriptors arrive as numbers")]

use super::super::Failure;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, recvmsg, sendmsg};
use std::io::{IoSlice, IoSliceMut};
use std::mem::offset_of;
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
    // In multiples of eight bytes: it takes two numbers.
    let mut space = nix::cmsg_space!([i32; 1]);
    let mut parts = [IoSliceMut::new(bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let (count, is_cut_off) = (message.bytes, message.flags.contains(MsgFlags::MSG_CTRUNC));
    let mut descriptors = take_descriptors(&space);
    if is_cut_off {
        // The kernel had no number for it; or more of them came than there is room for, some of which are closed here.
        return Err(Errno::EMFILE);
    }
    Ok((count, descriptors.pop()))
}

/// The descriptors in what [`recvmsg`] has written over zeros, where there is room for one control message. nix gives none out
/// of a message that was cut off, and they would stay open for ever.
fn take_descriptors(control: &[u8]) -> Vec<OwnedFd> {
    const LENGTH: usize = offset_of!(libc::cmsghdr, cmsg_len);
    let number = |at: usize| {
        let bytes = control.get(at..at + size_of::<i32>()).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, i32::from_ne_bytes)
    };
    let length = control.get(LENGTH..LENGTH + size_of::<usize>()).and_then(|bytes| bytes.try_into().ok());
    let length = length.map_or(0, usize::from_ne_bytes).min(control.len());
    let kind = (number(offset_of!(libc::cmsghdr, cmsg_level)), number(offset_of!(libc::cmsghdr, cmsg_type)));
    if kind != (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
        return Vec::new();
    }
    // Each number stands whole before the length.
    (size_of::<libc::cmsghdr>()..length.saturating_sub(size_of::<i32>() - 1))
        .step_by(size_of::<i32>())
        // SAFETY: the kernel has just put it into this process's table, for this message, of which nobody else knows.
        .map(|at| unsafe { OwnedFd::from_raw_fd(number(at)) })
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    fn send(socket: &UnixStream, numbers: &[i32]) {
        let rights = [ControlMessage::ScmRights(numbers)];
        sendmsg::<UnixAddr>(socket.as_raw_fd(), &[IoSlice::new(b"x")], &rights, MsgFlags::empty(), None).expect("room");
    }

    #[test]
    fn one_descriptor_of_what_came_is_kept_and_the_others_are_closed() {
        for count in 0..=4 {
            let (sender, receiver) = UnixStream::pair().expect("a pair of sockets");
            let (mut end, other) = UnixStream::pair().expect("a pair of sockets");
            match count {
                0 => nix::unistd::write(&sender, b"x").map(drop).expect("room"),
                _ => send(&sender, &vec![other.as_raw_fd(); count]),
            }
            drop(other);
            let received = receive_with_descriptor(receiver.as_fd(), &mut [0; 4]);
            match received {
                Ok((bytes, descriptor)) => {
                    assert!(bytes == 1 && count <= 2 && descriptor.is_some() == (count > 0), "{count}: {descriptor:?}");
                }
                Err(errno) => assert!(errno == Errno::EMFILE && count > 2, "{count}: {errno}"),
            }
            // Nobody has the other end, or this waits for nothing.
            end.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket has a timeout");
            assert_eq!(end.read(&mut [0]).ok(), Some(0), "{count} were sent");
        }
    }
}
