//! ICMP: an echo request, over the kernel's socket for it, which needs no privilege where the group may use it
//! (`net.ipv4.ping_group_range`).

use std::io;
use std::net::{SocketAddr, UdpSocket};

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto};

use super::{Progress, Seen, Verdict, reason};

/// Echo request: type 8, code 0; checksum and identifier are the kernel's; a payload of eight bytes.
const REQUEST: [u8; 16] = *b"\x08\0\0\0\0\0\0\x01penstock";

pub(super) async fn check(at: SocketAddr, progress: &Progress) -> Verdict {
    if !at.is_ipv4() {
        return Err(Seen::new("only IPv4 addresses are pinged"));
    }
    let socket = socket(at).map_err(|error| Seen::new(format!("cannot ping: {}", reason(&error))))?;
    let failed = |error: io::Error| Seen::new(format!("ping {}", reason(&error)));
    progress.now("ping");
    socket.send(&REQUEST).await.map_err(failed)?;
    let mut reply = [0; 64];
    let length = socket.recv(&mut reply).await.map_err(failed)?;
    if length > 0 && reply[0] == 0 {
        return Ok(Seen::new("answered the ping"));
    }
    Err(Seen::new(format!("answered the ping with ICMP type {}", reply[0])))
}

fn socket(at: SocketAddr) -> io::Result<tokio::net::UdpSocket> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, Some(ipproto::ICMP))?;
    rustix::net::connect(&socket, &at)?;
    tokio::net::UdpSocket::from_std(UdpSocket::from(socket))
}
