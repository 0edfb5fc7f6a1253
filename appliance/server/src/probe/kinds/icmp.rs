//! ICMP: an echo request, over the kernel's socket for it, which needs no privilege where the group may use it
//! (`net.ipv4.ping_group_range`).

use std::io;
use std::net::{SocketAddr, UdpSocket};

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto};

use super::{Progress, Seen, Verdict, reason};

/// Echo request and reply of each family; code 0; checksum and identifier are the kernel's; a payload of eight bytes.
const REQUEST_V4: [u8; 16] = *b"\x08\0\0\0\0\0\0\x01penstock";
const REPLY_V4: u8 = 0;
const REQUEST_V6: [u8; 16] = *b"\x80\0\0\0\0\0\0\x01penstock";
const REPLY_V6: u8 = 129;

pub(super) async fn check(at: SocketAddr, progress: &Progress) -> Verdict {
    let (request, wanted) = if at.is_ipv4() { (REQUEST_V4, REPLY_V4) } else { (REQUEST_V6, REPLY_V6) };
    let socket = socket(at).map_err(|error| Seen::new(format!("cannot ping: {}", reason(&error))))?;
    let failed = |error: io::Error| Seen::new(format!("ping {}", reason(&error)));
    progress.now("ping");
    socket.send(&request).await.map_err(failed)?;
    let mut reply = [0; 64];
    let length = socket.recv(&mut reply).await.map_err(failed)?;
    if length > 0 && reply[0] == wanted {
        return Ok(Seen::new("answered the ping"));
    }
    Err(Seen::new(format!("answered the ping with ICMP type {}", reply[0])))
}

fn socket(at: SocketAddr) -> io::Result<tokio::net::UdpSocket> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (family, protocol) = if at.is_ipv4() {
        (AddressFamily::INET, ipproto::ICMP)
    } else {
        (AddressFamily::INET6, ipproto::ICMPV6)
    };
    let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, Some(protocol))?;
    rustix::net::connect(&socket, &at)?;
    tokio::net::UdpSocket::from_std(UdpSocket::from(socket))
}
