//! What the kernel knows of the network, as the workers see it: routes, neighbours, the host's own addresses.
//!
//! Who reads it from the kernel is `penstock-l4`; here it is data.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_model::config::ChecksumMode;
use lb_model::{MacAddr, Prefix};

use crate::prefixes::PrefixMap;
use crate::rewrite::address_frame;
use crate::verdict::{Awaited, PortIndex};

/// A port of the plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortView {
    /// Its Ethernet address: what is sent to another one is not ours.
    pub mac: MacAddr,
    /// The most bytes that an IP packet may have there.
    pub mtu: u16,
    /// The host's own addresses there, virtual IPs aside; packets that the plane wraps come from the first one.
    pub addresses: Vec<IpAddr>,
    /// How checksums of packets received here are made right.
    pub checksum: ChecksumMode,
    /// What becomes of frames that are not ours.
    pub strangers: Strangers,
}

/// What becomes of frames that are not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strangers {
    /// The kernel gets them from us.
    Punt,
    /// The kernel has its own copy (AF_PACKET).
    Drop,
}

/// A route of the kernel that leads to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub to: Prefix,
    /// Through which port.
    pub port: PortIndex,
    /// By way of which router; none if the destination is on the port's own network.
    pub gateway: Option<IpAddr>,
    /// The kernel's preference among routes to one destination: the lowest wins.
    pub metric: u32,
}

/// A snapshot of what the kernel knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The ports, in configuration order.
    pub ports: Vec<PortView>,
    /// Routes that lead to a port.
    pub routes: Vec<Route>,
    /// Neighbours that answered.
    pub neighbours: HashMap<(PortIndex, IpAddr), MacAddr>,
    /// The host's own addresses.
    pub locals: HashSet<IpAddr>,
}

/// Where frames go next: the Ethernet addresses to write and the port to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// Destination and source, as they stand at the beginning of a frame.
    pub macs: [u8; 12],
    /// The port.
    pub port: PortIndex,
    /// Whether the neighbour answered; if not, `address` is awaited.
    pub resolved: bool,
    /// The most bytes that an IP packet may have there.
    pub mtu: u16,
    /// The neighbour.
    pub address: IpAddr,
}

impl NextHop {
    /// Writes the Ethernet addresses of a frame that goes this way.
    #[inline]
    pub fn address_frame(&self, frame: &mut [u8]) {
        address_frame(frame, &self.macs);
    }

    /// What a frame waits for if this is not resolved.
    pub fn awaited(&self) -> Awaited {
        Awaited { port: self.port, address: self.address }
    }
}

/// An IPv4 address as it lies in memory.
#[inline]
pub fn raw(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

/// The IPv4 address that lies in memory as `raw`.
#[inline]
pub fn unraw(raw: u32) -> Ipv4Addr {
    Ipv4Addr::from(raw.to_ne_bytes())
}

/// An IPv6 address as it lies in memory.
#[inline]
pub fn words(address: Ipv6Addr) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = address.octets();
    [[a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]].map(u64::from_ne_bytes)
}

/// The IPv6 address that lies in memory as `words`.
#[inline]
pub fn unwords([first, second]: [u64; 2]) -> Ipv6Addr {
    let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) = (first.to_ne_bytes(), second.to_ne_bytes());
    Ipv6Addr::from([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
}

/// The address of nobody.
pub(crate) const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Routes by longest prefix. It is asked when a flow begins and when routes change, not for every packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTable {
    routes: PrefixMap<Route>,
}

impl RouteTable {
    /// Of several routes to one destination the one with the lowest metric counts.
    pub fn new(routes: &[Route]) -> Self {
        let mut table = Self::default();
        for route in routes {
            let best = table.routes.entry(route.to).or_insert(*route);
            if route.metric < best.metric {
                *best = *route;
            }
        }
        table
    }

    /// The neighbour that packets to `destination` are handed to: the router, or the destination itself.
    pub fn neighbour(&self, destination: IpAddr) -> Option<(PortIndex, IpAddr)> {
        let route = self.routes.longest(destination)?;
        Some((route.port, route.gateway.unwrap_or(destination)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(to: &str, port: u8, gateway: Option<&str>, metric: u32) -> Route {
        Route {
            to: to.parse().unwrap(),
            port: PortIndex(port),
            gateway: gateway.map(|text| text.parse().unwrap()),
            metric,
        }
    }

    #[test]
    fn the_longest_prefix_wins_and_then_the_lowest_metric() {
        let table = RouteTable::new(&[
            route("0.0.0.0/0", 0, Some("198.51.100.1"), 100),
            route("10.0.0.0/8", 1, Some("192.0.2.1"), 0),
            route("10.1.0.0/16", 1, None, 0),
            route("0.0.0.0/0", 1, Some("192.0.2.254"), 50),
            route("2001:db8::/32", 1, None, 0),
            // By way of a router of the other family (RFC 8950).
            route("2001:db8:1::/48", 0, Some("198.51.100.1"), 0),
        ]);
        let to =
            |text: &str| table.neighbour(text.parse().unwrap()).map(|(port, hop)| (port.0, hop.to_string()));
        assert_eq!(to("10.1.2.3"), Some((1, "10.1.2.3".into())));
        assert_eq!(to("10.2.2.3"), Some((1, "192.0.2.1".into())));
        assert_eq!(to("8.8.8.8"), Some((1, "192.0.2.254".into())));
        assert_eq!(to("2001:db8:7::1"), Some((1, "2001:db8:7::1".into())));
        assert_eq!(to("2001:db8:1::1"), Some((0, "198.51.100.1".into())));
        assert_eq!(to("2001:db9::1"), None, "the default route is of the other family");
        assert_eq!(RouteTable::default().neighbour(Ipv4Addr::LOCALHOST.into()), None);
    }
}
