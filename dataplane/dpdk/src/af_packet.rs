//! What DPDK 22.11's `AF_PACKET` driver leaves undone.

use std::fs;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::RawFd;

use libc::{c_int, sock_filter, sock_fprog, sockaddr_ll, socklen_t};

/// The rings that driver and kernel share. A slot must hold a frame and the kernel's header of some 70 bytes, and must not be larger
/// than a packet buffer, into which the driver copies without looking.
pub(crate) fn ring_arguments() -> String {
    const SLOT: usize = 2048;
    const BLOCK: usize = 16 * SLOT;
    const SLOTS: usize = 2048;
    format!("blocksz={BLOCK},framesz={SLOT},framecnt={SLOTS}")
}

/// Keeps frames that the kernel sends on the interface from being received, by a filter on the driver's sockets.
///
/// `PACKET_IGNORE_OUTGOING` would be simpler, but the driver puts each socket into a fanout group, which takes that from
/// the group's creation only.
pub(crate) fn filter_outgoing(interface: &str) -> io::Result<()> {
    let index = interface_index(interface)?;
    let mut filtered = 0;
    for socket in open_descriptors()?.into_iter().filter(|socket| bound_index(*socket) == Some(index)) {
        attach(socket)?;
        filtered += 1;
    }
    if filtered == 0 {
        Err(io::Error::new(io::ErrorKind::NotFound, "the driver's sockets were not found"))
    } else {
        Ok(())
    }
}

fn interface_index(interface: &str) -> io::Result<c_int> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    let index = rustix::net::netdevice::name_to_index(&socket, interface)?;
    c_int::try_from(index).map_err(io::Error::other)
}

fn open_descriptors() -> io::Result<Vec<RawFd>> {
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    Ok(fs::read_dir("/proc/self/fd")?.filter_map(number).collect())
}

/// The interface that a packet socket is bound to; `None` for everything else.
fn bound_index(descriptor: RawFd) -> Option<c_int> {
    let mut address = MaybeUninit::<sockaddr_ll>::zeroed();
    let mut len = size_as_socklen::<sockaddr_ll>();
    // SAFETY: the kernel writes at most `len` bytes; what is not a socket is an error.
    let result = unsafe { libc::getsockname(descriptor, address.as_mut_ptr().cast(), &raw mut len) };
    // SAFETY: numbers, which may all be zero.
    let address = unsafe { address.assume_init() };
    let is_packet = result == 0 && c_int::from(address.sll_family) == libc::AF_PACKET;
    is_packet.then_some(address.sll_ifindex)
}

fn attach(socket: RawFd) -> io::Result<()> {
    let mut program = reject_outgoing();
    let program = sock_fprog { len: 4, filter: program.as_mut_ptr() };
    // SAFETY: the kernel copies the four instructions; the descriptor was seen to be a socket.
    let result = unsafe {
        libc::setsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_as_socklen::<sock_fprog>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `ld [SKF_AD_OFF + SKF_AD_PKTTYPE]; jeq #PACKET_OUTGOING, 0, 1; ret #0; ret #-1` (linux/filter.h).
fn reject_outgoing() -> [sock_filter; 4] {
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const PACKET_TYPE: u32 = (-0x1000_i32 + 4).cast_unsigned();
    const OUTGOING: u32 = libc::PACKET_OUTGOING as u32;
    let op = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    [
        op(LOAD_BYTE, 0, 0, PACKET_TYPE),
        op(JUMP_EQUAL, 0, 1, OUTGOING),
        op(RETURN, 0, 0, 0),
        op(RETURN, 0, 0, u32::MAX),
    ]
}

/// A handful of bytes.
#[allow(clippy::cast_possible_truncation)]
fn size_as_socklen<T>() -> socklen_t {
    mem::size_of::<T>() as socklen_t
}
