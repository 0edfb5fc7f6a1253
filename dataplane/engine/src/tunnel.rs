//! Wrapping packets for members that are reached by a tunnel.
//!
//! What is the same for all packets to a member is made when the configuration or the network changes; of each packet only
//! lengths, the identification, the traffic class, the entropy and one checksum are left.
//!
//! The outer packet may be cut on its way (no "don't fragment"): a router that has less room than our port would otherwise tell
//! us, and not the client, which alone could send less.

use std::net::IpAddr;

use lb_model::tunnel::inner_mac;
use lb_model::{MacAddr, Tunnel};

use crate::rewrite::store;
use crate::wire::{checksum, eth};

/// The most bytes before the packet that is wrapped: Ethernet, IPv6, UDP, VXLAN and Ethernet again.
const MAX_LEN: usize = 14 + 40 + 8 + 8 + 14;
/// Hops that wrapped packets may take.
const HOPS: u8 = 64;
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
/// Where an outer IPv4 header has what differs from packet to packet, counted from its beginning.
const TOS: usize = 1;
const TOTAL: usize = 2;
const ID: usize = 4;
const CHECKSUM: usize = 10;
/// Ports that stand for nothing but which flow it is (RFC 7348, 5: the dynamic ones).
const FIRST_ENTROPY: u16 = 0xc000;

const IP_IN_IP: u8 = 4;
const IPV6_IN_IP: u8 = 41;
const GRE: u8 = 47;
const UDP: u8 = 17;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
/// Transparent Ethernet bridging (RFC 1701's registry; in Geneve).
const ETHERTYPE_ETHERNET: [u8; 2] = [0x65, 0x58];

/// The version of IP of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    fn protocol(self) -> u8 {
        match self {
            Self::V4 => IP_IN_IP,
            Self::V6 => IPV6_IN_IP,
        }
    }

    fn ethertype(self) -> [u8; 2] {
        match self {
            Self::V4 => ETHERTYPE_IPV4,
            Self::V6 => ETHERTYPE_IPV6,
        }
    }
}

/// All that stands before a packet that is wrapped for one member, from the Ethernet header on; the Ethernet addresses are the
/// next hop's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outer {
    head: [u8; MAX_LEN],
    len: u8,
    family: Family,
    udp: bool,
    /// The sum of the outer IPv4 header's words that stay.
    sum: u16,
}

impl Outer {
    /// From this host's `source` to the `member`, around packets of the family `inner`. Nothing if the two ends are of different families.
    pub(crate) fn new(
        tunnel: Tunnel,
        source: IpAddr,
        member: IpAddr,
        inner: Family,
        own: MacAddr,
    ) -> Option<Self> {
        let (family, ip) = ip_header(source, member, protocol(tunnel, inner))?;
        let mut bytes = vec![0; 12];
        bytes.extend(family.ethertype());
        bytes.extend(ip);
        let udp = udp_port(tunnel).inspect(|port| {
            bytes.extend([0; 2]);
            bytes.extend(port.to_be_bytes());
            // Length, and no checksum: the packet inside has its own (RFC 6935, RFC 7348).
            bytes.extend([0; 4]);
        });
        bytes.extend(shim(tunnel, inner));
        if is_ethernet(tunnel) {
            bytes.extend(inner_mac(member).0);
            bytes.extend(own.0);
            bytes.extend(inner.ethertype());
        }
        let mut head = [0; MAX_LEN];
        head.get_mut(..bytes.len())?.copy_from_slice(&bytes);
        let sum = checksum::fold(checksum::sum(head.get(eth::LEN..eth::LEN + IPV4_LEN)?));
        Some(Self { head, len: u8::try_from(bytes.len()).ok()?, family, udp: udp.is_some(), sum })
    }

    /// How many bytes stand before the packet that is wrapped, the outer Ethernet header included.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// By how many bytes the IP packet grows.
    #[inline]
    pub(crate) fn growth(&self) -> usize {
        self.len() - eth::LEN
    }

