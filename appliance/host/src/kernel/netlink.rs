//! A netlink connection to the kernel of this network namespace: one request at a time, answered before the next.

use std::io;
use std::os::fd::OwnedFd;

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use thiserror::Error;

/// The kernel's parts of an answer are at most this long (`NLMSG_GOODSIZE`, and 32 KiB for dumps).
const BUFFER: usize = 64 << 10;

/// Why a request to the kernel failed.
#[derive(Debug, Error)]
pub(crate) enum NetlinkError {
    #[error("cannot speak to the kernel over netlink")]
    Socket(#[from] io::Error),
    #[error("the kernel refused to {what}")]
    Refused { what: String, source: io::Error },
    #[error("an answer of the kernel is not understood: {0}")]
    Answer(String),
    #[error("there is no interface `{0}`")]
    NoInterface(String),
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    pub(crate) fn open() -> Result<Self, NetlinkError> {
        Ok(Self { socket: open_socket(0)?, sequence: 0 })
    }

    /// Asks for a change and waits until the kernel has made it. `what` completes "the kernel refused to".
    pub(crate) fn change(
        &mut self,
        what: &str,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<(), NetlinkError> {
        self.request(what, message, NLM_F_ACK | flags).map(drop)
    }

    /// Asks for everything of a kind.
    pub(crate) fn dump(
        &mut self,
        what: &str,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        self.request(what, message, NLM_F_DUMP)
    }

    fn request(
        &mut self,
        what: &str,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | flags;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        rustix::net::send(&self.socket, &bytes, SendFlags::empty()).map_err(io::Error::from)?;
        self.answer(what)
    }

    fn answer(&self, what: &str) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        let refused = |source| NetlinkError::Refused { what: what.to_owned(), source };
        let mut answers = Vec::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            let (len, _) = rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::empty())
                .map_err(io::Error::from)?;
            let mut rest = &buffer[..len];
            while !rest.is_empty() {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                    .map_err(|error| NetlinkError::Answer(error.to_string()))?;
                rest = rest.get(aligned(message.header.length)..).unwrap_or_default();
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                match message.payload {
                    NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(refused(error.to_io()));
                    }
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(answers),
                    _ => {}
                }
            }
        }
    }
}

/// Messages begin at multiples of four (`NLMSG_ALIGN`).
fn aligned(len: u32) -> usize {
    (len as usize).next_multiple_of(4)
}

/// Hears of changes to the addresses of this host.
#[derive(Debug)]
pub(crate) struct AddressChanges {
    socket: OwnedFd,
}

impl AddressChanges {
    pub(crate) fn subscribe() -> Result<Self, NetlinkError> {
        // RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR of linux/rtnetlink.h.
        Ok(Self { socket: open_socket(0x10 | 0x100)? })
    }

    /// Waits for a change, and takes all that are there: whoever is woken looks at everything anyway.
    pub(crate) fn wait(&self) -> Result<(), NetlinkError> {
        self.take(RecvFlags::empty())?;
        while self.take(RecvFlags::DONTWAIT)? {}
        Ok(())
    }

    fn take(&self, flags: RecvFlags) -> Result<bool, NetlinkError> {
        match rustix::net::recv(&self.socket, &mut [0u8; 4][..], flags | RecvFlags::TRUNC) {
            // NOBUFS: more changes than the socket holds. Some are lost, that there were some is not.
            Ok(_) | Err(Errno::NOBUFS) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }
}

fn open_socket(groups: u32) -> Result<OwnedFd, NetlinkError> {
    // Protocol 0, the default, is NETLINK_ROUTE.
    let socket =
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)
            .map_err(io::Error::from)?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, groups)).map_err(io::Error::from)?;
    Ok(socket)
}
