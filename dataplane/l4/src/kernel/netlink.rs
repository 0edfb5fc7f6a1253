//! A netlink socket: requests, dumps and events of the kernel's routing tables.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use thiserror::Error;

/// Why the kernel's tables cannot be read or changed.
#[derive(Debug, Error)]
pub(crate) enum NetlinkError {
    /// The socket failed.
    #[error("the netlink socket failed")]
    Socket(#[from] io::Error),
    /// The kernel refused a request.
    #[error("the kernel refused a netlink request")]
    Refused(#[source] io::Error),
    /// An answer could not be read.
    #[error("an answer of the kernel could not be read: {0}")]
    Answer(String),
}

/// Groups of events, as in `linux/rtnetlink.h`.
const LINKS: u32 = 1;
const NEIGHBOURS: u32 = 3;
const IPV4_ADDRESSES: u32 = 5;
const IPV4_ROUTES: u32 = 7;
const IPV6_ADDRESSES: u32 = 9;
const IPV6_ROUTES: u32 = 11;

const BUFFER: usize = 1 << 16;

/// For requests and their answers.
pub(crate) struct Netlink {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Netlink {
    pub(crate) fn open() -> Result<Self, NetlinkError> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, buffer: Vec::with_capacity(BUFFER) })
    }

    /// Asks for a whole table and shows each of its entries.
    pub(crate) fn dump(
        &mut self,
        request: RouteNetlinkMessage,
        mut each: impl FnMut(RouteNetlinkMessage),
    ) -> Result<(), NetlinkError> {
        self.send(request, NLM_F_REQUEST | NLM_F_DUMP)?;
        while self.receive(&mut each)? {}
        Ok(())
    }

    /// Asks for a change and waits until it is made.
    pub(crate) fn change(&mut self, request: RouteNetlinkMessage, flags: u16) -> Result<(), NetlinkError> {
        self.send(request, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        while self.receive(&mut |_| ())? {}
        Ok(())
    }

    fn send(&mut self, request: RouteNetlinkMessage, flags: u16) -> Result<(), NetlinkError> {
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        Ok(())
    }

    /// Reads one datagram of an answer; says whether more are to come.
    fn receive(&mut self, each: &mut impl FnMut(RouteNetlinkMessage)) -> Result<bool, NetlinkError> {
        self.buffer.clear();
        self.socket.recv(&mut self.buffer, 0)?;
        let mut rest = self.buffer.as_slice();
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .map_err(|error| NetlinkError::Answer(error.to_string()))?;
            match message.payload {
                NetlinkPayload::Done(_) => return Ok(false),
                NetlinkPayload::Error(error) if error.code.is_none() => return Ok(false),
                NetlinkPayload::Error(error) => return Err(NetlinkError::Refused(error.to_io())),
                NetlinkPayload::InnerMessage(inner) => each(inner),
                _ => {}
            }
            let len = (message.header.length as usize).next_multiple_of(4);
            rest = rest.get(len..).unwrap_or_default();
        }
        Ok(true)
    }
}

/// For events: that something changed, not what. Who hears it reads everything again.
pub(crate) struct Events {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Events {
    pub(crate) fn subscribe() -> Result<Self, NetlinkError> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        for group in [LINKS, NEIGHBOURS, IPV4_ADDRESSES, IPV4_ROUTES, IPV6_ADDRESSES, IPV6_ROUTES] {
            socket.add_membership(group)?;
        }
        socket.set_non_blocking(true)?;
        Ok(Self { socket, buffer: Vec::with_capacity(BUFFER) })
    }

    /// Takes all events that are waiting; says whether there were any. Lost ones count: the kernel says so.
    pub(crate) fn drain(&mut self) -> Result<bool, NetlinkError> {
        let mut any = false;
        loop {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, 0) {
                Ok(_) => any = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(any),
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) => {
                    any = true;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl std::os::fd::AsFd for Events {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