    /// Fills the space of [`Outer::len`] bytes that stands before the packet in `frame`, which ends at `end`. `entropy` is the same
    /// for all packets of a flow; `id` differs from packet to packet.
    #[inline]
    pub(crate) fn wrap(&self, frame: &mut [u8], end: usize, entropy: u32, id: u16) {
        let len = self.len();
        let class = frame.get(len..len + 2).map_or(0, traffic_class);
        let (Some(space), Some(head)) = (frame.get_mut(..len), self.head.get(..len)) else { return };
        space.copy_from_slice(head);
        let after_ip = match self.family {
            Family::V4 => {
                self.complete_ipv4(frame, end, class, id);
                eth::LEN + IPV4_LEN
            }
            Family::V6 => {
                let payload = (end - eth::LEN - IPV6_LEN) as u16;
                let label = [
                    0x60 | class >> 4,
                    class << 4 | (entropy >> 28) as u8,
                    (entropy >> 16) as u8,
                    entropy as u8,
                ];
                store(frame, eth::LEN, label);
                store(frame, eth::LEN + 4, payload.to_be_bytes());
                eth::LEN + IPV6_LEN
            }
        };
        if self.udp {
            let source = FIRST_ENTROPY | (entropy >> 8) as u16;
            store(frame, after_ip, source.to_be_bytes());
            store(frame, after_ip + 4, ((end - after_ip) as u16).to_be_bytes());
        }
    }

    #[inline]
    fn complete_ipv4(&self, frame: &mut [u8], end: usize, class: u8, id: u16) {
        let total = ((end - eth::LEN) as u16).to_be_bytes();
        let id = id.to_be_bytes();
        let word = |bytes: [u8; 2]| u32::from(u16::from_ne_bytes(bytes));
        let sum = u32::from(self.sum) + word(total) + word(id) + word([0, class]);
        store(frame, eth::LEN + TOS, [class]);
        store(frame, eth::LEN + TOTAL, total);
        store(frame, eth::LEN + ID, id);
        store(frame, eth::LEN + CHECKSUM, (!checksum::fold(sum)).to_ne_bytes());
    }
}

/// The traffic class of the packet that begins with these bytes: priorities and congestion marks are carried on (RFC 6040).
#[inline]
fn traffic_class(first: &[u8]) -> u8 {
    match first {
        [version, next] if version >> 4 == 6 => version << 4 | next >> 4,
        [_, tos] => *tos,
        _ => 0,
    }
}

fn ip_header(source: IpAddr, member: IpAddr, protocol: u8) -> Option<(Family, Vec<u8>)> {
    match (source, member) {
        (IpAddr::V4(source), IpAddr::V4(member)) => {
            let mut header = vec![0x45, 0, 0, 0, 0, 0, 0, 0, HOPS, protocol, 0, 0];
            header.extend(source.octets());
            header.extend(member.octets());
            Some((Family::V4, header))
        }
        (IpAddr::V6(source), IpAddr::V6(member)) => {
            let mut header = vec![0x60, 0, 0, 0, 0, 0, protocol, HOPS];
            header.extend(source.octets());
            header.extend(member.octets());
            Some((Family::V6, header))
        }
        _ => None,
    }
}

fn protocol(tunnel: Tunnel, inner: Family) -> u8 {
    match tunnel {
        Tunnel::Ipip {} => inner.protocol(),
        Tunnel::Gre {} => GRE,
        Tunnel::Gue { .. } | Tunnel::Vxlan { .. } | Tunnel::Geneve { .. } => UDP,
    }
}

fn udp_port(tunnel: Tunnel) -> Option<u16> {
    match tunnel {
        Tunnel::Ipip {} | Tunnel::Gre {} => None,
        Tunnel::Gue { port } | Tunnel::Vxlan { port, .. } | Tunnel::Geneve { port, .. } => Some(port.get()),
    }
}

/// The header between the outer and the inner packet.
fn shim(tunnel: Tunnel, inner: Family) -> Vec<u8> {
    let [high, low] = inner.ethertype();
    match tunnel {
        Tunnel::Ipip {} => Vec::new(),
        Tunnel::Gre {} => vec![0, 0, high, low],
        Tunnel::Gue { .. } => vec![0, inner.protocol(), 0, 0],
        Tunnel::Vxlan { vni, .. } => {
            let [_, a, b, c] = vni.get().to_be_bytes();
            vec![0x08, 0, 0, 0, a, b, c, 0]
        }
        Tunnel::Geneve { vni, .. } => {
            let [_, a, b, c] = vni.get().to_be_bytes();
            let [high, low] = ETHERTYPE_ETHERNET;
            vec![0, 0, high, low, a, b, c, 0]
        }
    }
}

