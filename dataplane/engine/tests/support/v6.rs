//! The same appliance and frames in IPv6.

use std::net::{IpAddr, Ipv6Addr};

use lb_engine::wire::checksum;
use lb_engine::{Network, Route};
use lb_model::MacAddr;
use lb_model::snapshot::L4Snapshot;

use super::*;

pub const CLIENT_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 9);
pub const VIP_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0x100);
pub const HOST_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1);
pub const BACK_HOST_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 1);
pub const MEMBER_1_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 0x11);
pub const MEMBER_2_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 0x12);
/// A router of the kind that IPv6 has: known by an address of its link alone.
pub const ROUTER_6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfe);

/// Where the payload is in a frame without extension headers.
pub const PAYLOAD_6: usize = 54;

pub type End6 = (Ipv6Addr, u16);

impl Frame {
    /// A packet of this protocol; its checksum is right where it has one.
    pub fn ip6(from: Ipv6Addr, to: Ipv6Addr, protocol: u8, payload: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(PAYLOAD_6 + payload.len());
        bytes.extend(FRONT_MAC.0);
        bytes.extend(PEER_MAC.0);
        bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        bytes.extend((payload.len() as u16).to_be_bytes());
        bytes.extend([protocol, 64]);
        bytes.extend(from.octets());
        bytes.extend(to.octets());
        bytes.extend_from_slice(payload);
        let mut frame = Self(bytes);
        frame.fix_checksum_6();
        frame
    }

    pub fn tcp6(from: End6, to: End6, flags: u8, payload: &[u8]) -> Self {
        let mut segment = ports(from, to);
        segment.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
        segment.extend_from_slice(payload);
        Self::ip6(from.0, to.0, 6, &segment)
    }

    pub fn udp6(from: End6, to: End6, payload: &[u8]) -> Self {
        let mut datagram = ports(from, to);
        datagram.extend((8 + payload.len() as u16).to_be_bytes());
        datagram.extend([0, 0]);
        datagram.extend_from_slice(payload);
        Self::ip6(from.0, to.0, 17, &datagram)
    }

    /// An ICMP message about `quoted`, of which it has the first `len` bytes.
    pub fn error6(from: Ipv6Addr, to: Ipv6Addr, kind: u8, quoted: &Self, len: usize) -> Self {
        let mut message = vec![kind, 0, 0, 0, 0, 0, 0x05, 0x78];
        message.extend_from_slice(&quoted.0[14..(14 + len).min(quoted.0.len())]);
        Self::ip6(from, to, 58, &message)
    }

    /// With extension headers, each of a type, and of bytes of which the first two are filled in.
    pub fn with_extensions(mut self, extensions: &[(u8, &[u8])]) -> Self {
        let last = self.0[20];
        let types: Vec<u8> = extensions.iter().map(|(kind, _)| *kind).chain([last]).collect();
        let mut inserted = Vec::new();
        for (at, (kind, bytes)) in extensions.iter().enumerate() {
            let mut header = bytes.to_vec();
            header[0] = types[at + 1];
            header[1] = if *kind == 44 { 0 } else { (bytes.len() / 8 - 1) as u8 };
            inserted.extend(header);
        }
        self.0[20] = types[0];
        let len = u16::from_be_bytes([self.0[18], self.0[19]]) + inserted.len() as u16;
        self.0[18..20].copy_from_slice(&len.to_be_bytes());
        self.0.splice(PAYLOAD_6..PAYLOAD_6, inserted);
        self
    }

    /// The packet that an ICMP error quotes, as a frame of its own.
    pub fn quoted6(&self) -> Self {
        Self([&self.0[..14], &self.0[PAYLOAD_6 + 8..]].concat())
    }

    pub fn fix_checksum_6(&mut self) {
        let Some(at) = self.checksum_at_6() else { return };
        let sum = self.right_checksum_6(at);
        self.0[at..at + 2].copy_from_slice(&sum.to_ne_bytes());
    }

    fn checksum_at_6(&self) -> Option<usize> {
        let (at, protocol) = self.transport_6();
        match protocol {
            6 => Some(at + 16),
            17 => Some(at + 6),
            58 => Some(at + 2),
            _ => None,
        }
    }

    /// Where what follows the extension headers is, and its protocol.
    fn transport_6(&self) -> (usize, u8) {
        let (mut at, mut protocol) = (PAYLOAD_6, self.0[20]);
        while matches!(protocol, 0 | 43 | 44 | 60) {
            protocol = self.0[at];
            at += 8 + 8 * usize::from(self.0[at + 1]);
        }
        (at, protocol)
    }

