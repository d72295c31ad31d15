//! System calls on a packet socket that no safe wrapper offers.
//!
//! In: the descriptor of a live capture. Out: what the kernel answered. Promises: each `unsafe` block passes the kernel
//! only pointers to live local values, together with their true size, and reads nothing the kernel did not fill.
#![allow(unsafe_code)]

use std::{
    ffi::CString,
    io, mem,
    os::fd::{AsRawFd, BorrowedFd},
    ptr::from_ref,
    time::Duration,
};

/// Waits at most for `limit` until the socket has something to read or has an error. Returns whether it has either.
pub(super) fn wait_readable(socket: BorrowedFd<'_>, limit: Duration) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let millis = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one pollfd, alive for the call.
    let ready = unsafe { libc::poll(&mut poll, 1, millis) };
    match ready {
        -1 => match io::Error::last_os_error() {
            interrupted if interrupted.kind() == io::ErrorKind::Interrupted => Ok(false),
            failed => Err(failed),
        },
        ready => Ok(ready > 0),
    }
}

/// Returns the index of an interface, or `None` if there is no such interface.
pub(super) fn interface_index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: a NUL-terminated string, alive for the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// Returns whether an interface is administratively up, or `None` if there is no such interface.
pub(super) fn is_up(socket: BorrowedFd<'_>, name: &str) -> Option<bool> {
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // The last byte stays the terminating NUL.
    let room = request.ifr_name.len() - 1;
    for (place, byte) in request.ifr_name[..room].iter_mut().zip(name.bytes()) {
        *place = byte as libc::c_char;
    }
    // SAFETY: an ifreq, alive for the call, as this request takes one.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request) };
    outcome(result).ok()?;
    // SAFETY: the kernel has filled the flags.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Some(i32::from(flags) & libc::IFF_UP != 0)
}

/// Adds the socket to a fan-out group and returns the group's number. The kernel divides the interface's packets among the
/// sockets of a group by flow. `None` creates a group; the kernel chooses a free number for it.
pub(super) fn join_fanout(socket: BorrowedFd<'_>, group: Option<u16>) -> io::Result<u16> {
    /// `PACKET_FANOUT_FLAG_UNIQUEID`, which not every version of the crate `libc` has.
    const UNIQUE_ID: u32 = 0x2000;
    let mode = libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_DEFRAG;
    let unique = if group.is_none() { UNIQUE_ID } else { 0 };
    set_option(socket, libc::PACKET_FANOUT, &(u32::from(group.unwrap_or(0)) | (mode | unique) << 16))?;
    Ok(option(socket, libc::PACKET_FANOUT)? as u16)
}

/// Returns whether this socket's timestamps come from the interface's own clock.
pub(super) fn has_hardware_stamps(socket: BorrowedFd<'_>) -> bool {
    option(socket, libc::PACKET_TIMESTAMP).is_ok_and(|stamps| stamps != 0)
}

/// Binds the socket to another interface; the socket keeps its ring and filter. This needs no privileges. The kernel refuses
/// it for a socket in a fan-out group.
pub(super) fn rebind(socket: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index as i32;
    // SAFETY: a sockaddr_ll, alive for the call, with its own size.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            from_ref(&address).cast(),
            mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    outcome(result)
}

/// Asks for all packets on the interface, not only those addressed to this host, while the socket is open.
pub(super) fn enable_promiscuous(socket: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid packet_mreq.
    let mut membership: libc::packet_mreq = unsafe { mem::zeroed() };
    membership.mr_ifindex = index as i32;
    membership.mr_type = libc::PACKET_MR_PROMISC as u16;
    set_option(socket, libc::PACKET_ADD_MEMBERSHIP, &membership)
}

fn set_option<T: Copy>(socket: BorrowedFd<'_>, name: i32, value: &T) -> io::Result<()> {
    let size = mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: a plain C value, alive for the call, with its own size.
    outcome(unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, name, from_ref(value).cast(), size) })
}

fn option(socket: BorrowedFd<'_>, name: i32) -> io::Result<i32> {
    let mut value = 0i32;
    let mut size = mem::size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `size` bytes into `value`; both outlive the call.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_PACKET, name, (&raw mut value).cast(), &mut size) };
    outcome(result).map(|()| value)
}

fn outcome(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
