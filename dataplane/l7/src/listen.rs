//! Listening sockets: one for each worker at each address, also at addresses that the machine does not hold yet.

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, listen, socket_with, sockopt};
use thiserror::Error;

/// Connections that wait to be accepted, at each socket.
const BACKLOG: i32 = 4096;

/// An address that nobody can listen at.
#[derive(Debug, Error)]
#[error("cannot listen at {address}")]
pub(crate) struct ListenError {
    pub(crate) address: SocketAddr,
    pub(crate) source: io::Error,
}

/// Sockets for so many workers, beginning with those that there are. More than that are kept too: clients wait in them.
pub(crate) fn open(
    address: SocketAddr,
    workers: usize,
    there: Vec<TcpListener>,
) -> Result<Vec<TcpListener>, ListenError> {
    let missing = (there.len()..workers).map(|_| open_one(address));
    let sockets = there.into_iter().map(Ok).chain(missing);
    sockets.collect::<io::Result<_>>().map_err(|source| ListenError { address, source })
}

fn open_one(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    // The host gets the address after the plane is ready for its packets.
    if address.is_ipv4() {
        sockopt::set_ip_freebind(&socket, true)?;
    } else {
        sockopt::set_ipv6_freebind(&socket, true)?;
    }
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket.into())
}