    fn right_checksum_6(&self, at: usize) -> u16 {
        let (begin, protocol) = self.transport_6();
        let end = PAYLOAD_6 + usize::from(u16::from_be_bytes([self.0[18], self.0[19]]));
        let mut segment = self.0[begin..end].to_vec();
        segment[at - begin..at - begin + 2].fill(0);
        match checksum::transport::<32>(self.0[22..54].try_into().unwrap(), protocol, &segment) {
            0 if protocol == 17 => u16::MAX,
            sum => sum,
        }
    }

    pub fn checksum_holds_6(&self) -> bool {
        let at = self.checksum_at_6().unwrap();
        u16::from_ne_bytes([self.0[at], self.0[at + 1]]) == self.right_checksum_6(at)
    }

    pub fn src6(&self) -> End6 {
        let (at, _) = self.transport_6();
        (address6(&self.0[22..38]), u16::from_be_bytes([self.0[at], self.0[at + 1]]))
    }

    pub fn dst6(&self) -> End6 {
        let (at, _) = self.transport_6();
        (address6(&self.0[38..54]), u16::from_be_bytes([self.0[at + 2], self.0[at + 3]]))
    }

    pub fn hop_limit(&self) -> u8 {
        self.0[21]
    }

    /// By its own kind.
    pub fn is_right(&self) -> bool {
        if self.is_ip6() { self.checksum_holds_6() } else { self.checksums_hold() }
    }

    pub fn is_ip6(&self) -> bool {
        self.0[12..14] == [0x86, 0xdd]
    }
}

fn ports(from: End6, to: End6) -> Vec<u8> {
    [from.1.to_be_bytes(), to.1.to_be_bytes()].concat()
}

fn address6(bytes: &[u8]) -> Ipv6Addr {
    let octets: [u8; 16] = bytes.try_into().unwrap();
    Ipv6Addr::from(octets)
}

/// What IPv6 adds to the network.
pub fn add_network6(network: &mut Network) {
    for (port, own) in network.ports.iter_mut().zip([HOST_6, BACK_HOST_6]) {
        port.addresses.push(own.into());
    }
    let route = |to: &str, port, gateway: Option<Ipv6Addr>| {
        let gateway = gateway.map(IpAddr::V6);
        Route { to: to.parse().unwrap(), port, gateway, metric: 0 }
    };
    network.routes.extend([
        route("2001:db8:0:1::/64", FRONT, None),
        route("2001:db8:0:2::/64", BACK, None),
        route("::/0", FRONT, Some(ROUTER_6)),
    ]);
    network.locals.extend([HOST_6, VIP_6].map(IpAddr::V6));
    let near = [(FRONT, CLIENT_6, [2, 0, 0, 6, 1, 9]), (FRONT, ROUTER_6, [2, 0, 0, 6, 1, 0xfe])];
    let members = (0x11..=0x20u8).map(|last| {
        let address = MEMBER_1_6.to_bits() - 0x11 + u128::from(last);
        (BACK, Ipv6Addr::from(address), [2, 0, 0, 6, 2, last])
    });
    let all = near.into_iter().chain(members);
    network.neighbours.extend(all.map(|(port, address, mac)| ((port, IpAddr::V6(address)), MacAddr(mac))));
}

/// The service on the IPv6 virtual IP, with members on the same port as theirs.
pub fn over_ipv6(mut snapshot: L4Snapshot) -> L4Snapshot {
    for service in &mut snapshot.services {
        service.address = VIP_6.into();
        for (backend, address) in service.backends.iter_mut().zip([MEMBER_1_6, MEMBER_2_6]) {
            backend.address = address.into();
        }
    }
    snapshot
}

pub fn from_client6(port: u16, flags: u8, payload: &[u8]) -> Frame {
    Frame::tcp6((CLIENT_6, port), (VIP_6, 80), flags, payload)
}

pub fn from_member6(member: End6, client_port: u16, flags: u8, payload: &[u8]) -> Frame {
    Frame::tcp6(member, (CLIENT_6, client_port), flags, payload).arriving_at(BACK_MAC)
}

impl Lb {
    /// Opens a connection from a client's port, handshake and all; the member that got it.
    pub fn open6(&mut self, port: u16) -> End6 {
        let (verdict, syn) = self.send(from_client6(port, SYN, b""));
        assert_eq!(verdict, Verdict::Send(BACK));
        let member = syn.dst6();
        assert_eq!(self.send(from_member6(member, port, SYN | ACK, b"")).0, Verdict::Send(FRONT));
        assert_eq!(self.send(from_client6(port, ACK, b"")).0, Verdict::Send(BACK));
        member
    }
}
