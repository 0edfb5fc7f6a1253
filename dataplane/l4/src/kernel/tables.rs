//! Reading the kernel's links, addresses, routes and neighbours, and asking it to look for neighbours.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_engine::network::{Network, PortView, Route};
use lb_engine::verdict::PortIndex;
use lb_model::config::ApplianceConfig;
use lb_model::{MacAddr, Prefix};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressProtocol, AddressScope};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteNextHop, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::netlink::{Netlink, NetlinkError};

/// The main routing table.
const MAIN: u32 = 254;
/// The origin of the addresses that penstock-host adds (`IFA_PROTO`): they may leave for another appliance.
const VIRTUAL: AddressProtocol = AddressProtocol::Other(112);

/// The kernel's interface of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) mac: MacAddr,
    pub(crate) mtu: u16,
    pub(crate) up: bool,
}

/// What the kernel thinks of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It answered not long ago.
    Fresh,
    /// It answered once, and nobody has asked since.
    Stale,
    /// It was asked and has not answered yet.
    Asked,
    /// It did not answer.
    Failed,
}

/// What was read in one go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) network: Network,
    /// The interface of each port; none while it does not exist.
    pub(crate) links: Vec<Option<Link>>,
    pub(crate) freshness: HashMap<(PortIndex, IpAddr), Freshness>,
    /// Neighbours that the kernel keeps fresh by itself.
    pub(crate) managed: HashSet<(PortIndex, IpAddr)>,
}

/// Reads everything. `interfaces` are those of the ports, in order; `views` what is known of the ports beside their
/// addresses.
pub(crate) fn read(
    netlink: &mut Netlink,
    interfaces: &[String],
    views: &[PortView],
) -> Result<Reading, NetlinkError> {
    let links = links(netlink, interfaces)?;
    let by_index: HashMap<u32, PortIndex> = links
        .iter()
        .enumerate()
        .filter_map(|(port, link)| Some((link.as_ref()?.index, PortIndex(u8::try_from(port).ok()?))))
        .collect();
    let mut reading = Reading::default();
    reading.network.ports = views
        .iter()
        .zip(&links)
        .map(|(view, link)| match link {
            Some(Link { mac, mtu, .. }) => PortView { mac: *mac, mtu: *mtu, ..view.clone() },
            None => view.clone(),
        })
        .collect();
    let probes = interfaces.iter().position(|interface| interface == ApplianceConfig::PROBE_TAP);
    let probes = probes.and_then(|port| Some((PortIndex(u8::try_from(port).ok()?), links[port]?)));
    addresses(netlink, &by_index, probes, &mut reading.network)?;
    reading.network.routes = routes(netlink, &by_index)?;
    let with_neighbours = by_index.into_iter().filter(|(_, port)| probes.is_none_or(|(own, _)| own != *port));
    neighbours(netlink, &with_neighbours.collect(), &mut reading)?;
    reading.links = links;
    Ok(reading)
}

fn links(netlink: &mut Netlink, interfaces: &[String]) -> Result<Vec<Option<Link>>, NetlinkError> {
    let mut found = vec![None; interfaces.len()];
    netlink.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()), |message| {
        let RouteNetlinkMessage::NewLink(link) = message else { return };
        let name = link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        });
        let Some(port) = name.and_then(|name| interfaces.iter().position(|interface| interface == name))
        else {
            return;
        };
        let mac = link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Address(bytes) => <[u8; 6]>::try_from(bytes.as_slice()).ok().map(MacAddr),
            _ => None,
        });
        let mtu = link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Mtu(mtu) => Some(u16::try_from(*mtu).unwrap_or(u16::MAX)),
            _ => None,
        });
        let mtu = mtu.unwrap_or(u16::MAX);
        let up = link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp);
        found[port] = mac.map(|mac| Link { index: link.header.index, mac, mtu, up });
    })?;
    Ok(found)
}

/// Those of this host, and of each port those that are its own; on the TAP of checks they are where answers go.
fn addresses(
    netlink: &mut Netlink,
    ports: &HashMap<u32, PortIndex>,
    probes: Option<(PortIndex, Link)>,
    network: &mut Network,
) -> Result<(), NetlinkError> {
    netlink.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()), |message| {
        let RouteNetlinkMessage::NewAddress(message) = message else { return };
        // Without a peer's address IPv6 has its own in the other attribute.
        let has_local = message.attributes.iter().any(|it| matches!(it, AddressAttribute::Local(_)));
        let local = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(local) => Some(*local),
            AddressAttribute::Address(own) if !has_local => Some(*own),
            _ => None,
        });
        let Some(local) = local else { return };
        network.locals.insert(local);
        // On the TAP of checks the kernel itself is the neighbour.
        if let Some((port, link)) = probes.filter(|(_, link)| link.index == message.header.index) {
            network.neighbours.insert((port, local), link.mac);
            return;
        }
        let is_virtual = message.attributes.contains(&AddressAttribute::Protocol(VIRTUAL));
        let port =
            ports.get(&message.header.index).and_then(|port| network.ports.get_mut(usize::from(port.0)));
        if let Some(port) = port.filter(|_| !is_virtual && message.header.scope == AddressScope::Universe) {
            port.addresses.push(local);
        }
    })
}

