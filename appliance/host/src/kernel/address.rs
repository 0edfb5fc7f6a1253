//! The addresses of this host, and the mark by which ours are known.

use std::net::IpAddr;

use lb_model::Prefix;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::link::Link;
use super::netlink::{Netlink, NetlinkError};

/// Written on every address that this process adds, as its origin (`IFA_PROTO`, Linux 5.18): only those are ever removed.
/// The kernel's own origins are 1 to 3; this is the number that VRRP has in an IP header.
const OURS: AddressProtocol = AddressProtocol::Other(112);

/// An address that an interface holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HeldAddress {
    pub(crate) address: IpAddr,
    pub(crate) prefix_len: u8,
    /// The interface's index.
    pub(crate) interface: u32,
    /// Whether this process added it.
    pub(crate) ours: bool,
}

impl HeldAddress {
    /// A virtual address on an interface, as this process adds it.
    pub(crate) fn virtual_ip(address: IpAddr, interface: u32) -> Self {
        Self { address, prefix_len: Prefix::of_host(address).len(), interface, ours: true }
    }

    /// The network that this address makes reachable on its interface; none for a lone address.
    pub(crate) fn connected(&self) -> Option<Prefix> {
        let network = Prefix::new(self.address, self.prefix_len).ok()?;
        (network != Prefix::of_host(self.address)).then_some(network)
    }

    fn message(&self) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.prefix_len = self.prefix_len;
        message.header.index = self.interface;
        message.attributes = vec![
            AddressAttribute::Local(self.address),
            AddressAttribute::Address(self.address),
            AddressAttribute::Protocol(OURS),
        ];
        if self.address.is_ipv4() {
            message.header.family = AddressFamily::Inet;
        } else {
            message.header.family = AddressFamily::Inet6;
            // It answers at once: whether another has it is for whoever gave it to us to know. It is nobody's own address
            // (`preferred` is over), so that the host's connections do not come from it, and no route.
            let flags = AddressFlags::Nodad | AddressFlags::Noprefixroute;
            let mut lifetimes = CacheInfo::default();
            lifetimes.ifa_valid = u32::MAX;
            message.attributes.push(AddressAttribute::Flags(flags));
            message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
        }
        message
    }
}

impl Netlink {
    /// All addresses of this host, of both families.
    pub(crate) fn addresses(&mut self) -> Result<Vec<HeldAddress>, NetlinkError> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let answers = self.dump("list addresses", request)?;
        Ok(answers.iter().filter_map(as_address).collect())
    }

    pub(crate) fn add_address(&mut self, address: &HeldAddress) -> Result<(), NetlinkError> {
        let message = RouteNetlinkMessage::NewAddress(address.message());
        self.change(&format!("hold the address {}", address.address), message, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Gives an interface that this process made the address that it is to have always: no virtual one, and no other network's
    /// business.
    pub(crate) fn set_address(
        &mut self,
        link: &Link,
        address: IpAddr,
        prefix_len: u8,
    ) -> Result<(), NetlinkError> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet6;
        message.header.prefix_len = prefix_len;
        message.header.index = link.index;
        message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
        if address.is_ipv4() {
            message.header.family = AddressFamily::Inet;
            message.header.scope = AddressScope::Link;
        }
        let what = format!("give `{}` the address {address}", link.name);
        self.change(&what, RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)
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

fn local(attribute: &AddressAttribute) -> Option<IpAddr> {
    match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    }
}

fn peer(attribute: &AddressAttribute) -> Option<IpAddr> {
    match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    }
}
