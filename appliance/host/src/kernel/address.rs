//! The IPv4 addresses of this host, and the mark by which ours are known.

use std::net::{IpAddr, Ipv4Addr};

use lb_model::Prefix;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressProtocol};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::netlink::{Netlink, NetlinkError};

/// Written on every address that this process adds, as its origin (`IFA_PROTO`, Linux 5.18): only those are ever removed.
/// The kernel's own origins are 1 to 3; this is the number that VRRP has in an IP header.
const OURS: AddressProtocol = AddressProtocol::Other(112);

/// An address that an interface holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HeldAddress {
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix_len: u8,
    /// The interface's index.
    pub(crate) interface: u32,
    /// Whether this process added it.
    pub(crate) ours: bool,
}

impl HeldAddress {
    /// A virtual address on an interface, as this process adds it.
    pub(crate) fn virtual_ip(address: Ipv4Addr, interface: u32) -> Self {
        Self { address, prefix_len: 32, interface, ours: true }
    }

    /// The network that this address makes reachable on its interface; none for a lone address.
    pub(crate) fn connected(&self) -> Option<Prefix> {
        if self.prefix_len == 32 { None } else { Prefix::new(self.address, self.prefix_len).ok() }
    }

    fn message(&self) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = self.prefix_len;
        message.header.index = self.interface;
        let address = IpAddr::V4(self.address);
        message.attributes = vec![
            AddressAttribute::Local(address),
            AddressAttribute::Address(address),
            AddressAttribute::Protocol(OURS),
        ];
        message
    }
}

impl Netlink {
    /// All IPv4 addresses of this host.
    pub(crate) fn addresses(&mut self) -> Result<Vec<HeldAddress>, NetlinkError> {
        let mut request = AddressMessage::default();
        request.header.family = AddressFamily::Inet;
        let answers = self.dump("list addresses", RouteNetlinkMessage::GetAddress(request))?;
        Ok(answers.iter().filter_map(as_address).collect())
    }

    pub(crate) fn add_address(&mut self, address: &HeldAddress) -> Result<(), NetlinkError> {
        let message = RouteNetlinkMessage::NewAddress(address.message());
        self.change(&format!("hold the address {}", address.address), message, NLM_F_CREATE | NLM_F_EXCL)
    }

    pub(crate) fn remove_address(&mut self, address: &HeldAddress) -> Result<(), NetlinkError> {
        let message = RouteNetlinkMessage::DelAddress(address.message());
        self.change(&format!("give up the address {}", address.address), message, 0)
    }
}

fn as_address(answer: &RouteNetlinkMessage) -> Option<HeldAddress> {
    let RouteNetlinkMessage::NewAddress(message) = answer else { return None };
    // On a point-to-point interface `Address` is the peer's; without `Local` they are the same.
    let local =
        message.attributes.iter().find_map(local).or_else(|| message.attributes.iter().find_map(peer))?;
    Some(HeldAddress {
        address: local,
        prefix_len: message.header.prefix_len,
        interface: message.header.index,
        ours: message.attributes.contains(&AddressAttribute::Protocol(OURS)),
    })
}

fn local(attribute: &AddressAttribute) -> Option<Ipv4Addr> {
    match attribute {
        AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
        _ => None,
    }
}

fn peer(attribute: &AddressAttribute) -> Option<Ipv4Addr> {
    match attribute {
        AddressAttribute::Address(IpAddr::V4(address)) => Some(*address),
        _ => None,
    }
}