fn routes(netlink: &mut Netlink, ports: &HashMap<u32, PortIndex>) -> Result<Vec<Route>, NetlinkError> {
    let mut found = Vec::new();
    netlink.dump(RouteNetlinkMessage::GetRoute(RouteMessage::default()), |message| {
        if let RouteNetlinkMessage::NewRoute(route) = message {
            found.extend(read_route(&route, ports));
        }
    })?;
    found.sort_by_key(|route| (route.to, route.metric, route.port, route.gateway));
    Ok(found)
}

/// A unicast route of the main table that leads to a port; of several equal next hops the first.
fn read_route(message: &RouteMessage, ports: &HashMap<u32, PortIndex>) -> Option<Route> {
    let mut table = u32::from(message.header.table);
    let mut to = match message.header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let (mut hop, mut metric) = (Hop::default(), 0);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(id) => table = *id,
            RouteAttribute::Destination(RouteAddress::Inet(address)) => to = (*address).into(),
            RouteAttribute::Destination(RouteAddress::Inet6(address)) => to = (*address).into(),
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::MultiPath(hops) => hop = hops.first().map(Hop::of).unwrap_or_default(),
            other => hop.take(other),
        }
    }
    if table != MAIN || message.header.kind != RouteType::Unicast {
        return None;
    }
    let to = Prefix::new(to, message.header.destination_prefix_length).ok()?;
    Some(Route { to, port: *ports.get(&hop.interface)?, gateway: hop.gateway, metric })
}

#[derive(Default)]
struct Hop {
    interface: u32,
    gateway: Option<IpAddr>,
}

impl Hop {
    fn of(hop: &RouteNextHop) -> Self {
        let mut read = Self { interface: hop.interface_index, gateway: None };
        hop.attributes.iter().for_each(|attribute| read.take(attribute));
        read
    }

    fn take(&mut self, attribute: &RouteAttribute) {
        match attribute {
            RouteAttribute::Oif(index) => self.interface = *index,
            RouteAttribute::Gateway(RouteAddress::Inet(gateway))
            | RouteAttribute::Via(RouteVia::Inet(gateway)) => {
                self.gateway = Some((*gateway).into());
            }
            RouteAttribute::Gateway(RouteAddress::Inet6(gateway))
            | RouteAttribute::Via(RouteVia::Inet6(gateway)) => {
                self.gateway = Some((*gateway).into());
            }
            _ => {}
        }
    }
}

fn neighbours(
    netlink: &mut Netlink,
    ports: &HashMap<u32, PortIndex>,
    reading: &mut Reading,
) -> Result<(), NetlinkError> {
    netlink.dump(RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()), |message| {
        let RouteNetlinkMessage::NewNeighbour(neighbour) = message else { return };
        let Some(port) = ports.get(&neighbour.header.ifindex).copied() else { return };
        read_neighbour(&neighbour, port, reading);
    })
}

fn read_neighbour(message: &NeighbourMessage, port: PortIndex, reading: &mut Reading) {
    let (mut address, mut mac, mut managed) = (None, None, false);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(destination)) => {
                address = Some(IpAddr::V4(*destination));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(destination)) => {
                address = Some(IpAddr::V6(*destination));
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => {
                mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(MacAddr);
            }
            NeighbourAttribute::ExtFlags(flags) => managed = flags.contains(NeighbourExtFlags::Managed),
            _ => {}
        }
    }
    // Groups are no neighbours, though the kernel lists those that it sends to.
    let Some(address) = address.filter(|address| !address.is_multicast()) else { return };
    let freshness = match message.header.state {
        NeighbourState::Reachable | NeighbourState::Permanent | NeighbourState::Noarp
        // The kernel is asking; what it knew until now is still the best there is.
        | NeighbourState::Delay | NeighbourState::Probe => Freshness::Fresh,
        NeighbourState::Stale => Freshness::Stale,
        NeighbourState::Incomplete => Freshness::Asked,
        _ => Freshness::Failed,
    };
    reading.freshness.insert((port, address), freshness);
    if managed {
        reading.managed.insert((port, address));
    }
    if let Some(mac) = mac.filter(|_| matches!(freshness, Freshness::Fresh | Freshness::Stale)) {
        reading.network.neighbours.insert((port, address), mac);
    }
}

/// How the kernel is asked to look for a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Now, once.
    Once,
    /// Now and from now on, by itself.
    Managed,
}

/// Asks the kernel to find out the Ethernet address of a neighbour.
pub(crate) fn ask(netlink: &mut Netlink, link: u32, address: IpAddr, how: Ask) -> Result<(), NetlinkError> {
    let mut message = NeighbourMessage::default();
    let (family, destination) = match address {
        IpAddr::V4(address) => (AddressFamily::Inet, NeighbourAddress::Inet(address)),
        IpAddr::V6(address) => (AddressFamily::Inet6, NeighbourAddress::Inet6(address)),
    };
    message.header.family = family;
    message.header.ifindex = link;
    message.header.state = NeighbourState::None;
    message.header.flags = NeighbourFlags::Use;
    message.attributes.push(NeighbourAttribute::Destination(destination));
    if how == Ask::Managed {
        message.attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
    }
    netlink.change(RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE)
}

/// Gives an interface the Ethernet address of the port it stands for.
pub(crate) fn set_mac(interface: &str, mac: MacAddr) -> Result<(), NetlinkError> {
    let mut netlink = Netlink::open()?;
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(interface.to_owned()));
    message.attributes.push(LinkAttribute::Address(mac.0.to_vec()));
    netlink.change(RouteNetlinkMessage::SetLink(message), 0)
}