/// Whether frames are wrapped, and not bare packets.
fn is_ethernet(tunnel: Tunnel) -> bool {
    match tunnel {
        Tunnel::Ipip {} | Tunnel::Gre {} | Tunnel::Gue { .. } => false,
        Tunnel::Vxlan { .. } | Tunnel::Geneve { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use lb_model::{L4Port, Vni};

    use super::*;

    const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

    /// A packet of 5 bytes with a traffic class, wrapped.
    fn wrapped(tunnel: Tunnel, ends: [&str; 2], inner: Family) -> Vec<u8> {
        let [source, member] = ends.map(|text| text.parse().unwrap());
        let outer = Outer::new(tunnel, source, member, inner, OWN).unwrap();
        let mut frame = vec![0xff; outer.len()];
        frame.extend(match inner {
            Family::V4 => [0x45, 0xb9, 1, 2, 3],
            Family::V6 => [0x6b, 0x90, 1, 2, 3],
        });
        let end = frame.len();
        outer.wrap(&mut frame, end, 0xfedc_ba98, 0x1234);
        frame[12..].to_vec()
    }

    const V4: [&str; 2] = ["198.18.2.1", "198.18.2.11"];
    const V6: [&str; 2] = ["2001:db8::1", "2001:db8::11"];

    fn port(number: u16) -> L4Port {
        L4Port::new(number).unwrap()
    }

    #[test]
    fn ipip_is_an_ip_header_with_a_right_checksum() {
        let bytes = wrapped(Tunnel::Ipip {}, V4, Family::V4);
        assert_eq!(bytes[..12], [8, 0, 0x45, 0xb9, 0, 25, 0x12, 0x34, 0, 0, 64, 4]);
        assert_eq!(checksum::fold(checksum::sum(&bytes[2..22])), 0xffff);
        assert_eq!(bytes[14..22], [198, 18, 2, 1, 198, 18, 2, 11]);
        assert_eq!(bytes[22..], [0x45, 0xb9, 1, 2, 3]);
    }

    #[test]
    fn ipip_of_all_four_combinations() {
        assert_eq!(wrapped(Tunnel::Ipip {}, V4, Family::V6)[11], 41);
        for (inner, protocol) in [(Family::V4, 4), (Family::V6, 41)] {
            let bytes = wrapped(Tunnel::Ipip {}, V6, inner);
            assert_eq!(bytes[..4], [0x86, 0xdd, 0x6b, 0x9f]);
            assert_eq!(bytes[6..10], [0, 5, protocol, 64]);
            assert_eq!(bytes.len(), 2 + 40 + 5);
        }
        assert_eq!(
            Outer::new(Tunnel::Ipip {}, V4[0].parse().unwrap(), V6[1].parse().unwrap(), Family::V4, OWN),
            None
        );
    }

    #[test]
    fn gre_says_what_follows() {
        assert_eq!(wrapped(Tunnel::Gre {}, V4, Family::V4)[22..26], [0, 0, 8, 0]);
        assert_eq!(wrapped(Tunnel::Gre {}, V4, Family::V6)[22..26], [0, 0, 0x86, 0xdd]);
    }

    #[test]
    fn the_source_port_carries_the_entropy() {
        let bytes = wrapped(Tunnel::Gue { port: port(6080) }, V4, Family::V4);
        // Ports, length without checksum, then GUE: variant 0, IPv4 inside.
        assert_eq!(bytes[22..34], [0xdc, 0xba, 0x17, 0xc0, 0, 17, 0, 0, 0, 4, 0, 0]);
    }

    #[test]
    fn vxlan_and_geneve_carry_frames() {
        let vni = Vni::new(0x01_02_03).unwrap();
        let vxlan = wrapped(Tunnel::Vxlan { port: port(4789), vni }, V4, Family::V4);
        assert_eq!(vxlan[30..38], [8, 0, 0, 0, 1, 2, 3, 0]);
        assert_eq!(vxlan[38..52], [2, 0, 198, 18, 2, 11, 2, 0, 0, 0, 0, 2, 8, 0]);
        let geneve = wrapped(Tunnel::Geneve { port: port(6081), vni }, V6, Family::V6);
        assert_eq!(geneve[50..58], [0, 0, 0x65, 0x58, 1, 2, 3, 0]);
        assert_eq!(geneve[58..72], [2, 0, 0, 0, 0, 0x11, 2, 0, 0, 0, 0, 2, 0x86, 0xdd]);
    }
}
